"""The informer's copy follows the API, whatever happens to the watch."""

from __future__ import annotations

from typing import Any

from client_fakes import FakeApi

from kitlib.client import Informer
from kitlib.objects.errors import StatusError, expired


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default", "labels": labels}}


def watching(api: FakeApi, **options: Any) -> tuple[Informer, list[tuple[str, str]]]:
    informer = Informer(api.client(), "pods", clock=api.clock, **options)
    told: list[tuple[str, str]] = []
    informer.add_handler(lambda kind, old, new: told.append((kind, (new or old)["metadata"]["name"])))
    return informer, told


def names(informer: Informer) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in informer.list())


def test_it_lists_what_is_there_and_watches_what_changes():
    api = FakeApi()
    client = api.client()
    client.create("pods", "default", pod("a"))
    informer, told = watching(api)
    informer.sync()
    assert told == [("ADDED", "a")]
    client.create("pods", "default", pod("b"))
    client.patch("pods", "default", "a", {"metadata": {"labels": {"x": "1"}}})
    client.delete("pods", "default", "b")
    assert names(informer) == ["a"], "nothing arrives before sync"
    informer.sync()
    assert told[1:] == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert informer.get("default/a")["metadata"]["labels"] == {"x": "1"}
    assert informer.revision == api.store.revision


def test_objects_of_a_list_carry_their_type_as_those_of_a_watch_do():
    api = FakeApi()
    api.client().create("pods", "default", pod("a"))
    informer, _ = watching(api)
    informer.sync()
    assert (informer.get("default/a")["kind"], informer.get("default/a")["apiVersion"]) == ("Pod", "v1")


def test_after_410_it_lists_again_and_tells_what_it_missed():
    api = FakeApi()
    client = api.client()
    for name in "abc":
        client.create("pods", "default", pod(name))
    informer, told = watching(api)
    informer.sync()
    del told[:]
    api.streams[-1].hold = True
    client.delete("pods", "default", "a")
    client.create("pods", "default", pod("d"))
    client.patch("pods", "default", "b", {"metadata": {"labels": {"x": "1"}}})
    api.streams[-1].hold = False
    api.streams[-1].lose(3)
    api.streams[-1].end(expired("too old").status)
    informer.sync()
    informer.sync()
    assert sorted(told) == [("ADDED", "d"), ("DELETED", "a"), ("MODIFIED", "b")]
    assert names(informer) == ["b", "c", "d"]


def test_a_closed_watch_is_opened_again_where_it_stopped():
    api = FakeApi()
    client = api.client()
    informer, told = watching(api)
    informer.sync()
    api.streams[-1].end()
    client.create("pods", "default", pod("a"))
    for _ in range(3):
        informer.sync()
    assert told == [("ADDED", "a")]
    assert len([r for r in api.requests if "watch" not in r.query]) == 2, "one list and the create: no second list"


def test_an_object_that_was_deleted_and_made_again_unseen_is_told_as_both():
    api = FakeApi()
    client = api.client()
    client.create("pods", "default", pod("a"))
    informer, told = watching(api)
    informer.sync()
    api.streams[-1].lose(1)
    client.delete("pods", "default", "a")
    client.create("pods", "default", pod("a"))
    informer.sync()
    assert told == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]


def test_while_the_server_is_away_it_asks_less_and_less_often():
    api = FakeApi()
    api.fail = lambda request: StatusError(503, "ServiceUnavailable", "down")
    informer, _ = watching(api)
    pauses = []
    for _ in range(3):
        informer.sync()
        informer.sync()
        pauses.append(round((informer.next_due() or 0) - api.clock.monotonic(), 2))
        api.clock.advance(pauses[-1])
    assert pauses == [0.8, 1.6, 3.2]
    assert len(api.requests) == 3
    api.fail = lambda request: None
    informer.sync()
    assert informer.synced


def test_with_relist_even_a_silently_lost_event_is_made_up_for():
    api = FakeApi()
    client = api.client()
    informer, told = watching(api, relist=10.0)
    informer.sync()
    api.streams[-1].lose(1)
    client.create("pods", "default", pod("a"))
    informer.sync()
    assert told == []
    api.clock.advance(10)
    informer.sync()
    assert told == [("ADDED", "a")]


def test_indexes_follow_every_change():
    api = FakeApi()
    client = api.client()
    informer, _ = watching(api)
    informer.add_label_index("app")
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u1", "controller": True}
    client.create("pods", "default", pod("a", app="web"))
    client.create("pods", "default", {"metadata": {"name": "b", "namespace": "default", "ownerReferences": [owner]}})
    informer.sync()

    def found(index: str, value: str) -> list[str]:
        return [obj["metadata"]["name"] for obj in informer.by_index(index, value)]

    assert (found("owner", "u1"), found("orphan", "default")) == (["b"], ["a"])
    assert found("label:app", "default/web") == ["a"]
    client.patch("pods", "default", "b", {"metadata": {"ownerReferences": None, "labels": {"app": "web"}}})
    client.patch("pods", "default", "a", {"metadata": {"labels": {"app": "db"}}})
    informer.sync()
    assert (found("owner", "u1"), sorted(found("orphan", "default"))) == ([], ["a", "b"])
    assert (found("label:app", "default/web"), found("label:app", "default/db")) == (["b"], ["a"])
    client.delete("pods", "default", "a")
    informer.sync()
    assert found("label:app", "default/db") == []
