"""Columns of custom resources: the name, then what the CustomResourceDefinition asks for.

Source: k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import orjson

from kitlib.api.columns import jsonpath
from kitlib.api.columns.printer import NAME, Column, Obj, Printer
from kitlib.api.columns.text import name, since
from kitlib.api.kind import Kind

_AGE = ({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
         "description": "When the object was created."},)
_printers: WeakKeyDictionary[Kind, Printer] = WeakKeyDictionary()


def custom_printer(kind: Kind) -> Printer:
    """The printer of one version of a custom resource.  No columns declared: its age."""
    found = _printers.get(kind)
    if found is None:
        found = _printers[kind] = _make(tuple(kind.columns) or _AGE)
    return found


def _make(wanted: tuple[Any, ...]) -> Printer:
    columns = (NAME, *(Column(c["name"], c["type"], c.get("priority", 0), c.get("format", ""), c.get("description", ""))
                       for c in wanted))

    def cells(obj: Obj, now: float) -> list[Any]:
        return [name(obj), *(_cell(c["type"], c["jsonPath"], obj, now) for c in wanted)]

    return Printer(columns, cells)


def _cell(kind: str, path: str, obj: Obj, now: float) -> Any:
    found = jsonpath.find(path, obj)
    value = found[0] if found else None
    if value is None:
        return None
    if kind == "string":
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    if kind == "date":
        return since(value, now) if isinstance(value, str) else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "integer":
        return int(value) if is_number else None
    if kind == "number":
        return float(value) if is_number else None
    return value if kind == "boolean" and isinstance(value, bool) else None
