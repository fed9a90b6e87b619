"""Run tests in a place without privileges: a container of Docker Engine as uid 65534, all capabilities dropped.

Kinds of place, all with the same files (this machine's /usr, Python, the checkout, all read-only; /tmp is fresh):

    binder     Docker's default seccomp profile: no namespaces, no pidfd_getfd, ports under 1024 may be bound; proot
    laptop     an ordinary user: namespaces are allowed, ports under 1024 are root's
    person     the same with the numbers that a person has: 65534 is also what the kernel calls everybody it does not
               know, so what only works for that user works by chance
    bare       binder without proot: containers see the host's files
    nothing    no namespaces and no seccomp(2) either, as under gVisor or an old kernel

The image is empty; nothing is pulled.  `kit test` sees to a Docker Engine (needs.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

IMAGE = "kit-test-empty"
REPOSITORY = Path(__file__).resolve().parents[1]
_DIRECTORIES = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ssl", "/etc/alternatives", "/etc/passwd",
                "/etc/group")  # fmt: skip
_NO_SECCOMP = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["seccomp", "unshare", "setns", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
    {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [
        {"index": 0, "value": 0x10000000, "valueTwo": 0x10000000, "op": "SCMP_CMP_MASKED_EQ"}]}]}  # fmt: skip
_PROFILE = Path(tempfile.gettempdir()) / "kit-test-no-seccomp.json"
_LAPTOP = ("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
           "--security-opt", "systempaths=unconfined", "--sysctl", "net.ipv4.ip_unprivileged_port_start=1024")
_PLACES = {
    "binder": (),
    "bare": ("-e", "KIT_PROOT=no"),
    "nothing": ("--security-opt", f"seccomp={_PROFILE}"),
    "laptop": _LAPTOP,
    "person": (*_LAPTOP, "--user", "1000:1001"),  # of two --user the last one counts
}  # fmt: skip


# The container's process 1: runs the program and reaps what is left to it (docker's own --init would need /sbin).
# It goes to the checkout itself: `docker run --workdir` below /tmp would take away everybody's right to write to /tmp.
_INIT = f"""
import os, sys
os.chdir({str(REPOSITORY)!r})
program = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
while True:
    pid, status = os.wait()
    if pid == program:
        sys.exit(os.waitstatus_to_exitcode(status))
"""


def _docker(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def _ensure_image() -> None:
    if _docker("image", "inspect", IMAGE).returncode:
        with tempfile.TemporaryDirectory() as empty:
            packed = subprocess.run(["tar", "-c", "-C", empty, "."], capture_output=True, check=True).stdout
        done = subprocess.run(["docker", "import", "-", IMAGE], input=packed, capture_output=True, timeout=60,
                              check=False)  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"docker import: {done.stderr.decode()}")


def _python_directories() -> list[str]:
    """What this Python consists of: its installation, the virtual environment, and what that refers to."""
    places = {sys.base_prefix, sys.prefix, str(Path(sys.executable).resolve().parents[1]), str(REPOSITORY)}
    return sorted(place for place in places if not place.startswith("/usr") or place.startswith("/usr/local"))


def command(place: str, name: str, *program: str) -> list[str]:
    """docker run … in this place."""
    mounts = [path for path in (*_DIRECTORIES, *_python_directories()) if os.path.exists(path)]
    volumes = [part for path in mounts for part in ("-v", f"{path}:{path}:ro")]
    # A directory of its own beside /tmp: the checkout may lie in /tmp, and then that is not writable in there.
    environment = {"HOME": "/scratch/home", "TMPDIR": "/scratch", "PYTHONDONTWRITEBYTECODE": "1",
                   "PATH": os.environ.get("PATH", os.defpath),
                   "PYTHONPATH": str(REPOSITORY), "LANG": "C.UTF-8"}  # fmt: skip
    variables = [part for item in environment.items() for part in ("-e", "=".join(item))]
    return ["docker", "run", "--rm", "--name", name, "--network", "none", "--user", "65534:65534", "--cap-drop", "ALL",
            "--pids-limit", "2000", "--tmpfs", "/tmp:exec,mode=1777",
            "--tmpfs", "/scratch:exec,mode=1777", *_PLACES[place], *volumes, *variables,
            IMAGE, sys.executable, "-c", _INIT, *program]  # fmt: skip


def run(place: str, program: Sequence[str], timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a program without privileges; its output comes back, stderr with stdout."""
    name = f"kit-test-{os.getpid()}-{place}"
    _ensure_image()
    _PROFILE.write_text(json.dumps(_NO_SECCOMP))
    try:
        return subprocess.run(command(place, name, *program), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=timeout, check=False)  # fmt: skip
    finally:
        _docker("rm", "--force", name)  # after a timeout; else it has gone already


PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "120")


def pytest(place: str, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return run(place, [*PYTEST, *arguments], timeout)
