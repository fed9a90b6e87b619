"""Namespaces: which there are, who is in which, and how a process gets into another one.

A namespace has no name.  It has a number, which /proc shows:

    /proc/4711/ns/uts ──▶ uts:[4026532198]        two processes with the same number share that namespace

A process is in exactly one of each kind, always.  "Not in a container" means: in those of the machine's process 1.

Source: namespaces(7), user_namespaces(7), pid_namespaces(7), unshare(2), setns(2), proc_pid_ns(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from kitlib.runtime.process import syscalls

# kind → (the flag of unshare(2) and clone(2), what is the process's own then)
KINDS = {
    "user": (syscalls.CLONE_NEWUSER, "user numbers, and what root may do"),
    "mnt": (syscalls.CLONE_NEWNS, "mounts: which files are where"),
    "pid": (syscalls.CLONE_NEWPID, "process numbers"),
    "uts": (syscalls.CLONE_NEWUTS, "the hostname"),
    "ipc": (syscalls.CLONE_NEWIPC, "shared memory and message queues"),
    "net": (syscalls.CLONE_NEWNET, "interfaces, addresses, ports, routes"),
    "cgroup": (0x02000000, "the names of cgroups (not their limits)"),
}
_LINK = re.compile(r"\w+:\[(\d+)\]")


def flag(kind: str) -> int:
    """A kind's flag for unshare(2).  Raises ValueError that names those there are."""
    if kind not in KINDS:
        raise ValueError(f"there is no namespace {kind!r}. There are: {', '.join(KINDS)}.")
    return KINDS[kind][0]


def of(pid: int | str = "self") -> dict[str, int]:
    """kind → number of the namespace that a process is in.  Raises OSError if it is gone, or not ours to look at."""
    found = {}
    for kind in KINDS:
        link = _LINK.fullmatch(os.readlink(f"/proc/{pid}/ns/{kind}"))
        if link:
            found[kind] = int(link[1])
    return found


def unshare(kind: str) -> None:
    """Leave the namespace of a kind for a new one, in which nobody else is yet.

    `pid` is the exception: the caller keeps its own number, and its *next child* is number 1 of the new one.
    """
    syscalls.unshare(flag(kind))
    if kind == "mnt":  # else what we mount would show up outside all the same: most machines share their mounts
        syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)


def join(pid: int, kinds: Iterable[str]) -> None:
    """Go where another process is already.  `user` has to come first: only root of that one may do the rest."""
    kinds = sorted(kinds, key=lambda kind: kind != "user")
    doors = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds}  # before /proc looks different
    try:
        for kind, door in doors.items():
            syscalls.setns(door, flag(kind))
    finally:
        for door in doors.values():
            os.close(door)


class Group(NamedTuple):
    """One namespace as `lsns` lists it: processes: how many are in it; pid, command: the oldest of them."""

    kind: str
    number: int
    processes: int
    pid: int
    command: str


def listing(kinds: Iterable[str] = KINDS) -> list[Group]:
    """All namespaces that processes in sight are in, as lsns(8) finds them: there is no list, so everybody is asked."""
    found: dict[tuple[str, int], list[int]] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            for kind, number in of(pid).items():
                found.setdefault((kind, number), []).append(pid)
        except OSError:  # it ended meanwhile, or it is somebody else's
            continue
    return [Group(kind, number, len(pids), pids[0], _command(pids[0]))
            for kind in kinds for (each, number), pids in found.items() if each == kind]


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(200).replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
