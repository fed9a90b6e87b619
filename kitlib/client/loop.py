"""The loop: one turn for one key, the same for every controller.

    ┌──────────▶ queue ──key──▶ observe ──▶ diff ──▶ act ──▶ API server
    │                              ▲                             │
    └── informer (cache) ◀─────────┴───────── watch ◀────────────┘

`reconcile` is the whole of it.  What surrounds it in `Job` answers one question: may this key be reconciled *now*?

Read your own writes.  A cache is always a little behind.  Suppose a ReplicaSet of 3 has just created 3 Pods, and the
next turn comes before its cache has heard of them: it would count 0 and create 3 more.  client-go's controllers guard
against that with "expectations", counters of the creates and deletes they still have to see.  There is a simpler way
where all revisions come from one counter, as they do in etcd: every answer to a write carries the revision it got, and
every watch event too.  So a key rests until each cache has reached the revision of the key's own last write to that
resource.  (A DELETE that ended the object is answered without a revision: then the key rests until the object is gone
from the cache.)  It holds in this process, over HTTP, and after a restart, when there is nothing left to wait for.
If a write is never seen within PATIENCE seconds (an event was lost), the key is reconciled all the same.

Fairness.  A turn over 1,000 Pods costs milliseconds, and each of the Pods' changes asks for one.  A key that took
long rests for a few times as long as it took (a quarter of a second at most: the machine may just have been busy), so
that the changes gather and one turn answers them all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from kitlib.client.actions import RequeueAfter
from kitlib.client.client import Write
from kitlib.client.controller import Controller
from kitlib.client.informer import Informer, Object
from kitlib.client.record import Record, Wake, summarise
from kitlib.objects.clock import Clock
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import object_key

log = logging.getLogger(__name__)

PATIENCE = 5.0
CHEAP, REST, REST_MOST = 0.002, 5.0, 0.25


def reconcile(controller: Controller, key: str, record: Record) -> None:
    """One turn: observe, diff, act.  A failure brings the key back after a pause that doubles each time."""
    client, queue = controller.client, controller.queue
    client.cause, client.writes = (record.woke.revision if record.woke else 0), record.writes
    try:
        observed = controller.observe(key)
        record.observed = summarise(observed)
        actions = [] if observed is None else controller.diff(observed)
        record.actions = [str(action) for action in actions]
        controller.act(actions)
        queue.forget(key)
        for action in actions:
            if isinstance(action, RequeueAfter):
                queue.add_after(key, action.seconds)
    except Exception as error:   # one key's trouble, even a programming error, must not stop the others
        record.error = f"{type(error).__name__}: {error}"
        level = logging.INFO if isinstance(error, StatusError) else logging.ERROR
        log.log(level, "%s %s: %s", controller.name, key, record.error, exc_info=not isinstance(error, StatusError))
        queue.add_rate_limited(key)
    finally:
        queue.done(key)


class Job:
    """A controller at work: its queue, why each key is in it, and which of its own writes it has not seen yet."""

    def __init__(self, controller: Controller, caches: Mapping[str, Informer], clock: Clock) -> None:
        self.controller, self.clock = controller, clock
        self.queue = controller.make_queue(clock)
        self.paused = False
        self._caches = caches
        self._wakes: dict[str, Wake] = {}
        self._unseen: dict[str, tuple[float, list[Write]]] = {}   # key → (until, own writes not in the cache yet)
        self._resting: dict[str, float] = {}

    def wake(self, key: str, kind: str, resource: str, obj: Object) -> None:
        """Something changed for this key: queue it, and remember the first reason."""
        if key not in self._wakes:
            self._wakes[key] = Wake(kind, resource, object_key(obj), int(obj["metadata"]["resourceVersion"]))
        self.queue.add(key)

    def turn(self, number: int, *, by_hand: bool = False) -> Record | None:
        """Reconcile the next key that may be; None if there is none.  by_hand: whoever steps does not want to rest."""
        for _ in range(len(self.queue) + 1):
            key = self.queue.get()
            if key is None:
                return None
            pause = self._must_wait(key, rest=not by_hand)
            if pause <= 0:
                return self._run(key, number)
            self.queue.done(key)
            self.queue.add_after(key, pause)
        return None

    def _run(self, key: str, number: int) -> Record:
        begun = self.clock.monotonic()
        record = Record(number, self.controller.name, key, self.clock.now(), self._wakes.pop(key, None))
        reconcile(self.controller, key, record)
        ended = self.clock.monotonic()
        record.seconds = ended - begun
        writes = _latest(record.writes, self._caches)
        if writes:
            self._unseen[key] = (ended + PATIENCE, writes)
        if record.seconds > CHEAP:
            self._resting[key] = ended + min(REST * record.seconds, REST_MOST)
        return record

    def _must_wait(self, key: str, *, rest: bool) -> float:
        """Seconds until the key may be tried (again); 0 if now."""
        now = self.clock.monotonic()
        if key in self._unseen:
            until, writes = self._unseen[key]
            writes = [write for write in writes if not _seen(self._caches[write.resource], write)]
            if writes and now < until:
                self._unseen[key] = (until, writes)
                return 0.001
            del self._unseen[key]
        left = self._resting.get(key, 0.0) - now if rest else 0.0
        if left <= 0:
            self._resting.pop(key, None)
        return max(0.0, left)


def _latest(writes: list[Write], caches: Mapping[str, Informer]) -> list[Write]:
    """The writes to wait for: the last one per cached resource, and each that got no revision."""
    last: dict[str, Write] = {}
    without: list[Write] = []
    for write in writes:
        informer = caches.get(write.resource)
        if informer is None or (informer.namespace and write.namespace and informer.namespace != write.namespace):
            continue
        if not write.revision:
            without.append(write)
        elif write.revision > (last[write.resource].revision if write.resource in last else 0):
            last[write.resource] = write
    return [*last.values(), *without]


def _seen(informer: Informer, write: Write) -> bool:
    if write.revision:
        return informer.revision >= write.revision
    known = informer.get(write.key)
    return known is None or known["metadata"]["uid"] != write.uid or "deletionTimestamp" in known["metadata"]
