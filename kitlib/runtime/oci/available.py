"""Whether this machine can run real containers; if not, why, in one clause.

Everything is tried, as in isolation.py, and nothing is left behind: the trial happens in namespaces of its own.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile

from kitlib.runtime.oci import cgroups
from kitlib.runtime.oci.command import which
from kitlib.runtime.process import syscalls
from kitlib.runtime.process.isolation import python_command

CNI_DIRECTORIES = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
PLUGINS = ("bridge", "host-local", "loopback", "portmap")
RUNTIMES = ("runc", "crun")
_FAILURES = {0: "", 2: "it may not make mount and network namespaces", 3: "it may not mount an overlay file system",
             4: "it may not make cgroups"}  # fmt: skip


def cni_directory() -> str:
    """Where the CNI's plugins are; "" if they are not."""
    places = (*os.environ.get("CNI_PATH", "").split(":"), *CNI_DIRECTORIES)
    return next((place for place in places
                 if place and all(os.access(f"{place}/{name}", os.X_OK) for name in PLUGINS)), "")


def runtime_program() -> str:
    """runc (or crun) on this machine; "" if there is none."""
    for name in RUNTIMES:
        try:
            return which(name)
        except FileNotFoundError:
            continue
    return ""


@functools.cache
def why_not() -> str:
    """Why there can be no `oci` runtime here, or ""."""
    return lacks() or _try()


def lacks() -> str:
    """What is missing at first glance, or "": a trial takes a quarter of a second."""
    if sys.platform != "linux":
        return "it is Linux's"
    if os.geteuid() != 0:
        return "it needs root"
    if not runtime_program():
        return "there is no runc and no crun (Debian: apt-get install runc)"
    if not cni_directory():
        return "the CNI plugins are missing (Debian: apt-get install containernetworking-plugins)"
    try:
        which("ip")
    except FileNotFoundError:
        return "there is no ip program (Debian: apt-get install iproute2)"
    return ""


def version() -> str:
    """runc 1.1.5, as the program says itself."""
    program = runtime_program()
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=10)
    said = asked.stdout.split()
    return f"{os.path.basename(program)} {said[2].partition('+')[0]}" if len(said) > 2 else os.path.basename(program)


def _try() -> str:
    """What a container is made of, in a process of its own: one with threads must not change its namespaces."""
    command, env = python_command(__spec__.name)
    try:
        tried = subprocess.run(command, env=env, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a trial of it failed: {error}"
    return _FAILURES.get(tried.returncode, "a trial of it failed")


def trial() -> int:
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
        syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError:
        return 2
    with tempfile.TemporaryDirectory(prefix="kit-oci-") as place:
        for name in ("lower", "upper", "work", "root"):
            os.mkdir(f"{place}/{name}")
        try:
            options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
            syscalls.mount("overlay", f"{place}/root", "overlay", 0, options)
            syscalls.syscall("umount2", f"{place}/root".encode(), 0)
        except OSError:
            return 3
    return 0 if cgroups.can_be_made() else 4


if __name__ == "__main__":
    sys.exit(trial())
