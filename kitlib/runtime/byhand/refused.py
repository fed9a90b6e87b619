"""Why the kernel said no, in a sentence: which capability is missing, and what stands in the way of having it.

Three guards stand one behind the other, and a container of Docker on which nothing was changed has all three:

    capabilities   root's power, cut into some forty pieces (CapEff in /proc/self/status: a bit for each)
    seccomp        a filter of system calls (Seccomp: 2): Docker's refuses new namespaces without CAP_SYS_ADMIN
    sysctl         the machine's owner may say how many user namespaces there may be: user.max_user_namespaces

Source: capabilities(7), seccomp(2), user_namespaces(7), namespaces(7).
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import NamedTuple

from kitlib.runtime.byhand import namespaces, users
from kitlib.runtime.oci import cgroups

# linux/capability.h, in the order of the bits
CAPABILITIES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
_SYSCTLS = {"/proc/sys/user/max_user_namespaces": "0", "/proc/sys/kernel/unprivileged_userns_clone": "0",
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}  # fmt: skip


class BoxError(Exception):
    """What was asked of a box makes no sense, or the box is gone; the message is one sentence."""


def capabilities(mask: int) -> list[str]:
    """The names of the bits: 0x200000 is ["sys_admin"]."""
    return [name for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1]


def status(pid: int | str = "self") -> dict[str, str]:
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def explain(step: str, number: int) -> str:
    """What the kernel's refusal of a step means here.  number: the errno."""
    said = os.strerror(number)
    if step == "unshare user" and number in (errno.EPERM, errno.EACCES, errno.ENOSPC):
        return f"{said}. {_why_no_user_namespace()}"
    if step.startswith("unshare") and number == errno.EPERM:
        return f"{said}. {_without_admin()} Root of a user namespace of its own would have it: unshare `user` first."
    if step == "map_users":
        return f"{said}. Nobody may be mapped to 0 here; without a new user namespace there is nothing to map, either."
    if step == "mount_proc" and number == errno.EPERM:
        return (f"{said}. Parts of the /proc of this machine are covered, as in most containers, and the kernel shows "
                "nobody more of /proc than they see already.")
    if number == errno.ENOMEM and step in ("fork", "run"):
        return (f"{said}. No memory is missing: the PID namespace has lost its process 1, and a namespace without one "
                "takes in nobody any more.")
    if number in (errno.EPERM, errno.EACCES, errno.EROFS) and step.startswith("limit"):
        return (f"{said}. Cgroups are root's here. On a desktop with systemd, `systemd-run --user --scope -p "
                "MemoryMax=32M …` asks the one who may.")
    if number == errno.ENOENT and step.startswith("limit"):
        return f"{said}. This resource is not counted here: cgroup.subtree_control of the group above does not name it."
    return f"{said}. {_without_admin()}" if number == errno.EPERM else f"{said}."


def _without_admin() -> str:
    has = capabilities(int(status().get("CapEff", "0"), 16))
    if "sys_admin" in has:
        return "This process has CAP_SYS_ADMIN, but not over what it wants to change."
    return f"It takes CAP_SYS_ADMIN; this process has {', '.join(has[:6]) if has else 'no capability at all'}."


def _why_no_user_namespace() -> str:
    for path, closed in _SYSCTLS.items():
        try:
            with open(path) as file:
                if file.read().strip() == closed:
                    return f"The machine's owner has said so: {path[10:].replace('/', '.')} is {closed}."
        except OSError:
            continue
    if status().get("Seccomp") == "2":
        return ("A seccomp filter stands before the kernel (Seccomp: 2 in /proc/self/status): Docker's default lets "
                "only CAP_SYS_ADMIN make namespaces. Binder is such a place.")
    return "The kernel has no user namespaces, or a security module forbids them."


class Permission(NamedTuple):
    """One line of what this machine allows.  why: empty where it works."""

    what: str
    works: bool
    why: str


def permissions() -> list[Permission]:
    """What this machine allows of a container, each found out by trying it in a child."""
    user = _tried("unshare user", _user_namespace)
    rest = [(f"unshare {kind}", f"a {kind} namespace: {about}") for kind, (_, about) in namespaces.KINDS.items()
            if kind != "user"]
    found = [Permission("a user namespace, and root in it", not user, user)]
    for step, what in rest:
        kind = step.split()[1]
        alone = _tried(step, lambda kind=kind: namespaces.unshare(kind))  # type: ignore[misc]
        within = alone and not user and _tried(step, lambda kind=kind: _within(kind))  # type: ignore[misc]
        works = not alone or within == ""
        found.append(Permission(what, works, "" if works else alone))
    made = cgroups.can_be_made()
    return [*found, Permission("a cgroup: limits", made, "" if made else explain("limit", errno.EACCES))]


def _user_namespace() -> None:
    outside = os.geteuid(), os.getegid()
    namespaces.unshare("user")
    if outside[0]:
        users.map_myself(*outside)


def _within(kind: str) -> None:
    _user_namespace()
    namespaces.unshare(kind)


def _tried(step: str, work: Callable[[], None]) -> str:
    """Do it in a fresh Python of one thread; an empty string, or why it failed."""
    read, write = os.pipe()
    child = os.fork()  # the caller is a small program of ours (see box.allowed), not a notebook
    if child == 0:
        try:
            signal.alarm(10)
            work()
        except OSError as error:
            os.write(write, str(error.errno or 0).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.read()
    os.waitpid(child, 0)
    return explain(step, int(number)) if number else ""


def main() -> None:
    """Print the permissions as JSON: `python -m kitlib.runtime.byhand.refused`."""
    import json

    print(json.dumps(permissions()))


if __name__ == "__main__":
    main()
