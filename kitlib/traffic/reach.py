"""A TCP connection to an address of the cluster.

On the embedded cluster Pods and Services have addresses of this machine's loopback network, so one simply dials.  Where
the kernel keeps ports under 1024 for root, the cluster's low ports are moved up by one rule (objects/lowports.py); who
runs the cluster may have other rights than who asks, so both places are tried.
"""

from __future__ import annotations

import ipaddress
import socket
import time

from kitlib.objects import lowports
from kitlib.traffic.failure import Failure, Unreachable, kind_of, words_of
from kitlib.traffic.netns import socket_in

OURS = ipaddress.ip_network("127.64.0.0/10")  # where embedded clusters have their slices
CONNECT_SECONDS = 5.0


def is_local(address: str) -> bool:
    """Whether it is an address of an embedded cluster on this machine."""
    return ipaddress.ip_address(address) in OURS


def places(address: str, port: int) -> tuple[int, ...]:
    """The ports under which address:port may be found, the likely one first."""
    if not 0 < port < 1024 or not is_local(address):
        return (port,)
    mapped = lowports.FIRST_MAPPED + port
    return (port, mapped) if lowports.reachable(port, lowports.unprivileged_port_start()) == port else (mapped, port)


def dial(address: str, port: int, *, seconds: float = CONNECT_SECONDS, name: str = "",
         netns: str = "") -> socket.socket:
    """Connect.  name: how the messages call the other side.  netns: in which network.  Raises Unreachable."""
    began = time.monotonic()
    error: OSError = TimeoutError()
    for place in places(address, port):
        try:
            sock = socket_in(netns)
        except OSError as other:
            error = other
            break
        try:
            sock.settimeout(max(0.01, seconds - (time.monotonic() - began)))
            sock.connect((address, place))
        except OSError as other:
            sock.close()
            error = other
            if isinstance(other, ConnectionRefusedError):
                continue
            break
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(seconds)
        return sock
    raise Unreachable(failed(error, f"{name or address} port {port}", time.monotonic() - began)) from error


def failed(error: BaseException, target: str, seconds: float) -> Failure:
    """A connection that did not come about, as curl says it."""
    kind = kind_of(error)
    if kind == "timeout":
        return Failure(kind, f"Connection to {target} timed out after {seconds * 1000:.0f} ms")
    if kind not in ("refused", "unreachable"):
        kind = "unreachable"
    return Failure(kind, f"Failed to connect to {target} after {seconds * 1000:.0f} ms: {words_of(error)}")
