"""WorkQueue: which keys have work, and when.

A queue of keys, not of events.  An event says "something about default/web changed"; by the time somebody
looks, more may have changed, so only the key is kept, and only once:

* a key that is waiting already is not added a second time;
* a key that is being worked on is remembered and comes back when the work is `done`;
* a key can be asked for later (`add_after`), or with a growing pause after failures (`add_rate_limited`:
  5 ms, 10 ms, 20 ms… at most 1000 s, until `forget`).

There is no waiting here: `get` returns a key or None, `next_due` says when it is worth asking again.

Source: k8s.io/client-go/util/workqueue (queue.go, delaying_queue.go, default_rate_limiters.go).
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

from kitlib.objects.clock import Clock

BASE_DELAY = 0.005
MAX_DELAY = 1000.0


class WorkQueue:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[str] = deque()
        self._dirty: set[str] = set()        # has work: is in _ready, or will be when its worker is done
        self._working: set[str] = set()
        self._later: list[tuple[float, int, str]] = []   # a heap: (when, tie-break, key)
        self._due: dict[str, float] = {}     # the earliest delayed time of a key; other heap entries are stale
        self._failures: dict[str, int] = {}
        self._serial = count()

    def __len__(self) -> int:
        return len(self._dirty) + len(self._due)

    def __contains__(self, key: str) -> bool:
        return key in self._dirty or key in self._due

    def add(self, key: str) -> None:
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._push(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Add the key in `seconds`; of several such wishes the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        when = self._clock.monotonic() + seconds
        if when < self._due.get(key, float("inf")):
            self._due[key] = when
            heapq.heappush(self._later, (when, next(self._serial), key))

    def add_rate_limited(self, key: str) -> None:
        """The key failed: try again, each time after twice the pause."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(BASE_DELAY * 2 ** min(failures, 30), MAX_DELAY))

    def forget(self, key: str) -> None:
        """The key succeeded: its next failure starts with the shortest pause again."""
        self._failures.pop(key, None)

    def failures(self, key: str) -> int:
        return self._failures.get(key, 0)

    def get(self) -> str | None:
        """The next key, now marked as being worked on; None if no key is ready."""
        self._collect_due()
        if not self._ready:
            return None
        key = self._pop()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: str) -> None:
        """Work on the key has ended; if it was added meanwhile, it is ready again."""
        self._working.discard(key)
        if key in self._dirty:
            self._push(key)

    def next_due(self) -> float | None:
        """The monotonic time at which `get` will have a key; None if the queue is empty."""
        if self._ready:
            return self._clock.monotonic()
        self._drop_stale()
        return self._later[0][0] if self._later else None

    def _push(self, key: str) -> None:
        """First come, first served; the scheduler's queue has another order."""
        self._ready.append(key)

    def _pop(self) -> str:
        return self._ready.popleft()

    def _collect_due(self) -> None:
        now = self._clock.monotonic()
        while self._later and self._later[0][0] <= now:
            when, _, key = heapq.heappop(self._later)
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key)

    def _drop_stale(self) -> None:
        while self._later and self._due.get(self._later[0][2]) != self._later[0][0]:
            heapq.heappop(self._later)
