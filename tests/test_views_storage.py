"""The pictures of lab12: who hears of a change, and where the data is."""

from __future__ import annotations

import re
import time

import pytest

from kitlib.checks import inside
from kitlib.checks.world import World
from kitlib.views import deck_storage, grid, reach, storage

READER = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reader"}, "spec": {
    "terminationGracePeriodSeconds": 0, "containers": [{
        "name": "main", "image": "busybox", "command": ["sleep", "600"],
        "env": [{"name": "SKY", "valueFrom": {"configMapKeyRef": {"name": "weather", "key": "sky"}}}],
        "volumeMounts": [{"name": "w", "mountPath": "/etc/weather"},
                         {"name": "w", "mountPath": "/etc/one/sky", "subPath": "sky"}]}],
    "volumes": [{"name": "w", "configMap": {"name": "weather"}}]}}


@pytest.fixture
def world(new_cluster):
    cluster = new_cluster("reach")
    cluster.start()
    client = cluster.client()
    client.create("configmaps", "default", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "weather"},
                                            "data": {"sky": "blue"}})
    client.create("pods", "default", READER)
    made = World(client, "default", patience=20.0)
    assert made.eventually(lambda: any(c["type"] == "Ready" and c["status"] == "True" for c in (
        made.get("pods", "reader") or {})["status"].get("conditions", ())))
    return made


@pytest.mark.timeout(120)
def test_who_hears_of_a_change_is_measured_in_a_running_pod(world):
    def change():
        world.client.patch("configmaps", "default", "weather", {"data": {"sky": "grey"}})

    found = reach.measure(world.client.transport, "default", "reader", {
        "env": "printenv SKY", "file": "cat /etc/weather/sky", "subPath": "cat /etc/one/sky", "none": "cat /nowhere",
    }, change, label="patch", seconds=1.5)
    assert [[span.value for span in spans] for spans in found.readers.values()] == [
        ["blue"], ["blue", "grey"], ["blue"], [""]]
    assert found.arrived("file") is not None
    assert [found.arrived(name) for name in ("env", "subPath", "none")] == [None, None, None]
    figure = reach.ReachFigure(found)
    assert "file     blue → grey" in str(figure)
    assert "none     (nothing)" in str(figure)
    assert figure._repr_mimebundle_()["text/html"].startswith("<svg")
    # a command in the container, as checks ask
    assert inside.run(world, "reader", "cat", "/etc/weather/sky") == "grey"
    assert inside.run(world, "reader", "sh", "-c", "echo a; echo b") == "a\nb"
    assert inside.run(world, "reader", "sh", "-c", "echo a; exit 3") is None
    assert inside.run(world, "reader", "no-such-program") is None
    assert inside.run(world, "nobody", "true") is None
    with pytest.raises(ValueError, match="says nothing"):
        reach.measure(world.client.transport, "default", "reader", {"x": "kill -9 $$"}, lambda: None, label="kill",
                      seconds=0.2)


def test_readings_become_spans_and_an_arrival():
    spans = reach.spans([(-0.2, "a"), (-0.1, "b"), (0.0, "b"), (0.3, "c"), (0.4, "c")], 0.5)
    assert [(s.start, s.end, s.value) for s in spans] == [(-0.2, -0.1, "a"), (-0.1, 0.3, "b"), (0.3, 0.5, "c")]
    found = reach.Reach("x", 0.5, {"r": spans, "early": spans[:2]})
    assert (found.arrived("r"), found.arrived("early")) == (0.3, None)  # what came before is not its doing
    assert (reach.said(found, "r"), reach.said(found, "early")) == ("after 0.3 s", "not in 0 s")


def test_a_claim_is_drawn_with_its_user_its_volume_and_the_node():
    steps = [deck_storage.claims(step) for step in ("1", "2", "3")]
    told = [re.search(r"<desc>(.*?)</desc>", picture)[1] for picture in steps]
    assert told == [
        "diary: used by nothing, volume nothing, class keep, node nothing; Pending.",
        "diary: used by author, volume pvc-5f3e8a10, class keep: Retain, node node-2; Bound.",
        "(diary: gone): used by nothing, volume pvc-5f3e8a10, class keep: Retain, node node-2; volume Released."]
    with pytest.raises(ValueError, match="steps 1 to 3"):
        deck_storage.claims("4")


def test_volumes_of_other_namespaces_and_bound_ones_without_a_claim_here_are_left_out():
    volumes = [{"metadata": {"name": "theirs"}, "status": {"phase": "Released"}, "spec": {
        "claimRef": {"namespace": "other", "name": "c"}}},
        {"metadata": {"name": "free"}, "status": {"phase": "Available"}, "spec": {"storageClassName": "fast"}}]
    leaving = {"metadata": {"name": "c", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {},
               "status": {"phase": "Bound"}}
    drawn = storage.grid("mine", [leaving], volumes, [])
    assert [(name, words) for name, _, words, _ in drawn.rows] == [("c", "Terminating: still in use"),
                                                                   ("(none)", "volume Available")]
    assert "no claim here" in grid.text(storage.grid("mine", [], [], []))


def test_the_measured_picture_says_in_words_what_it_shows():
    picture = deck_storage.heard()
    assert "env: blue, not in 2 s. argument: blue, not in 2 s. file: blue then grey, after 0.2 s." in picture
    began = time.perf_counter()
    deck_storage.heard()
    assert time.perf_counter() - began < 1
