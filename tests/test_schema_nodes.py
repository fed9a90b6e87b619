"""What merge and apply read: list types, keys, merge keys, for built-in and custom kinds."""

from __future__ import annotations

from typing import Any

import pytest

from kitlib.objects.schema import TypeNode, schema_for
from kitlib.objects.schema.custom import CustomSchema, from_openapi

POD = schema_for("", "v1", "Pod")


def field(path: str) -> TypeNode:
    node = POD.field(path)
    assert node is not None
    return node


@pytest.mark.parametrize(("path", "list_type", "keys", "merge_key", "strategy"), [
    ("spec.containers", "map", ("name",), "name", {"merge"}),
    ("spec.volumes", "map", ("name",), "name", {"merge", "retainKeys"}),
    ("spec.containers.ports", "map", ("containerPort", "protocol"), "containerPort", {"merge"}),
    ("spec.containers.volumeMounts", "map", ("mountPath",), "mountPath", {"merge"}),
    ("spec.containers.command", "atomic", (), None, set()),
    ("spec.tolerations", "atomic", (), None, set()),
    ("spec.topologySpreadConstraints", "map", ("topologyKey", "whenUnsatisfiable"), "topologyKey", {"merge"}),
    ("metadata.finalizers", "set", (), None, {"merge"}),
    ("metadata.ownerReferences", "map", ("uid",), "uid", {"merge"}),
    ("status.conditions", "map", ("type",), "type", {"merge"}),
])
def test_lists_know_how_they_merge(path: str, list_type: str, keys: tuple[str, ...], merge_key: str | None,
                                   strategy: set[str]) -> None:
    node = field(path)
    assert (node.kind, node.list_type, node.list_keys) == ("list", list_type, keys)
    assert (node.merge_key, node.patch_strategy) == (merge_key, strategy)


def test_a_part_of_a_key_has_its_default() -> None:
    assert field("spec.containers.ports.protocol").default == "TCP"


def test_atomic_structs_and_maps() -> None:
    assert field("spec.containers.env.valueFrom.fieldRef").atomic
    assert field("spec.nodeSelector").atomic
    assert not field("spec.containers.resources").atomic
    selector = schema_for("apps", "v1", "Deployment").field("spec.selector")
    assert selector is not None
    assert selector.atomic
    claim = schema_for("", "v1", "PersistentVolume").field("spec.claimRef")
    assert claim is not None
    assert not claim.atomic, "an ObjectReference is atomic, but not in this place"


def test_scalars_know_their_type() -> None:
    kinds = {"spec.nodeName": "string", "spec.priority": "int32", "metadata.generation": "int64",
             "spec.hostNetwork": "bool", "metadata.creationTimestamp": "time",
             "spec.containers.readinessProbe.httpGet.port": "int-or-string"}
    assert {path: field(path).scalar for path in kinds} == kinds
    limits = field("spec.containers.resources.limits")
    assert limits.kind == "map"
    assert limits.items is not None
    assert limits.items.scalar == "quantity"


def test_embedded_structs_are_flattened_and_free_json_is_any() -> None:
    assert field("spec.volumes.emptyDir.medium").scalar == "string"
    assert field("spec.ephemeralContainers.image").scalar == "string"
    assert field("metadata.managedFields.fieldsV1").kind == "any"


def test_by_value_tells_what_is_always_there() -> None:
    assert field("spec").by_value
    assert not field("spec.securityContext").by_value


def test_recursive_types_end() -> None:
    schema = schema_for("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    props = schema.field("spec.versions.schema.openAPIV3Schema")
    assert props is not None
    deeper = props.walk(["properties"])
    assert deeper is not None
    assert deeper.items is not None
    assert deeper.items.fields is props.fields


def test_no_node_where_the_type_has_no_field() -> None:
    assert POD.field("spec.nothing") is None
    assert POD.field("spec.nodeName.deeper") is None


OPENAPI: dict[str, Any] = {"type": "object", "properties": {
    "spec": {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "format": "int32", "default": 1},
        "port": {"x-kubernetes-int-or-string": True},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                  "items": {"type": "object", "properties": {
                      "name": {"type": "string"}, "weight": {"type": "number", "default": 0.5}}}},
        "tags": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "partly": {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
                   "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}}},
        "template": {"type": "object", "x-kubernetes-embedded-resource": True,
                     "x-kubernetes-preserve-unknown-fields": True},
        "maybe": {"type": "string", "nullable": True, "default": "d"},
        "never": {"type": "string", "default": "d"},
        "gone": {"type": "string"},
    }}}}


def test_a_custom_resources_schema_becomes_the_same_nodes() -> None:
    node = from_openapi(OPENAPI)
    parts = node.walk(["spec", "parts"])
    assert parts is not None
    assert (parts.list_type, parts.list_keys) == ("map", ("name",))
    for path, kind, scalar in [("tags", "list", ""), ("labels", "map", ""), ("anything", "any", ""),
                               ("size", "scalar", "int32"), ("port", "scalar", "int-or-string"),
                               ("partly", "object", ""), ("template", "object", "")]:
        found = node.walk(["spec", path])
        assert found is not None
        assert (found.kind, found.scalar) == (kind, scalar), path
    tags, owners = node.walk(["spec", "tags"]), node.walk(["metadata", "ownerReferences"])
    assert tags is not None
    assert tags.list_type == "atomic"
    assert owners is not None
    assert owners.list_keys == ("uid",)


def test_a_custom_resource_is_pruned_and_defaulted() -> None:
    schema = CustomSchema("example.com", "v1", "Thing", OPENAPI)
    decoded = schema.decode({
        "apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a", "nonsense": 1}, "extra": 1,
        "spec": {"parts": [{"name": "x", "typo": 1}], "anything": {"a": {"b": None}}, "labels": {"k": "v"},
                 "partly": {"free": 1, "known": {"a": "", "b": 1}}, "maybe": None, "never": None, "gone": None,
                 "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"x": 1}}}})
    assert decoded.unknown == ["metadata.nonsense", "extra", "spec.parts[0].typo", "spec.partly.known.b"]
    assert decoded.obj == {
        "apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"},
        "spec": {"parts": [{"name": "x", "weight": 0.5}], "anything": {"a": {"b": None}}, "labels": {"k": "v"},
                 "partly": {"free": 1, "known": {"a": ""}}, "maybe": None, "never": "d", "size": 1,
                 "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"x": 1}}}}
