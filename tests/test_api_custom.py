"""Custom resources: kinds that come and go at run time."""

from __future__ import annotations

from typing import Any

import pytest
from api_world import JSON_PATCH, STRATEGIC_PATCH, World, read

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"


def definition(schema: dict[str, Any] | None = None, **version: Any) -> dict[str, Any]:
    schema = schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"metadata": {"name": "widgets.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget",
                                                                 "singular": "widget", "listKind": "WidgetList"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
                      **version}]}}


def widget(name: str = "w", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, **fields}


def spec_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


@pytest.fixture
def world() -> World:
    return World()


def test_a_definition_is_served_at_once_and_after_a_restart(world):
    assert world.get(WIDGETS).code == 404
    world.post(DEFINITIONS, definition())
    found = read(world.get(f"{DEFINITIONS}/widgets.example.com"))
    conditions = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert world.post(WIDGETS, widget(spec={"a": 1})).code == 201
    again = World(world.store)
    assert read(again.get(f"{WIDGETS}/w"))["spec"] == {"a": 1}
    assert [item["kind"] for item in read(again.get(WIDGETS))["items"]] == ["Widget"]


def test_fields_are_pruned_defaulted_and_checked(world):
    world.post(DEFINITIONS, definition(spec_of(size={"type": "integer", "default": 3, "maximum": 9})))
    made = world.post(WIDGETS, widget(spec={"odd": 1}))
    assert (read(made)["spec"], made.warnings) == ({"size": 3}, ('unknown field "spec.odd"',))
    bad = world.post(WIDGETS, widget("x", spec={"size": 10}))
    assert (bad.code, read(bad)["details"]["causes"][0]["field"]) == (422, "spec.size")


def test_rules_in_cel_see_the_old_value(world):
    rule = {"rule": "self >= oldSelf", "message": "never shrinks"}
    world.post(DEFINITIONS, definition(spec_of(size={"type": "integer", "x-kubernetes-validations": [rule]})))
    world.post(WIDGETS, widget(spec={"size": 3}))
    path = f"{WIDGETS}/w"
    refused = world.patch(path, {"spec": {"size": 2}})
    assert (refused.code, "never shrinks" in read(refused)["message"]) == (422, True)
    assert world.patch(path, {"spec": {"size": 4}}).code == 200


@pytest.mark.parametrize(("rule", "spec", "valid"), [
    ("self.a.all(x, x > 0)", {"a": [1, 2]}, True),
    ("self.a.exists(x, x > 5)", {"a": [1, 2]}, False),
    ("!has(self.b) || self.b.matches('^[a-z]+$')", {"b": "abc"}, True),
    ("size(self.a) <= 2 && self.a.sum() == 3", {"a": [1, 2]}, True),
    ("self.b.lowerAscii() == 'abc'", {"b": "ABC"}, True),
    ("self.c.map(k, self.c[k]).sum() == 3", {"c": {"x": 1, "y": 2}}, True),
    ("self.b in ['abc', 'def']", {"b": "xyz"}, False),
    ("self.a.isSorted()", {"a": [2, 1]}, False),
])
def test_rules_use_the_language_and_kubernetes_functions(world, rule, spec, valid):
    schema = spec_of(a={"type": "array", "items": {"type": "integer"}}, b={"type": "string"},
                     c={"type": "object", "additionalProperties": {"type": "integer"}})
    schema["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": rule}]
    world.post(DEFINITIONS, definition(schema))
    assert world.post(WIDGETS, widget(spec=spec)).code == (201 if valid else 422)


def test_a_status_subresource_divides_spec_from_status(world):
    world.post(DEFINITIONS, definition(subresources={"status": {}, "scale": {
        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}))
    world.post(WIDGETS, widget(spec={"replicas": 1}, status={"replicas": 9}))
    path = f"{WIDGETS}/w"
    assert "status" not in read(world.get(path))
    world.patch(f"{path}/status", {"status": {"replicas": 1}, "spec": {"replicas": 7},
                                   "metadata": {"labels": {"a": "b"}}})
    found = read(world.get(path))
    assert (found["spec"], found["status"], found["metadata"]["generation"]) == ({"replicas": 1}, {"replicas": 1}, 1)
    assert "labels" not in found["metadata"]
    world.patch(f"{path}/scale", {"spec": {"replicas": 4}})
    found = read(world.get(path))
    assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (4, 2)


def test_two_versions_show_the_same_object(world):
    made = definition()
    made["spec"]["versions"].append({"name": "v2", "served": True, "storage": False, "schema": {
        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}})
    world.post(DEFINITIONS, made)
    world.post(WIDGETS, widget(spec={"a": 1}))
    path = WIDGETS.replace("/v1/", "/v2/")
    assert read(world.get(f"{path}/w"))["apiVersion"] == "example.com/v2"
    assert [item["apiVersion"] for item in read(world.get(path))["items"]] == ["example.com/v2"]
    swap = [{"op": "replace", "path": "/spec/versions/0/storage", "value": False},
            {"op": "replace", "path": "/spec/versions/1/storage", "value": True}]
    assert world.patch(f"{DEFINITIONS}/widgets.example.com", swap, JSON_PATCH).code == 200
    assert read(world.get(f"{WIDGETS}/w"))["apiVersion"] == "example.com/v1"
    assert read(world.get(f"{path}/w"))["apiVersion"] == "example.com/v2"
    stored = read(world.get(f"{DEFINITIONS}/widgets.example.com"))["status"]["storedVersions"]
    assert stored == ["v1", "v2"]


def test_strategic_patches_and_protobuf_are_for_built_in_kinds(world):
    world.post(DEFINITIONS, definition())
    world.post(WIDGETS, widget())
    assert world.patch(f"{WIDGETS}/w", {}, STRATEGIC_PATCH).code == 415
    protobuf = {"content-type": "application/vnd.kubernetes.protobuf"}
    assert world.send("POST", WIDGETS, b"k8s\x00", headers=protobuf).code == 415


def test_a_deleted_definition_takes_its_objects_with_it(world):
    world.post(DEFINITIONS, definition())
    world.post(WIDGETS, widget("free"))
    world.post(WIDGETS, {**widget("held"), "metadata": {"name": "held", "finalizers": ["x.example/y"]}})
    assert world.delete(f"{DEFINITIONS}/widgets.example.com").code == 200
    assert world.get(f"{WIDGETS}/free").code == 404
    assert world.get(f"{DEFINITIONS}/widgets.example.com").code == 200
    world.patch(f"{WIDGETS}/held", {"metadata": {"finalizers": None}})
    assert world.get(f"{DEFINITIONS}/widgets.example.com").code == 404
    assert world.get(WIDGETS).code == 404
