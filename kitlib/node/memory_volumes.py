"""Where an emptyDir with `medium: Memory` lies: in the machine's own tmpfs, /dev/shm.

A kubelet mounts a tmpfs for each such volume, and must be root for it.  /dev/shm is a tmpfs that everybody may write,
so a directory of our own there does the same for an ordinary user: memory instead of disk, gone with the machine.
`sizeLimit` is watched (eviction.py), not built in.  Without /dev/shm the volume is an ordinary directory.

    /dev/shm/kit-UID/DIGEST OF THE NODE'S DIRECTORY/UID OF THE POD/NAME

Source: pkg/volume/emptydir/empty_dir.go (setupTmpfs).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

TMPFS = Path("/dev/shm")


class MemoryVolumes:
    """The memory volumes of one node; `node` is the node's directory."""

    def __init__(self, node: Path, tmpfs: Path = TMPFS) -> None:
        self._user = tmpfs / f"kit-{os.geteuid()}"
        self._mine = self._user / hashlib.sha256(str(node.absolute()).encode()).hexdigest()[:16]

    def prepare(self, pod: str, name: str) -> Path | None:
        """The volume's directory, made if it is not there; None where there is no tmpfs to be had."""
        place = self._mine / pod / name
        try:
            self._user.mkdir(mode=0o700, exist_ok=True)
            if self._user.stat().st_uid != os.geteuid() or self._user.is_symlink():
                return None  # somebody else was there first
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return place

    def remove(self, pod: str) -> None:
        shutil.rmtree(self._mine / pod, ignore_errors=True)
        self._tidy()

    def sweep(self, keep: set[str]) -> None:
        """Forget the Pods that are not in `keep`."""
        for place in self._mine.iterdir() if self._mine.is_dir() else ():
            if place.name not in keep:
                shutil.rmtree(place, ignore_errors=True)
        self._tidy()

    def _tidy(self) -> None:
        for place in (self._mine, self._user):
            with contextlib.suppress(OSError):  # in use, or gone
                place.rmdir()
