"""One door to what is known about a kind's shape, built in or custom.

The tables of built-in types (`objects.schema`) and a CRD's openAPIV3Schema answer the same questions;
the write path does not see the difference.
"""

from __future__ import annotations

from typing import Any, Protocol

from kitlib.api.kind import Kind
from kitlib.objects.errors import bad_request
from kitlib.objects.schema.schema import Schema, schema_for
from kitlib.objects.schema.typenode import TypeNode

Decoded = tuple[dict[str, Any], str, list[str]]


class Shape(Protocol):
    """What the write path asks.  decode: (object, what is wrong with it or "", paths of unknown fields)."""

    name: str
    version: str
    custom: bool

    @property
    def node(self) -> TypeNode: ...

    def decode(self, raw: dict[str, Any]) -> Decoded: ...

    def protobuf(self, data: bytes) -> dict[str, Any]: ...


class BuiltIn:
    """A built-in kind's shape."""

    __slots__ = ("_schema", "kind", "name", "version")
    custom = False

    def __init__(self, kind: Kind, schema: Schema) -> None:
        self.kind, self._schema = kind, schema
        self.name, self.version = kind.kind, kind.version

    @property
    def node(self) -> TypeNode:
        return self._schema.node

    def decode(self, raw: dict[str, Any]) -> Decoded:
        made, problems, unknown = self._schema.decode(raw)
        made["kind"], made["apiVersion"] = self.kind.kind, self.kind.api_version
        if "metadata" not in made:
            made["metadata"] = {}
        return made, problems[0].message if problems else "", unknown

    def protobuf(self, data: bytes) -> dict[str, Any]:
        from kitlib.objects.schema.protobuf import ProtobufError, decode

        try:
            return decode(data)
        except ProtobufError as error:
            raise bad_request(f"unable to decode the body: {error}") from None


_built_in: dict[tuple[str, str, str], BuiltIn] = {}


def shape_of(kind: Kind) -> Shape:
    """The shape of a kind.  KeyError for a built-in kind without a schema: a fault in the declarations."""
    if kind.custom is not None:
        return kind.custom
    key = (kind.group, kind.version, kind.kind)
    found = _built_in.get(key)
    if found is None:
        found = _built_in[key] = BuiltIn(kind, schema_for(*key))
    return found
