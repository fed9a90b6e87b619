"""Which processes belong to a container, what they use, and how to end them: all out of /proc.

In a PID namespace a container's processes are the descendants of its first one, and killing that one kills all.
In one that several containers share, they are known by their mount namespace.
Without any, an orphan becomes the daemon's child (PR_SET_CHILD_SUBREAPER) and is known by its session or by the
variable KIT_CONTAINER in its environment.

Source: man proc(5), pid_namespaces(7), prctl(2).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

MARK = "KIT_CONTAINER"
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    pid: int
    parent: int
    session: int
    state: str
    cpu_ticks: int  # its own and its dead children's
    resident: int  # bytes


def _parse(text: bytes) -> Process:
    pid, _, rest = text.partition(b" (")
    fields = rest.rpartition(b") ")[2].split()
    return Process(int(pid), int(fields[1]), int(fields[3]), fields[0].decode(),
                   sum(int(value) for value in fields[11:15]), int(fields[21]) * _PAGE)


def snapshot() -> dict[int, Process]:
    """Every process that can be seen."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    process = _parse(file.read())
            except OSError:  # it ended meanwhile
                continue
            found[process.pid] = process
    return found


def mark_of(pid: int) -> str:
    """The container's directory that a process carries in its environment, or an empty string."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for entry in file.read().split(b"\0"):
                if entry.startswith(MARK.encode() + b"="):
                    return os.fsdecode(entry[len(MARK) + 1 :])
    except OSError:
        pass  # gone, or another user's: not ours
    return ""


def members(roots: Iterable[int], mark: str, processes: dict[int, Process]) -> list[Process]:
    """The processes of one container: `roots` (its first process, its execs), their descendants and its orphans."""
    roots = set(roots)
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    orphans = [pid for pid in children.get(os.getpid(), ()) if pid not in roots]
    waiting = [pid for pid in roots if pid in processes]
    waiting += [pid for pid in orphans if processes[pid].session in roots or (mark and mark_of(pid) == mark)]
    found: dict[int, Process] = {}
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = processes[pid]
            waiting += children.get(pid, ())
    return [process for process in found.values() if process.state != "Z" or process.pid in roots]


def usage(processes: Iterable[Process]) -> tuple[int, int]:
    """CPU nanoseconds and resident bytes."""
    cpu = memory = 0
    for process in processes:
        cpu += process.cpu_ticks
        memory += process.resident
    return cpu * 1_000_000_000 // _TICK, memory


def on_processor(pids: Iterable[int]) -> int:
    """Nanoseconds, exactly; ticks are ten milliseconds.  0 where the kernel does not count so."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/schedstat") as file:
                total += int(file.read().split()[0])
        except (OSError, ValueError, IndexError):
            continue
    return total


def send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> list[int]:
    """Oldest first."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(text) for text in file.read().split()]
    except OSError:  # it has ended, or the kernel does not tell
        return sorted(process.pid for process in snapshot().values() if process.parent == pid)


def mount_namespace(pid: int) -> int:
    """The number of a process's mount namespace; 0 if it has ended."""
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0


def mounted(namespace: int, processes: dict[int, Process]) -> list[Process]:
    """The processes that see a container's files: its own, wherever in a shared PID namespace they were left."""
    return [process for process in processes.values() if namespace and mount_namespace(process.pid) == namespace]


def kill_all(find: Callable[[dict[int, Process]], Iterable[Process]]) -> None:
    """SIGKILL until `find` finds nothing more: a process may fork while we look."""
    for _ in range(10):
        alive = [process.pid for process in find(snapshot()) if process.state != "Z"]
        killed = [pid for pid in alive if send(pid, signal.SIGKILL)]
        if not killed:
            return
        time.sleep(0.001)


def handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal.

    The first process of a PID namespace gets only signals it has a handler for: `sleep` as a container's process
    ignores SIGTERM and costs the whole grace period.  Without a namespace the runtime keeps that rule itself.
    """
    try:
        with open(f"/proc/{pid}/status") as file:
            caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return True
    return bool(caught >> (number - 1) & 1)
