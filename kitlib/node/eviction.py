"""Pods that use more local storage than they were allowed: found every ten seconds, and ended.

    emptyDir.sizeLimit                       one volume
    limits.ephemeral-storage of containers   all emptyDirs on disk, and the logs, of the whole Pod

What to say is a pure function of a Pod and what was measured; measuring walks directories, and only for Pods that have
a limit.  What containers write beside their volumes is not counted: it is in the runtime's hands.
Source: pkg/kubelet/eviction/eviction_manager.go (localStorageEviction).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..objects import quantity

PERIOD = 10.0
GRACE = 1.0
STORAGE = "ephemeral-storage"
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes: by emptyDir volume, and of the Pod's logs."""

    volumes: Mapping[str, int] = field(default_factory=dict)
    logs: int = 0


def is_limited(pod: Object) -> bool:
    return bool(_volume_limits(pod)) or _total_limit(pod) is not None


def too_much(pod: Object, usage: Usage) -> str:
    """Why the Pod has to go, in the kubelet's words, or an empty string."""
    for name, text in _volume_limits(pod).items():
        if usage.volumes.get(name, 0) > quantity.parse(text):
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{text}". '
    total = _total_limit(pod)
    in_memory = {v["name"] for v in pod["spec"].get("volumes") or () if _empty_dir(v).get("medium") == "Memory"}
    used = usage.logs + sum(size for name, size in usage.volumes.items() if name not in in_memory)
    if total is not None and used > total:
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {_binary(total)}. "
    return ""


def measure(volumes: Mapping[str, Path], logs: Path) -> Usage:
    """Walk the directories.  Blocks: call it from a thread."""
    return Usage({name: _size(path) for name, path in volumes.items()}, _size(logs))


def empty_dirs(pod: Object) -> list[str]:
    return [v["name"] for v in pod["spec"].get("volumes") or () if "emptyDir" in v]


def _empty_dir(volume: Object) -> Object:
    return volume.get("emptyDir") or {}


def _volume_limits(pod: Object) -> dict[str, str]:
    limits: dict[str, str] = {v["name"]: _empty_dir(v).get("sizeLimit", "0") for v in pod["spec"].get("volumes") or ()}
    return {name: text for name, text in limits.items() if quantity.parse(text) > 0}


def _total_limit(pod: Object) -> int | None:
    limits = [((c.get("resources") or {}).get("limits") or {}).get(STORAGE) for c in pod["spec"]["containers"]]
    known = [int(quantity.parse(text)) for text in limits if text]
    return sum(known) if len(known) == len(limits) else None  # one container without a limit: the Pod has none


def _binary(amount: int) -> str:
    """1Mi, 1536Ki, 1000: the largest unit without a remainder, as a resource.Quantity prints it."""
    for power, unit in ((40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")):
        if amount and amount % (1 << power) == 0:
            return f"{amount >> power}{unit}"
    return str(amount)


def _size(path: Path) -> int:
    """Bytes on disk below a path, as `du` counts them; files that go meanwhile are not there."""
    total = 0
    for parent, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return total
