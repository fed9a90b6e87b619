"""NetworkPolicy at the place where connections begin: one `Gate` for all containers of a daemon.

    connect(10.0.0.7:80) ──▶ the table says no ──▶ the socket is connected to nowhere instead

Denied means dropped, as by a real CNI plug-in: no refusal, the connection just never comes about, and the program waits
as long as it would wait elsewhere.  The kernel does that best itself, and needs no privilege for it:

    TCP   a listener whose queue is full, and which nobody serves: Linux drops every further SYN, and the caller's
          kernel sends it again and again until it gives up (ETIMEDOUT after one or two minutes)
    UDP   a socket that nobody reads: what does not fit into its small buffer is lost

A blocking caller, a select loop, SO_SNDTIMEO, a signal: all behave as with a silent host.  The notifier's loop holds
nothing for it.  What is connected when a policy changes stays connected (so does it with Calico); a caller that waits
at nowhere waits to its end.

Source: net/ipv4/tcp_input.c (tcp_conn_request: sk_acceptq_is_full), man connect(2).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from kitlib.objects import lowports
from kitlib.objects.policytable import PolicyTable
from kitlib.runtime.process import sockaddr
from kitlib.runtime.process.sockaddr import PodAddress

_NAMES: dict[int, str] = {socket.SOCK_STREAM: "TCP", socket.SOCK_DGRAM: "UDP"}


class Nowhere:
    """Two addresses of this machine that swallow what is sent to them; made when first needed."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []
        self._addresses: dict[int, tuple[str, int]] = {}

    def address(self, family: int, kind: int) -> bytes:
        """A struct sockaddr for a socket of this family and kind."""
        if kind not in self._addresses:
            self._addresses[kind] = self._tcp() if kind == socket.SOCK_STREAM else self._udp()
        ip, port = self._addresses[kind]
        return sockaddr.make(family, socket.inet_aton(ip), port)

    def _tcp(self) -> tuple[str, int]:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)  # room for one
        filler = socket.create_connection(listener.getsockname(), timeout=5)
        self._held += [listener, filler]
        return listener.getsockname()

    def _udp(self) -> tuple[str, int]:
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the kernel takes its minimum
        sink.bind(("127.0.0.1", 0))
        self._held.append(sink)
        return sink.getsockname()

    def close(self) -> None:
        for held in self._held:
            held.close()
        self._held.clear()
        self._addresses.clear()


class Gate:
    def __init__(self) -> None:
        self.table = PolicyTable()
        self.nowhere = Nowhere()

    @property
    def is_open(self) -> bool:
        """No policy isolates anybody: nothing has to be asked."""
        return self.table.is_empty

    def replace(self, table: Mapping[str, Any]) -> None:
        """From now on this table decides.  Malformed ones raise KeyError, TypeError or ValueError."""
        self.table = PolicyTable(table)

    def drops(self, pod: PodAddress, kind: int, raw: bytes) -> bool:
        """Whether a connection or datagram of this Pod to a struct sockaddr is to be lost."""
        place = sockaddr.place(raw)
        if place is None or kind not in _NAMES:
            return False
        ip, port = place
        if ip and sockaddr.is_local(ip):
            return False
        address = socket.inet_ntoa(ip) if ip else socket.inet_ntop(socket.AF_INET6, raw[8:24])
        return not self.table.reaches(pod.ip, address, lowports.nominal(port, pod.port_start), _NAMES[kind])
