"""SchedulingQueue: the important first; and those that fit nowhere wait for the world to change.

    active          a heap: higher priority first, among equals who came first
    backing off     failed a moment ago: 1 s, 2 s, 4 s, 8 s, 10 s
    unschedulable   no node fits: it makes no sense to try again before something has changed that the plugin which
                    said no cares about (a node was added, a Pod has gone…), or five minutes have passed

Source: k8s.io/kubernetes/pkg/scheduler/backend/queue/scheduling_queue.go.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count

from kitlib.client.workqueue import WorkQueue
from kitlib.objects.clock import Clock

BACKOFF_FIRST, BACKOFF_MOST = 1.0, 10.0
UNSCHEDULABLE_MOST = 300.0


@dataclass(slots=True)
class _Waiting:
    wakes: frozenset[str]
    failed_at: float
    attempts: int


class SchedulingQueue(WorkQueue):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.priority: dict[str, int] = {}   # of keys in the queue; set by the scheduler before it adds one
        self._heap: list[tuple[int, int, str]] = []
        self._order = count()
        self._waiting: dict[str, _Waiting] = {}
        self._attempts: dict[str, int] = {}

    def _push(self, key: str) -> None:
        heapq.heappush(self._heap, (-self.priority.get(key, 0), next(self._order), key))
        self._ready.append(key)   # only says that there is something; the heap says what

    def _pop(self) -> str:
        self._ready.popleft()
        key = heapq.heappop(self._heap)[2]
        self._waiting.pop(key, None)
        return key

    def wait(self, key: str, wakes: frozenset[str], *, soon: bool = False) -> None:
        """The Pod fits nowhere: set it aside until one of `wakes` happens.  soon: no failure, so no back-off."""
        attempts = 0 if soon else self._attempts.get(key, 0) + 1
        self._attempts[key] = attempts
        self._waiting[key] = _Waiting(wakes, self._clock.monotonic(), attempts)
        self.add_after(key, UNSCHEDULABLE_MOST)

    def happened(self, event: str) -> None:
        """Something changed: those that waited for it may try again, once their back-off is over."""
        if not self._waiting:
            return
        for key in [key for key, waiting in self._waiting.items() if event in waiting.wakes]:
            waiting = self._waiting.pop(key)
            pause = min(BACKOFF_FIRST * 2 ** (waiting.attempts - 1), BACKOFF_MOST) if waiting.attempts else 0.0
            self.add_after(key, waiting.failed_at + pause - self._clock.monotonic())

    def drop(self, key: str) -> None:
        """The Pod has a node, or is gone."""
        self._waiting.pop(key, None)
        self._attempts.pop(key, None)
        self.priority.pop(key, None)

    @property
    def unschedulable(self) -> list[str]:
        return list(self._waiting)
