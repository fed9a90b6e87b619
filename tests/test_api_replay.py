"""Whatever happens, a watcher who applies what it is told has what a list shows."""

from __future__ import annotations

import json
from typing import Any

from api_world import CONFIGMAPS, World, read
from hypothesis import given, settings
from hypothesis import strategies as st

SELECTORS: tuple[dict[str, str], ...] = (
    {}, {"labelSelector": "x=1"}, {"labelSelector": "x!=1"}, {"labelSelector": "x in (1,2),y"},
    {"fieldSelector": "metadata.name=a"}, {"fieldSelector": "metadata.name!=a", "labelSelector": "x"})
NAMES, VALUES = st.sampled_from("abc"), st.sampled_from(("1", "2", None))
STEPS = st.lists(st.one_of(
    st.tuples(st.just("create"), NAMES, VALUES), st.tuples(st.just("label"), NAMES, VALUES),
    st.tuples(st.just("data"), NAMES, st.sampled_from("pq")), st.tuples(st.just("delete"), NAMES, st.none()),
    st.tuples(st.just("hold"), NAMES, st.none()), st.tuples(st.just("release"), NAMES, st.none()),
    st.tuples(st.just("poll"), st.none(), st.none())), max_size=25)


def do(world: World, step: tuple[str, Any, Any]) -> None:
    verb, name, value = step
    path = f"{CONFIGMAPS}/{name}"
    if verb == "create":
        labels = {"y": "z", **({"x": value} if value else {})}
        world.post(CONFIGMAPS, {"metadata": {"name": name, "labels": labels}})
    elif verb == "label":
        world.patch(path, {"metadata": {"labels": {"x": value}}})
    elif verb == "data":
        world.patch(path, {"data": {"k": value}})
    elif verb == "hold":
        world.patch(path, {"metadata": {"finalizers": ["x.example/y"]}})
    elif verb == "release":
        world.patch(path, {"metadata": {"finalizers": None}})
    elif verb == "delete":
        world.delete(path)


def apply(state: dict[str, str], stream: Any) -> None:
    """What every informer does."""
    for _, line in stream.poll():
        event = json.loads(line)
        meta = event["object"]["metadata"]
        if event["type"] == "DELETED":
            del state[meta["name"]]
        else:
            assert (event["type"] == "ADDED") == (meta["name"] not in state)
            state[meta["name"]] = meta["resourceVersion"]


@settings(max_examples=60, deadline=None)
@given(before=STEPS, after=STEPS)
def test_list_then_watch_is_the_same_as_a_later_list(before, after):
    world = World()
    for step in before:
        do(world, step)
    watchers = []
    for selector in SELECTORS:
        listed = read(world.get(CONFIGMAPS, **selector))
        state = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listed["items"]}
        watchers.append((selector, state, world.watch(CONFIGMAPS, resourceVersion=listed["metadata"]["resourceVersion"],
                                                      **selector)))
    for step in after:
        do(world, step)
        if step[0] == "poll":
            for _, state, stream in watchers:
                apply(state, stream)
    for selector, state, stream in watchers:
        apply(state, stream)
        listed = read(world.get(CONFIGMAPS, **selector))
        assert state == {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listed["items"]}
    world.check_frozen()
