"""The system calls that Python has no function for, over ctypes.

The numbers are those of x86_64 and aarch64 (Linux's asm/unistd.h); the structures are in linux/seccomp.h, linux/mount.h
and linux/sched.h.  Everything raises OSError like the functions of `os`.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

MACHINE = os.uname().machine
_X86, _ARM = 0, 1
_COLUMN = _ARM if MACHINE in ("aarch64", "arm64") else _X86
AUDIT_ARCH = (0xC000003E, 0xC00000B7)[_COLUMN]
SUPPORTED = MACHINE in ("x86_64", "aarch64", "arm64")

_NUMBERS = {
    "socket": (41, 198), "connect": (42, 203), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "bind": (49, 200), "getsockname": (51, 204),
    "getpeername": (52, 205), "clone": (56, 220), "kill": (62, 129), "uname": (63, 160), "setuid": (105, 146),
    "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143), "setgroups": (116, 159),
    "setresuid": (117, 147), "setresgid": (119, 149), "pivot_root": (155, 41), "prctl": (157, 167),
    "mount": (165, 40), "umount2": (166, 39), "chown": (92, None), "fchown": (93, 55), "lchown": (94, None),
    "fchownat": (260, 54), "unshare": (272, 97), "setns": (308, 268), "seccomp": (317, 277), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "mount_setattr": (442, 442), "close_range": (436, 436),
    "io_uring_setup": (425, 425),
}  # fmt: skip


def number(name: str) -> int | None:
    """A system call's number on this machine; None where the architecture has no such call."""
    return _NUMBERS[name][_COLUMN]


def syscall(name: str, *args: Any) -> int:
    """Arguments are integers, bytes, None or what ctypes makes."""
    values = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result = _libc.syscall(ctypes.c_long(number(name) or -1), *values)
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{name}: {os.strerror(errno)}")
    return result


# Namespaces (linux/sched.h).
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_CLONE_PARENT = 0x00008000
_SIGCHLD = 17


def clone(flags: int = 0) -> int:
    """fork() with namespaces.  Only for a process of one thread: Python's own fork hooks do not run."""
    return syscall("clone", flags | _SIGCHLD, 0, 0, 0, 0)


def clone_sibling() -> int:
    """fork(), but the new process is a child of the caller's parent."""
    return syscall("clone", _CLONE_PARENT | _SIGCHLD, 0, 0, 0, 0)


def unshare(flags: int) -> None:
    syscall("unshare", flags)


def setns(fd: int, kind: int = 0) -> None:
    syscall("setns", fd, kind)


# Process attributes (linux/prctl.h).
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
PR_SET_NAME = 15


def prctl(option: int, value: int | bytes, *rest: int) -> None:
    arguments = [*rest, 0, 0, 0]
    syscall("prctl", option, value, *arguments[:3])


def close_from(first: int, keep: tuple[int, ...] = ()) -> None:
    """Close every file descriptor from `first` on but those in `keep`."""
    start = first
    for fd in sorted(fd for fd in keep if fd >= first):
        if fd > start:
            os.closerange(start, fd)
        start = fd + 1
    try:
        syscall("close_range", start, 0xFFFFFFFF, 0)
    except OSError:  # before Linux 5.9
        os.closerange(start, os.sysconf("SC_OPEN_MAX"))


# Mounts (linux/mount.h).
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 4096, 16384, 1 << 18, 1 << 19
MNT_DETACH = 2
_MOUNT_ATTR_RDONLY, _AT_RECURSIVE = 1, 0x8000
_AT_FDCWD = -100


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    syscall("mount", source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None)


def make_readonly(target: str) -> None:
    """A mount and all below it, read-only."""
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    try:
        syscall("mount_setattr", _AT_FDCWD, target.encode(), _AT_RECURSIVE, attributes, 32)
    except OSError:  # before Linux 5.12: the top mount only; the flags a user namespace locks must be repeated
        flags = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
        mount("", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def pivot_root(new_root: str) -> None:
    """Make `new_root` the root; the old one is mounted over it for an instant and then let go."""
    os.chdir(new_root)
    syscall("pivot_root", b".", b".")
    syscall("umount2", b".", MNT_DETACH)
    os.chdir("/")


def drop_capability(value: int) -> None:
    prctl(PR_CAPBSET_DROP, value)


def pidfd_getfd(pid: int, fd: int) -> int:
    """A duplicate of another process's file descriptor (refused by Docker's default seccomp profile)."""
    pidfd = syscall("pidfd_open", pid, 0)
    try:
        return syscall("pidfd_getfd", pidfd, fd, 0)
    finally:
        os.close(pidfd)


# Sockets by descriptor and raw address: what Python's socket objects would take apart is passed on untouched.
def bind(fd: int, address: bytes) -> None:
    syscall("bind", fd, address, len(address))


def connect(fd: int, address: bytes) -> None:
    syscall("connect", fd, address, len(address))


def sendto(fd: int, data: bytes, flags: int, address: bytes) -> int:
    return syscall("sendto", fd, data, len(data), flags, address, len(address))


def socket_address(fd: int, call: str = "getsockname") -> bytes:
    """The raw answer of getsockname or getpeername."""
    buffer, length = ctypes.create_string_buffer(128), ctypes.c_uint32(128)
    syscall(call, fd, buffer, ctypes.byref(length))
    return buffer.raw[: length.value]
