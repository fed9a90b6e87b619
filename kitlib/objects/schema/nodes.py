"""Builds `TypeNode`s of the built-in types out of the tables.

A type's field mapping is made once and shared by every place that has the type, so all kinds with a
Pod template share one `PodSpec`, and a type that contains itself is simply a cycle of references.
"""

from __future__ import annotations

from functools import cache

from kitlib.objects.schema.tables import Row, is_atomic, parse, rows, split, table
from kitlib.objects.schema.typenode import NO_FIELDS, NO_STRATEGY, TypeNode

_fields: dict[str, dict[str, TypeNode]] = {}


@cache
def node_for(ref: str) -> TypeNode:
    """The node of a type on its own, such as a kind's root."""
    return _object(ref)


def fields_of(ref: str) -> dict[str, TypeNode]:
    """JSON name -> node, embedded structs flattened in."""
    found = _fields.get(ref)
    if found is None:
        found = _fields[ref] = {}  # before filling: a type may contain itself
        for row, folder in flat_rows(ref):
            found[row.name] = _field(row, folder)
    return found


def flat_rows(ref: str) -> list[tuple[Row, str]]:
    """A type's rows with those of embedded structs in place, each with the package it was written in."""
    flat: list[tuple[Row, str]] = []
    folder = split(ref)[0]
    for row in rows(ref):
        if "i" in row.flags:
            flat += flat_rows(parse(row.type, folder).base)
        else:
            flat.append((row, folder))
    return flat


def _object(ref: str) -> TypeNode:
    folder, name = split(ref)
    return TypeNode("object", fields_of(ref), atomic=is_atomic(ref), name=name,
                    definition=f"{table(folder).prefix}.{name}")


def _field(row: Row, folder: str) -> TypeNode:
    shape = parse(row.type, folder)
    if shape.is_scalar and not shape.outer and not row.extra:
        return _plain(shape.base)
    node = _base(shape.base)
    for container in reversed(shape.outer):
        node = TypeNode("list" if container == "[]" else "map", NO_FIELDS, items=node)
    extra = row.extra  # from here on `node` is ours alone: a container, an object or a scalar of its own
    if "list" in extra and node.kind == "list":
        node.list_type = extra["list"]
        node.list_keys = tuple(extra.get("keys", ()))
    node.merge_key = extra.get("merge")
    node.patch_strategy = frozenset(extra["strategy"].split(",")) if "strategy" in extra else NO_STRATEGY
    node.atomic = extra.get("atomic", node.atomic)
    node.default = extra.get("default")
    node.by_value = node.kind == "object" and not shape.pointer
    return node


@cache
def _plain(base: str) -> TypeNode:
    """The one node that all ordinary fields of a scalar type share: most fields are plain strings."""
    return _base(base)


def _base(base: str) -> TypeNode:
    if base == "any" or base.startswith("schema-or-"):
        return TypeNode("any")
    if "." in base:
        return _object(base)
    return TypeNode("scalar", scalar="string" if base == "duration" else base)
