"""The older way to several streams: `Upgrade: SPDY/3.1`, and a header that names the protocol on top.

Source: k8s.io/apimachinery/pkg/util/httpstream (Handshake), spdy/upgrade.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kitlib.api.edge.duplex import Duplex
from kitlib.objects.errors import StatusError, bad_request

if TYPE_CHECKING:
    from kitlib.api.edge.connection import Connection

HEADER = "x-stream-protocol-version"


def wanted(headers: Mapping[str, str]) -> bool:
    """Does this request ask for SPDY?"""
    return headers.get("upgrade", "").lower() == "spdy/3.1"


def choose(headers: Mapping[str, str], known: Sequence[str]) -> str:
    """The first protocol that both know, as the client prefers.  Raises 403, as the original does."""
    offered = [part.strip() for part in headers.get(HEADER, "").split(",") if part.strip()]
    if not offered:
        return known[-1]
    chosen = next((protocol for protocol in offered if protocol in known), None)
    if chosen is None:
        raise StatusError(403, "Forbidden", "unable to upgrade: unable to negotiate protocol: "
                                            f"client supports {offered}, server accepts {list(known)}")
    return chosen


def accept(connection: Connection, protocol: str) -> Duplex:
    """Answer the handshake; from here on the connection's bytes are SPDY."""
    connection.write(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                     f"X-Stream-Protocol-Version: {protocol}\r\n\r\n".encode("latin-1"))
    stream = Duplex(connection)
    connection.upgrade(stream)
    return stream


def required() -> StatusError:
    return bad_request("Upgrade request required")
