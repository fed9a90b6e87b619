"""The cluster as it was: any revision that its store still remembers.

    kit at 120             what there was of the kinds that figures show
    kit at 120 rs,pods     of these kinds

A list with `resourceVersionMatch=Exact` is answered out of the store's history, by our API server and by a real one.
The embedded cluster remembers its last 100,000 revisions, a real one about five minutes; older ones are gone (410).

Source: kubernetes.io/docs/reference/using-api/api-concepts (resource versions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.client.client import Client
from kitlib.trace.flow import ALIASES, KINDS

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
SHOWN = ("deployments.apps", "replicasets.apps", "pods", "services")


@dataclass(frozen=True)
class Snapshot:
    """One resource at a revision, as the API server's Table has it, without the age, which is now's."""

    resource: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Past:
    """What `kit.at` returns: the tables of what there was, to read."""

    revision: int
    tables: tuple[Snapshot, ...]

    def __str__(self) -> str:
        return "\n\n".join(f"{table.resource} at revision {self.revision}\n{_aligned(table)}"
                           for table in self.tables if table.rows)

    __repr__ = __str__


def resources_of(text: str) -> tuple[str, ...]:
    """("pods", "replicasets.apps") of "po,rs"; what is no alias is taken as a resource: widgets.example.com."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    return tuple(name if name in KINDS else ALIASES.get(name, name) for name in names)


def now(client: Client) -> int:
    """The newest revision."""
    return int(client.list("namespaces", limit=1)["metadata"]["resourceVersion"])


def look(client: Client, revision: int, namespace: str, resources: Sequence[str] = SHOWN, name: str = "") -> Past:
    """What there was, to read.  Raises StatusError: 410 for what is forgotten."""
    found = []
    for resource in resources:
        table = client.list(resource, namespace, resource_version=str(revision), exact=True, accept=TABLE,
                            field_selector=_named(name))
        kept = [(place, column["name"]) for place, column in enumerate(table["columnDefinitions"])
                if not column.get("priority") and column["name"] != "Age"]
        rows = tuple(tuple(_cell(row["cells"][place]) for place, _ in kept) for row in table.get("rows") or ())
        found.append(Snapshot(resource, tuple(column.upper() for _, column in kept), rows))
    return Past(revision, tuple(found))


def objects(client: Client, revision: int, namespace: str, resources: Sequence[str] = SHOWN,
            name: str = "") -> list[dict[str, Any]]:
    """The same objects, whole, with apiVersion and kind."""
    found = []
    for resource in resources:
        listed = client.list(resource, namespace, resource_version=str(revision), exact=True,
                             field_selector=_named(name))
        kind = listed["kind"].removesuffix("List")
        found += [{"apiVersion": listed["apiVersion"], "kind": kind, **item} for item in listed["items"]]
    return found


def _aligned(table: Snapshot) -> str:
    lines = (table.columns, *table.rows)
    widths = [max(len(line[place]) for line in lines) for place in range(len(table.columns))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in lines)


def _named(name: str) -> str:
    return f"metadata.name={name}" if name else ""


def _cell(value: Any) -> str:
    return "<none>" if value is None else str(value)
