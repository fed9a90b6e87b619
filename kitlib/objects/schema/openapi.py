"""OpenAPI v3: the shape of a group version's kinds, for `kubectl explain`, `diff` and client-side validation.

A real server serves one document per group version; what is under `paths` the API knows (`api.openapi`),
what is under `components.schemas` is made here, out of the same tables as everything else:

    components("apps/v1")  ->  {"io.k8s.api.apps.v1.Deployment": {...}, every type it leads to}

The sentences come from the installed `kubernetes` client, read when a document is asked for.  Nothing is
kept: a document is large and rarely wanted, so whoever serves it keeps its bytes.

Source: k8s.io/kube-openapi/pkg/generators (how Go types become OpenAPI, `default`, `allOf` around references).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from kitlib.objects.schema.descriptions import Texts, texts_of
from kitlib.objects.schema.nodes import flat_rows
from kitlib.objects.schema.tables import Row, Shape, folder_of, is_atomic, parse, split, table

REF = "#/components/schemas/"
Json = dict[str, Any]
Describe = Callable[[str], Texts]

MACHINERY = "io.k8s.apimachinery.pkg"
TIME, MICRO_TIME = f"{MACHINERY}.apis.meta.v1.Time", f"{MACHINERY}.apis.meta.v1.MicroTime"
QUANTITY = f"{MACHINERY}.api.resource.Quantity"
INT_OR_STRING = f"{MACHINERY}.util.intstr.IntOrString"
NAMED: dict[str, tuple[str, Json]] = {  # scalars that have a definition of their own
    "time": (TIME, {"type": "string", "format": "date-time",
                    "description": "A point in time, in UTC and whole seconds, as RFC 3339 writes it."}),
    "microtime": (MICRO_TIME, {"type": "string", "format": "date-time",
                               "description": "A point in time with six decimals of a second."}),
    "quantity": (QUANTITY, {"oneOf": [{"type": "string"}, {"type": "number"}],
                            "description": "A number with an optional suffix: 250m, 1.5, 128Mi, 2G."}),
    "int-or-string": (INT_OR_STRING, {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}],
                                      "description": "A number, or a text such as a percentage or a port's name."}),
}
PLAIN: dict[str, Json] = {
    "string": {"type": "string"}, "bool": {"type": "boolean"}, "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"}, "double": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"}, "duration": {"type": "string"}, "any": {"type": "object"},
    "schema-or-array": {}, "schema-or-bool": {}, "schema-or-strings": {},
}
ZERO: dict[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0, "double": 0}
META_KINDS = ("DeleteOptions", "Status", "WatchEvent")


def components(group_version: str, describe: Describe = texts_of) -> dict[str, Json]:
    """`components.schemas` of a group version such as "apps/v1" or "v1", sorted by name."""
    group, _, version = group_version.rpartition("/")
    folder = folder_of(group, version)
    found = table(folder)
    roots = {parse(kind, folder).base: kind for kind in sorted(found.kinds)}
    roots |= {f"meta/v1.{kind}": kind for kind in META_KINDS}
    return _closure(roots, group, version, describe)


def custom_components(group: str, version: str, kind: str, list_kind: str, schema: Mapping[str, Any],
                      describe: Describe = texts_of) -> dict[str, Json]:
    """The same for one version of a custom resource, from its openAPIV3Schema."""
    prefix = ".".join(reversed(group.split(".")))
    name, list_name = f"{prefix}.{version}.{kind}", f"{prefix}.{version}.{list_kind}"
    gvk = {"group": group, "version": version}
    base = _closure({"meta/v1.ObjectMeta": "", "meta/v1.ListMeta": "", **{f"meta/v1.{k}": k for k in META_KINDS}},
                    group, version, describe)
    type_meta = {key: dict(PLAIN["string"]) for key in ("apiVersion", "kind")}
    root: Json = {**schema, "type": "object", "x-kubernetes-group-version-kind": [{**gvk, "kind": kind}]}
    root["properties"] = {**schema.get("properties", {}), **type_meta,
                          "metadata": _reference(f"{MACHINERY}.apis.meta.v1.ObjectMeta")}
    many = {"type": "object", "required": ["items"], "x-kubernetes-group-version-kind": [{**gvk, "kind": list_kind}],
            "description": f"A list of {kind} objects.", "properties": {
                **type_meta, "metadata": _reference(f"{MACHINERY}.apis.meta.v1.ListMeta"),
                "items": {"type": "array", "items": _reference(name)}}}
    return {**base, name: root, list_name: many}


def _closure(roots: dict[str, str], group: str, version: str, describe: Describe) -> dict[str, Json]:
    made: dict[str, Json] = {}
    pending, seen = list(roots), set(roots)
    texts = cache(describe)  # for as long as this document is being made

    def refer(base: str) -> str:
        if base in NAMED:
            name, definition = NAMED[base]
            made.setdefault(name, definition)
            return name
        if base not in seen:
            seen.add(base)
            pending.append(base)
        return definition_name(base)

    while pending:
        ref = pending.pop()
        made[definition_name(ref)] = _definition(ref, refer, texts)
        if roots.get(ref):
            made[definition_name(ref)]["x-kubernetes-group-version-kind"] = [
                {"group": group, "version": version, "kind": roots[ref]}]
    return dict(sorted(made.items()))


def definition_name(ref: str) -> str:
    """ "core/v1.Pod" -> "io.k8s.api.core.v1.Pod" """
    folder, name = split(ref)
    return f"{table(folder).prefix}.{name}"


def _definition(ref: str, refer: Callable[[str], str], describe: Describe) -> Json:
    texts = describe(ref)
    properties: dict[str, Json] = {}
    required = []
    for row, folder in flat_rows(ref):
        shape = parse(row.type, folder)
        text = texts.fields.get(row.name) or (describe(shape.base).text if not shape.is_scalar else "")
        properties[row.name] = {**({"description": text} if text else {}), **_property(row, shape, refer)}
        if "r" in row.flags:
            required.append(row.name)
    made: Json = {"type": "object"}
    if texts.text:
        made["description"] = texts.text
    if properties:
        made["properties"] = properties
    if required:
        made["required"] = sorted(required)
    if is_atomic(ref):
        made["x-kubernetes-map-type"] = "atomic"
    return made


def _property(row: Row, shape: Shape, refer: Callable[[str], str]) -> Json:
    made = _value(shape, 0, refer)
    extra = row.extra
    if "default" in extra:
        made["default"] = extra["default"]
    elif not shape.outer and not shape.pointer and (not shape.is_scalar or "o" not in row.flags):
        default = {} if not shape.is_scalar else ZERO.get(shape.base)
        if default is not None:
            made["default"] = default
    if "list" in extra and shape.outer[:1] == ("[]",):
        made["x-kubernetes-list-type"] = extra["list"]
    if "keys" in extra:
        made["x-kubernetes-list-map-keys"] = extra["keys"]
    if "merge" in extra:
        made["x-kubernetes-patch-merge-key"] = extra["merge"]
    if "strategy" in extra:
        made["x-kubernetes-patch-strategy"] = extra["strategy"]
    if "atomic" in extra:
        made["x-kubernetes-map-type"] = "atomic" if extra["atomic"] else "granular"
    return made


def _value(shape: Shape, depth: int, refer: Callable[[str], str]) -> Json:
    if depth < len(shape.outer):
        inner = _value(shape, depth + 1, refer)
        if depth + 1 == len(shape.outer) and shape.base in ZERO:
            inner["default"] = ZERO[shape.base]
        elif depth + 1 == len(shape.outer) and not shape.is_scalar:
            inner["default"] = {}
        if shape.outer[depth] == "[]":
            return {"type": "array", "items": inner}
        return {"type": "object", "additionalProperties": inner}
    if shape.is_scalar and shape.base not in NAMED:
        made = dict(PLAIN[shape.base])
        if shape.enum:
            made["enum"] = sorted(shape.enum)
        return made
    return _reference(refer(shape.base))


def _reference(name: str) -> Json:
    """A reference that can have siblings (a description, a default): only inside `allOf`, in OpenAPI 3.0."""
    return {"allOf": [{"$ref": REF + name}]}
