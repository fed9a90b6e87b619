"""Figures for the slides of lab12: who hears of a change, and where a claim's data is.

The measurement is one that was made with `lab.reach`, rounded; the storage pictures are drawn of objects as the API
server has them before the first Pod, after it, and after the claim is gone.
"""

from __future__ import annotations

from typing import Any

from kitlib.views import grid, reach, storage

_VOLUME = "pvc-5f3e8a10"


def heard() -> str:
    """Exercise 1, measured."""
    old, new = "blue", "grey"
    never, soon = [(-0.6, old)], [(-0.6, old), (0.2, new)]
    readings = {"env": never, "argument": never, "file": soon, "subPath": never, "projected": soon}
    return reach.svg(reach.Reach("kubectl patch configmap weather -p '{\"data\": {\"sky\": \"grey\"}}'", 2.0, {
        name: reach.spans(seen, 2.0) for name, seen in readings.items()}))


def claims(step: str) -> str:
    """A claim of the class keep: 1 alone, 2 with its first Pod, 3 deleted."""
    if step not in ("1", "2", "3"):
        raise ValueError("there are steps 1 to 3")
    claim: dict[str, Any] = {"metadata": {"name": "diary"}, "spec": {"storageClassName": "keep"},
                             "status": {"phase": "Pending"}}
    volume = {"metadata": {"name": _VOLUME}, "status": {"phase": "Bound" if step == "2" else "Released"}, "spec": {
        "storageClassName": "keep", "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": "lab12", "name": "diary"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-2"]}]}]}}}}
    author = {"metadata": {"name": "author"}, "spec": {"volumes": [
        {"name": "data", "persistentVolumeClaim": {"claimName": "diary"}}]}}
    if step == "2":
        claim |= {"spec": claim["spec"] | {"volumeName": _VOLUME}, "status": {"phase": "Bound"}}
    drawn = storage.grid("lab12", [] if step == "3" else [claim], [] if step == "1" else [volume],
                         [author] if step == "2" else [])
    return grid.svg(drawn, names=150, verdicts=185)
