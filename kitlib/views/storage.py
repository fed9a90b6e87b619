"""Where the data is: claims, the volumes bound to them, the Pods that use them, and the node they lie on.

    claim    →  who uses it  |  its volume  |  class, and what happens at the end  |  the node with the data

Volumes without a living claim are shown, too: they are what somebody will look for after a mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kitlib.views.grid import Cell, Column, Grid, GridFigure

Object = Mapping[str, Any]
_PHASES = {"Bound": "Running", "Pending": "Pending", "Available": "set", "Released": "put back", "Lost": "Failed",
           "Failed": "Failed"}  # fmt: skip


def grid(namespace: str, claims: Sequence[Object], volumes: Sequence[Object], pods: Iterable[Object]) -> Grid:
    """The picture's table: a line for each claim of the namespace, then for each volume that had one there."""
    users: dict[str, list[str]] = {}
    for pod in pods:
        for volume in pod["spec"].get("volumes") or ():
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim:
                users.setdefault(claim, []).append(pod["metadata"]["name"])
    by_name = {v["metadata"]["name"]: v for v in volumes}
    rows = []
    for claim in claims:
        name = claim["metadata"]["name"]
        phase = (claim.get("status") or {}).get("phase", "Pending")
        volume = by_name.pop(claim["spec"].get("volumeName", ""), None) if phase == "Bound" else None
        words = "Terminating: still in use" if "deletionTimestamp" in claim["metadata"] else phase
        used = ", ".join(sorted(users.get(name, ())))
        rows.append((name, (Cell(used), *_volume_cells(volume, claim)), words, _PHASES.get(phase, "")))
    for volume in by_name.values():
        owner = volume["spec"].get("claimRef") or {}
        phase = (volume.get("status") or {}).get("phase", "")
        if phase != "Bound" and owner.get("namespace", namespace) == namespace:
            rows.append((f"({owner['name']}: gone)" if owner else "(none)", (Cell(), *_volume_cells(volume, volume)),
                         f"volume {phase}", _PHASES.get(phase, "")))
    columns = (Column("used by", "Pods"), Column("volume", "PersistentVolume"), Column("class", "and what comes after"),
               Column("node", "where the data lies"))
    return Grid(f"Claims and volumes of namespace {namespace}", columns, tuple(rows),
                () if rows else ("There is no claim here, and no volume that belonged to one.",))


def _volume_cells(volume: Object | None, asking: Object) -> tuple[Cell, Cell, Cell]:
    kind = asking["spec"].get("storageClassName") or "(none)"
    if volume is None:
        return Cell(), Cell(kind), Cell()
    after = volume["spec"].get("persistentVolumeReclaimPolicy", "Retain")
    return (Cell(volume["metadata"]["name"], _PHASES.get((volume.get("status") or {}).get("phase", ""), "")),
            Cell(f"{kind}: {after}"), Cell(node(volume)))


def node(volume: Object) -> str:
    """The node that a local volume lies on, "" for one that can be reached from everywhere."""
    terms = ((volume["spec"].get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    return next((e["values"][0] for term in terms for e in term.get("matchExpressions") or ()
                 if e["key"] == "kubernetes.io/hostname"), "")


def figure(client: Any, namespace: str) -> GridFigure:
    """Draw the storage of a namespace."""
    def items(resource: str, where: str) -> list[dict[str, Any]]:
        return list(client.list(resource, where)["items"])

    return GridFigure(grid(namespace, items("persistentvolumeclaims", namespace), items("persistentvolumes", ""),
                           items("pods", namespace)), names=150, verdicts=185)
