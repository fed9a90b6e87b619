"""HTTP/1.1 for one client of the engine: requests in, answers out, bodies of any length both ways, and hijacking.

    head complete ──▶ Call ──▶ server.serve(call) ──▶ Answer | Stream | (hijacked) Pipe
                       ▲ body: read as it comes; a route that is slow to read stops the client

httptools (nodejs's llhttp in C) parses.  Requests of one connection are answered one after the other.

Source: RFC 9112; docs.docker.com/reference/api/engine ("Hijacking", "Stream format").
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import httptools

if TYPE_CHECKING:
    from kitlib.engine.call import Call
    from kitlib.engine.server import EngineServer

log = logging.getLogger(__name__)

HIGH, LOW = 1 << 20, 256 * 1024  # bytes that wait to be read: stop reading the socket, start again
MAX_HEAD = 256 * 1024
LINGER = 5.0  # seconds for a body that nobody wants
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Inflow:
    """Bytes as they arrive; bounded, because what is not read stops the socket."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._waiting: asyncio.Future[None] | None = None
        self.ended = self.broken = False

    def feed(self, data: bytes) -> None:
        if not data:
            return  # an empty piece would be taken for the end
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH:
            self._connection.pause()
        self._wake()

    def end(self, *, broken: bool = False) -> None:
        self.ended = True
        self.broken = self.broken or broken
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting and not waiting.done():
            waiting.set_result(None)

    async def read(self) -> bytes:
        """The next piece; b"" at the end.  Raises ConnectionError if the client went away in the middle of it."""
        while not self._pieces and not self.ended:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        if not self._pieces:
            if self.broken:
                raise ConnectionResetError("the client has closed the connection")
            return b""
        data = self._pieces.popleft()
        self._size -= len(data)
        if self._size < LOW:
            self._connection.resume()
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data


class Pipe:
    """A connection that was taken over: bytes both ways, each way with an end of its own."""

    def __init__(self, connection: Connection, inflow: Inflow) -> None:
        self._connection, self._inflow = connection, inflow

    async def read(self) -> bytes:
        """What the client has sent; b"" when it sends no more (it may still be reading)."""
        try:
            return await self._inflow.read()
        except ConnectionError:
            return b""

    @property
    def gone(self) -> bool:
        """Whether the client can no longer be written to."""
        return self._connection.closed

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the client is gone."""
        self._connection.write(data)
        await self._connection.drain()

    def write_eof(self) -> None:
        self._connection.write_eof()


class Connection(asyncio.Protocol):
    """One client.  `closed` from the moment on that nothing can be written any more."""

    transport: asyncio.Transport

    def __init__(self, server: EngineServer) -> None:
        self.server = server
        self.closed = False
        self._parser: Any = httptools.HttpRequestParser(self)
        self._calls: deque[Call] = deque()
        self._task: asyncio.Task[None] | None = None
        self._current: Call | None = None  # the one whose body is arriving
        self._pipe: Inflow | None = None  # after hijacking: where bytes go
        self._raw: list[bytes] = []  # what came behind a request that may yet hijack
        self._upgrading = self._paused = self._blocked = self._eof = False
        self._owed = 0  # bytes of the body of a request with `Upgrade`
        self._drained: asyncio.Future[None] | None = None
        self._begin()

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.server.connections.discard(self)
        self._parser = None  # parser and protocol hold each other
        if self._current:
            self._current.body.end(broken=True)
        hijacked = self._pipe is not None
        if self._pipe:
            self._pipe.end(broken=exc is not None)
        if self._task and not hijacked:
            self._task.cancel()
        self._release()

    def data_received(self, data: bytes) -> None:
        if self._pipe is not None:
            self._pipe.feed(data)
        elif self._owed:
            self._pay(data)
        elif self._upgrading or (self._task is not None and self._current is None):
            self._raw.append(data)  # the other protocol, or the next request: this one's route will tell
            if sum(map(len, self._raw)) > HIGH:
                self.pause()
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrading = True
            self._pay(bytes(data[upgrade.args[0]:]))
        except httptools.HttpParserError:
            self._refuse()
        self._start_next()

    def _pay(self, data: bytes) -> None:
        """For the parser a request with `Upgrade` has no body; Docker's clients send one with it."""
        if data and self._owed and self._current:  # an empty piece would be the end of the body
            piece, data = data[:self._owed], data[self._owed:]
            self._owed -= len(piece)
            self._current.body.feed(piece)
            if not self._owed:
                self._current.body.end()
                self._current = None
        if data:
            self._raw.append(data)

    def eof_received(self) -> bool:
        """The client sends no more; if it has taken the connection over, it may still want to hear."""
        self._eof = True
        if self._pipe is not None:
            self._pipe.end()
        elif self._current is not None:
            self._current.body.end(broken=True)
        return self._pipe is not None or self._upgrading

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._release()

    def _release(self) -> None:
        waiting, self._drained = self._drained, None
        if waiting and not waiting.done():
            waiting.set_result(None)

    # The parser's side.

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._size = 0

    def on_message_begin(self) -> None:
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEAD:
            raise ValueError("the request's head is too large")

    def on_headers_complete(self) -> None:
        from kitlib.engine.call import Call

        parser = self._parser
        self._current = Call(self, parser.get_method().decode("ascii"), self._url, self._headers, Inflow(self),
                             keep=parser.should_keep_alive() or parser.should_upgrade(),
                             upgrade=parser.should_upgrade(), old=parser.get_http_version() != "1.1")
        length = self._headers.get("content-length", "")
        self._owed = int(length) if parser.should_upgrade() and length.isdigit() else 0
        self._calls.append(self._current)
        if self._headers.get("expect", "").lower() == "100-continue":
            self.write(CONTINUE)
        self._start_next()

    def on_body(self, body: bytes) -> None:
        assert self._current is not None
        self._current.body.feed(body)

    def on_message_complete(self) -> None:
        assert self._current is not None
        if not self._owed:
            self._current.body.end()
            self._current = None

    # Answering.

    def _start_next(self) -> None:
        if self._task is None and self._calls and not self.closed:
            call = self._calls.popleft()
            self._task = asyncio.get_running_loop().create_task(self._serve(call))

    async def _serve(self, call: Call) -> None:
        keep = False
        try:
            keep = await self.server.serve(call)
            if not call.hijacked and not call.body.ended:
                keep = await self._drained_body(call) and keep
            keep = keep and not self._eof
        except ConnectionError:
            pass  # the client went away; nobody is left to tell
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception:
            log.exception("%s %s: the answer could not be sent", call.method, call.path)
            self.abort()
        finally:
            self._task = None
        if not keep:
            self.finish()
            return
        self._upgrading = False
        raw, self._raw = b"".join(self._raw), []
        self.resume()
        if raw:
            self._parse(raw)
        else:
            self._start_next()

    @staticmethod
    async def _drained_body(call: Call) -> bool:
        """Take what a route did not want: a client that is cut off while it sends never sees why it was refused."""
        try:
            await asyncio.wait_for(_swallow(call.body), LINGER)
        except (asyncio.TimeoutError, TimeoutError, ConnectionError):
            return False
        return True

    def hijack(self) -> Pipe:
        self._pipe = Inflow(self)
        for piece in self._raw:
            self._pipe.feed(piece)
        self._raw = []
        if self._eof or self.closed:
            self._pipe.end()
        return Pipe(self, self._pipe)

    def _refuse(self) -> None:
        if self._task is None:
            self.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close"
                       b"\r\n\r\n400 Bad Request")
        self.finish()

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken what was written.  Raises ConnectionError when it is gone."""
        if self._blocked and not self.closed:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        if self.closed:
            raise ConnectionResetError("the client has closed the connection")

    def write_eof(self) -> None:
        if not self.closed:
            with contextlib.suppress(OSError, RuntimeError):
                self.transport.write_eof()

    def pause(self) -> None:
        if not self._paused and not self.closed:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused and not self.closed:
            self._paused = False
            self.transport.resume_reading()

    def finish(self) -> None:
        if not self.closed:
            self.transport.close()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.transport.abort()

    async def stop(self) -> None:
        """The server ends: whatever goes on here is given up."""
        task = self._task
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.finish()


async def _swallow(body: Inflow) -> None:
    async for _ in body:
        pass
