"""The listening server: accepts connections and keeps what they share.

Shared are the function that answers, the durability gate, the pump of the watches and one timer, which
twice a second looks for clients that are too slow and for watches whose time is over.

Source: k8s.io/apiserver/pkg/server/secure_serving.go.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Protocol

from kitlib.api.edge.connection import Connection
from kitlib.api.edge.connector import NodeConnector
from kitlib.api.edge.gate import DurabilityGate, Durable
from kitlib.api.edge.watches import WatchPump
from kitlib.api.request import Answer, Request

TICK = 0.5
MAX_CONNECTIONS = 10_000
HANDSHAKE_TIMEOUT = 10.0


class Handler(Protocol):
    """`ApiServer`, or whatever answers in its place."""

    def handle(self, request: Request) -> Answer: ...


class EdgeServer:
    """Serves `api` over HTTPS (tls_context None: plain HTTP, for tests and for use behind a socket of one's own)."""

    def __init__(self, api: Handler, store: Durable, tls_context: ssl.SSLContext | None,
                 connector: NodeConnector | None = None) -> None:
        self.api, self.store, self.connector = api, store, connector
        self.connections: set[Connection] = set()
        self._tls = tls_context
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self.loop: asyncio.AbstractEventLoop
        self.gate: DurabilityGate
        self.pump: WatchPump

    async def start(self, host: str = "127.0.0.1", port: int = 0, *, bound: Sequence[socket.socket] = ()) -> int:
        """Listen; returns the port (0 asks for a free one).  bound: sockets that have their addresses already."""
        self.loop = asyncio.get_running_loop()
        self.gate = DurabilityGate(self.store)
        self.pump = WatchPump(self.store, self.loop)
        places: list[dict[str, Any]] = [{"sock": each} for each in bound] or [{"host": host, "port": port}]
        for place in places:
            await self.listen(**place)
        self._timer = self.loop.call_later(TICK, self._tick)
        return self._servers[0].sockets[0].getsockname()[1]

    async def listen(self, **place: Any) -> None:
        """Listen at one more place: sock, or host and port."""
        handshake = HANDSHAKE_TIMEOUT if self._tls else None
        self._servers.append(await self.loop.create_server(lambda: Connection(self), **place, ssl=self._tls,
                                                           backlog=1024, ssl_handshake_timeout=handshake))

    def admit(self, connection: Connection) -> bool:
        if len(self.connections) >= MAX_CONNECTIONS:
            return False
        self.connections.add(connection)
        return True

    def _tick(self) -> None:
        now = self.loop.time()
        self._timer = self.loop.call_later(TICK, self._tick)
        self.gate.tick()
        self.pump.tick()
        for connection in list(self.connections):
            connection.tick(now)

    async def close(self) -> None:
        """Stop listening, end the watches, close every connection."""
        if self._timer:
            self._timer.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.shut()
        for _ in range(20):
            if not self.connections:
                return
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)
