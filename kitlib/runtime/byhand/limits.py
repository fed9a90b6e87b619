"""Limits: a cgroup is a directory, its limits are files in it, and who is written into `cgroup.procs` is bound by them.

                version 1: a tree per resource                version 2: one tree
    memory      memory/kit-web/memory.limit_in_bytes          kit-web/memory.max
    processes   pids/kit-web/pids.max                         kit-web/pids.max
    processor   cpu/kit-web/cpu.cfs_quota_us (per 100 ms)     kit-web/cpu.max

Root makes its groups at the top.  With version 2 an ordinary user of a machine with systemd owns a part of the tree,
and makes them beside the group that the notebook is in.

A limit is no namespace: it does not change what a process *sees*.  `free` in a container still tells of the machine.

Source: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst; sched-bwc.rst.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from kitlib.runtime.oci import cgroups

PERIOD = 100_000  # microseconds
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size(text: str | int) -> int:
    """Bytes: 33554432, "32M", "32Mi".  Raises ValueError."""
    found = re.fullmatch(r"(\d+)([KMG]?)(?:i?B?)", str(text).strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"{text!r} is no size: say 64M, or a number of bytes")
    return int(found[1]) * _UNITS[found[2].upper()]


def settings(memory: int = 0, pids: int = 0, cpu: float = 0, *, unified: bool) -> list[tuple[str, str, str]]:
    """(tree, file, text) to write; 0: no limit.  cpu: how many processors.  Swap would only hide the end."""
    found = []
    if memory:
        found += [("memory", "memory.max", str(memory)), ("memory", "memory.swap.max", "0")] if unified else \
            [("memory", "memory.limit_in_bytes", str(memory))]
    if pids:
        found.append(("pids", "pids.max", str(pids)))
    if cpu:
        quota = str(int(cpu * PERIOD))
        found += [("cpu", "cpu.max", f"{quota} {PERIOD}")] if unified else \
            [("cpu", "cpu.cfs_period_us", str(PERIOD)), ("cpu", "cpu.cfs_quota_us", quota)]
    return found


def beside_us(text: str = "") -> str:
    """The group above our own, in version 2's tree: "" at the top.  text: of /proc/self/cgroup, else it is read."""
    lines = (text or Path("/proc/self/cgroup").read_text()).splitlines()
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    return os.path.dirname(own).rstrip("/")


class Group:
    """One cgroup: in version 1 a directory in every tree that a limit is asked of.

    mount: where the trees are (tests have trees of their own).  Raises OSError where it may not be made.
    """

    def __init__(self, name: str, mount: str = cgroups.MOUNT) -> None:
        self._mount = mount
        self.unified = os.path.exists(f"{mount}/cgroup.controllers")
        self._base = beside_us() if self.unified and os.geteuid() else ""
        self.name = f"{self._base}/{name}"
        self.files: dict[str, str] = {}  # path → text, as written

    def limit(self, *, memory: int = 0, pids: int = 0, cpu: float = 0) -> None:
        if self.unified:
            self._switch_on()
        for tree, file, text in settings(memory, pids, cpu, unified=self.unified):
            place = self._place(tree)
            place.mkdir(exist_ok=True)
            path = place / file
            if file != "memory.swap.max" or path.exists():  # a kernel without swap has none
                path.write_text(text)
                self.files[str(path)] = text

    def add(self, pid: int) -> None:
        """Bind a process; its children are born into the same group."""
        for place in {os.path.dirname(path) for path in self.files}:
            Path(place, "cgroup.procs").write_text(str(pid))

    def killed(self) -> bool:
        """Whether the kernel has killed somebody in it for want of memory."""
        return cgroups.out_of_memory(self.name)

    def remove(self) -> None:
        cgroups.remove(self.name, parents=False)

    def _switch_on(self) -> None:
        """Version 2: a group has the files of those controllers that the one above passes on."""
        above = Path(f"{self._mount}{self._base}/cgroup.subtree_control")
        for controller in ("memory", "pids", "cpu"):
            with contextlib.suppress(OSError):  # it is on already, or it is not for us to say
                above.write_text(f"+{controller}")

    def _place(self, tree: str) -> Path:
        return Path(self._mount + ("" if self.unified else f"/{tree}") + self.name)
