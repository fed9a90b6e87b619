"""The way out of the bridges: connections that leave them are carried on from the host, by the engine.

    container ── connect 93.184.216.34:443 ──▶ bridge ── redirect ──▶ Outside ── connect 93.184.216.34:443 ──▶ host
                 a name server's port 53                              the host's name servers

So containers reach what the host reaches, and nothing of the host's network (addresses, rules, forwarding) is touched.
The gateway's address means the host itself.  What is neither TCP nor a question to a name server does not get out.

Source: man ip(7), SO_ORIGINAL_DST (linux/netfilter_ipv4.h); slirp and Docker's userland proxy do the same elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterable

from kitlib.engine.networks.ports import join
from kitlib.network.dns.server import DnsServer, host_resolvers
from kitlib.network.sockets import bound
from kitlib.runtime.process.client import ProcessRuntime

_SO_ORIGINAL_DST = 80
_PATIENCE = 30.0


class Outside:
    """gateways: the addresses that mean the host."""

    def __init__(self, runtime: ProcessRuntime, gateways: Callable[[], Iterable[str]]) -> None:
        self._runtime, self._gateways = runtime, gateways
        self._server: asyncio.Server | None = None
        self._names: DnsServer | None = None

    async def start(self) -> None:
        """Listen in the daemon's network, and have it send us what leaves."""
        async def listen(address: str, port: int, kind: int) -> socket.socket:
            return bound(await self._runtime.receive("open_socket", node="", kind=kind), address, port)

        tcp = await listen("0.0.0.0", 0, socket.SOCK_STREAM)
        self._server = await asyncio.start_server(self._carry, sock=tcp)
        names = self._names = DnsServer("0.0.0.0", [(one, 53) for one in host_resolvers()[0]], listen=listen)
        names.port = 0
        await names.start()
        await self._runtime.ask("lead_outside", tcp=tcp.getsockname()[1], names=names.port)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            address, port = original(writer.get_extra_info("socket").fileno())
            if address in self._gateways():
                address = host_address()
            inner = await asyncio.wait_for(asyncio.open_connection(address, port), _PATIENCE)
        except (OSError, asyncio.TimeoutError, TimeoutError):
            writer.transport.abort()  # a reset is as near as it gets to "connection refused"
            return
        await join((reader, writer), inner)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._names is not None:
            await self._names.close()


def original(fd: int) -> tuple[str, int]:
    """Where a redirected connection wanted to go.  Raises OSError."""
    with socket.socket(fileno=os.dup(fd)) as connection:
        _, port, packed = struct.unpack("!HH4s8x", connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16))
    return socket.inet_ntoa(packed), port


def host_address() -> str:
    """The host's own address, as others see it; what listens on 127.0.0.1 alone is no container's business."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))  # sends nothing: only the routes are asked
        return str(asking.getsockname()[0])
