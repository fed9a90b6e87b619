"""A build as it goes on, on a terminal or in a log: which step begins, what it says, how long one has been at it.

    #3 RUN make            a step begins        #3 …      what its program says
    #3 done 12.3 s         it has ended         #5 CACHED COPY src /src
    #3 RUN make … 9 s      nobody says anything: the last line tells that something is still going on
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from kitlib.cli.progress import Status

if TYPE_CHECKING:
    from kitlib.images.build.build import Event

PATIENCE_SECONDS = 2.0


class Printer:
    """Steps run at the same time, so each line says whose it is.  quiet: nothing is printed."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._status = quiet, Status()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._running: dict[int, tuple[str, float]] = {}
        self._heard = time.monotonic()

    def say(self, words: str) -> None:
        """Progress that is no step's: a base image that is made or pulled."""
        if not self._quiet:
            self._status.tell(words)

    def tell(self, event: Event) -> None:
        with self._lock:
            if event.kind == "started":
                self._running[event.step] = (event.text, time.monotonic())
            elif event.kind in ("done", "failed"):
                self._running.pop(event.step, None)
            self._heard = time.monotonic()
        if self._quiet:
            return
        if event.kind == "output":
            for line in event.text.splitlines():
                self._status.line(f"#{event.step} {line}")
        elif event.kind in ("started", "cached"):
            self._status.line(f"#{event.step} {'CACHED ' if event.kind == 'cached' else ''}{event.text}")
        elif event.kind == "done":
            self._status.line(f"#{event.step} done {event.seconds:.1f} s")

    def _tick(self) -> None:
        while not self._ended.wait(1.0):
            with self._lock:
                running, now = list(self._running.items()), time.monotonic()
                silent = now - self._heard
            if running and silent > PATIENCE_SECONDS:
                number, (title, began) = running[0]
                more = f" (and {len(running) - 1} more)" if len(running) > 1 else ""
                self._status.tell(f"#{number} {title[:60]} … {now - began:.0f} s{more}")

    def __enter__(self) -> Printer:
        if not self._quiet:
            threading.Thread(target=self._tick, name="kit-build-progress", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self._ended.set()
        self._status.clear()
