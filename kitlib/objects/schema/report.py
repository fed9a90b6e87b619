"""What is wrong with a body: Go's sentences about types, and the paths of unknown fields.

While a decoder walks down, it passes its place along as a linked tuple, (parent, key) for a field,
(parent, index, True) for a list element and (parent, key, False) for a map entry.  That costs next to
nothing, and only a complaint ever turns it into text:

    json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32
    unknown field "spec.template.spec.containers[0].imagee"

Go names only fields, not elements or entries, in the first; the second names them all.

Source: encoding/json (UnmarshalTypeError), sigs.k8s.io/json (strict errors).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kitlib.objects.schema.nodes import node_for


class Problem(NamedTuple):
    """A value of the wrong type.  `message` is what the Go decoder says; the first one is answered."""

    path: str
    message: str


class Report:
    """Collects, in the order of the document."""

    __slots__ = ("problems", "root", "unknown")

    def __init__(self, root: str = "") -> None:
        self.root = root  # the reference of the type that is decoded
        self.problems: list[Problem] = []
        self.unknown: list[str] = []

    def wrong_type(self, value: Any, path: Any, struct: str, go_type: str) -> None:
        """A JSON value that Go's decoder cannot put into a field of `go_type` of `struct`."""
        fields = _fields(path)
        where = f"struct field {struct or self._owner(fields)}.{'.'.join(fields)}" if fields else "value"
        self.problems.append(Problem(
            path_text(path), f"json: cannot unmarshal {json_kind(value, go_type)} into Go {where} of type {go_type}"))

    def _owner(self, fields: list[str]) -> str:
        """The type that has the last of the fields, for a decoder that knows only its own type."""
        node = node_for(self.root).walk(fields[:-1]) if self.root else None
        while node is not None and node.items is not None:
            node = node.items
        return node.name if node is not None else ""

    def bad_value(self, path: Any, message: str) -> None:
        """A value whose own decoder (Quantity, Time...) refused it; Go's sentence has no field then."""
        self.problems.append(Problem(path_text(path), message))

    def unknown_field(self, path: Any) -> None:
        self.unknown.append(path_text(path))


def json_kind(value: Any, go_type: str = "") -> str:
    """What Go calls a JSON value; a number that does not fit a number type is shown."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if go_type in ("int32", "int64") else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _fields(path: Any) -> list[str]:
    names: list[str] = []
    while path is not None:
        if len(path) == 2:
            names.append(path[1])
        path = path[0]
    return names[::-1]


def path_text(path: Any) -> str:
    """spec.containers[0].name; entries of maps are joined by dots like fields."""
    parts: list[str] = []
    while path is not None:
        parts.append(f"[{path[1]}]" if len(path) == 3 and path[2] else f".{path[1]}")
        path = path[0]
    return "".join(reversed(parts)).removeprefix(".")
