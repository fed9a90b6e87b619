"""A watch: the history of one resource from a revision on, in order, without gaps.

A watch has no thread.  The store puts events into its queue; `on_ready`'s callback says that there
is something to `poll`.  A watcher that does not poll is not allowed to fill the memory: beyond
`LIMIT` waiting events the watch closes itself and its owner starts over, as with a real API server
that ends the watch of a slow client.
"""

from __future__ import annotations

from collections.abc import Callable

from kitlib.store.entry import Event

LIMIT = 50_000  # waiting events; far above what a healthy watcher ever has


class Watch:
    """Events of one resource (in one namespace, or all) after a revision.  Made by `Store.watch`."""

    __slots__ = ("_callback", "_events", "_forget", "closed", "namespace", "overflowed", "resource")

    def __init__(self, resource: str, namespace: str | None, backlog: list[Event],
                 forget: Callable[[Watch], None]) -> None:
        self.resource, self.namespace = resource, namespace
        self._events, self._forget = backlog, forget
        self._callback: Callable[[], None] | None = None
        self.closed = self.overflowed = False

    def poll(self) -> list[Event]:
        """The events since the last call, oldest first (maybe none)."""
        if not self._events:
            return []
        events, self._events = self._events, []
        return events

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call back when the queue stops being empty: once, then again after the next `poll`.

        The callback runs inside the write that caused it, so it should only take a note.
        """
        self._callback = callback
        if self._events:
            callback()

    def push(self, event: Event) -> None:
        """The store's side: one more event."""
        if len(self._events) >= LIMIT:
            self.overflowed = True
            self.close()
            self._events.clear()
            if self._callback:
                self._callback()
            return
        self._events.append(event)
        if len(self._events) == 1 and self._callback:
            self._callback()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._forget(self)
