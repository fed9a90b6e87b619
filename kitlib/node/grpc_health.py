"""One gRPC call, `grpc.health.v1.Health/Check`, over a hand-made HTTP/2 connection.

A gRPC probe sends one small request and reads one byte of the answer; a whole gRPC library for that would be the
largest dependency of the cluster.  What it takes of HTTP/2 (RFC 9113): the preface, SETTINGS, one HEADERS frame with
plain literals (RFC 7541, 6.2.2: no compression state), one DATA frame; then read frames until DATA arrives.

    DATA of gRPC:  0 | length, 4 bytes | protobuf          request {service: 1}, response {status: 1}, SERVING = 1
"""

from __future__ import annotations

import asyncio
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
STATUS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


async def check(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str,
                service: str) -> tuple[bool, str]:
    """(is it SERVING, what to say if not).  Closes the connection."""
    try:
        writer.write(PREFACE + frame(SETTINGS, 0, 0, b"") + request(authority, service))
        return await _answer(reader, writer)
    except asyncio.IncompleteReadError:
        return False, "error: the connection was closed before the health check was answered"
    finally:
        writer.close()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def request(authority: str, service: str) -> bytes:
    headers = [(":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Check"),
               (":authority", authority), ("content-type", "application/grpc"), ("te", "trailers"),
               ("user-agent", "kube-probe/1.36")]
    block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers)
    name = service.encode()
    message = b"\x0a" + bytes([len(name)]) + name if name else b""
    body = b"\x00" + struct.pack(">I", len(message)) + message
    return frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, END_STREAM, 1, body)


def _text(text: str) -> bytes:
    """An HPACK string without Huffman coding; 127 and longer continue in groups of seven bits."""
    raw = text.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, out = len(raw) - 127, bytearray([127])
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    out.append(rest)
    return bytes(out) + raw


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bool, str]:
    while True:
        head = await reader.readexactly(9)
        length = int.from_bytes(head[:3], "big")
        kind, flags = head[3], head[4]
        payload = await reader.readexactly(length)
        if kind == SETTINGS and not flags & ACK:
            writer.write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            writer.write(frame(PING, ACK, 0, payload))
        elif kind == DATA and len(payload) >= 5:
            status = health_status(payload[5:])
            if status == 1:
                return True, ""
            return False, f"service unhealthy (responded with {STATUS.get(status, str(status))!r})"
        elif (kind == HEADERS and flags & END_STREAM) or kind in (RST_STREAM, GOAWAY):
            return False, "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"


def health_status(message: bytes) -> int:
    """Field 1 of HealthCheckResponse; a message without it means 0."""
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0
