"""A listening socket's first half: what every server of the cluster's addresses does before it listens."""

from __future__ import annotations

import socket


def bound(made: socket.socket, address: str, port: int) -> socket.socket:
    """Bind a new socket, or close it and raise OSError."""
    try:
        if made.type == socket.SOCK_STREAM:  # what a killed predecessor left in TIME_WAIT
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made
