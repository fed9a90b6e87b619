"""Time as a dependency: everything in kitlib that waits or stamps gets a `Clock`.

The core never sleeps.  It asks the clock what time it is, and returns *when* it wants to be called
again.  So a test can live through a ten-minute crash back-off in a millisecond.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """What time it is.  `now` is wall time in seconds since 1970, `monotonic` never goes back."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


LATEST = 253_402_300_799  # the last second of the year 9999, beyond which RFC 3339 has no notation


def rfc3339(seconds: float) -> str:
    """metav1.Time: whole seconds, UTC, `2026-11-22T10:00:00Z`."""
    return datetime.fromtimestamp(min(int(seconds), LATEST), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(seconds: float) -> str:
    """metav1.MicroTime: six decimals, used by Lease and Event."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> float:
    """Seconds since 1970 of a metav1.Time or MicroTime.  Raises ValueError for anything else."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
