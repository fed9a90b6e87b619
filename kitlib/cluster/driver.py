"""Drives a `Manager` from an event loop: in slices, so that a busy controller never starves the API.

The manager has no thread and never waits.  It says "an event has come" (`on_ready`), "there is more to
do" (`run_once`), and "come back then" (`next_due`); this is the little that turns those into a running
kube-controller-manager.  Between two slices the loop serves whoever else waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from kitlib.objects.clock import Clock

log = logging.getLogger(__name__)

TURNS = 8  # reconciles of one controller in one slice: a few milliseconds
FAILED_SECONDS = 1.0  # a slice that always fails must not fill the log
IDLE_SECONDS = 5.0  # look again after this long even if nobody asked


class Drivable(Protocol):
    """What can be driven: a `Manager`, or a kubelet's sync loop."""

    def run_once(self, turns: int = ...) -> bool: ...

    def next_due(self) -> float | None: ...

    def on_ready(self, callback: Callable[[], None]) -> None: ...


class Driver:
    """Runs one manager for as long as the loop lives, or until `stop`."""

    def __init__(self, manager: Drivable, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._manager, self._clock, self._loop = manager, clock, loop
        self._scheduled = self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self.settled = asyncio.Event()  # there was nothing left to do at least once
        manager.on_ready(self.wake)

    def wake(self) -> None:
        """There may be something to do: a slice runs soon, however often this is called."""
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            self._loop.call_soon(self._slice)

    def _slice(self) -> None:
        self._scheduled = False
        if self._stopped:
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        try:
            busy = self._manager.run_once(TURNS)
        except Exception:  # a bug in one slice must not end the cluster; the log has the traceback
            log.exception("a slice of the controllers failed")
            self._timer = self._loop.call_later(FAILED_SECONDS, self.wake)
            return
        if busy:
            self.wake()
            return
        self.settled.set()
        due = self._manager.next_due()
        pause = IDLE_SECONDS if due is None else min(max(due - self._clock.monotonic(), 0.001), IDLE_SECONDS)
        self._timer = self._loop.call_later(pause, self.wake)

    def stop(self) -> None:
        self._stopped = True
        if self._timer:
            self._timer.cancel()
