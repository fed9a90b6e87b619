"""The map of a Service: what it says in data, in words, and in the picture."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from kitlib.views.deck_services import NODES, STORIES, service
from kitlib.views.service_map import ServiceMap, describe

SVG = "{http://www.w3.org/2000/svg}"


def story(name: str) -> ServiceMap:
    made, slices = STORIES[name]
    return ServiceMap(describe(made, slices, NODES))


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_each_way_in_is_there_once() -> None:
    ways = [(way["kind"], way["address"]) for way in story("balancer").map["ways"]]
    assert ways == [("name", "web.shop.svc.cluster.local"), ("cluster IP", "10.96.0.50:80"),
                    ("node port", "192.0.2.1:30080 (and 1 more nodes)"), ("load balancer", "198.51.100.7:80")]
    assert story("headless").map["ways"] == [{"kind": "name", "address": "web.shop.svc.cluster.local"}]


def test_only_pods_that_get_connections_have_an_arrow() -> None:
    shown = words(story("clusterip").svg)
    assert (shown.count("ready"), shown.count("not ready"), shown.count("✗")) == (2, 1, 1)
    assert {"nodeA", "nodeB"} <= set(shown)


def test_nobody_is_said_to_be_nobody() -> None:
    assert "no endpoints:" in words(story("broken").svg)
    assert "no endpoints: connections are refused" in str(story("broken"))


def test_an_alias_leads_to_a_name() -> None:
    assert "vault.shop.svc.cluster.local" in words(story("alias").svg)
    assert "is a name for  vault.shop.svc.cluster.local" in str(story("alias"))


def _endpoint(**conditions: bool) -> dict[str, Any]:
    return {"addresses": ["10.0.0.1"], "nodeName": "nodeA", "conditions": conditions}


@pytest.mark.parametrize(("conditions", "ports", "state"), [
    ({}, [{"port": 80}], "ready"), ({"ready": False}, [{"port": 80}], "not ready"),
    ({"ready": False, "serving": True, "terminating": True}, [{"port": 80}], "leaving"),
    ({"ready": True}, [], "no such port")])
def test_the_state_of_an_endpoint_is_in_words(conditions: dict[str, bool], ports: list[Any], state: str) -> None:
    made, _ = STORIES["clusterip"]
    found = describe(made, [{"ports": ports, "endpoints": [_endpoint(**conditions)]}], NODES)
    assert [pod["state"] for pod in found["pods"]] == [state]


@pytest.mark.parametrize("name", STORIES)
def test_every_picture_can_be_read_aloud(name: str) -> None:
    root = ElementTree.fromstring(service(name))
    description = root.findtext(f"{SVG}desc") or ""
    assert root.get("role") == "img"
    assert "Ways in: name " in description
    for pod in story(name).map["pods"]:
        assert f"{pod['name']} on {pod['node']}: {pod['state']}" in description
