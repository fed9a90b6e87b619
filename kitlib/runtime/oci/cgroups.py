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


def _field(path: str, name: str) -> int:
    try:
        with open(path) as file:
            return next((int(line.split()[1]) for line in file if line.startswith(name + " ")), 0)
    except OSError:
        return 0
