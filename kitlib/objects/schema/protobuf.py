"""Bodies in Kubernetes' protobuf: what kubectl, Helm and every Go client send for built-in kinds.

A body is the four bytes `k8s\\0` and a runtime.Unknown, which names the type and carries the object:

    k8s\\0 | 1: {1: apiVersion, 2: kind} | 2: the object's message | 3, 4: encoding, content type

The field numbers are in the tables, beside the JSON names, so an object's message is read straight into
the JSON form, and then goes the way of every other body: check, prune, default.  Go always writes the
fields it embeds by value, so what arrives is full of zero values; the schema's walk drops them.

Answers are always JSON, which every client accepts.

Source: k8s.io/apimachinery/pkg/runtime/serializer/protobuf, the generated.proto files, protobuf's wire format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from kitlib.objects.schema.protoscalars import SPECIAL, WIRE, ProtobufError, fields
from kitlib.objects.schema.schema import schema_for
from kitlib.objects.schema.tables import parse, rows, split, table

MAGIC = b"k8s\x00"
Read = Callable[[Any], Any]
Put = Callable[[dict[str, Any], Any], None]


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body, in JSON form with apiVersion and kind.  ProtobufError for anything broken or unknown."""
    if body[:4] != MAGIC:
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    api_version = kind = content_type = ""
    raw = b""
    for number, value in fields(body[4:]):
        if number == 1:
            meta = dict(fields(_bytes(value)))
            api_version, kind = _text(meta.get(1, b"")), _text(meta.get(2, b""))
        elif number == 2:
            raw = _bytes(value)
        elif number == 4:
            content_type = _text(value)
    if content_type == "application/json":
        return _json_object(raw)
    group, _, version = api_version.rpartition("/")
    try:
        ref = schema_for(group, version, kind).ref
    except KeyError as error:
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"') from error
    try:
        made = message(ref)(raw)
    except RecursionError as error:
        raise ProtobufError("exceeded max depth") from error
    return {"apiVersion": api_version, "kind": kind, **made}


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        made = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProtobufError("the embedded object is not JSON") from error
    if not isinstance(made, dict):
        raise ProtobufError("the embedded object is not an object")
    return made


@cache
def message(ref: str) -> Read:
    """The reader of a type's message."""
    lookup: dict[int, Put] = {}
    folder, _ = split(ref)
    pending = [(row, folder) for row in rows(ref) if row.number]

    def fill() -> None:
        """On first use, not before: a type may contain itself."""
        for row, where in pending:
            lookup[row.number] = _put(row.name, row.type, where)

    def read(data: Any) -> dict[str, Any]:
        if not lookup and pending:
            fill()
        out: dict[str, Any] = {}
        for number, value in fields(_bytes(data)):
            put = lookup.get(number)
            if put is not None:  # a newer client's field
                put(out, value)
        return out

    return read


def _put(name: str, text: str, folder: str) -> Put:
    """How a field's value gets into the object."""
    bare = text.removeprefix("*")
    shape = parse(bare, folder)
    if not name:  # an embedded struct is a message of its own here, but its fields are ours in JSON
        embedded = message(shape.base)
        return lambda out, value: out.update(embedded(value))
    if _is_wrapped(bare, folder) or not shape.outer:
        read = _reader(bare, folder)

        def single(out: dict[str, Any], value: Any) -> None:
            out[name] = read(value)

        return single
    element = _reader(_inside(bare, folder), folder)
    return _map(name, element) if shape.outer[0] == "{}" else _list(name, element, WIRE.get(shape.base) == 0)


def _map(name: str, read: Read) -> Put:
    def put(out: dict[str, Any], value: Any) -> None:
        entry = dict(fields(_bytes(value)))
        out.setdefault(name, {})[_text(entry.get(1, b""))] = read(entry.get(2, b""))

    return put


def _list(name: str, read: Read, numbers: bool) -> Put:
    def put(out: dict[str, Any], value: Any) -> None:
        items = out.setdefault(name, [])
        if numbers and isinstance(value, bytes):  # packed
            items.extend(read(item) for item in _packed(value))
        else:
            items.append(read(value))

    return put


def _packed(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


def _inside(text: str, folder: str) -> str:
    """The type inside the outermost list or map, which may hide behind an alias: ResourceList -> quantity."""
    while text[:2] not in ("[]", "{}"):
        home, name = split(text) if "." in text else (folder, text)
        inner = table(home).aliases[name][0]
        text = inner if inner[:2] in ("[]", "{}") else f"{home}.{inner}"
        folder = home
    inner = text[2:].removeprefix("*")
    local = inner in table(folder).types or inner in table(folder).aliases
    return f"{folder}.{inner}" if local else inner


def _is_wrapped(text: str, folder: str) -> bool:
    """A list type that is a message of its own (ExtraValue, Verbs)."""
    if text[:2] in ("[]", "{}"):
        return False
    home, name = split(text) if "." in text else (folder, text)
    alias = table(home).aliases.get(name)
    return alias is not None and len(alias) == 3


def _reader(text: str, folder: str) -> Read:
    """The reader of one value of a type."""
    if _is_wrapped(text, folder):
        return lambda value: [_text(item) for number, item in fields(_bytes(value)) if number == 1]
    shape = parse(text, folder)
    if shape.outer:
        raise KeyError(f"{text} in {folder}: protobuf has no nested lists")
    if shape.base.startswith("schema-or-"):
        return _union(shape.base)
    return SPECIAL[shape.base] if shape.is_scalar else message(shape.base)


def _union(base: str) -> Read:
    """The unions of JSONSchemaProps: 1 is the first form (a schema, or a bool), 2 the second."""

    def read(value: Any) -> Any:
        schema = message("apiextensions/v1.JSONSchemaProps")
        found = list(fields(_bytes(value)))
        if base == "schema-or-bool":
            by_number = dict(found)
            return schema(by_number[2]) if 2 in by_number else bool(by_number.get(1))
        many = [item for number, item in found if number == 2]
        if many:
            return [schema(item) if base == "schema-or-array" else _text(item) for item in many]
        return next((schema(item) for number, item in found if number == 1), None)

    return read


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ProtobufError("proto: wrong wireType for a message or text")
    return value


def _text(value: Any) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("proto: text is not UTF-8") from error
