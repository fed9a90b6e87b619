"""What this machine allows, found by trying, and what each missing thing costs.

    namespaces      a private root, /etc, hostname and process numbers for every container
    notifications   an address of its own for every Pod
    low ports       port 80 is port 80, else the cluster maps it

`probe()` is for `kit doctor`: it asks a fresh process, because one with threads must not fork.  The daemon calls
`discover()` once at its start.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

from kitlib.objects import lowports
from kitlib.runtime.process import filter as seccomp
from kitlib.runtime.process import prootview, rootfs, syscalls
from kitlib.runtime.process.gate import Gate
from kitlib.runtime.process.loop import Loop
from kitlib.runtime.process.notifier import Notifier
from kitlib.runtime.process.paths import remove_tree
from kitlib.runtime.process.sockaddr import PodAddress


class Isolation(NamedTuple):
    """`port_start`: the first port a Pod may bind as it is.  The `why_not`s are empty where the thing works."""

    namespaces: bool
    user_namespace: bool
    notifications: bool
    port_start: int
    proot: str = ""  # the program, where there are no namespaces but paths can be translated
    why_no_namespaces: str = ""
    why_no_notifications: str = ""


class Finding(NamedTuple):
    """One line of the doctor's report."""

    name: str
    ok: bool
    detail: str
    cost: str = ""


def _in_child(flags: int, work: Callable[[], None]) -> str:
    """Run `work` in a clone; the empty string, or why it failed."""
    read, write = os.pipe()
    try:
        pid = syscalls.clone(flags)
    except OSError as error:
        os.close(read)
        os.close(write)
        return error.strerror or str(error)
    if pid == 0:
        try:
            work()
        except OSError as error:
            os.write(write, (error.strerror or str(error)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        answer = answers.read()
    os.waitpid(pid, 0)
    return answer


def _try_namespaces(user_namespace: bool) -> str:
    outside = os.geteuid(), os.getegid()
    image = {"files": {}, "links": {}, "directories": [], "host_programs": True}
    spec = {"mounts": [], "layers": [], "image": image, "etc": {}, "readonly_rootfs": False, "hostname": "probe"}

    root = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"kit-probe-{os.getpid()}")  # tempfile costs 3 MB
    os.mkdir(root, 0o700)

    def work() -> None:
        if user_namespace:
            rootfs.map_user(*outside, 0, 0)
        rootfs.build(root, spec)
        os.stat("/usr")

    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC
    try:
        return _in_child(flags | (syscalls.CLONE_NEWUSER if user_namespace else 0), work)
    finally:
        remove_tree(root)


_PROBE_ADDRESS = "127.127.255.254"


def _try_notifications() -> str:
    """Let a child bind 0.0.0.0 and see whether it got the address we gave it."""
    if not syscalls.SUPPORTED:
        return f"no system call numbers for {syscalls.MACHINE}"
    if sys.platform != "linux":
        return "not Linux"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = syscalls.clone()
    if pid == 0:
        try:
            listener = seccomp.install(seccomp.Wanted())
            seccomp.send_past(theirs, b"listener", (listener,))
            os.close(listener)
            with socket.socket() as probe:
                probe.bind(("0.0.0.0", 0))
                theirs.send(probe.getsockname()[0].encode())
        except OSError as error:
            theirs.send((error.strerror or str(error)).encode())
        finally:
            os._exit(0)
    theirs.close()
    answer = ""
    try:
        first, fds, _, _ = socket.recv_fds(ours, 256, 1)
        if not fds:
            return first.decode() or "the filter was not accepted"
        loop = Loop()
        notifier = Notifier(loop, fds[0], PodAddress(_PROBE_ADDRESS), "", lambda target, number: -errno.EPERM,
                            Gate())
        received: list[bytes] = []

        def on_answer() -> None:
            received.append(ours.recv(256))
            loop.stop()

        loop.reader(ours.fileno(), on_answer)
        loop.later(2.0, loop.stop)
        loop.run()
        notifier.close()
        loop.close()
        answer = received[0].decode() if received else "no answer within two seconds"
    finally:
        ours.close()
        os.waitpid(pid, 0)
    return "" if answer == _PROBE_ADDRESS else answer


def discover(low_ports: str = "auto") -> Isolation:
    """Try everything.  Only in a process of one thread.  `low_ports`: auto, direct or map."""
    root = os.geteuid() == 0
    why = _try_namespaces(False) if root else "not root"
    user_namespace = False
    if why:
        why = _try_namespaces(True)
        user_namespace = not why
    refused = _try_notifications()
    start = {"direct": 0, "map": 1024}.get(low_ports, lowports.unprivileged_port_start())
    return Isolation(not why, user_namespace, not refused, start, _proot() if why else "", why, refused)


def _proot() -> str:
    """The path of a proot that may trace here, or an empty string; KIT_PROOT=no does without."""
    program = "" if os.environ.get("KIT_PROOT") == "no" else prootview.find_proot()
    if not program:
        return ""
    tried = prootview.try_out(program)
    return "" if tried else program


def python_command(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """A light Python of our own: no site-packages, so only the standard library and kitlib."""
    place = os.path.realpath(__file__).rsplit("/kitlib/", 1)[0]
    env = {"PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ.get("PATH", os.defpath)}
    env |= {name: os.environ[name] for name in ("TMPDIR", "KIT_PROOT") if name in os.environ}
    return [sys.executable, "-S", "-m", module, *arguments], env


_WITHOUT_NAMESPACES = """\
Containers see the host's files: volumes and /tmp are reached through the paths in command, args and env (rewritten to \
$KIT_ROOT), but not by a path built into a program; all Pods see each other's processes; /etc/hosts and \
/etc/resolv.conf are the host's; securityContext.runAsUser has no effect."""
_WITH_PROOT = """\
Read-only mounts can be written, and all Pods see each other's processes; every system call costs some \
10 microseconds more."""
_WITHOUT_NOTIFICATIONS = """\
Pods share the host's addresses: two Pods cannot listen on one port of 0.0.0.0, and only programs that read POD_IP \
listen on their Pod's address; nothing enforces NetworkPolicies."""
_WITHOUT_EXECUTION = "The programs of images are kept there and cannot be started: set KIT_HOME elsewhere."
_WITHOUT_BUSYBOX = "The image busybox runs the host's sh and coreutils instead (Debian: busybox-static)."


def probe(home: str = "") -> list[Finding]:
    """What `kit doctor` prints about the process runtime.  `home`: where clusters keep their state."""
    import shutil  # late: the daemon, which imports this module too, stays small
    import subprocess

    command, env = python_command("kitlib.runtime.process.isolation")
    answer = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    if answer.returncode:
        return [Finding("process runtime", False, answer.stderr.strip().splitlines()[-1], "Pods cannot run here.")]
    found = Isolation(**json.loads(answer.stdout))
    busybox = shutil.which("busybox")
    place = os.path.abspath(home or os.environ.get("KIT_HOME") or os.path.expanduser("~"))
    while not os.path.exists(place):  # it is made when the first cluster is
        place = os.path.dirname(place)
    executable = not os.statvfs(place).f_flag & os.ST_NOEXEC
    how = "user namespace" if found.user_namespace else "root"
    return [
        Finding("namespaces", found.namespaces, how if found.namespaces else found.why_no_namespaces,
                "" if found.namespaces else _WITH_PROOT if found.proot else _WITHOUT_NAMESPACES),
        *([] if found.namespaces else [_about_proot(found.proot)]),
        Finding("seccomp notification", found.notifications, found.why_no_notifications or "works",
                "" if found.notifications else _WITHOUT_NOTIFICATIONS),
        Finding("ports below 1024", found.port_start <= 1, "can be bound" if found.port_start <= 1 else "refused",
                "" if found.port_start <= 1 else "They are mapped for everyone in the cluster: PODIP:80 is "
                f"PODIP:{lowports.reachable(80, found.port_start)} for programs outside of it."),
        Finding("executable state", executable, f"{place} is {'executable' if executable else 'mounted noexec'}",
                "" if executable else _WITHOUT_EXECUTION),
        Finding("busybox", busybox is not None, busybox or "not installed", "" if busybox else _WITHOUT_BUSYBOX),
    ]  # fmt: skip


def _about_proot(program: str) -> Finding:
    if program:
        return Finding("proot", True, f"{program}: a private root for every container")
    return Finding("proot", False, "not installed, or it may not trace here",
                   "containers see the host's files (Debian: proot).")


if __name__ == "__main__":
    print(json.dumps(discover()._asdict()))
