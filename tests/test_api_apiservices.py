"""APIServices: one for each group version that is served, at any time."""

from __future__ import annotations

from typing import Any

import pytest
from api_world import World, read
from support import Kubectl, eventually
from test_api_custom import DEFINITIONS, definition

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


@pytest.fixture
def world() -> World:
    return World()


def registered(world: World) -> set[str]:
    return {item["metadata"]["name"] for item in read(world.get(SERVICES))["items"]}


def with_versions(*names: str) -> dict[str, Any]:
    made = definition()
    [version] = made["spec"]["versions"]
    made["spec"]["versions"] = [{**version, "name": name, "storage": name == names[0]} for name in names]
    return made


def test_each_built_in_group_version_is_available_locally(world):
    services = {item["metadata"]["name"]: item for item in read(world.get(SERVICES))["items"]}
    served = {f"{v['version']}.{g['name']}" for g in read(world.get("/apis"))["groups"] for v in g["versions"]}
    assert services.keys() == (served | {"v1."}) - {"v1.apiregistration.k8s.io"}
    for service in services.values():
        [condition] = service["status"]["conditions"]
        assert (condition["type"], condition["status"], condition["reason"]) == ("Available", "True", "Local")
        assert not service["spec"].get("service")
    spec = services["v1.apps"]["spec"]
    assert [spec[name] for name in ("group", "version", "groupPriorityMinimum", "versionPriority")] == [
        "apps", "v1", 17800, 15]


def test_those_of_definitions_come_and_go_with_them(world):
    built_in = registered(world)
    world.post(DEFINITIONS, with_versions("v1", "v2beta1"))
    assert registered(world) - built_in == {"v1.example.com", "v2beta1.example.com"}
    service = read(world.get(f"{SERVICES}/v1.example.com"))
    assert service["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
    found = read(world.get(f"{DEFINITIONS}/widgets.example.com"))
    found["spec"]["versions"][1]["served"] = False
    world.put(f"{DEFINITIONS}/widgets.example.com", found)
    assert registered(world) - built_in == {"v1.example.com"}
    assert registered(World(world.store)) - built_in == {"v1.example.com"}
    world.delete(f"{DEFINITIONS}/widgets.example.com")
    assert registered(world) == built_in


def test_a_group_that_another_definition_still_serves_stays(world):
    world.post(DEFINITIONS, definition())
    other = definition()
    other["metadata"]["name"] = "gadgets.example.com"
    other["spec"]["names"] = {"plural": "gadgets", "kind": "Gadget"}
    world.post(DEFINITIONS, other)
    world.delete(f"{DEFINITIONS}/widgets.example.com")
    assert "v1.example.com" in registered(world)


def test_what_somebody_else_registered_is_not_touched(world):
    mine = {"metadata": {"name": "v1.example.com"}, "spec": {
        "group": "example.com", "version": "v1", "groupPriorityMinimum": 5, "versionPriority": 5,
        "service": {"namespace": "default", "name": "mine"}, "insecureSkipTLSVerify": True}}
    assert world.post(SERVICES, mine).code == 201
    world.post(DEFINITIONS, definition())
    assert read(world.get(f"{SERVICES}/v1.example.com"))["spec"]["groupPriorityMinimum"] == 5
    world.delete(f"{DEFINITIONS}/widgets.example.com")
    assert "v1.example.com" in registered(world)


def test_kubectl_shows_them(kubectl: Kubectl) -> None:
    made = definition()
    made |= {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    kubectl("apply", "-f", "-", stdin=made)
    lines = [line.split()[:3] for line in kubectl("get", "apiservices").splitlines()]
    assert ["v1.", "Local", "True"] in lines
    assert ["v1.example.com", "Local", "True"] in lines
    kubectl("delete", "crd", "widgets.example.com")
    eventually(lambda: "v1.example.com" not in kubectl("get", "apiservices", "-o", "name"))
