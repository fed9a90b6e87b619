"""`Schema`: one kind's shape, and everything the API asks about it.

    schema = schema_for("apps", "v1", "Deployment")
    decoded = schema.decode(body)             # one walk: check, prune, canonical form, defaults
    decoded.problems  -> 400   decoded.unknown -> a warning or 400   decoded.obj -> what to keep

The single questions (`check`, `unknown_fields`, `prune`, `canonical`, `default`) are views of that walk.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from kitlib.objects.schema.decoder import Decoders
from kitlib.objects.schema.defaults import hook_for
from kitlib.objects.schema.nodes import node_for
from kitlib.objects.schema.report import Problem, Report
from kitlib.objects.schema.tables import folder_of, parse, table
from kitlib.objects.schema.typenode import TypeNode

_plain = Decoders()
_defaulting = Decoders(hook_for)


class Decoded(NamedTuple):
    """What became of a body.  With problems, `obj` is of no use."""

    obj: dict[str, Any]
    problems: list[Problem]
    unknown: list[str]  # paths


class Schema:
    """The shape of one kind."""

    __slots__ = ("_canonical", "_decode", "group", "kind", "ref", "version")

    def __init__(self, group: str, version: str, kind: str, ref: str) -> None:
        self.group, self.version, self.kind, self.ref = group, version, kind, ref
        self._decode = _defaulting.struct(ref)
        self._canonical = _plain.struct(ref)

    @property
    def node(self) -> TypeNode:
        """The root's node, for strategic merge, apply and OpenAPI."""
        return node_for(self.ref)

    def field(self, path: tuple[str, ...] | list[str] | str) -> TypeNode | None:
        """The node at a path ("spec.template.spec.containers" or its parts); lists are entered silently."""
        return self.node.walk(path.split(".") if isinstance(path, str) else path)

    def decode(self, obj: Any, *, defaults: bool = True) -> Decoded:
        """What Go's decode, default and encode make of a body.  `obj` is not changed; free JSON in it is shared."""
        report = Report(self.ref)
        try:
            made = (self._decode if defaults else self._canonical)(obj, None, report)
        except RecursionError:  # only JSON schemas contain themselves
            return Decoded({}, [Problem("", "exceeded max depth")], report.unknown)
        return Decoded(made, report.problems, report.unknown)

    def default(self, obj: dict[str, Any]) -> dict[str, Any]:
        """The object with its defaults filled in (and canonical, as defaults are set on decoded objects)."""
        return self._decode(obj, None, Report())

    def canonical(self, obj: dict[str, Any]) -> dict[str, Any]:
        """The object as a server would write it, without defaults."""
        return self._canonical(obj, None, Report())

    prune = canonical

    def check(self, obj: Any) -> list[Problem]:
        """Values of the wrong type, in the order of the document."""
        return self.decode(obj, defaults=False).problems

    def unknown_fields(self, obj: Any) -> list[str]:
        """Paths of the fields that the kind does not have."""
        return self.decode(obj, defaults=False).unknown

    def refusal(self, problem: Problem) -> str:
        """The sentence of the 400 that answers a problem."""
        shown = f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}'
        return f"{shown}: {problem.message}"


@cache
def schema_for(group: str, version: str, kind: str) -> Schema:
    """The schema of a built-in kind.  Options and `Status` belong to every group.  KeyError for anything else."""
    folder = folder_of(group, version)
    try:
        found = table(folder)
    except KeyError:
        found = None
    if found is not None and found.group == group and kind in (found.types.keys() | found.kinds):
        return Schema(group, version, kind, parse(kind, folder).base)
    if kind in table("meta/v1").kinds:
        return Schema(group, version, kind, f"meta/v1.{kind}")
    raise KeyError(f"no schema for {group}/{version} {kind}")
