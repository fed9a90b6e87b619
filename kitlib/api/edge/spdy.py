"""SPDY/3.1: many streams over one connection; the ancestor of HTTP/2 that Kubernetes still speaks.

`kubectl port-forward` needs it, wrapped in a WebSocket; older clients use it bare for exec and attach.

    control frame   1 | version 3 | type | flags | length | ...
    data frame      0 | stream id        | flags | length | bytes

A client opens streams (SYN_STREAM, with headers that say what the stream is for), each side sends data
and ends its half with FIN.  Headers are compressed with one zlib history per direction and a dictionary
of words that both sides know.  Flow control windows are not used by Kubernetes' implementation.

Source: the SPDY draft 3.1 (chromium.org/spdy); github.com/moby/spdystream.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 1
CANCEL, REFUSED = 5, 3
MAX_FRAME = 1 << 20
MAX_STREAMS = 1000
MAX_HEADERS = 64 * 1024
HIGH = 256 * 1024  # bytes a stream may hold unread before the whole connection waits

_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
allow authorization cache-control connection content-base content-encoding content-language content-length
content-location content-md5 content-range content-type date etag expect expires from host if-match
if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade
user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie
keep-alive origin
"""
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.")
DICTIONARY = b"".join(len(word).to_bytes(4, "big") + word.replace("_", " ").encode()
                      for word in _WORDS.split()) + _TAIL.encode()


class Transport(Protocol):
    """What SPDY travels on: a bare connection, or the messages of a WebSocket."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...


class Stream:
    """One stream that the client has opened."""

    def __init__(self, session: Session, number: int, headers: dict[str, str]) -> None:
        self.session, self.number, self.headers = session, number, headers
        self._arrived: deque[bytes] = deque()
        self._size = 0
        self._ended = False  # the client sends no more
        self._closed = False  # we send no more
        self._changed = asyncio.Event()

    def feed(self, data: bytes, fin: bool) -> None:
        if data:
            self._arrived.append(data)
            self._size += len(data)
        self._ended = self._ended or fin
        self._changed.set()

    @property
    def full(self) -> bool:
        return self._size > HIGH

    async def read(self) -> bytes:
        """What has arrived; b"" at the end."""
        while not self._arrived and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if not self._arrived:
            return b""
        data = self._arrived.popleft()
        self._size -= len(data)
        self.session.drained.set()
        return data

    async def write(self, data: bytes, *, fin: bool = False) -> None:
        """Raises ConnectionError when the stream or the connection is gone."""
        if self._closed:
            raise ConnectionResetError("the stream is closed")
        for start in range(0, len(data), 32768):
            await self.session.send_data(self.number, data[start:start + 32768], 0)
        if fin:
            await self.close()

    async def close(self) -> None:
        """End our half."""
        if not self._closed:
            self._closed = True
            await self.session.send_data(self.number, b"", FIN)
            self.session.forget(self)

    async def reset(self) -> None:
        """End both halves at once."""
        self.cut()
        await self.session.send_control(RST_STREAM, 0, self.number.to_bytes(4, "big") + CANCEL.to_bytes(4, "big"))

    def cut(self) -> None:
        self._closed = True
        self.feed(b"", True)
        self.session.streams.pop(self.number, None)
        self.session.drained.set()

    @property
    def over(self) -> bool:
        return self._ended and self._closed


class Session:
    """The server's end.  `opened` is called for each new stream; `run` returns when the client is gone."""

    def __init__(self, transport: Transport, opened: Callable[[Stream], None]) -> None:
        self.transport, self.opened = transport, opened
        self.streams: dict[int, Stream] = {}
        self.drained = asyncio.Event()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(9, zdict=DICTIONARY)
        self._buffer = bytearray()

    async def run(self) -> None:
        try:
            while data := await self.transport.read():
                self._buffer += data
                while await self._frame():
                    pass
        except (ValueError, zlib.error):
            await self.send_control(GOAWAY, 0, bytes(4) + (1).to_bytes(4, "big"))
        finally:
            for stream in list(self.streams.values()):
                stream.cut()

    async def _frame(self) -> bool:
        """Handle one whole frame of the buffer.  Raises ValueError for what is not SPDY."""
        buffer = self._buffer
        if len(buffer) < 8:
            return False
        size = int.from_bytes(buffer[5:8], "big")
        if size > MAX_FRAME:
            raise ValueError("frame too large")
        if len(buffer) < 8 + size:
            return False
        head, flags, payload = int.from_bytes(buffer[:4], "big"), buffer[4], bytes(buffer[8:8 + size])
        del buffer[:8 + size]
        if not head & 0x8000_0000:
            stream = self.streams.get(head)
            if stream is not None:
                stream.feed(payload, bool(flags & FIN))
                self.forget(stream)
                while stream.full and head in self.streams:
                    self.drained.clear()
                    await self.drained.wait()
            return True
        if head >> 16 & 0x7FFF != 3:
            raise ValueError("not SPDY/3")
        await self._control(head & 0xFFFF, flags, payload)
        return True

    async def _control(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == SYN_STREAM:
            number, headers = _number(payload), self._headers(payload[10:])
            if number in self.streams or len(self.streams) >= MAX_STREAMS:
                await self.send_control(RST_STREAM, 0, payload[:4] + REFUSED.to_bytes(4, "big"))
                return
            stream = self.streams[number] = Stream(self, number, headers)
            await self.send_control(SYN_REPLY, 0, payload[:4] + self._block({}))
            if flags & FIN:
                stream.feed(b"", True)
            self.opened(stream)
        elif kind == PING:
            await self.send_control(PING, 0, payload)
        elif kind == RST_STREAM:
            found = self.streams.get(_number(payload))
            if found is not None:
                found.cut()
        elif kind in (SYN_REPLY, HEADERS):
            # The header history is one for the whole connection: skipping a block would spoil all later ones.
            self._headers(payload[4:])
            found = self.streams.get(_number(payload))
            if found is not None and flags & FIN:
                found.feed(b"", True)
        # SETTINGS, WINDOW_UPDATE and GOAWAY ask for nothing here; the client closes the connection itself.

    def _headers(self, block: bytes) -> dict[str, str]:
        text = self._inflate.decompress(block, MAX_HEADERS)
        if self._inflate.unconsumed_tail:
            raise ValueError("headers too large")
        position, headers = 4, {}
        for _ in range(min(_number(text), 100)):
            parts = []
            for _ in range(2):
                size = _number(text[position:])
                parts.append(text[position + 4:position + 4 + size].decode("latin-1"))
                position += 4 + size
            headers[parts[0].lower()] = parts[1]
        return headers

    def _block(self, headers: dict[str, str]) -> bytes:
        text = len(headers).to_bytes(4, "big")
        for pair in headers.items():
            for part in pair:
                text += len(part).to_bytes(4, "big") + part.encode("latin-1")
        return self._deflate.compress(text) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def forget(self, stream: Stream) -> None:
        if stream.over:
            self.streams.pop(stream.number, None)
            self.drained.set()

    async def send_control(self, kind: int, flags: int, payload: bytes) -> None:
        head = (0x8003 << 16 | kind).to_bytes(4, "big")
        await self.transport.write(head + bytes((flags,)) + len(payload).to_bytes(3, "big") + payload)

    async def send_data(self, number: int, data: bytes, flags: int) -> None:
        await self.transport.write(number.to_bytes(4, "big") + bytes((flags,)) + len(data).to_bytes(3, "big") + data)


def _number(data: bytes) -> int:
    """The 31-bit number at the start."""
    return int.from_bytes(data[:4], "big") & 0x7FFF_FFFF
