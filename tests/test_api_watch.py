"""Watches: what a client is told, in which order and form, and when it has to start over."""

from __future__ import annotations

import json

import pytest
from api_world import CONFIGMAPS, SECRETS, World, config_map, events, read

from kitlib.store import Store


@pytest.fixture
def world() -> World:
    return World()


def revision(world: World) -> str:
    return str(world.store.revision)


def test_changes_after_a_revision_come_in_order(world):
    after = revision(world)
    world.post(CONFIGMAPS, config_map("a"))
    world.patch(f"{CONFIGMAPS}/a", {"data": {"k": "x"}})
    stream = world.watch(CONFIGMAPS, resourceVersion=after)
    world.delete(f"{CONFIGMAPS}/a")
    assert events(stream) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert events(stream) == []


def test_each_line_carries_the_revision_that_must_be_durable_first(world):
    stream = world.watch(CONFIGMAPS, resourceVersion=revision(world))
    world.post(CONFIGMAPS, config_map("a"))
    [(needed, line)] = stream.poll()
    assert needed == world.store.revision
    assert line.endswith(b"}\n")


def test_an_object_enters_and_leaves_a_selection(world):
    stream = world.watch(CONFIGMAPS, resourceVersion=revision(world), labelSelector="x=1")
    world.post(CONFIGMAPS, config_map("a"))
    world.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"x": "1"}}})
    world.patch(f"{CONFIGMAPS}/a", {"data": {"k": "z"}})
    world.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"x": "2"}}})
    world.delete(f"{CONFIGMAPS}/a")
    told = [json.loads(line) for _, line in stream.poll()]
    assert [event["type"] for event in told] == ["ADDED", "MODIFIED", "DELETED"]
    assert told[2]["object"]["metadata"]["labels"] == {"x": "1"}
    assert int(told[2]["object"]["metadata"]["resourceVersion"]) > int(told[1]["object"]["metadata"]["resourceVersion"])


def test_a_watch_list_ends_its_initial_events_with_a_bookmark(world):
    world.post(CONFIGMAPS, config_map("a"))
    stream = world.watch(CONFIGMAPS, sendInitialEvents="true", resourceVersionMatch="NotOlderThan",
                         allowWatchBookmarks="true")
    told = [json.loads(line) for _, line in stream.poll()]
    assert [event["type"] for event in told] == ["ADDED", "BOOKMARK"]
    assert told[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert told[1]["object"]["metadata"]["resourceVersion"] == revision(world)
    world.post(CONFIGMAPS, config_map("b"))
    assert events(stream) == [("ADDED", "b")]


def test_a_thousand_watchers_cost_one_encoding(world):
    streams = [world.watch(CONFIGMAPS, resourceVersion=revision(world)) for _ in range(50)]
    world.post(CONFIGMAPS, config_map("a"))
    lines = {id(stream.poll()[0][1]) for stream in streams}
    assert len(lines) == 1


def test_on_ready_is_called_when_something_happens(world):
    calls = []
    stream = world.watch(CONFIGMAPS, resourceVersion=revision(world))
    stream.on_ready(lambda: calls.append(1))
    assert calls == []
    world.post(CONFIGMAPS, config_map("a"))
    assert calls == [1]


def test_a_quiet_watch_gets_bookmarks(world):
    stream = world.watch(CONFIGMAPS, resourceVersion=revision(world), allowWatchBookmarks="true")
    world.post(SECRETS, {"metadata": {"name": "elsewhere"}})
    world.clock.advance(80)
    [(_, line)] = stream.poll()
    bookmark = json.loads(line)
    assert (bookmark["type"], bookmark["object"]["metadata"]["resourceVersion"]) == ("BOOKMARK", revision(world))


def test_a_watch_ends_when_its_time_is_over(world):
    stream = world.watch(CONFIGMAPS, timeoutSeconds="5", resourceVersion=revision(world))
    world.clock.advance(4)
    stream.poll()
    assert not stream.closed
    world.clock.advance(2)
    stream.poll()
    assert stream.closed


def test_a_revision_that_is_gone_is_an_error_event():
    world = World(Store(None, history=10))
    world.post(CONFIGMAPS, config_map("a"))
    for number in range(40):
        world.patch(f"{CONFIGMAPS}/a", {"data": {"k": str(number)}})
    stream = world.watch(CONFIGMAPS, resourceVersion="1")
    [(_, line)] = stream.poll()
    event = json.loads(line)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert stream.closed


def test_a_revision_in_the_future_is_504(world):
    answer = world.watch(CONFIGMAPS, resourceVersion="999999")
    assert (answer.code, read(answer)["reason"]) == (504, "Timeout")


def test_partial_metadata_leaves_the_rest_out(world):
    accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    stream = world.send("GET", CONFIGMAPS, headers={"accept": accept}, watch="true", resourceVersion=revision(world))
    world.post(CONFIGMAPS, config_map("a"))
    [(_, line)] = stream.poll()
    assert sorted(json.loads(line)["object"]) == ["apiVersion", "kind", "metadata"]


def test_only_the_first_table_names_the_columns(world):
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    stream = world.send("GET", CONFIGMAPS, headers={"accept": accept}, watch="true", resourceVersion=revision(world))
    world.post(CONFIGMAPS, config_map("a"))
    world.post(CONFIGMAPS, config_map("b"))
    first, second = (json.loads(line)["object"] for _, line in stream.poll())
    assert [column["name"] for column in first["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert second["columnDefinitions"] is None


def test_callers_in_this_process_get_objects(world):
    stream = world.watch(CONFIGMAPS, resourceVersion=revision(world))
    world.post(CONFIGMAPS, config_map("a"))
    assert stream.poll_events() == [("ADDED", world.store.get("configmaps", "default", "a").obj)]


def test_a_watch_that_knows_the_columns_does_not_get_anothers_first_table(world):
    headers = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    old = world.send("GET", CONFIGMAPS, headers=headers, watch="true", resourceVersion=revision(world))
    world.post(CONFIGMAPS, config_map("a"))
    old.poll()
    new = world.send("GET", CONFIGMAPS, headers=headers, watch="true", resourceVersion=revision(world))
    world.post(CONFIGMAPS, config_map("b"))
    tables = [json.loads(stream.poll()[0][1])["object"]["columnDefinitions"] for stream in (new, old)]
    assert [table is None for table in tables] == [False, True]
