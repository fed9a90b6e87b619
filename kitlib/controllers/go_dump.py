"""What Go would print: a Pod template as `%#v` of the structs it is made of.

The hash in a ReplicaSet's name is taken over this text, so to get the same names as a real cluster we must write down
what a Go program sees, not what JSON says: every field of that release, in Go's order, with its type, set or not.

    (v1.PodTemplateSpec){ObjectMeta:(v1.ObjectMeta){Name:(string) GenerateName:(string) … Labels:(map[string]string)
    map[app:web] …} Spec:(v1.PodSpec){Volumes:([]v1.Volume)<nil> … RestartPolicy:(v1.RestartPolicy)Always …}}

The types are data, generated out of the Go sources (`tools/generate_hash_types.py`).

Source: k8s.io/utils/dump (ForHash), github.com/davecgh/go-spew/spew/format.go, apimachinery's api/resource/quantity.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

TIME = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"
NUMBERS = frozenset({"int32", "int64", "int", "float64"})
QUANTITY = re.compile(r"([+-]?)0*(\d*)(?:\.(\d*))?(.*)", re.DOTALL)
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


@cache
def _types() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "data" / "pod_template.json").read_text())


def dump(value: Any, type: str = "v1.PodTemplateSpec") -> str:
    """The text for a JSON value of a Go type."""
    return "".join(_format(value, type, show=True))


def _format(value: Any, type: str, *, show: bool) -> Iterator[str]:
    """show: with the type in front; elements of lists and maps come without."""
    if type.startswith("*"):
        yield from _pointer(value, type, show)
        return
    if show:
        yield f"({type})"
    yield from _value(value, type)


def _pointer(value: Any, type: str, show: bool) -> Iterator[str]:
    if value is None:
        yield f"({type})<nil>" if show else "<nil>"
        return
    yield f"({type})" if show else "<*>"
    yield from _value(value, type[1:])


def _value(value: Any, type: str) -> Iterator[str]:
    if type.startswith("[]"):
        yield from _list(value, type[2:])
    elif type.startswith("map["):
        yield from _map(value, type[type.index("]") + 1:])
    elif type == "resource.Quantity":
        yield _quantity("" if value is None else str(value))
    elif type == "v1.Time":
        yield TIME
    elif type == "intstr.IntOrString":
        yield _int_or_string(value)
    elif type in NUMBERS:
        yield str(value or 0)
    elif type == "bool":
        yield "true" if value else "false"
    elif type in ("string", "types.UID"):
        yield value or ""
    else:
        yield from _named(value, _types()[type.removeprefix("v1.")])


def _named(value: Any, definition: Any) -> Iterator[str]:
    """A struct, or another name for a type."""
    if isinstance(definition, str):
        yield from _value(value, definition)
        return
    given = value or {}
    yield "{"
    for place, (name, json_name, type) in enumerate(definition):
        yield f"{' ' if place else ''}{name}:"
        yield from _format(given if not json_name else given.get(json_name), type, show=True)
    yield "}"


def _list(value: Any, item: str) -> Iterator[str]:
    if not value:
        yield "<nil>"
        return
    yield "["
    for place, element in enumerate(value):
        yield " " if place else ""
        yield from _format(element, item, show=False)
    yield "]"


def _map(value: Any, item: str) -> Iterator[str]:
    if not value:
        yield "<nil>"
        return
    yield "map["
    for place, key in enumerate(sorted(value)):
        yield f"{' ' if place else ''}{key}:"
        yield from _format(value[key], item, show=False)
    yield "]"


def _int_or_string(value: Any) -> str:
    number, text = (0, value) if isinstance(value, str) else (value or 0, "")
    kind = 1 if isinstance(value, str) else 0
    return f"{{Type:(intstr.Type){kind} IntVal:(int32){number} StrVal:(string){text}}}"


def _quantity(text: str) -> str:
    """An amount's insides: mantissa and scale, and the text itself where the parser keeps it."""
    value, scale, form, kept = _parsed(text)
    return (f"{{i:(resource.int64Amount){{value:(int64){value} scale:(resource.Scale){scale}}} "
            f"d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){kept} Format:(resource.Format){form}}}")


def _parsed(text: str) -> tuple[int, int, str, str]:
    if text in ("", "0"):
        return 0, 0, "DecimalSI" if text else "", text
    match = QUANTITY.match(text)
    assert match is not None
    sign, whole, fraction, suffix = (part or "" for part in match.groups())
    digits = int(whole + fraction or "0")
    if suffix in BINARY:
        kept = text if BINARY[suffix] % 10 == 0 and digits & 7 else ""
        return int(f"{sign}1") * (digits << BINARY[suffix]), 0, "BinarySI", kept
    scale = (DECIMAL[suffix] if suffix in DECIMAL else int(suffix[1:])) - len(fraction)
    canonical = scale % 3 == 0 and not (whole + fraction).endswith("000") and not (whole + fraction).startswith("0")
    form = "DecimalSI" if suffix in DECIMAL else "DecimalExponent"
    return int(f"{sign}1") * digits, scale, form, text if canonical else ""
