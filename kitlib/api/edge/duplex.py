"""A connection after its upgrade: a plain stream of bytes in both directions.

`Connection` feeds what arrives; the protocol on top (WebSocket, SPDY) awaits it.  A reader that is
slower than its client stops the client: beyond a bound the socket is not read any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kitlib.api.edge.connection import Connection

HIGH, LOW = 256 * 1024, 64 * 1024  # bytes waiting to be read: stop reading the socket, start again


class Duplex:
    """Bytes in, bytes out."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._arrived: deque[bytes] = deque()
        self._size = 0
        self._paused = self._ended = False
        self._reader: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        self._arrived.append(data)
        self._size += len(data)
        if self._size > HIGH and not self._paused:
            self._paused = True
            self.connection.transport.pause_reading()
        self._wake()

    def lost(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        waiter, self._reader = self._reader, None
        if waiter and not waiter.done():
            waiter.set_result(None)

    async def read(self) -> bytes:
        """What has arrived; b"" when the other side is gone."""
        while not self._arrived and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        if not self._arrived:
            return b""
        data = self._arrived.popleft()
        self._size -= len(data)
        if self._paused and self._size < LOW and not self._ended:
            self._paused = False
            self.connection.transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the other side is gone."""
        self.connection.write(data)
        await self.connection.drain()
