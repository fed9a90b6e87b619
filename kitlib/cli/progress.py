"""What is going on, in one line of a terminal that is written over; where there is no terminal, a line now and then.

    kit: unpacking 12 of 63: coreutils          ← replaced by the next, and taken away at the end
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

QUIET_SECONDS = 20.0  # without a terminal: one line in so many seconds


class Status:
    """tell() may be called by any thread.  As a context manager it leaves the terminal's line clean."""

    def __init__(self) -> None:
        self._terminal, self._lock = sys.stderr.isatty(), threading.Lock()
        self._shown, self._last = "", time.monotonic()

    def tell(self, words: str) -> None:
        with self._lock:
            if self._terminal:
                sys.stderr.write(f"\r\x1b[K{words[:self._columns()]}")
                sys.stderr.flush()
                self._shown = words
            elif time.monotonic() - self._last > QUIET_SECONDS:
                print(f"kit: {words}", file=sys.stderr, flush=True)
                self._last = time.monotonic()

    def line(self, text: str) -> None:
        """A line that stays, above."""
        with self._lock:
            self._clear()
            print(text, file=sys.stderr, flush=True)
            self._last = time.monotonic()

    def clear(self) -> None:
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = ""

    @staticmethod
    def _columns() -> int:
        import shutil

        return shutil.get_terminal_size().columns - 1

    def __enter__(self) -> Status:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self.clear()
