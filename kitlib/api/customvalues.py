"""Values of custom resources against their openAPIV3Schema.

What go-openapi's validator and Kubernetes' additions to it find: types, bounds, patterns, formats,
lists with keys, embedded objects, and the combinations allOf, anyOf, oneOf, not.

Source: k8s.io/kube-openapi/pkg/validation/validate, apiextensions-apiserver/pkg/apiserver/validation and
pkg/apiserver/schema/{listtype,objectmeta}.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kitlib.api import regexp
from kitlib.api.customformats import fits
from kitlib.objects import field as problems
from kitlib.objects.field import Cause

Schema = Mapping[str, Any]
ROOT_FIELDS = ("apiVersion", "kind", "metadata")


def check_value(obj: dict[str, Any], schema: Schema, old: dict[str, Any] | None = None) -> list[Cause]:
    """Everything in an object that its schema does not allow."""
    return [*_check({k: v for k, v in obj.items() if k not in ROOT_FIELDS}, _without_root(schema), ""),
            *_structure(obj, schema, "", root=True)]


def _without_root(schema: Schema) -> Schema:
    """Metadata has rules of its own."""
    properties = {k: v for k, v in (schema.get("properties") or {}).items() if k not in ROOT_FIELDS}
    required = [name for name in schema.get("required") or () if name not in ROOT_FIELDS]
    return {**schema, "properties": properties, "required": required}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _check(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    if value is None and schema.get("nullable"):
        return
    yield from _type(value, schema, path)
    if schema.get("enum") and not any(_same(value, allowed) for allowed in schema["enum"]):
        yield problems.not_supported(path, value, [str(allowed) for allowed in schema["enum"]])
    if isinstance(value, str):
        yield from _string(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path)
    elif isinstance(value, dict):
        yield from _object(value, schema, path)
    yield from _combinations(value, schema, path)


def _same(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


_IS: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: not isinstance(v, bool) and (isinstance(v, int) or (isinstance(v, float) and v.is_integer())),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


def _type(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    if schema.get("x-kubernetes-int-or-string"):
        if not (_IS["integer"](value) or isinstance(value, str)):
            yield problems.type_invalid(path, value, "must be of type integer or string")
        return
    wanted = schema.get("type")
    if wanted and not _IS.get(wanted, lambda v: True)(value):
        yield problems.type_invalid(path, value, f"must be of type {wanted}: {_kind(value)}")


def _kind(value: Any) -> str:
    return next((f'"{name}"' for name in ("boolean", "integer", "number", "string", "array", "object")
                 if _IS[name](value)), '"null"')


def _string(value: str, schema: Schema, path: str) -> Iterator[Cause]:
    """The first of these that fails is told, not all of them."""
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield problems.too_long(path, schema["maxLength"])
    elif "minLength" in schema and len(value) < schema["minLength"]:
        yield problems.invalid(path, value, f"should be at least {schema['minLength']} chars long")
    elif schema.get("pattern") and not regexp.compile_(schema["pattern"]).search(value):
        yield problems.invalid(path, value, f"should match '{schema['pattern']}'")
    form = schema.get("format")
    if form and not schema.get("x-kubernetes-int-or-string") and not fits(form, value):
        yield problems.type_invalid(path, value, f"must be of type {form}: {value!r}")


def _number(value: float, schema: Schema, path: str) -> Iterator[Cause]:
    if "maximum" in schema:
        limit, open_ = schema["maximum"], schema.get("exclusiveMaximum")
        if value > limit or (open_ and value == limit):
            yield problems.invalid(path, value, f"should be less than {'' if open_ else 'or equal to '}{limit}")
    if "minimum" in schema:
        limit, open_ = schema["minimum"], schema.get("exclusiveMinimum")
        if value < limit or (open_ and value == limit):
            yield problems.invalid(path, value, f"should be greater than {'' if open_ else 'or equal to '}{limit}")
    step = schema.get("multipleOf")
    if step and not math.isclose(value / step, round(value / step), rel_tol=0, abs_tol=1e-9):
        yield problems.invalid(path, value, f"should be a multiple of {step}")
    form = schema.get("format")
    if form in ("int32", "int64") and isinstance(value, int):
        bits = 31 if form == "int32" else 63
        if not -2**bits <= value < 2**bits:
            yield problems.invalid(path, value, f"Checked value must be of type integer with format {form}")


def _list(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        yield problems.too_many(path, len(value), schema["maxItems"])
    if "minItems" in schema and len(value) < schema["minItems"]:
        yield problems.invalid(path, len(value), f"should have at least {schema['minItems']} items")
    items = schema.get("items")
    if items:
        for index, item in enumerate(value):
            yield from _check(item, items, f"{path}[{index}]")


def _object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Cause]:
    if "maxProperties" in schema and len(value) > schema["maxProperties"]:
        yield problems.too_many(path, len(value), schema["maxProperties"])
    if "minProperties" in schema and len(value) < schema["minProperties"]:
        yield problems.invalid(path, len(value), f"should have at least {schema['minProperties']} properties")
    properties: Schema = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in value:
            yield problems.required(_join(path, name))
    extra = schema.get("additionalProperties")
    for name, item in value.items():
        if name in properties:
            yield from _check(item, properties[name], _join(path, name))
        elif isinstance(extra, Mapping):
            yield from _check(item, extra, _join(path, name))


def _combinations(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    for part in schema.get("allOf") or ():
        found = list(_check(value, part, path))
        if found:
            yield problems.invalid(path, value, "must validate all the schemas (allOf)")
            yield from found
    alternatives = schema.get("anyOf")
    if alternatives:
        results = [list(_check(value, part, path)) for part in alternatives]
        if all(results):
            yield problems.invalid(path, value, "must validate at least one schema (anyOf)")
            yield from min(results, key=len)
    alternatives = schema.get("oneOf")
    if alternatives:
        results = [list(_check(value, part, path)) for part in alternatives]
        valid = sum(not found for found in results)
        if valid != 1:
            how = "none valid" if not valid else f"valid against {valid} schemas"
            yield problems.invalid(path, value, f"must validate one and only one schema (oneOf). Found {how}")
            if not valid:
                yield from min(results, key=len)
    if schema.get("not") is not None and not list(_check(value, schema["not"], path)):
        yield problems.invalid(path, value, "must not validate the schema (not)")


def _structure(value: Any, schema: Schema, path: str, root: bool = False) -> Iterator[Cause]:
    """Kubernetes' own additions: keys of lists, and objects inside objects."""
    if isinstance(value, list):
        yield from _duplicates(value, schema, path)
        items = schema.get("items")
        if items:
            for index, item in enumerate(value):
                yield from _structure(item, items, f"{path}[{index}]")
    elif isinstance(value, dict):
        if schema.get("x-kubernetes-embedded-resource") and not root:
            yield from _embedded(value, path)
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, item in value.items():
            below = properties.get(name) or (extra if isinstance(extra, Mapping) else None)
            if below and not (root and name in ROOT_FIELDS):
                yield from _structure(item, below, _join(path, name))


def _duplicates(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("map", "set"):
        return
    seen: list[Any] = []
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    fields = (schema.get("items") or {}).get("properties") or {}
    for index, item in enumerate(value):
        identity = item
        if kind == "map":
            if not isinstance(item, dict):
                continue
            identity = {key: item.get(key, (fields.get(key) or {}).get("default")) for key in keys}
        if any(_same(identity, other) for other in seen):
            yield problems.duplicate(f"{path}[{index}]", identity)
        seen.append(identity)


def _embedded(value: dict[str, Any], path: str) -> Iterator[Cause]:
    for name in ("apiVersion", "kind"):
        found = value.get(name)
        if not found:
            yield problems.required(_join(path, name), "must not be empty")
        elif not isinstance(found, str):
            yield problems.invalid(_join(path, name), found, "must be a string")
