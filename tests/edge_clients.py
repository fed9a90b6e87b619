"""Small clients of the upgraded protocols, written apart from the server so that both can be wrong only differently."""

from __future__ import annotations

import base64
import os
import socket
import struct
import zlib

from kitlib.api.edge.spdy import DICTIONARY


def read_head(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and what came behind them."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = sock.recv(65536)
        assert piece, f"closed after {got!r}"
        got += piece
    head, _, rest = got.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]), headers, rest


class WebSocketClient:
    def __init__(self, port: int, path: str, *protocols: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        offered = f"Sec-WebSocket-Protocol: {', '.join(protocols)}\r\n" if protocols else ""
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{offered}\r\n".encode())
        self.code, self.headers, self.buffer = read_head(self.sock)
        self.close_code: int | None = None

    @property
    def protocol(self) -> str:
        return self.headers.get("sec-websocket-protocol", "")

    def send(self, payload: bytes, opcode: int = 2, *, final: bool = True) -> None:
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([(0x80 if final else 0) | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        self.sock.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))

    def _take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            piece = self.sock.recv(65536)
            if not piece:
                raise EOFError
            self.buffer += piece
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def receive(self) -> tuple[int, bytes]:
        """(opcode, payload) of the next frame.  Raises EOFError."""
        first, second = self._take(2)
        size = second
        if size == 126:
            size = struct.unpack(">H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self._take(8))[0]
        return first & 15, self._take(size)

    def messages(self) -> list[bytes]:
        """All messages until the server closes; its CLOSE is answered."""
        found = []
        while True:
            try:
                opcode, payload = self.receive()
            except (EOFError, ConnectionResetError):
                return found
            if opcode == 8:
                self.close_code = int.from_bytes(payload[:2], "big")
                self.send(payload[:2], 8)
            else:
                found.append(payload)

    def close(self) -> None:
        self.sock.close()


class SpdyClient:
    """SPDY/3.1 over anything that can send and receive bytes."""

    def __init__(self, send, receive) -> None:
        self._send, self._receive = send, receive
        self._deflate = zlib.compressobj(9, zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._buffer = b""
        self._next = 1
        self.data: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.replied: set[int] = set()
        self.reset: set[int] = set()
        self.pings: list[int] = []

    def open(self, headers: dict[str, str], *, fin: bool = False) -> int:
        number, self._next = self._next, self._next + 2
        text = struct.pack(">I", len(headers))
        for pair in headers.items():
            for part in pair:
                text += struct.pack(">I", len(part)) + part.encode()
        block = self._deflate.compress(text) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        payload = struct.pack(">II", number, 0) + b"\0\0" + block
        self._send(struct.pack(">HHI", 0x8003, 1, (1 if fin else 0) << 24 | len(payload)) + payload)
        return number

    def write(self, number: int, data: bytes, *, fin: bool = False) -> None:
        self._send(struct.pack(">II", number, (1 if fin else 0) << 24 | len(data)) + data)

    def ping(self, number: int) -> None:
        self._send(struct.pack(">HHII", 0x8003, 6, 4, number))

    def step(self) -> bool:
        """Handle one frame; False at the end of the connection."""
        while len(self._buffer) < 8 or len(self._buffer) < 8 + int.from_bytes(self._buffer[5:8], "big"):
            piece = self._receive()
            if not piece:
                return False
            self._buffer += piece
        size = int.from_bytes(self._buffer[5:8], "big")
        head, payload, self._buffer = self._buffer[:8], self._buffer[8:8 + size], self._buffer[8 + size:]
        if head[0] & 0x80:
            kind = int.from_bytes(head[2:4], "big")
            number = int.from_bytes(payload[:4], "big")
            if kind == 2:
                self._inflate.decompress(payload[4:])
                self.replied.add(number)
            elif kind == 3:
                self.reset.add(number)
            elif kind == 6:
                self.pings.append(number)
            return True
        number = int.from_bytes(head[:4], "big")
        self.data[number] = self.data.get(number, b"") + payload
        if head[4] & 1:
            self.ended.add(number)
        return True

    def until(self, done) -> None:
        while not done():
            assert self.step(), "the connection ended"


def spdy_over_websocket(client: WebSocketClient) -> SpdyClient:
    def receive() -> bytes:
        while True:
            try:
                opcode, payload = client.receive()
            except EOFError:
                return b""
            if opcode == 8:
                return b""
            if payload:
                return payload

    return SpdyClient(client.send, receive)


def spdy_upgrade(port: int, path: str, protocol: str) -> tuple[socket.socket, int, dict[str, str], SpdyClient]:
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                 f"X-Stream-Protocol-Version: {protocol}\r\nContent-Length: 0\r\n\r\n".encode())
    code, headers, rest = read_head(sock)
    client = SpdyClient(sock.sendall, lambda: sock.recv(65536))
    client._buffer = rest
    return sock, code, headers, client
