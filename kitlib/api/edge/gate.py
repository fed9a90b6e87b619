"""The durability gate: an answer waits here until the store has its revision on disk.

`handle` returns as soon as the store has numbered a write; the log commits groups of them a moment
later.  A client must not hear "created" about something that a `kill -9` could still undo, and no
reader may see it either, so both wait.  Waiting costs no task and no polling: a heap of callbacks,
and the store's word that its durable revision has moved.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Protocol

Ready = Callable[[str], None]  # called with "" when durable, else with why it will not be


class Durable(Protocol):
    """What the edge needs of the store."""

    @property
    def durable_revision(self) -> int: ...

    @property
    def failure(self) -> str | None: ...

    def on_durable(self, callback: Callable[[int], None]) -> None: ...


class DurabilityGate:
    """Callbacks by revision.  Those of one revision run in the order in which they came."""

    def __init__(self, store: Durable) -> None:
        self.store = store
        self._waiting: list[tuple[int, int, Ready]] = []
        self._count = 0
        store.on_durable(self._advance)

    def wait(self, revision: int, ready: Ready) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (revision, self._count, ready))

    def _advance(self, durable: int) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= durable:
            heapq.heappop(waiting)[2]("")

    def tick(self) -> None:
        """Now and then: a log that cannot write any more (a full disk) must not leave clients hanging."""
        if not self._waiting:
            return
        self._advance(self.store.durable_revision)
        failure = self.store.failure
        if failure and self._waiting:
            waiting, self._waiting = self._waiting, []
            for _, _, ready in waiting:
                ready(failure)
