"""Sockets in another network: a socket belongs to the network namespace of the thread that made it, for good.

A cluster with real containers (`kit up --runtime oci`) has its nodes' networks in namespaces of its own.  Who may enter
one (root) gets a socket there without living there: a thread of its own goes in, makes it, and ends.

Source: network_namespaces(7), setns(2).
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading

CLONE_NEWNET = 0x40000000


def enter(path: str) -> None:
    """This thread, and those it starts from now on, are in that network.  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)


def socket_in(path: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A new IPv4 socket of that network ("": of ours).  Raises OSError if we may not enter it."""
    if not path:
        return socket.socket(socket.AF_INET, kind)
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            enter(path)
            made.append(socket.socket(socket.AF_INET, kind))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make, name="kit-netns")
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def may_enter(path: str) -> bool:
    """Whether that works for us."""
    try:
        socket_in(path).close()
    except OSError:
        return False
    return True
