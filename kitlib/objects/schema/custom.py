"""Custom resources: an openAPIV3Schema as `TypeNode`, and what it does to an object.

A structural schema says the type at every place, so the same questions have answers as for built-in
kinds.  What comes in goes through three steps, as in apiextensions-apiserver:

    prune     fields that no schema names go (unless x-kubernetes-preserve-unknown-fields)
    nulls     a null where the schema does not allow one goes, if the place has no default
    default   what is missing and has a default appears, from the outside in

Whether the values are *valid* (types, patterns, CEL) is asked later, by the API's validation.

Source: apiextensions-apiserver/pkg/apiserver/schema/{pruning,defaulting}; KEP-1979 (structural schemas).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from kitlib.objects.schema.decoder import Decoders
from kitlib.objects.schema.nodes import node_for
from kitlib.objects.schema.report import Problem, Report, path_text
from kitlib.objects.schema.schema import Decoded
from kitlib.objects.schema.typenode import ANY, NO_FIELDS, TypeNode

Json = Mapping[str, Any]
META = "meta/v1.ObjectMeta"
_object_meta = Decoders().struct(META)
_TYPE_META = {"apiVersion": TypeNode("scalar", scalar="string"), "kind": TypeNode("scalar", scalar="string")}
_FORMATS = {("integer", "int32"): "int32", ("integer", ""): "int64", ("number", ""): "double",
            ("boolean", ""): "bool", ("string", "byte"): "bytes"}


def from_openapi(schema: Json, root: bool = True) -> TypeNode:
    """The node of an openAPIV3Schema.  A root also has apiVersion, kind and metadata."""
    kind = schema.get("type", "")
    common: dict[str, Any] = {"nullable": bool(schema.get("nullable")), "default": schema.get("default")}
    if schema.get("x-kubernetes-int-or-string"):
        return TypeNode("scalar", scalar="int-or-string", **common)
    if kind == "array":
        return TypeNode("list", items=from_openapi(schema.get("items") or {}, False),
                        list_type=schema.get("x-kubernetes-list-type", "atomic"),
                        list_keys=tuple(schema.get("x-kubernetes-list-map-keys", ())), **common)
    whole = root or bool(schema.get("x-kubernetes-embedded-resource"))
    preserve = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if kind == "object" or whole or "properties" in schema:
        return _object(schema, whole, preserve, common)
    if kind in ("string", "integer", "number", "boolean"):
        form = schema.get("format", "")
        scalar = _FORMATS.get((kind, form)) or _FORMATS.get((kind, "")) or "string"
        return TypeNode("scalar", scalar=scalar, **common)
    return TypeNode("any", **common)


def _object(schema: Json, whole: bool, preserve: bool, common: dict[str, Any]) -> TypeNode:
    atomic = schema.get("x-kubernetes-map-type") == "atomic"
    fields = {name: from_openapi(item, False) for name, item in (schema.get("properties") or {}).items()}
    if whole:
        fields = {**fields, **_TYPE_META, "metadata": node_for(META)}
    values = schema.get("additionalProperties")
    if not fields and values:
        items = from_openapi(values, False) if isinstance(values, Mapping) else ANY
        return TypeNode("map", items=items, atomic=atomic, **common)
    if not fields and preserve:
        return TypeNode("any", atomic=atomic, preserve=True, **common)
    return TypeNode("object", fields or NO_FIELDS, atomic=atomic, preserve=preserve, **common)


class CustomSchema:
    """The shape of one version of a custom resource; the same questions as `Schema`."""

    def __init__(self, group: str, version: str, kind: str, openapi: Json) -> None:
        self.group, self.version, self.kind = group, version, kind
        self.openapi = openapi
        self.node = from_openapi(openapi)

    def field(self, path: tuple[str, ...] | list[str] | str) -> TypeNode | None:
        return self.node.walk(path.split(".") if isinstance(path, str) else path)

    def decode(self, obj: Any, *, defaults: bool = True) -> Decoded:
        """A pruned, defaulted copy, and what was pruned."""
        report = Report(META)
        if type(obj) is not dict:
            return Decoded({}, [Problem("", f"json: cannot unmarshal into Go value of type {self.kind}")], [])
        made = _prune(obj, self.openapi, None, report, whole=True)
        if defaults:
            _drop_nulls(made, self.openapi)
            _default(made, self.openapi)
        return Decoded(made, report.problems, report.unknown)

    def default(self, obj: dict[str, Any]) -> dict[str, Any]:
        return self.decode(obj).obj

    def canonical(self, obj: dict[str, Any]) -> dict[str, Any]:
        return self.decode(obj, defaults=False).obj

    prune = canonical

    def check(self, obj: Any) -> list[Problem]:
        """Only the parts that every object has: metadata, apiVersion, kind."""
        return self.decode(obj, defaults=False).problems

    def unknown_fields(self, obj: Any) -> list[str]:
        return self.decode(obj, defaults=False).unknown


def _prune(value: Any, schema: Json, path: Any, report: Report, whole: bool = False) -> Any:
    """A deep copy without what the schema does not name."""
    if isinstance(value, list):
        items = schema.get("items")
        if items is None:
            return copy.deepcopy(value)
        return [_prune(item, items, (path, index, True), report) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    whole = whole or bool(schema.get("x-kubernetes-embedded-resource"))
    properties: Json = schema.get("properties") or {}
    values = schema.get("additionalProperties")
    preserve = schema.get("x-kubernetes-preserve-unknown-fields")
    out: dict[str, Any] = {}
    for key, item in value.items():
        here = (path, key)
        if whole and key == "metadata":
            out[key] = _metadata(item, here, report)
        elif whole and key in _TYPE_META:
            out[key] = item
        elif key in properties:
            out[key] = _prune(item, properties[key], here, report)
        elif isinstance(values, Mapping):
            out[key] = _prune(item, values, (path, key, False), report)
        elif preserve or values:
            out[key] = copy.deepcopy(item)
        else:
            report.unknown.append(path_text(here))
    return out


def _metadata(value: Any, path: Any, report: Report) -> Any:
    return {} if value is None else _object_meta(value, path, report)


def _drop_nulls(value: Any, schema: Json) -> None:
    """Nulls of fields that are not nullable and have no default."""
    if isinstance(value, list):
        for item in value:
            _drop_nulls(item, schema.get("items") or {})
    elif isinstance(value, dict):
        properties: Json = schema.get("properties") or {}
        for key in [key for key, item in value.items() if item is None and key in properties]:
            if not properties[key].get("nullable") and "default" not in properties[key]:
                del value[key]
        for key, item in value.items():
            _drop_nulls(item, _schema_of(key, properties, schema))


def _default(value: Any, schema: Json) -> None:
    if isinstance(value, list):
        items = schema.get("items") or {}
        for index, item in enumerate(value):
            if item is None and not items.get("nullable") and "default" in items:
                value[index] = copy.deepcopy(items["default"])
            _default(value[index], items)
    elif isinstance(value, dict):
        properties: Json = schema.get("properties") or {}
        for key, item in properties.items():
            if "default" in item and (key not in value or (value[key] is None and not item.get("nullable"))):
                value[key] = copy.deepcopy(item["default"])
        for key, item in value.items():
            _default(item, _schema_of(key, properties, schema))


def _schema_of(key: str, properties: Json, schema: Json) -> Json:
    if key in properties:
        return properties[key]
    values = schema.get("additionalProperties")
    return values if isinstance(values, Mapping) else {}
