"""A container's cgroups, of version 1 (a tree per controller) and 2 (one tree): what they count, and their end.

runc makes them and writes the limits; this file reads and removes.

                   version 1                                     version 2
    processor      cpuacct/…/cpuacct.usage     (ns)              cpu.stat: usage_usec
    memory         memory/…/memory.usage_in_bytes, memory.stat   memory.current, memory.stat
    out of memory  memory/…/memory.oom_control: oom_kill         memory.events: oom_kill

The working set is what the kubelet calls so: memory in use without the file pages that have not been touched lately.

Source: the kernel's admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst; cadvisor's handler for the working set.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

MOUNT = "/sys/fs/cgroup"
TOP = "kit"
_BUSY_SECONDS = 2.0


def is_unified() -> bool:
    """Version 2 alone."""
    return os.path.exists(f"{MOUNT}/cgroup.controllers")


def _trees() -> list[str]:
    """The directories under which a group of ours may lie."""
    if is_unified():
        return [MOUNT]
    with os.scandir(MOUNT) as entries:
        return [entry.path for entry in entries
                if entry.is_dir(follow_symlinks=False) and os.path.exists(f"{entry.path}/cgroup.procs")]


def places(group: str) -> Iterator[str]:
    """Where a group (`/kit/…`) has a directory."""
    for tree in _trees():
        if os.path.isdir(tree + group):
            yield tree + group


def can_be_made() -> bool:
    """Whether this process may make a group where memory is counted."""
    tree = MOUNT if is_unified() else f"{MOUNT}/memory"
    place = f"{tree}/{TOP}-probe-{os.getpid()}"
    try:
        os.mkdir(place)
        os.rmdir(place)
    except OSError:
        return False
    return True


def usage(group: str) -> tuple[int, int]:
    """Nanoseconds of processor time since the start, and the working set in bytes."""
    if is_unified():
        place = MOUNT + group
        cpu = _field(f"{place}/cpu.stat", "usage_usec") * 1000
        memory = _number(f"{place}/memory.current") - _field(f"{place}/memory.stat", "inactive_file")
    else:
        cpu = _number(f"{MOUNT}/cpuacct{group}/cpuacct.usage")
        place = f"{MOUNT}/memory{group}"
        memory = _number(f"{place}/memory.usage_in_bytes") - _field(f"{place}/memory.stat", "total_inactive_file")
    return cpu, max(0, memory)


def out_of_memory(group: str) -> bool:
    """Whether the kernel has killed a process in it for want of memory."""
    if is_unified():
        return _field(f"{MOUNT}{group}/memory.events", "oom_kill") > 0
    return _field(f"{MOUNT}/memory{group}/memory.oom_control", "oom_kill") > 0


def freeze(group: str, *, frozen: bool) -> None:
    """Stop everybody in it where they are, or let them go on."""
    if is_unified():
        _write(f"{MOUNT}{group}/cgroup.freeze", "1" if frozen else "0")
        return
    place = f"{MOUNT}/freezer{group}/freezer.state"
    _write(place, "FROZEN" if frozen else "THAWED")
    deadline = time.monotonic() + _BUSY_SECONDS
    while frozen and _text(place) == "FREEZING" and time.monotonic() < deadline:
        time.sleep(0.002)


def accounts(group: str) -> dict[str, Any]:
    """All that is counted: cpu and its parts in nanoseconds, memory in bytes with memory.stat, pids, bytes of disks."""
    cpu, _ = usage(group)
    if is_unified():
        place = MOUNT + group
        stat = _fields(f"{place}/memory.stat")
        split = _fields(f"{place}/cpu.stat")
        kernel, user = split.get("system_usec", 0) * 1000, split.get("user_usec", 0) * 1000
        memory, limit = _number(f"{place}/memory.current"), _number(f"{place}/memory.max")
        disk = [line.split() for line in _text(f"{place}/io.stat").splitlines()]
        moved = [[*map(int, row[0].split(":")), operation, int(word.partition("=")[2])] for row in disk if row
                 for operation, key in (("read", "rbytes"), ("write", "wbytes"))
                 for word in row if word.startswith(key + "=")]
        pids, throttling = place, split
    else:
        stat = _fields(f"{MOUNT}/memory{group}/memory.stat")
        ticks = _fields(f"{MOUNT}/cpuacct{group}/cpuacct.stat")
        tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        kernel, user = ticks.get("system", 0) * tick, ticks.get("user", 0) * tick
        memory = _number(f"{MOUNT}/memory{group}/memory.usage_in_bytes")
        limit = _number(f"{MOUNT}/memory{group}/memory.limit_in_bytes")
        rows = [line.split() for line in _text(f"{MOUNT}/blkio{group}/blkio.throttle.io_service_bytes").splitlines()]
        moved = [[*map(int, row[0].split(":")), row[1].lower(), int(row[2])] for row in rows if len(row) == 3]
        pids, throttling = f"{MOUNT}/pids{group}", _fields(f"{MOUNT}/cpu{group}/cpu.stat")
    each = [int(word) for word in _text(f"{MOUNT}/cpuacct{group}/cpuacct.usage_percpu").split()]
    return {"cpu": cpu, "kernel": kernel, "user": user, "percpu": each, "memory": memory, "memory_limit": limit,
            "memory_stat": stat, "pids": _number(f"{pids}/pids.current"), "pids_limit": _number(f"{pids}/pids.max"),
            "throttling": throttling, "disk": moved}  # fmt: skip


def processes(group: str) -> set[int]:
    """Whoever is in the group or below it."""
    found: set[int] = set()
    for place in places(group):
        for directory, _, _ in os.walk(place):
            with contextlib.suppress(OSError), open(f"{directory}/cgroup.procs") as file:
                found.update(int(line) for line in file)
    return found


def kill(group: str) -> None:
    """SIGKILL to everybody in it, until nobody is left."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while (found := processes(group)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def remove(group: str, *, parents: bool = True) -> None:
    """The group with all below it, in every tree, and the parent if it is empty then.  A process that has just died
    may keep its group busy for a moment."""
    for place in list(places(group)):
        for directory, _, _ in os.walk(place, topdown=False):
            _remove(directory, time.monotonic() + _BUSY_SECONDS)
    for place in list(places(os.path.dirname(group))) if parents else ():
        with contextlib.suppress(OSError):  # others are in it
            os.rmdir(place)


def _remove(directory: str, deadline: float) -> None:
    while True:
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.002)


def _number(path: str) -> int:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _fields(path: str) -> dict[str, int]:
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def _field(path: str, name: str) -> int:
    try:
        with open(path) as file:
            return next((int(line.split()[1]) for line in file if line.startswith(name + " ")), 0)
    except OSError:
        return 0
