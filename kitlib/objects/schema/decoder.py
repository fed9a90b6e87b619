"""One walk that turns a JSON body into the object a Kubernetes API server would keep.

Kubernetes decodes into Go structs and encodes them again, so what a client sent is never stored as
sent: unknown fields and nulls go, empty values of `omitempty` fields go, missing values of the other
fields appear, quantities and times take their canonical form.  Here that is one pass over the dict:

    {"replicas": 3, "foo": 1, "selector": {...}}          DeploymentSpec
        replicas   known, int32          -> kept
        foo        unknown               -> reported, dropped
        selector   known, *LabelSelector -> its own decoder
        template   missing, no pointer   -> its decoder on {}, so its required zeros and defaults appear
        defaults   strategy, ...         -> a hook of the type, run last

A type's decoder is a closure over a small table, made when the type is first met.  Each field is an
entry (fast, keep, decode): a value of the Python type `fast` is good as it is; anything else goes
through `decode`; a false result stays out of the object unless `keep`.

Values are copied down to maps and lists of scalars; only free JSON (RawExtension) is shared with the input.

Source: encoding/json's rules for omitempty and null; k8s.io/apimachinery/pkg/runtime/serializer/json.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kitlib.objects.schema.fields import NEVER, SCALAR_FAST, scalar_decoder
from kitlib.objects.schema.nodes import flat_rows
from kitlib.objects.schema.report import Report
from kitlib.objects.schema.tables import Row, Shape, parse, split

Decode = Callable[[Any, Any, Report], Any]
Hook = Callable[[dict[str, Any]], None]


class Decoders:
    """The decoders of all types, with one set of defaulting hooks (or none)."""

    def __init__(self, hooks: Callable[[str], Hook | None] | None = None) -> None:
        self._hooks = hooks
        self._structs: dict[str, Decode] = {}

    def struct(self, ref: str) -> Decode:
        """The decoder of a type such as "core/v1.PodSpec"."""
        found = self._structs.get(ref)
        if found is None:
            found = self._structs[ref] = self._build_struct(ref)
        return found

    def _build_struct(self, ref: str) -> Decode:
        name, go = split(ref)[1], parse(split(ref)[1], split(ref)[0]).go
        fields: dict[str, tuple[type, bool, Decode]] = {}
        zeros: list[tuple[str, Callable[[], Any]]] = []
        nulls: list[str] = []  # missing pointers and lists, after defaulting: a hook sees that they are not there
        marked: list[tuple[str, Any]] = []
        hook = self._hooks(ref) if self._hooks else None
        for row, folder in flat_rows(ref):
            shape = parse(row.type, folder)
            fields[row.name] = self._entry(row, shape, name, fields)
            zero = self._zero(row, shape)
            default = row.extra.get("default")
            if self._hooks and default is not None and (default or shape.pointer):
                marked.append((row.name, default))
            elif zero is null:
                nulls.append(row.name)
            elif zero is not None:
                zeros.append((row.name, zero))
        lookup = fields.get

        def decode(value: Any, path: Any, report: Report) -> Any:
            if type(value) is not dict:
                report.wrong_type(value, path, "", go)
                value = {}  # go on, so that the parents' hooks find an object of the right shape
            out: dict[str, Any] = {}
            for key, item in value.items():
                entry = lookup(key)
                if entry is None:
                    report.unknown_field((path, key))
                elif type(item) is entry[0]:
                    if item or entry[1]:
                        out[key] = item
                elif item is not None:
                    made = entry[2](item, (path, key), report)
                    if made or entry[1]:
                        out[key] = made
            for key, make in zeros:
                if key not in out:
                    out[key] = make()
            for key, default in marked:
                if key not in out:
                    out[key] = default
            if hook is not None:
                hook(out)
            for key in nulls:
                if key not in out:
                    out[key] = None
            return out

        return decode

    def _entry(self, row: Row, shape: Shape, struct: str,
               fields: dict[str, tuple[type, bool, Decode]]) -> tuple[type, bool, Decode]:
        keep = _keeps_empty(row, shape)
        if shape.is_scalar and not shape.outer:
            return SCALAR_FAST.get(shape.base, NEVER), keep, scalar_decoder(shape.base, struct, shape.go, self.struct)

        def first(value: Any, path: Any, report: Report) -> Any:
            """Built when first needed, then in its own place: most of a Pod's types never occur."""
            made = self._value(shape, 0, struct)
            fields[row.name] = (NEVER, keep, made)
            return made(value, path, report)

        return NEVER, keep, first

    def _value(self, shape: Shape, depth: int, struct: str) -> Decode:
        """The decoder of a type inside `depth` of its containers."""
        if depth == len(shape.outer):
            if shape.is_scalar:
                return scalar_decoder(shape.base, struct, shape.go, self.struct)
            return self.struct(shape.base)
        inner = self._value(shape, depth + 1, struct)
        plain = SCALAR_FAST.get(shape.base, NEVER) if depth + 1 == len(shape.outer) else NEVER
        build = _list_decoder if shape.outer[depth] == "[]" else _map_decoder
        return build(inner, plain, self._element_zero(shape, depth + 1), struct, shape.go_type(depth))

    def _element_zero(self, shape: Shape, depth: int) -> Callable[[], Any]:
        """What a null element of a list or map becomes: Go's zero value."""
        if depth < len(shape.outer):
            return lambda: None
        if shape.is_scalar:
            return lambda: SCALAR_ZERO.get(shape.base)
        return lambda: self.struct(shape.base)({}, None, Report())

    def _zero(self, row: Row, shape: Shape) -> Callable[[], Any] | None:
        """What a missing field shows up as, or None if it stays away."""
        if "z" in row.flags:
            return None
        if "o" not in row.flags:
            if shape.pointer or shape.outer:
                return null
        elif shape.pointer or shape.outer or shape.base in OMITTABLE:
            return None
        if shape.is_scalar:
            zero = SCALAR_ZERO.get(shape.base)
            return null if zero is None else lambda: zero
        ref = shape.base
        return lambda: self.struct(ref)({}, None, Report())


def null() -> None:
    """The zero of a field that shows up as null."""


# Scalars that omitempty leaves out when zero.  The others are Go structs, which it never leaves out.
OMITTABLE = frozenset(("string", "bool", "int32", "int64", "double", "bytes"))
SCALAR_ZERO: dict[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0, "double": 0, "quantity": "0",
                               "int-or-string": 0, "duration": "0s"}


def _keeps_empty(row: Row, shape: Shape) -> bool:
    """Whether an empty value stays as it is.  An empty list never does: it comes back from storage as null."""
    if "z" in row.flags or shape.outer or shape.base == "bytes":
        return False
    return "o" not in row.flags or shape.pointer or shape.base not in OMITTABLE


def _list_decoder(inner: Decode, plain: type, zero: Callable[[], Any], struct: str, go_type: str) -> Decode:
    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is not list:
            report.wrong_type(value, path, struct, go_type)
            return []
        out = []
        for index, item in enumerate(value):
            if type(item) is plain:
                out.append(item)
            elif item is None:
                out.append(zero())
            else:
                out.append(inner(item, (path, index, True), report))
        return out

    return decode


def _map_decoder(inner: Decode, plain: type, zero: Callable[[], Any], struct: str, go_type: str) -> Decode:
    def decode(value: Any, path: Any, report: Report) -> Any:
        if type(value) is not dict:
            report.wrong_type(value, path, struct, go_type)
            return {}
        out = dict(value)
        for key, item in value.items():
            if type(item) is not plain:
                out[key] = zero() if item is None else inner(item, (path, key, False), report)
        return out

    return decode
