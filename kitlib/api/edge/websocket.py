"""WebSocket, server side: what exec, attach and port-forward travel in.

    0                   1
    FIN RSV opcode | MASK length | (16 or 64 bit length) | mask | payload ^ mask

Only what those need: binary and text messages, fragments, ping, close; no extensions.

Source: RFC 6455; k8s.io/apimachinery/pkg/util/httpstream/wsstream.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kitlib.api.edge.duplex import Duplex
from kitlib.objects.errors import StatusError, bad_request

if TYPE_CHECKING:
    from kitlib.api.edge.connection import Connection

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE = 4 * 1024 * 1024
LINGER = 1.0  # after our CLOSE: time for the client's, so that nothing it has yet to read is lost
NORMAL, PROTOCOL_ERROR, TOO_BIG, SERVER_ERROR = 1000, 1002, 1009, 1011


class ProtocolError(Exception):
    """The other side breaks the rules; the connection ends with this code."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def frame(opcode: int, payload: bytes) -> bytes:
    """One unfragmented frame, unmasked, as servers send it."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR with the repeated mask, in one operation on big numbers."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


class FrameParser:
    """Bytes to (opcode, payload) of whole messages and control frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opcode = CONTINUATION  # of the message whose fragments are being collected
        self._fragments: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        self._buffer += data
        messages = []
        while (found := self._next()) is not None:
            final, opcode, payload = found
            if opcode >= CLOSE:
                messages.append((opcode, payload))
                continue
            if (opcode == CONTINUATION) == (self._opcode == CONTINUATION):
                raise ProtocolError(PROTOCOL_ERROR, "fragments out of order")
            self._opcode = opcode or self._opcode
            self._fragments.append(payload)
            self._size += len(payload)
            if self._size > MAX_MESSAGE:
                raise ProtocolError(TOO_BIG, "the message is too big")
            if final:
                messages.append((self._opcode, b"".join(self._fragments)))
                self._opcode, self._fragments, self._size = CONTINUATION, [], 0
        return messages

    def _next(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode, size, start = first & 0x0F, second & 0x7F, 2
        if first & 0x70 or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise ProtocolError(PROTOCOL_ERROR, "unknown frame")
        if not second & 0x80:
            raise ProtocolError(PROTOCOL_ERROR, "frames of clients are masked")
        if opcode >= CLOSE and (size > 125 or not first & 0x80):
            raise ProtocolError(PROTOCOL_ERROR, "a control frame is short and whole")
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < 2 + width:
                return None
            size, start = int.from_bytes(buffer[2:2 + width], "big"), 2 + width
        if size > MAX_MESSAGE:
            raise ProtocolError(TOO_BIG, "the frame is too big")
        end = start + 4 + size
        if len(buffer) < end:
            return None
        payload = unmask(bytes(buffer[start + 4:end]), bytes(buffer[start:start + 4]))
        del buffer[:end]
        return bool(first & 0x80), opcode, payload


def wanted(headers: Mapping[str, str]) -> bool:
    """Does this request ask for a WebSocket?"""
    return headers.get("upgrade", "").lower() == "websocket" and "upgrade" in headers.get("connection", "").lower()


def choose(headers: Mapping[str, str], known: Sequence[str]) -> str:
    """The first of the client's protocols that we know; "" if it names none.  Raises 400."""
    offered = [part.strip() for part in headers.get("sec-websocket-protocol", "").split(",") if part.strip()]
    if not offered:
        return ""
    chosen = next((protocol for protocol in offered if protocol in known), None)
    if chosen is None:
        raise bad_request(f"requested protocol(s) are not supported: {offered}; supports {list(known)}")
    return chosen


def first_offered(headers: Mapping[str, str]) -> str:
    """For a watch any protocol will do; browsers also put their token there, which is not one."""
    offered = [part.strip() for part in headers.get("sec-websocket-protocol", "").split(",")]
    return next((part for part in offered if part and not part.startswith("base64url.bearer.")), "")


class WebSocket:
    """An upgraded connection, message by message."""

    def __init__(self, connection: Connection, headers: Mapping[str, str], protocol: str) -> None:
        """Answers the handshake.  Raises StatusError if there is none."""
        key = headers.get("sec-websocket-key", "")
        if headers.get("sec-websocket-version") != "13" or not key:
            raise StatusError(400, "BadRequest", "a WebSocket of version 13 is needed",
                              headers={"Sec-WebSocket-Version": "13"})
        accept = base64.b64encode(hashlib.sha1(key.encode("latin-1") + GUID).digest()).decode()
        chosen = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        connection.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         f"Sec-WebSocket-Accept: {accept}\r\n{chosen}\r\n".encode("latin-1"))
        self._stream = Duplex(connection)
        self._parser = FrameParser()
        self._messages: list[bytes] = []
        self._closed = False
        connection.upgrade(self._stream)

    async def read(self) -> bytes:
        """The next message that has any bytes, text and binary alike; b"" when the other side is gone."""
        while not self._messages:
            data = b"" if self._closed else await self._stream.read()
            if not data:
                self._closed = True
                return b""
            try:
                frames = self._parser.feed(data)
            except ProtocolError as error:
                await self.close(error.code, str(error))
                return b""
            for opcode, payload in frames:
                if opcode == PING:
                    await self._stream.write(frame(PONG, payload))
                elif opcode == CLOSE:
                    await self.close(int.from_bytes(payload[:2], "big") if len(payload) >= 2 else NORMAL)
                elif opcode != PONG and payload:
                    self._messages.append(payload)
        return self._messages.pop(0)

    async def write(self, payload: bytes) -> None:
        """One binary message.  Raises ConnectionError when the other side is gone."""
        if self._closed:
            raise ConnectionResetError("the WebSocket is closed")
        await self._stream.write(frame(BINARY, payload))

    async def until_closed(self) -> None:
        """Drop what the other side says until it is gone."""
        while await self.read():
            pass

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        if not self._closed:
            self._closed = True
            # 1005 and 1006 stand for "no code was sent": they never travel.
            code = NORMAL if code in (1005, 1006) or not 1000 <= code < 5000 else code
            await self._stream.write(frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:120]))
