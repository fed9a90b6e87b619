"""A cable between two boxes: a veth pair is one cable with two ends, and each end can be in another namespace.

    box a ── eth0 ════════════ eth0 ── box b
         10.9.0.1/24        10.9.0.2/24

Containers of an engine have the same; the other end of each is plugged into a bridge on the machine (`docker0`).
The commands are ip(8)'s, run by nsenter(1) inside the boxes, so the boxes have to share a user namespace, unless the
real root does it.

Source: veth(4), ip-link(8), nsenter(1).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from kitlib.runtime.byhand import namespaces

NETWORK = "10.9.0"


def commands(a: int, b: int) -> list[tuple[int, str]]:
    """(in which process's network, the command)."""
    return [
        (a, f"ip link add eth0 type veth peer name eth0 netns {b}"),
        (a, f"ip addr add {NETWORK}.1/24 dev eth0"),
        (a, "ip link set eth0 up"),
        (b, f"ip addr add {NETWORK}.2/24 dev eth0"),
        (b, "ip link set eth0 up"),
    ]


def enter(pid: int, kinds: Sequence[str], command: Sequence[str]) -> list[str]:
    """The nsenter(1) that runs a command in some of a process's namespaces; `user` only if it is not our own."""
    options = {"user": "--user", "mnt": "--mount", "pid": "--pid", "uts": "--uts", "ipc": "--ipc", "net": "--net",
               "cgroup": "--cgroup"}  # fmt: skip
    theirs, ours = namespaces.of(pid), namespaces.of()
    other = [kind for kind in ("user", *kinds) if theirs.get(kind) != ours.get(kind)]
    # An ordinary user is root in there by the map already, and may not change groups; the machine's root has to change.
    keep = ["--preserve-credentials"] if "user" in other and os.geteuid() else []
    return ["nsenter", f"--target={pid}", *(options[kind] for kind in other), *keep, "--", *command]


def plug(a: int, b: int) -> list[str]:
    """Connect two processes' networks.  Returns the commands.  Raises OSError with ip's own words."""
    if not shutil.which("ip"):
        raise OSError("the program `ip` is not installed here (Debian: iproute2)")
    done = []
    for pid, command in commands(a, b):
        ran = subprocess.run(enter(pid, ["net"], command.split()), capture_output=True, text=True, check=False)
        if ran.returncode:
            raise OSError(f"{command}: {ran.stderr.strip()}")
        done.append(command)
    return done
