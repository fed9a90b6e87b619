"""Tables: a list as `kubectl get` wants it, columns and rows instead of objects.

    Accept: application/json;as=Table;v=v1;g=meta.k8s.io

Each row carries its object's metadata (includeObject=Metadata), the whole object (Object) or nothing
(None).  In a watch every event is a Table of one row, and only the first names the columns.

Source: k8s.io/apimachinery/pkg/apis/meta/v1.Table; k8s.io/apiserver/pkg/endpoints/handlers/response.go.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.api.columns import printer_of
from kitlib.api.columns.printer import Printer
from kitlib.api.kind import Kind

Obj = Mapping[str, Any]


def table(kind: Kind, objects: Sequence[Obj], options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A Table of objects of one kind.  options: includeObject (None, Metadata, Object), version (of
    meta.k8s.io, v1 or v1beta1), now (seconds since 1970).  The caller fills `metadata`, as for the list
    that it replaces, and in a watch takes the column definitions out of all but the first event.
    """
    options = options or {}
    include = options.get("includeObject") or "Metadata"
    version = f"meta.k8s.io/{options.get('version') or 'v1'}"
    now = options.get("now")
    now = time.time() if now is None else now
    printer = printer_of(kind)
    return {"kind": "Table", "apiVersion": version, "metadata": {},
            "columnDefinitions": printer.definitions,
            "rows": [_row(printer, kind, obj, include, version, now) for obj in objects]}


def _row(printer: Printer, kind: Kind, obj: Obj, include: str, version: str, now: float) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": printer.cells(obj, now)}
    conditions = printer.conditions(obj) if printer.conditions else None
    if conditions:
        row["conditions"] = conditions
    if include == "None":
        row["object"] = None
    elif include == "Metadata":
        row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": obj["metadata"]}
    else:
        row["object"] = {"kind": kind.kind, "apiVersion": kind.api_version, **obj}
    return row
