"""TCP: one connection in, one connection out, bytes both ways.

The outgoing connection carries the client's own address wherever that is one of the machine's (127.x.x.x), so a Pod
sees who called it, as behind kube-proxy's iptables rules; where those would masquerade, it carries the node's.  A
direction that is closed is closed on the other side too, and the other direction goes on.  Whoever reads slowly slows
the sender down, never fills our memory.

What does the copying is uvloop (libuv): one recv into a buffer of 256 KiB, one send of the same, some 12 µs of
processor time for a short request and its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping
from typing import Any, cast

from kitlib.network.proxy.balance import Endpoint, Permits, Routes, everybody, source_for
from kitlib.objects import lowports

_IP_BIND_ADDRESS_NO_PORT = 24
_LOST_SECONDS = 130.0  # as long as a connect to a silent host takes
_DIAL_TIMEOUTS = (0.25, 0.5, 1.0, 2.0)  # userspace kube-proxy's endpointDialTimeouts


def _reset(transport: asyncio.Transport) -> None:
    """Close with RST: whoever is at the other end shall not take it for a proper end."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _Half(asyncio.Protocol):
    """One of a pair's two connections.  What arrives before there is a pair waits in `_early`.

    (pause_reading in connection_made would not do: uvloop starts reading after it.)
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.peer: _Half | None = None
        self._early: list[bytes] = []
        self._early_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def join(self, peer: _Half) -> None:
        """From now on everything goes to `peer`, first of all what came too early."""
        self.peer = peer
        for data in self._early:
            peer.transport.write(data)
        if self._early_end:
            peer.transport.write_eof()
        elif self._early:
            self.transport.resume_reading()
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.transport.write(data)
        else:
            self._early.append(data)
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        if self.peer is not None and not self.peer.transport.is_closing():
            self.peer.transport.write_eof()
        self._early_end = True
        return True  # keep the other direction open

    def pause_writing(self) -> None:
        if self.peer is not None and not self.peer.transport.is_closing():
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.peer = None
            if error is not None:  # a reset is passed on as a reset
                _reset(peer.transport)
            else:
                peer.transport.close()


class _Inbound(_Half):
    """The client's side; chooses the endpoint and dials it."""

    def __init__(self, service: TcpService) -> None:
        super().__init__()
        self._service = service
        self._dialling: asyncio.Task[None] | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        client = self.transport.get_extra_info("peername")[0]
        failed: list[Endpoint] = []
        route = self._service.routes.of(client)
        for timeout in _DIAL_TIMEOUTS:
            if route is None:  # not allowed
                break
            endpoint = route.balancer.choose(client, failed)
            if endpoint is None:
                break
            if not self._service.permits(client, endpoint.ip, endpoint.port, "TCP"):
                await self._lose()
                break
            try:
                source = source_for(route, client, endpoint)
                outbound = await asyncio.wait_for(self._connect(endpoint, source), timeout)
            except (OSError, asyncio.TimeoutError):
                failed.append(endpoint)
                continue
            if self.transport.is_closing():
                outbound.transport.close()
                return
            if outbound.transport.is_closing():  # accepted and reset
                break
            self.join(outbound)
            outbound.join(self)
            return
        _reset(self.transport)

    async def _lose(self) -> None:
        """No NetworkPolicy allows it.  A caller that went to the Pod itself would wait for the handshake; this one has
        had that from us, so it waits for an answer."""
        self._lost = True
        if self._early:
            self._early.clear()
            self.transport.resume_reading()
        await asyncio.sleep(_LOST_SECONDS)

    def data_received(self, data: bytes) -> None:
        if not self._lost:
            super().data_received(data)

    def eof_received(self) -> bool:
        return super().eof_received() and not self._lost

    async def _connect(self, endpoint: Endpoint, source: str) -> _Half:
        loop = asyncio.get_running_loop()
        outgoing = socket.socket()
        try:
            outgoing.setblocking(False)
            if source:
                outgoing.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                outgoing.bind((source, 0))
            port = lowports.reachable(endpoint.port, self._service.port_start)
            await loop.sock_connect(outgoing, (endpoint.ip, port))
            _, half = await loop.create_connection(_Half, sock=outgoing)
        except BaseException:
            outgoing.close()
            raise
        return half

    def connection_lost(self, error: Exception | None) -> None:
        if self._dialling is not None and not self._dialling.done():
            self._dialling.cancel()
        super().connection_lost(error)


class TcpService:
    """One Service port.  `open` listens; `close` stops that, and what is connected stays connected."""

    def __init__(self, ip: str, port: int, port_start: int) -> None:
        self.ip, self.port, self.port_start = ip, port, port_start
        self.routes = Routes()
        self.permits: Permits = everybody
        self._server: asyncio.Server | None = None

    @property
    def bound_port(self) -> int:
        return lowports.reachable(self.port, self.port_start)

    @property
    def wanted(self) -> bool:
        return self.routes.lead_somewhere

    def update(self, entry: Mapping[str, Any]) -> None:
        self.routes.update(entry)

    async def open(self) -> None:
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.ip, self.bound_port))
            listener.setblocking(False)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Inbound(self), sock=listener, backlog=1024)
        except BaseException:
            listener.close()
            raise

    def sweep(self) -> None:
        """Forget clients that were sticky once."""
        self.routes.forget()

    def close(self) -> None:
        if self._server is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closing too
                self._server.close()
            self._server = None

    @property
    def is_open(self) -> bool:
        return self._server is not None
