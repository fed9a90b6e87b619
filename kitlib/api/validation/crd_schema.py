"""Schemas of custom resources must be structural: a type at every place, so that pruning and defaults work.

    properties ─ items ─ additionalProperties     say the shape: each place has a type
    allOf, anyOf, oneOf, not                      only narrow values: no types, no new fields

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/validation.go, KEP-1979;
apis/apiextensions/validation (ValidateCustomResourceDefinitionOpenAPISchema).
"""

from __future__ import annotations

from typing import Any

from kitlib.api import regexp
from kitlib.api.validation.common import Errors, Obj, expression
from kitlib.objects import field

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = ("definitions", "dependencies", "deprecated", "discriminator", "id", "patternProperties", "readOnly",
                "writeOnly", "xml", "$ref")
_SHAPE_ONLY = ("type", "nullable", "default", "title", "description", "additionalProperties",
               "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
               "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type")


def root_schema(errs: Errors, path: str, schema: Obj) -> None:
    """A whole openAPIV3Schema."""
    kind = schema.get("type")
    if kind != "object":
        if not kind:
            errs.append(field.required(f"{path}.type", "must not be empty at the root"))
        errs.append(field.invalid(f"{path}.type", kind or "", "must be object at the root"))
        return
    if schema.get("nullable"):
        errs.append(field.forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    metadata = (schema.get("properties") or {}).get("metadata")
    if metadata:
        _metadata(errs, f"{path}.properties[metadata]", metadata)
    _place(errs, path, schema, root=True)


def _metadata(errs: Errors, path: str, schema: Obj) -> None:
    """The schema of metadata is given; it may only narrow the name."""
    for name in schema.get("properties") or {}:
        if name not in ("name", "generateName"):
            errs.append(field.forbidden(path, "must not specify anything other than name and generateName, but "
                                        "metadata is implicitly specified"))
            return


def _place(errs: Errors, path: str, schema: Obj, root: bool = False, role: str = "object fields") -> None:
    """One place of the shape, and all below it."""
    kind, int_or_string = schema.get("type"), bool(schema.get("x-kubernetes-int-or-string"))
    preserve = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if not kind and not int_or_string and not (preserve and not root):
        errs.append(field.required(f"{path}.type", f"must not be empty for specified {role}"))
    elif kind and kind not in _TYPES:
        errs.append(field.not_supported(f"{path}.type", kind, _TYPES))
    elif kind and int_or_string:
        errs.append(field.invalid(f"{path}.type", kind, "must be empty if x-kubernetes-int-or-string is true"))
    if schema.get("x-kubernetes-embedded-resource") and kind != "object":
        errs.append(field.invalid(f"{path}.type", kind or "",
                                  "must be object if x-kubernetes-embedded-resource is true"))
    _unsupported(errs, path, schema)
    _list_type(errs, path, schema)
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    if properties and more is not None and more is not False:
        errs.append(field.forbidden(f"{path}.additionalProperties",
                                    "additionalProperties and properties are mutual exclusive"))
    if more is False:
        errs.append(field.forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false"))
    if kind == "array" and not schema.get("items"):
        errs.append(field.required(f"{path}.items", "must be specified"))
    for name, below in properties.items():
        if not (root and name == "metadata"):
            _place(errs, f"{path}.properties[{name}]", below)
    if isinstance(more, dict):
        _place(errs, f"{path}.additionalProperties", more)
    if isinstance(schema.get("items"), dict):
        _place(errs, f"{path}.items", schema["items"], role="array items")
    _junctors(errs, path, schema)
    if "default" in schema:
        _default(errs, path, schema, root)
    _rules(errs, path, schema)


def _unsupported(errs: Errors, path: str, schema: Obj) -> None:
    for name in _UNSUPPORTED:
        if schema.get(name):
            errs.append(field.forbidden(f"{path}.{name}", f"{name} is not supported"))
    if schema.get("uniqueItems"):
        errs.append(field.forbidden(f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime "
                                    "complexity becomes quadratic"))
    pattern = schema.get("pattern")
    if pattern:
        try:
            regexp.compile_(pattern)
        except ValueError as error:
            errs.append(field.invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: "
                                      f"{error}"))


def _list_type(errs: Errors, path: str, schema: Obj) -> None:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    at = f"{path}.x-kubernetes-list-type"
    if kind is not None and schema.get("type") != "array":
        errs.append(field.invalid(f"{path}.type", schema.get("type", ""), "must be array if x-kubernetes-list-type is "
                                  "specified"))
    if kind is not None and kind not in ("atomic", "map", "set"):
        errs.append(field.not_supported(at, kind, ("atomic", "map", "set")))
    if keys and kind != "map":
        errs.append(field.invalid(at, kind or "", "must be map if x-kubernetes-list-map-keys is non-empty"))
    if kind == "map":
        _map_keys(errs, path, schema, keys or [])
    map_type = schema.get("x-kubernetes-map-type")
    if map_type is not None and map_type not in ("atomic", "granular"):
        errs.append(field.not_supported(f"{path}.x-kubernetes-map-type", map_type, ("atomic", "granular")))


def _map_keys(errs: Errors, path: str, schema: Obj, keys: list[str]) -> None:
    at = f"{path}.x-kubernetes-list-map-keys"
    if not keys:
        errs.append(field.required(at, "must not be empty if x-kubernetes-list-type is map"))
        return
    items = schema.get("items") or {}
    if items.get("type") != "object":
        errs.append(field.invalid(f"{path}.items.type", items.get("type", ""), "must be object if parent array's "
                                  "x-kubernetes-list-type is map"))
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        place = properties.get(key)
        if place is None:
            errs.append(field.invalid(f"{at}[{index}]", key, "entries must all be names of item properties"))
        elif place.get("type") in ("array", "object"):
            errs.append(field.invalid(f"{path}.items.properties[{key}].type", place["type"],
                                      "must be a scalar type if parent array's x-kubernetes-list-type is map"))
        elif key not in (items.get("required") or ()) and "default" not in place:
            errs.append(field.required(f"{path}.items.properties[{key}].default",
                                       "this property is in x-kubernetes-list-map-keys, so it must have a default or "
                                       "be a required property"))
        if key in keys[:index]:
            errs.append(field.invalid(f"{at}[{index}]", key, "must not contain duplicate entries"))


def _junctors(errs: Errors, path: str, schema: Obj) -> None:
    """Below allOf and its like only values are narrowed; fields named there must be fields of the shape."""
    for name in ("allOf", "anyOf", "oneOf"):
        for index, part in enumerate(schema.get(name) or ()):
            _narrowing(errs, f"{path}.{name}[{index}]", part, schema)
    if schema.get("not"):
        _narrowing(errs, f"{path}.not", schema["not"], schema)


def _narrowing(errs: Errors, path: str, part: Obj, shape: Obj) -> None:
    either = bool(shape.get("x-kubernetes-int-or-string"))
    for name in _SHAPE_ONLY:
        if part.get(name) is not None and not (name == "type" and either):
            errs.append(field.forbidden(f"{path}.{name}", "must be empty to be structural" if name == "type"
                                        else "must be undefined to be structural"))
    known = shape.get("properties") or {}
    for name, below in (part.get("properties") or {}).items():
        if name not in known and not isinstance(shape.get("additionalProperties"), dict):
            errs.append(field.required(f"{path.partition('.allOf')[0]}.properties[{name}]",
                                       f"because it is defined in {path}.properties[{name}]"))
        else:
            _narrowing(errs, f"{path}.properties[{name}]", below, known.get(name) or {})
    if isinstance(part.get("items"), dict):
        _narrowing(errs, f"{path}.items", part["items"], shape.get("items") or {})
    _junctors_below(errs, path, part, shape)


def _junctors_below(errs: Errors, path: str, part: Obj, shape: Obj) -> None:
    for name in ("allOf", "anyOf", "oneOf"):
        for index, below in enumerate(part.get(name) or ()):
            _narrowing(errs, f"{path}.{name}[{index}]", below, shape)
    if part.get("not"):
        _narrowing(errs, f"{path}.not", part["not"], shape)


def _default(errs: Errors, path: str, schema: Obj, root: bool) -> None:
    if root:
        errs.append(field.forbidden(f"{path}.default", "must not be set at the root"))
        return
    from kitlib.api.customvalues import check_value

    value: Any = schema["default"]
    shape = {key: item for key, item in schema.items() if key not in ("default", "x-kubernetes-validations")}
    wrapped = {"type": "object", "properties": {"default": shape}}
    for problem in check_value({"default": value}, wrapped, None):
        errs.append({**problem, "field": f"{path}.{problem['field']}"})


def _rules(errs: Errors, path: str, schema: Obj) -> None:
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        at = f"{path}.x-kubernetes-validations[{index}]"
        expression(errs, f"{at}.rule", rule.get("rule"), "rule")
        message = rule.get("message")
        if message is not None and not message.strip():
            errs.append(field.invalid(f"{at}.message", message, "message must be non-empty if specified"))
        if message and "\n" in message.strip():
            errs.append(field.invalid(f"{at}.message", message, "message must not contain line breaks"))
        reason = rule.get("reason")
        allowed = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
        if reason and reason not in allowed:
            errs.append(field.not_supported(f"{at}.reason", reason, allowed))
