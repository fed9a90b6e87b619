"""OpenAPI v2 as protobuf: the only form in which kubectl before 1.27 takes it.

The messages are those of gnostic (openapiv2.Document); here they are written by hand, because of the
format only a few fields matter: definitions with their types and kinds, and of each path its
operations, their parameters' names and `x-kubernetes-group-version-kind`.

    field = tag (number << 3 | wire type), then a varint (0) or a length and bytes (2)

A message field that comes twice is merged, so the document may be written in pieces like the JSON one.

Source: github.com/google/gnostic-models/openapiv2/OpenAPIv2.proto; protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from typing import Any

import orjson

Json = dict[str, Any]

MEDIA = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
ACCEPTED = (MEDIA, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")

# Document
SWAGGER, INFO, PATHS, DEFINITIONS = 1, 2, 8, 9
# PathItem; Operation
METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}
ITEM_PARAMETERS = 9
TAGS, DESCRIPTION, OPERATION_ID, PRODUCES, CONSUMES, PARAMETERS, RESPONSES, EXTENSION = 1, 3, 5, 6, 7, 8, 9, 13
# Schema
SCHEMA_TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
REQUIRED, ENUM, ADDITIONAL, TYPE, ITEMS, PROPERTIES, SCHEMA_EXTENSION, DEFAULT = 19, 20, 21, 22, 23, 25, 31, 5


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(number: int, data: bytes) -> bytes:
    """A field that is a message, or bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def text(number: int, value: str) -> bytes:
    return message(number, value.encode()) if value else b""


def flag(number: int, value: bool) -> bytes:
    return varint(number << 3) + b"\x01" if value else b""


def _any(value: Any) -> bytes:
    """Any: as YAML, of which JSON is a part."""
    return text(2, orjson.dumps(value).decode())


def _extensions(number: int, node: Json) -> bytes:
    return b"".join(message(number, text(1, name) + message(2, _any(value)))
                    for name, value in node.items() if name.startswith("x-"))


def head(document: Json) -> bytes:
    """What comes before paths and definitions."""
    info = document["info"]
    return text(SWAGGER, document["swagger"]) + message(INFO, text(1, info["title"]) + text(2, info["version"]))


def definition(name: str, schema: Json) -> bytes:
    """One entry of Document.definitions."""
    return message(DEFINITIONS, message(1, text(1, name) + message(2, _schema(schema))))


def path(name: str, item: Json) -> bytes:
    """One entry of Document.paths."""
    operations = b"".join(message(number, _operation(item[method])) for method, number in METHODS.items()
                          if method in item)
    parameters = b"".join(message(ITEM_PARAMETERS, _parameter(p)) for p in item.get("parameters", ()))
    return message(PATHS, message(2, text(1, name) + message(2, operations + parameters)))


def _schema(schema: Json) -> bytes:
    out = b"".join(text(number, schema.get(key, "")) for key, number in SCHEMA_TEXTS.items())
    if "default" in schema:
        out += message(DEFAULT, _any(schema["default"]))
    out += b"".join(text(REQUIRED, name) for name in schema.get("required", ()))
    out += b"".join(message(ENUM, _any(value)) for value in schema.get("enum", ()))
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        out += message(ADDITIONAL, message(1, _schema(additional)))
    elif additional:
        out += message(ADDITIONAL, flag(2, True))
    if "type" in schema:
        out += message(TYPE, text(1, schema["type"]))
    if isinstance(schema.get("items"), dict):
        out += message(ITEMS, message(1, _schema(schema["items"])))
    if schema.get("properties"):
        out += message(PROPERTIES, b"".join(message(1, text(1, name) + message(2, _schema(value)))
                                            for name, value in schema["properties"].items()))
    return out + _extensions(SCHEMA_EXTENSION, schema)


def _parameter(parameter: Json) -> bytes:
    """ParametersItem > Parameter > one of body, query and path."""
    name, where = parameter["name"], parameter["in"]
    if where == "body":
        body = text(2, name) + text(3, where) + flag(4, parameter.get("required", False))
        return message(1, message(1, body + message(5, _schema(parameter["schema"]))))
    simple = flag(1, parameter.get("required", False)) + text(2, where) + text(3, parameter.get("description", ""))
    simple += text(4, name)
    if where == "query":
        return message(1, message(2, message(3, simple + text(6, parameter["type"]))))
    return message(1, message(2, message(4, simple + text(5, parameter["type"]))))


def _operation(operation: Json) -> bytes:
    out = b"".join(text(TAGS, tag) for tag in operation.get("tags", ()))
    out += text(DESCRIPTION, operation.get("description", "")) + text(OPERATION_ID, operation["operationId"])
    out += b"".join(text(PRODUCES, media) for media in operation.get("produces", ()))
    out += b"".join(text(CONSUMES, media) for media in operation.get("consumes", ()))
    out += b"".join(message(PARAMETERS, _parameter(p)) for p in operation.get("parameters", ()))
    # Responses > ResponseCode > ResponseValue > Response
    responses = b"".join(message(1, text(1, code) + message(2, message(1, text(1, response["description"]) + (
        message(2, message(1, _schema(response["schema"]))) if "schema" in response else b""))))
        for code, response in operation["responses"].items())
    return out + message(RESPONSES, responses) + _extensions(EXTENSION, operation)
