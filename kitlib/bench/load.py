"""The load: a process that keeps some connections busy and counts the answers.

    python -m kitlib.bench.load < job.json

    {"host", "port", "ca", "token", "connections", "requests": [[method, path, body]…]}            each once
    {…, "seconds": s}                                                          the same in turn, until time is up

Closed loop: a connection sends its next request when the answer to the last one is complete, so what is
measured is the server's pace, answers included.  Requests are encoded before the clock starts.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import httptools
import uvloop


class Connection(asyncio.Protocol):
    """One connection, which takes requests from the common supply until it ends."""

    def __init__(self, supply: Iterator[bytes], done: asyncio.Event, tally: Tally) -> None:
        self._supply, self._done, self._tally = supply, done, tally
        self._parser = httptools.HttpResponseParser(self)
        self._sent = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def next(self) -> None:
        request = None if time.perf_counter() > self._tally.deadline else next(self._supply, None)
        if request is None:
            self._done.set()
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._tally.count(self._parser.get_status_code(), time.perf_counter() - self._sent)
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done.set()


class Tally:
    """Answers by status code, and how long each took."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.codes: dict[int, int] = {}
        self.latencies: list[float] = []

    def count(self, code: int, seconds: float) -> None:
        self.codes[code] = self.codes.get(code, 0) + 1
        self.latencies.append(seconds)


async def run(job: dict[str, Any]) -> dict[str, Any]:
    context = ssl.create_default_context(cadata=job["ca"]) if job["ca"] else None  # none: plain HTTP
    requests = [encode(job, *request) for request in job["requests"]]
    loop, tally = asyncio.get_running_loop(), Tally(float("inf"))
    supply = itertools.cycle(requests) if job.get("seconds") else iter(requests)
    connections = []
    for _ in range(job["connections"]):
        done = asyncio.Event()
        _, protocol = await loop.create_connection(partial(Connection, supply, done, tally), job["host"], job["port"],
                                                   ssl=context)
        connections.append((protocol, done))
    began = time.perf_counter()
    tally.deadline = began + job["seconds"] if job.get("seconds") else float("inf")
    for protocol, _ in connections:
        protocol.next()
    for _, done in connections:
        await done.wait()
    seconds = time.perf_counter() - began
    latencies = sorted(tally.latencies) or [0.0]
    good = sum(count for code, count in tally.codes.items() if 200 <= code < 300)
    return {"seconds": seconds, "answers": len(tally.latencies), "bad": len(tally.latencies) - good,
            "p50": latencies[len(latencies) // 2], "p99": latencies[int(len(latencies) * 0.99)]}


def head(job: dict[str, Any]) -> dict[str, str]:
    """The header lines of every request."""
    return {"Host": f"{job['host']}:{job['port']}", "Authorization": f"Bearer {job['token']}",
            "User-Agent": "kit-bench", "Accept": "application/json", "Content-Type": "application/json"}


def encode(job: dict[str, Any], method: str, path: str, body: str) -> bytes:
    data = body.encode()
    fields = {**head(job), "Content-Length": str(len(data))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


if __name__ == "__main__":
    uvloop.install()
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)
