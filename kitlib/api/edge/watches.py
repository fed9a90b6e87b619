"""Watches on the wire: one chunked answer that grows, event by event.

    store ─▶ Stream.on_ready ─▶ pump: dirty ─▶ flush: poll, keep back what is not durable, one write

The first event after a quiet time goes out at once; what follows within `COALESCE` seconds becomes one
write, because 1,000 watchers times 100 events a second would otherwise be 100,000 TLS records a second.
The pump serves all watchers of a server with one timer and one callback, not one each.

A client that does not read is cut off: what waits for it is bounded in bytes (and the store's own queue
in events), and it may start over from its last resourceVersion as after any broken connection.

Source: k8s.io/apiserver/pkg/endpoints/handlers/watch.go; pkg/storage/cacher/cache_watcher.go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from kitlib.api.edge import websocket, wire
from kitlib.api.edge.gate import Durable
from kitlib.api.request import Stream

if TYPE_CHECKING:
    from kitlib.api.edge.connection import Connection

COALESCE = 0.05  # seconds within which events to one watcher become one write
SLICE = 50  # watchers written in one turn of the loop: a thousand of them must not hold up everybody else
MAX_PENDING = 16 * 1024 * 1024  # bytes kept for a client that does not read


class WatchPump:
    """Decides when each watcher writes."""

    def __init__(self, store: Durable, loop: asyncio.AbstractEventLoop) -> None:
        self.store, self.loop = store, loop
        self.senders: set[WatchSender] = set()
        self._due: deque[WatchSender] = deque()  # to be written in the next turns of the loop
        self._later: list[WatchSender] = []  # wrote a moment ago: wait for the timer
        self._undurable: list[WatchSender] = []  # hold events that are not on disk yet
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        store.on_durable(self._durable)

    def wake(self, sender: WatchSender) -> None:
        """Something is there for this watcher (called inside the write that caused it)."""
        if sender.queued:
            return
        sender.queued = True
        if self.loop.time() - sender.wrote < COALESCE:
            self._later.append(sender)
            if self._timer is None:
                self._timer = self.loop.call_later(COALESCE, self._later_is_now)
            return
        self._due.append(sender)
        self._schedule()

    def hold(self, sender: WatchSender) -> None:
        sender.queued = True
        self._undurable.append(sender)

    def _schedule(self) -> None:
        if self._turn is None and self._due:
            self._turn = self.loop.call_soon(self._flush)

    def _later_is_now(self) -> None:
        self._timer = None
        self._due += self._later
        self._later = []
        self._schedule()

    def _durable(self, _revision: int) -> None:
        senders, self._undurable = self._undurable, []
        for sender in senders:
            sender.queued = False
            self.wake(sender)

    def _flush(self) -> None:
        self._turn = None
        now, durable = self.loop.time(), self.store.durable_revision
        for _ in range(min(SLICE, len(self._due))):
            sender = self._due.popleft()
            sender.queued = False
            sender.flush(now, durable)
        self._schedule()

    def tick(self) -> None:
        """Now and then: ask every watch, for timeouts and bookmarks are due without an event."""
        now, durable = self.loop.time(), self.store.durable_revision
        for sender in list(self.senders):
            if not sender.queued:
                sender.flush(now, durable)


class Framing(Protocol):
    """How events travel: as chunks of an HTTP body, or as messages of a WebSocket."""

    def head(self, content_type: str) -> bytes: ...

    def events(self, events: list[bytes]) -> bytes: ...

    def end(self) -> bytes: ...


class Chunked:
    """HTTP/1.1: one chunk per write."""

    def head(self, content_type: str) -> bytes:
        return wire.head(200, content_type) + b"Transfer-Encoding: chunked\r\n\r\n"

    def events(self, events: list[bytes]) -> bytes:
        return wire.chunk(events[0] if len(events) == 1 else b"".join(events))

    def end(self) -> bytes:
        return wire.LAST_CHUNK


class UntilClose:
    """HTTP/1.0: the body ends with the connection."""

    def head(self, content_type: str) -> bytes:
        return wire.head(200, content_type) + b"Connection: close\r\n\r\n"

    def events(self, events: list[bytes]) -> bytes:
        return b"".join(events)

    def end(self) -> bytes:
        return b""


class Messages:
    """WebSocket, as dashboards in browsers use it: one text message per event.  Its handshake is the head."""

    def head(self, content_type: str) -> bytes:
        return b""

    def events(self, events: list[bytes]) -> bytes:
        return b"".join([websocket.frame(websocket.TEXT, event) for event in events])

    def end(self) -> bytes:
        return websocket.frame(websocket.CLOSE, websocket.NORMAL.to_bytes(2, "big"))


class WatchSender:
    """One watch on one connection."""

    __slots__ = ("blocked", "connection", "finished", "framing", "pending", "pump", "queued", "stream", "waiting",
                 "wrote")

    def __init__(self, connection: Connection, stream: Stream, pump: WatchPump, framing: Framing,
                 finished: Callable[[], None]) -> None:
        self.connection, self.stream, self.pump = connection, stream, pump
        self.framing, self.finished = framing, finished
        self.pending: list[tuple[int, bytes]] = []  # polled, not written yet
        self.waiting = 0  # bytes in pending
        self.queued = self.blocked = False
        self.wrote = 0.0

    def start(self) -> None:
        """Send the head at once, so that the client knows its watch stands before anything happens."""
        self.connection.write(self.framing.head(self.stream.content_type))
        self.pump.senders.add(self)
        self.stream.on_ready(lambda: self.pump.wake(self))
        self.flush(self.pump.loop.time(), self.pump.store.durable_revision)

    def flush(self, now: float, durable: int) -> None:
        """Write what is durable, in one piece."""
        if self.connection.closed:
            return
        stream, pending = self.stream, self.pending
        over = stream.closed  # read before the poll: what a stream says last must still go out
        fresh = stream.poll()
        if fresh:
            pending += fresh
            self.waiting += sum(len(data) for _, data in fresh)
        if self.blocked and self.waiting > MAX_PENDING:
            self.connection.abort()
            return
        if self.blocked:
            return
        if pending:
            self._write(now, durable)
        if pending and not self.queued:
            self.pump.hold(self)
        elif over and not pending:
            self.stop()

    def _write(self, now: float, durable: int) -> None:
        pending = self.pending
        ready = next((i for i, (revision, _) in enumerate(pending) if revision > durable), len(pending))
        if not ready:
            return
        events = [data for _, data in pending[:ready]]
        del pending[:ready]
        self.waiting -= sum(map(len, events))
        self.wrote = now
        self.connection.write(self.framing.events(events))

    def resume(self) -> None:
        self.blocked = False
        self.pump.wake(self)

    def stop(self) -> None:
        """The stream is over; the connection may serve the next request."""
        self.close()
        self.connection.write(self.framing.end())
        self.finished()

    def close(self) -> None:
        self.pump.senders.discard(self)
        self.stream.close()
