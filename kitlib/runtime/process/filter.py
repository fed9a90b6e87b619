"""Which system calls of a container stop and ask the runtime: a seccomp filter of some forty BPF instructions.

The kernel runs it at every system call.  Almost all go through; those that name an address of the Pod wait until
`notifier.py` has answered.  The filter looks at numbers only (it cannot follow a pointer), which keeps the price low: a
`send` on a connected socket, a write, an accept never stop.

    socket(AF_INET | AF_INET6, …)      made by the runtime, with the Pod's source address
    bind, connect                      0.0.0.0, ::, 127.0.0.1 mean the Pod
    sendto with an address             the same for UDP
    sendmsg, sendmmsg                  the same; whether there is an address cannot be seen from here, so all stop
    io_uring_setup                     not here, as in Docker: its connect and send would pass without asking
    getsockname, getpeername           only where low ports are mapped
    uname                              the Pod's hostname, where there is no UTS namespace
    kill(1), kill(-1)                  the container, where there is no PID namespace
    setuid, chown, …                   answered with success where a container has one user only
    chown, fchownat, …                 noted, where an ordinary user builds an image (images/build/chowning.py)

Source: man seccomp(2), seccomp_unotify(2); linux/filter.h, linux/seccomp.h.
"""

from __future__ import annotations

import array
import ctypes
import socket
import struct
from typing import NamedTuple

from kitlib.runtime.process import syscalls
from kitlib.runtime.process.syscalls import number, syscall

_SET_MODE_FILTER = 1
_FLAG_NEW_LISTENER, _FLAG_WAIT_KILLABLE_RECV = 1 << 3, 1 << 5

_ALLOW, _NOTIFY, _ERRNO = 0x7FFF0000, 0x7FC00000, 0x00050000
_ENOSYS = 38
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGS = 0, 4, 16
_UNASKED = socket.MSG_NOSIGNAL | socket.MSG_CONFIRM  # together of no use, so nobody but us sends with both
_IDENTITY_CALLS = ("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
                   "chown", "fchown", "lchown", "fchownat")  # fmt: skip


class Wanted(NamedTuple):
    """What a container's filter has to catch; it depends on what the machine gives for free."""

    addresses: bool = True
    mapped_ports: bool = False
    hostname: bool = False
    pids: bool = False
    single_user: bool = False
    ownership: bool = False


def _instruction(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, k)


def _argument(index: int, high: bool = False) -> int:
    return _OFFSET_ARGS + 8 * index + (4 if high else 0)


_NOTIFY_NOW = _instruction(_RETURN, _NOTIFY)
_ALLOW_NOW = _instruction(_RETURN, _ALLOW)


def _first_argument_in(*values: int) -> bytes:
    """Ask if the first argument is one of the values (as 32 bits), else let it through."""
    code = _instruction(_LOAD_WORD, _argument(0))
    for value in values:
        code += _instruction(_JUMP_EQUAL, value, 0, 1) + _NOTIFY_NOW
    return code + _ALLOW_NOW


def program(wanted: Wanted) -> bytes:
    """The filter as an array of struct sock_filter."""
    rules: list[tuple[str, bytes]] = []
    if wanted.addresses:
        rules.append(("socket", _first_argument_in(2, 10)))
        rules += [("bind", _NOTIFY_NOW), ("connect", _NOTIFY_NOW)]
        no_address = _instruction(_JUMP_EQUAL, 0, 1, 0)  # either half of the pointer that is not 0 makes it one
        rules.append(("sendto", _instruction(_LOAD_WORD, _argument(4)) + no_address + _NOTIFY_NOW
                      + _instruction(_LOAD_WORD, _argument(4, high=True)) + no_address + _NOTIFY_NOW + _ALLOW_NOW))
        unasked = _instruction(_JUMP_EQUAL, _UNASKED, 0, 1) + _ALLOW_NOW
        rules.append(("sendmsg", _instruction(_LOAD_WORD, _argument(2)) + unasked + _NOTIFY_NOW))
        rules.append(("sendmmsg", _NOTIFY_NOW))
        rules.append(("io_uring_setup", _instruction(_RETURN, _ERRNO | _ENOSYS)))
    if wanted.mapped_ports:
        rules += [("getsockname", _NOTIFY_NOW), ("getpeername", _NOTIFY_NOW)]
    if wanted.hostname:
        rules.append(("uname", _NOTIFY_NOW))
    if wanted.pids:
        rules.append(("kill", _first_argument_in(1, 0xFFFFFFFF)))
    if wanted.ownership:
        rules += [(name, _NOTIFY_NOW) for name in _IDENTITY_CALLS if "chown" in name]
    if wanted.single_user:
        rules += [(name, _instruction(_RETURN, _ERRNO)) for name in _IDENTITY_CALLS]
    code = _instruction(_LOAD_WORD, _OFFSET_ARCH) + _instruction(_JUMP_EQUAL, syscalls.AUDIT_ARCH, 1, 0) + _ALLOW_NOW
    code += _instruction(_LOAD_WORD, _OFFSET_NUMBER)
    for name, body in rules:
        value = number(name)
        if value is not None:
            code += _instruction(_JUMP_EQUAL, value, 0, len(body) // 8) + body
    return code + _ALLOW_NOW


def install(wanted: Wanted) -> int:
    """Put the filter on this process and all its children to come.  Returns the listener: there the kernel asks."""
    code = program(wanted)
    buffer = ctypes.create_string_buffer(code, len(code))

    class _Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    described = _Program(len(code) // 8, ctypes.addressof(buffer))
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    try:  # without WAIT_KILLABLE_RECV (Linux 5.19) a signal makes the program ask twice
        flags = _FLAG_NEW_LISTENER | _FLAG_WAIT_KILLABLE_RECV
        return syscall("seccomp", _SET_MODE_FILTER, flags, ctypes.byref(described))
    except OSError:
        return syscall("seccomp", _SET_MODE_FILTER, _FLAG_NEW_LISTENER, ctypes.byref(described))


def send_past(channel: socket.socket, data: bytes, fds: tuple[int, ...] = ()) -> None:
    """sendmsg that does not stop at the filter, from a process that has it: else who would get the listener first?"""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([data], rights, _UNASKED)  # socket.send_fds leaves its flags out before Python 3.12
