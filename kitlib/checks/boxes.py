"""What checks of boxes (chapter 2) have in common: what is true of a container made by hand.

A learner hands in a box as JSON: its steps, what the kernel refused, the numbers of its namespaces.  The numbers are
looked for among the living processes of this machine, and what is said of the process that has them is measured on it
from outside: /proc, and nsenter.  So a box has to live when it is checked.

Where the kernel refused a step (on Binder: all of them) nothing can be measured: there the steps are judged, as far as
they were refused, by what they would have done.  That it refuses user namespaces, without which the rest is nothing,
is not believed but tried.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kitlib.checks.framework import Wrong
from kitlib.checks.world import World
from kitlib.runtime.byhand import namespaces
from kitlib.runtime.byhand.wire import enter

FORM: dict[str, Any] = {"name": str, "pid": int, "steps": [str], "refused": dict, "mistakes": [str],
                        "namespaces": dict.fromkeys(namespaces.KINDS, int),
                        "outside": dict.fromkeys(namespaces.KINDS, int)}
PIVOT, CHROOT = "pivot_root", "chroot"


@dataclass
class Box:
    """What is true of a box.

    numbers: kind → the namespace it is in.  own: the kinds that it does not share with the notebook.  root_inside:
    whether somebody is user 0 in it.  first: whether it is process 1.  proc: whether its /proc says so.  root: how it
    got its root directory, motd: what /etc/motd says there.  loopback: whether 127.0.0.1 is there.
    """

    name: str
    steps: list[str]
    refused: dict[str, str]
    mistakes: list[str]
    numbers: dict[str, int]
    own: set[str] = field(default_factory=set)
    root_inside: bool = False
    hostname: str = ""
    first: bool = False
    proc: bool = False
    root: str = ""
    motd: str = ""
    loopback: bool = False

    def tried(self, verb: str) -> bool:
        return any(_verb(each) == verb for each in (*self.steps, *self.mistakes))


def _verb(step: str) -> str:
    return step.partition(" ")[0]


def _not_had(refused: Iterable[str]) -> set[str]:
    """The kinds of namespaces that were refused."""
    return {step.partition(" ")[2] for step in refused if _verb(step) == "unshare"}


def box(world: World, answer: str) -> Box:
    """The box that was handed in under this name.  Raises Wrong."""
    return of(world, world.answer(answer, FORM))


def pair(world: World, answer: str) -> tuple[Box, Box]:
    given = world.answer(answer, [FORM])
    if len(given) != 2 or given[0]["name"] == given[1]["name"]:
        raise Wrong("there should be two boxes in the answer, each with a name of its own",
                    f"`lab.answer({answer!r}, [first.json(), second.json()])`", actual=[each["name"] for each in given])
    return of(world, given[0]), of(world, given[1])


def of(world: World, report: Mapping[str, Any]) -> Box:
    found = judged(report)
    apart = any(number != report["outside"].get(kind) for kind, number in report["namespaces"].items())
    pid = _find(report["namespaces"], report["outside"]) if apart else None
    if pid is None:
        if apart:
            raise Wrong(f"the box {found.name} is not there any more", "It ends with the notebook's kernel, or when a "
                        "new one of its name is made. Run its cells again, then the button.")
        if "unshare user" in report["refused"] and _users_may():
            raise Wrong(f"{found.name} says that it was refused a user namespace, and this machine allows them",
                        "Make the box anew, here: then it can be measured, and not only its steps.")
        if report["refused"]:
            world.note(f"the kernel refused {', '.join(report['refused'])}: judged by the steps")
        return found
    _measure(found, pid, report)
    return found


def judged(report: Mapping[str, Any]) -> Box:
    """What would be true if the kernel had refused nothing: the steps, one after the other."""
    found = Box(report["name"], report["steps"], report["refused"], report["mistakes"], dict(report["namespaces"]))
    for step in report["steps"]:
        verb, *words = step.split() or [""]
        if verb == "unshare" and words:
            if step not in report["refused"] or words[0] == "user" or "user" in found.own:
                found.own.add(words[0])  # else it was refused for want of a user namespace, and that is no excuse
        elif verb == "join":
            found.own |= set(words[1:])
            found.root_inside |= "user" in words[1:]
        elif verb == "map_users":
            found.root_inside = "user" in found.own
        elif verb == "hostname" and words and "uts" in found.own:
            found.hostname = words[0]
        elif verb == "fork":
            found.first = "pid" in found.own
        elif verb == "mount_proc":
            found.proc = found.first and "mnt" in found.own
        elif verb in (PIVOT, CHROOT) and "new_root" in report["steps"]:
            found.root = verb
        elif verb == "loopback_up":
            found.loopback = "net" in found.own
    return found


def _users_may() -> bool:
    """Whether an ordinary user gets a user namespace on this machine."""
    who: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(["unshare", "--user", "true"], cwd="/", capture_output=True, timeout=10, check=False,
                          **who).returncode == 0


def _find(wanted: Mapping[str, int], outside: Mapping[str, int]) -> int | None:
    """The oldest living process in these namespaces.  (Its number here may be another one than there.)

    If none is in exactly these: one that has what was the box's own, and has got more since.
    """
    own = {kind: number for kind, number in wanted.items() if number != outside.get(kind)}
    later = None
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            found = namespaces.of(pid)
        except OSError:  # it ended meanwhile, or it is somebody else's
            continue
        if found == wanted:
            return pid
        if later is None and own.items() <= found.items():
            later = pid
    return later


def _measure(found: Box, pid: int, report: Mapping[str, Any]) -> None:
    """Replace what the steps say by what is, but for what the kernel has refused."""
    refused, not_had = set(map(_verb, report["refused"])), _not_had(report["refused"])
    found.numbers = namespaces.of(pid)
    real = {kind for kind, number in found.numbers.items() if number != report["outside"].get(kind)}
    found.own = real | (found.own & not_had)
    if "map_users" not in refused:
        found.root_inside = any(line.split()[0] == "0" for line in _read(f"/proc/{pid}/uid_map").splitlines())
    if "hostname" not in refused and "uts" not in not_had:
        found.hostname = _inside(pid, ["uts"], "cat", "/proc/sys/kernel/hostname") if "uts" in real else ""
    if "fork" not in refused and "pid" not in not_had:
        numbers = next((line.split()[1:] for line in _read(f"/proc/{pid}/status").splitlines()
                        if line.startswith("NSpid:")), [])
        found.first = "pid" in real and numbers[-1:] == ["1"]
    if "mount_proc" not in refused and not not_had & {"mnt", "pid"}:
        found.proc = _shows(pid, found.numbers["pid"])
    if not refused & {"new_root", PIVOT, CHROOT} and "mnt" not in not_had:
        found.motd = _read(f"/proc/{pid}/root/etc/motd").strip()
        # A visitor of its mount namespace begins at that namespace's root: chroot has not changed it, pivot_root has.
        visitor = _inside(pid, ["mnt"], "cat", "/etc/motd")
        moved = found.root if found.motd else ""
        found.root = moved and (PIVOT if visitor == found.motd else CHROOT)
    if "loopback_up" not in refused and "net" not in not_had:
        found.loopback = "127.0.0.1" in _read(f"/proc/{pid}/net/fib_trie")


def _shows(pid: int, number: int) -> bool:
    """Whether the process's /proc is that of a pid namespace: its process 1 is in that one."""
    try:
        return os.readlink(f"/proc/{pid}/root/proc/1/ns/pid") == f"pid:[{number}]"
    except OSError:  # another's process 1 is not ours to look at
        return False


def _inside(pid: int, kinds: Sequence[str], *command: str) -> str:
    done = subprocess.run(enter(pid, kinds, command), capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
