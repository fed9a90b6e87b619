"""What an address means inside a Pod: the rules, as pure functions on struct sockaddr.

A Pod has one IPv4 address of 127.64.0.0/10 and no network of its own, so what would be another interface in a network
namespace is rewritten:

    bind     0.0.0.0, ::, localhost         the Pod's address
             an address of someone else     refused: EADDRNOTAVAIL
    connect  0.0.0.0, ::, localhost         the Pod's address
             another address of a cluster   as it is, low ports mapped
             anything outside               as it is; the socket gives up its Pod's source address
             port 53 of the host's resolver the cluster's DNS, where resolv.conf is the host's (resolver.py)

IPv6 sockets carry IPv4 as ::ffff:a.b.c.d, so a dual-stack server on [::]:80 works without IPv6.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

from kitlib.objects import lowports

AF_INET, AF_INET6 = socket.AF_INET, socket.AF_INET6
_MAPPED = b"\0" * 10 + b"\xff\xff"
_DNS_PORT = 53
_ANY6, _LOOPBACK6 = b"\0" * 16, b"\0" * 15 + b"\1"


class PodAddress(NamedTuple):
    """A Pod's own address; `port_start`: the first port that may be bound as it is.

    `nameserver`: the cluster's, asked instead of `host_servers` (packed); "" where the Pod has its own resolv.conf.
    """

    ip: str
    port_start: int = 0
    nameserver: str = ""
    host_servers: tuple[bytes, ...] = ()

    @property
    def packed(self) -> bytes:
        return socket.inet_aton(self.ip)


class Rewritten(NamedTuple):
    """`sockaddr`: use this one instead; `error`: refuse; `outside`: leave it and drop the Pod's source address."""

    sockaddr: bytes | None = None
    error: int = 0
    outside: bool = False


UNCHANGED = Rewritten()


def family(raw: bytes) -> int:
    return struct.unpack_from("=H", raw)[0] if len(raw) >= 2 else 0


def place(raw: bytes) -> tuple[bytes, int] | None:
    """The IPv4 meaning of an address and its port; b"" for an IPv6 address that has none."""
    kind = family(raw)
    if kind == AF_INET and len(raw) >= 8:
        return raw[4:8], int.from_bytes(raw[2:4], "big")
    if kind == AF_INET6 and len(raw) >= 24:
        ip, port = raw[8:24], int.from_bytes(raw[2:4], "big")
        if ip == _ANY6:
            return b"\0\0\0\0", port
        if ip == _LOOPBACK6:
            return b"\x7f\0\0\1", port
        return (ip[12:], port) if ip.startswith(_MAPPED) else (b"", port)
    return None


def make(kind: int, packed: bytes, port: int) -> bytes:
    """A struct sockaddr_in or sockaddr_in6 for an IPv4 address."""
    if kind == AF_INET:
        return struct.pack("=H", kind) + port.to_bytes(2, "big") + packed + b"\0" * 8
    return struct.pack("=H", kind) + port.to_bytes(2, "big") + b"\0" * 4 + _MAPPED + packed + b"\0" * 4


def any_address(kind: int) -> bytes:
    """The wildcard with no port: what undoes a source address."""
    return struct.pack("=H", kind) + b"\0" * (14 if kind == AF_INET else 26)


def is_local(ip: bytes) -> bool:
    """0.0.0.0 and 127.0.0.0/10: this Pod, seen from itself."""
    return ip == b"\0\0\0\0" or (ip[:1] == b"\x7f" and ip[1] < 64)


def is_cluster(ip: bytes) -> bool:
    return ip[:1] == b"\x7f" and 64 <= ip[1] < 128


def on_bind(raw: bytes, pod: PodAddress) -> Rewritten:
    found = place(raw)
    if found is None:
        return UNCHANGED
    ip, port = found
    if ip and (is_local(ip) or ip == pod.packed):
        return Rewritten(make(family(raw), pod.packed, lowports.reachable(port, pod.port_start)))
    if ip and ip[0] >= 224:  # multicast groups are bound as they are
        return UNCHANGED
    return Rewritten(error=errno.EADDRNOTAVAIL)


def redirected(raw: bytes, pod: PodAddress) -> bytes:
    """Whom a question for the host's name server is really meant for; other addresses as they are."""
    found = place(raw)
    if not pod.nameserver or found is None or found[1] != _DNS_PORT or (found[0] or raw[8:24]) not in pod.host_servers:
        return raw
    return make(family(raw), socket.inet_aton(pod.nameserver), _DNS_PORT)


def on_connect(raw: bytes, pod: PodAddress) -> Rewritten:
    meant = redirected(raw, pod)
    found = place(meant)
    if found is None:
        return UNCHANGED
    ip, port = found
    if ip and is_local(ip):
        return Rewritten(make(family(raw), pod.packed, lowports.reachable(port, pod.port_start)))
    if ip and is_cluster(ip):
        bound = lowports.reachable(port, pod.port_start)
        return UNCHANGED if bound == port and meant is raw else Rewritten(make(family(raw), ip, bound))
    return Rewritten(outside=True)


def as_asked_for(raw: bytes, pod: PodAddress) -> bytes:
    """An address as the Pod knows it: a mapped port becomes the low one again."""
    found = place(raw)
    if found is None or not found[0] or not is_cluster(found[0]):
        return raw
    return raw[:2] + lowports.nominal(found[1], pod.port_start).to_bytes(2, "big") + raw[4:]
