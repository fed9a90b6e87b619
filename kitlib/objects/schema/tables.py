"""The generated tables: which fields each built-in type has, read one group version at a time.

`tools/generate_schemas.py` writes `data/*.json` out of Kubernetes' Go types.  A file is read when the
first of its types is asked for, so a process that never sees a FlowSchema never loads its table.

A type is named by a *reference*, "core/v1.PodSpec": the folder of its Go package and its name.

    rows("core/v1.Pod")          -> the type's own rows, embedded structs still in them
    parse("[]Container", "core/v1") -> Shape(pointer=False, outer=("[]",), base="core/v1.Container")
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).parent / "data"
SCALARS = frozenset(("string", "bool", "int32", "int64", "double", "bytes", "quantity", "time", "microtime",
                     "duration", "int-or-string", "any", "schema-or-array", "schema-or-bool", "schema-or-strings"))


class Row(NamedTuple):
    """One field as the table has it."""

    name: str  # JSON name; "" for an embedded struct
    type: str
    flags: str  # o omitempty, z omitzero, r required, i embedded
    number: int  # in protobuf
    extra: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """A field's type, taken apart.  `outer` lists the containers from the outside in ("[]" or "{}")."""

    pointer: bool
    outer: tuple[str, ...]
    base: str  # a scalar's name or a type's reference
    go: str  # how Go prints the base in an error: "int32", "v1.Protocol"
    enum: tuple[str, ...] = ()

    @property
    def is_scalar(self) -> bool:
        return self.base in SCALARS

    def go_type(self, depth: int = 0) -> str:
        """How Go prints the type inside `depth` containers: "[]v1.Container", "map[string]string"."""
        return "".join("map[string]" if c == "{}" else "[]" for c in self.outer[depth:]) + self.go


class Table:
    """One group version."""

    def __init__(self, folder: str, data: dict[str, Any]) -> None:
        self.folder = folder
        self.group: str = data["group"]
        self.version: str = data["version"]
        self.prefix: str = data["prefix"]
        self.kinds: frozenset[str] = frozenset(data["kinds"])
        self.atomic: frozenset[str] = frozenset(data["atomic"])
        self.aliases: dict[str, list[Any]] = data["aliases"]
        self.types: dict[str, list[list[Any]]] = data["types"]


def folder_of(group: str, version: str) -> str:
    """The Go package of an API group: "" -> core/v1, rbac.authorization.k8s.io -> rbac/v1."""
    return f"{group.partition('.')[0] or 'core'}/{version}"


@cache
def table(folder: str) -> Table:
    """The table of a package such as "apps/v1".  KeyError if there is none."""
    file = DATA / f"{folder.replace('/', '_')}.json"
    if not file.is_file():
        raise KeyError(f"no schema table for {folder}")
    return Table(folder, json.loads(file.read_bytes()))


def folders() -> list[str]:
    """Every package that has a table."""
    return ["/".join(file.stem.rsplit("_", 1)) for file in sorted(DATA.glob("*.json"))]


def split(ref: str) -> tuple[str, str]:
    """ "core/v1.PodSpec" -> ("core/v1", "PodSpec") """
    folder, _, name = ref.rpartition(".")
    return folder, name


def rows(ref: str) -> list[Row]:
    folder, name = split(ref)
    return [Row(row[0], row[1], row[2], row[3], row[4] if len(row) == 5 else {}) for row in table(folder).types[name]]


def is_atomic(ref: str) -> bool:
    folder, name = split(ref)
    return name in table(folder).atomic


@cache
def parse(text: str, folder: str) -> Shape:
    """Take a type expression apart, following aliases (`ResourceList` is a map of quantities)."""
    pointer = text.startswith("*")
    rest = text[1:] if pointer else text
    outer: list[str] = []
    go, enum = "", ()
    while True:
        while rest[:2] in ("[]", "{}"):
            outer.append(rest[:2])
            rest, go = rest[2:].removeprefix("*"), ""
        if rest in SCALARS:
            return Shape(pointer, tuple(outer), rest, go or _go_name(rest), enum)
        if "." in rest:
            folder, rest = split(rest)
        alias = table(folder).aliases.get(rest)
        if alias is None:
            return Shape(pointer, tuple(outer), f"{folder}.{rest}", f"{folder.rpartition('/')[2]}.{rest}", enum)
        go = go or f"{folder.rpartition('/')[2]}.{rest}"
        rest, enum = alias[0], tuple(alias[1]) if len(alias) > 1 else ()


def _go_name(scalar: str) -> str:
    return {"double": "float64", "bytes": "[]uint8"}.get(scalar, scalar)
