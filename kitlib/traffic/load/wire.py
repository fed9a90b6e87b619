"""One connection of the load: HTTP/1.1, one request at a time, parsed in C (llhttp).

A server may close a connection in which nothing is asked whenever it likes; if the next request is just on its way
then, it is lost.  That is counted, not mended: it is what happens to every client that keeps its connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools

from kitlib.traffic.exchange import identity

LONGEST_LOOK = 4096  # of a body, to see who answered


class Wire(asyncio.Protocol):
    """done(wire, outcome, who): the request in flight has ended.  gone(wire): the connection has, without one.

    outcome: "ok", "HTTP 503", or a kind of kitlib.traffic.failure.  who: (Pod, version), empty if not told.
    """

    def __init__(self, done: Callable[[Wire, str, tuple[str, str]], None], gone: Callable[[Wire], None]) -> None:
        self._done, self._gone = done, gone
        self._transport: asyncio.Transport
        self._parser: Any = None
        self._headers: dict[str, str] = {}
        self._body = b""
        self.asking = self.lost = False
        self.token: Any = None  # whatever the caller wants to remember of the request in flight

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def ask(self, request: bytes, token: Any) -> None:
        self.asking, self.token = True, token
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body = {}, b""
        self._transport.write(request)

    def close(self) -> None:
        self.asking = False
        self._transport.abort()

    # -- asyncio's ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if not self.asking:
            self._transport.abort()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._end("reset" if self._headers else "closed")
            self._transport.abort()

    def eof_received(self) -> bool:
        if self.asking and self._headers and "content-length" not in self._headers and \
                "transfer-encoding" not in self._headers:
            self.on_message_complete()  # the answer ends with its connection (HTTP/1.0)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self.asking:
            self._end("reset" if error is not None or self._headers else "closed")
        self._gone(self)

    # -- the parser's -------------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if len(self._body) < LONGEST_LOOK:
            self._body += body

    def on_message_complete(self) -> None:
        if not self.asking:
            return
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self._transport.close()
        self._end("ok" if status < 400 else f"HTTP {status}", identity(self._headers, self._body))

    def _end(self, outcome: str, who: tuple[str, str] = ("", "")) -> None:
        self.asking = False
        self._done(self, outcome, who)
