"""The load: a process that keeps some connections busy and counts the answers.

    python -m kitlib.bench.load < job.json     {"host", "port", "ca", "token", "connections", "requests": […]}

Closed loop: a connection sends its next request when the answer to the last one is complete, so what is
measured is the server's pace, answers included.  Requests are encoded before the clock starts.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import Any

import httptools
import uvloop


class Connection(asyncio.Protocol):
    """One connection, which takes requests from the common list until it is empty."""

    def __init__(self, requests: list[bytes], done: asyncio.Event, tally: Tally) -> None:
        self._requests, self._done, self._tally = requests, done, tally
        self._parser = httptools.HttpResponseParser(self)
        self._sent = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def next(self) -> None:
        if not self._requests:
            self._done.set()
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(self._requests.pop())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._tally.count(self._parser.get_status_code(), time.perf_counter() - self._sent)
        self.next()

    def connection_lost(self, error: Exception | None) -> None:
        self._done.set()


class Tally:
    """Answers by status code, and how long each took."""

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.latencies: list[float] = []

    def count(self, code: int, seconds: float) -> None:
        self.codes[code] = self.codes.get(code, 0) + 1
        self.latencies.append(seconds)


async def run(job: dict[str, Any]) -> dict[str, Any]:
    context = ssl.create_default_context(cadata=job["ca"])
    requests = [encode(job, *request) for request in reversed(job["requests"])]
    loop, tally = asyncio.get_running_loop(), Tally()
    connections = []
    for _ in range(job["connections"]):
        done = asyncio.Event()
        _, protocol = await loop.create_connection(lambda done=done: Connection(requests, done, tally), job["host"],
                                                   job["port"], ssl=context)
        connections.append((protocol, done))
    began = time.perf_counter()
    for protocol, _ in connections:
        protocol.next()
    for _, done in connections:
        await done.wait()
    seconds = time.perf_counter() - began
    latencies = sorted(tally.latencies) or [0.0]
    return {"seconds": seconds, "codes": tally.codes, "answers": len(tally.latencies),
            "p50": latencies[len(latencies) // 2], "p99": latencies[int(len(latencies) * 0.99)]}


def encode(job: dict[str, Any], method: str, path: str, body: str) -> bytes:
    head = (f"{method} {path} HTTP/1.1\r\nHost: {job['host']}:{job['port']}\r\nAuthorization: Bearer {job['token']}\r\n"
            f"User-Agent: kit-bench\r\nAccept: application/json\r\n")
    data = body.encode()
    if data:
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return head.encode() + b"\r\n" + data


if __name__ == "__main__":
    uvloop.install()
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)
