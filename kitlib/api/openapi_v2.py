"""OpenAPI v2 (Swagger): every group version in one document, for clients that know nothing newer.

It is made piece by piece into the compressor, so that the whole of it (some five megabytes) never
lies in memory.  v2 knows no `oneOf` and no siblings of `$ref`; bodies are parameters.

Source: k8s.io/kube-openapi/pkg/builder, pkg/schemaconv.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import orjson

from kitlib.api import openapi_pb
from kitlib.api.kind import Registry
from kitlib.api.openapi import SECURITY, definitions_of
from kitlib.api.openapi_paths import REF, paths_of

Json = dict[str, Any]


def document_v2(registry: Registry, git_version: str, *, protobuf: bool = False) -> bytes:
    """The whole document, gzip."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
    pieces = _protobuf(registry, git_version) if protobuf else _json(registry, git_version)
    return b"".join([*(squeeze.compress(piece) for piece in pieces), squeeze.flush()])


def _head(git_version: str) -> Json:
    return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": git_version}, "securityDefinitions": SECURITY,
            "security": [{"BearerToken": []}]}


def _parts(registry: Registry) -> Iterator[tuple[str, str, Json]]:
    """("path" or "definition", its name, its content), group version by group version."""
    seen: set[str] = set()  # DeleteOptions and the like belong to all groups
    for group in registry.groups():
        for version in group.versions:
            kinds = registry.kinds(group.name, version)
            found = definitions_of(kinds, group.name, version)
            for path, item in paths_of(kinds, found).items():
                yield "path", path, _path(item)
            for name, schema in found.schemas.items():
                if name not in seen:
                    seen.add(name)
                    yield "definition", name, _schema(schema)


def _json(registry: Registry, git_version: str) -> Iterator[bytes]:
    yield orjson.dumps(_head(git_version))[:-1] + b',"paths":{'
    definitions: dict[str, bytes] = {}
    comma = b""
    for what, name, content in _parts(registry):
        if what == "path":
            yield comma + orjson.dumps(name) + b":" + orjson.dumps(content)
            comma = b","
        else:  # they come after all paths; kept compressed until then, they cost next to nothing
            definitions[name] = zlib.compress(orjson.dumps(content), 1)
    yield b'},"definitions":{'
    for index, name in enumerate(sorted(definitions)):
        yield (b"," if index else b"") + orjson.dumps(name) + b":" + zlib.decompress(definitions[name])
    yield b"}}"


def _protobuf(registry: Registry, git_version: str) -> Iterator[bytes]:
    yield openapi_pb.head(_head(git_version))
    for what, name, content in _parts(registry):
        yield (openapi_pb.path if what == "path" else openapi_pb.definition)(name, content)


def _schema(node: Any) -> Any:
    """A v3 schema as v2."""
    if isinstance(node, list):
        return [_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "oneOf" in node:  # Quantity, IntOrString: v2 calls them strings
        return {"type": "string", **{k: v for k, v in node.items() if k in ("description", "format", "default")}}
    out = {key: value if key == "default" else _schema(value) for key, value in node.items()
           if key not in ("allOf", "$ref", "nullable", "anyOf", "properties")}
    if "properties" in node:  # a map of names to schemas, not a schema: JSONSchemaProps has a field "allOf"
        out["properties"] = {name: _schema(value) for name, value in node["properties"].items()}
    references = [part["$ref"] for part in node.get("allOf", ()) if "$ref" in part] or [node.get("$ref")]
    if references[0]:
        out = {k: v for k, v in out.items() if k == "description"}
        out["$ref"] = references[0].replace(REF, "#/definitions/")
    return out


def _path(item: Json) -> Json:
    return {method: [_parameter(p) for p in value] if method == "parameters" else _operation(value)
            for method, value in item.items()}


def _parameter(parameter: Json) -> Json:
    schema = parameter["schema"]
    return {**{k: v for k, v in parameter.items() if k != "schema"}, **schema}


def _operation(operation: Json) -> Json:
    out = {k: v for k, v in operation.items() if k not in ("parameters", "requestBody", "responses")}
    parameters = [_parameter(p) for p in operation.get("parameters", ())]
    body = operation.get("requestBody")
    if body:
        media = list(body["content"])
        schema = _schema(next(iter(body["content"].values()))["schema"])
        parameters.append({"name": "body", "in": "body", "required": bool(body.get("required")), "schema": schema})
        out["consumes"] = media
    if parameters:
        out["parameters"] = parameters
    responses = {}
    for code, response in operation["responses"].items():
        content = response.get("content", {})
        shown = {"description": response["description"]}
        if content:
            media = list(content)
            out["produces"] = media
            shown["schema"] = _schema(content[media[0]]["schema"])
        responses[code] = shown
    return {**out, "responses": responses}
