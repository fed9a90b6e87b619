"""A thousand watchers and one writer, in a process of their own.

    python -m kitlib.bench.watchers < job.json
    {"host", "port", "ca", "token", "watchers", "rate", "watch": path, "writes": [[method, path, body]…]}

Every watcher has a connection of its own, as every client does.  The writer keeps to its rate whether or not
the server keeps up (an open loop: with a closed one a slow server would simply be asked less).
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import Any, cast

import httptools
import uvloop

from kitlib.bench.load import encode

CONNECTING = 32  # TLS handshakes at a time
PATIENCE = 20.0  # seconds after the last write until what is missing counts as lost


class Watcher(asyncio.Protocol):
    """Counts the lines of one watch."""

    def __init__(self, request: bytes, goal: int) -> None:
        self._request, self._goal = request, goal
        self._parser = httptools.HttpResponseParser(self)
        self.seen = 0
        self.last = 0.0  # when the last one came
        self.standing = asyncio.get_running_loop().create_future()
        self.complete = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        if not self.standing.done():
            self.standing.set_result(self._parser.get_status_code() == 200)

    def on_body(self, body: bytes) -> None:
        self.seen += body.count(b"\n")
        if self.seen >= self._goal and not self.complete.done():
            self.last = time.perf_counter()
            self.complete.set_result(True)

    def connection_lost(self, exc: Exception | None) -> None:
        for waiting in (self.standing, self.complete):
            if not waiting.done():
                waiting.set_result(False)


class Writer(asyncio.Protocol):
    """Sends requests without waiting for answers, and counts those that are good."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.good = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.good += self._parser.get_status_code() == 200


async def run(job: dict[str, Any]) -> dict[str, Any]:
    context = ssl.create_default_context(cadata=job["ca"])
    loop, events = asyncio.get_running_loop(), len(job["writes"])
    watch, writes = encode(job, "GET", job["watch"], ""), [encode(job, *write) for write in job["writes"]]
    gate = asyncio.Semaphore(CONNECTING)

    async def connect() -> Watcher:
        async with gate:
            _, watcher = await loop.create_connection(lambda: Watcher(watch, events), job["host"], job["port"],
                                                      ssl=context)
            await watcher.standing
            return watcher

    watchers = await asyncio.gather(*(connect() for _ in range(job["watchers"])))
    _, writer = await loop.create_connection(Writer, job["host"], job["port"], ssl=context)
    began = time.perf_counter()
    for number, write in enumerate(writes):
        await asyncio.sleep(max(0.0, began + number / job["rate"] - time.perf_counter()))
        writer.transport.write(write)
    written = time.perf_counter()
    await asyncio.wait([watcher.complete for watcher in watchers], timeout=PATIENCE)
    ended = max((watcher.last for watcher in watchers if watcher.last), default=time.perf_counter())
    return {"watchers": sum(watcher.standing.result() for watcher in watchers), "written": writer.good,
            "delivered": sum(watcher.seen for watcher in watchers), "seconds": ended - began,
            "behind": max(0.0, ended - written)}


if __name__ == "__main__":
    uvloop.install()
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)
