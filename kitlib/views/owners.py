"""Who owns which field: `metadata.managedFields` as a picture.

The API server remembers for each field which *manager* said it last.  Those who **Apply** own what is in their
manifest, for good; those who **Update** (edit, scale, patch, controllers) own what they changed.  Whoever applies a
different value to a field that another manager owns gets a conflict.

Source: "Server-Side Apply" in the Kubernetes documentation; KEP-555.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.objects import fieldset
from kitlib.views.grid import Cell, Column, Grid, GridFigure, colours
from kitlib.views.merge import LAST_APPLIED

_ROLES = ("kube-apiserver", "kube-controller-manager", "kubelet", "kube-scheduler", "runtime", "client")


def paths(entry: Mapping[str, Any]) -> list[str]:
    """The fields of an entry of managedFields that hold a value, such as `.data.color`; not the maps around them."""
    named = set(fieldset.paths(entry.get("fieldsV1") or {}))
    return sorted(path for path in named if LAST_APPLIED not in path and not any(
        other != path and other.startswith(path) and other[len(path)] in ".[" for other in named))


def owners(obj: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Field → [(manager, "Apply" | "Update")], without what belongs to the status."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in obj["metadata"].get("managedFields") or ():
        if entry.get("subresource") == "status":
            continue
        for path in paths(entry):
            found.setdefault(path, []).append((entry["manager"], entry["operation"]))
    return found


def verdict(owning: list[tuple[str, str]]) -> tuple[str, str]:
    """(what that means for whoever applies another value, a colour's role)."""
    appliers = [name for name, operation in owning if operation == "Apply"]
    if len(owning) > 1:
        return "shared: all must let go", "shared"
    return (f"{appliers[0]}'s: others conflict", "kept") if appliers else ("last written by hand", "set")


def grid(title: str, obj: Mapping[str, Any], keep: str = "") -> Grid:
    """The picture's table.  keep: show only fields whose path contains it."""
    owned = {path: who for path, who in owners(obj).items() if keep in path}
    managers = sorted({who for all_ in owned.values() for who in all_})
    colour = colours(_ROLES, (name for name, _ in managers))
    columns = tuple(Column(name, f"by {operation}", colour[name]) for name, operation in managers)
    rows = []
    for path in sorted(owned):
        words, role = verdict(owned[path])
        cells = tuple(Cell("owns", colour[who[0]], mark=True) if who in owned[path] else Cell() for who in managers)
        rows.append((path, cells, words, role))
    return Grid(title, columns, tuple(rows), () if rows else ("Nobody owns a field here: managedFields is empty.",))


def figure(client: Any, resource: str, namespace: str, name: str, keep: str = "") -> GridFigure:
    """Draw who owns the fields of an object.  Raises StatusError if there is none."""
    obj = client.get(resource, namespace, name)
    return GridFigure(grid(f"Who owns which field of {obj['kind']} {name}", obj, keep), names=300, verdicts=190)
