"""The store: numbered changes, compare-and-swap, and watches that miss nothing.

One counter numbers every change in the whole cluster; that number is `metadata.resourceVersion`.
Three things follow, and all of Kubernetes rests on them:

  * a writer can say "only if it is still at revision 41" (optimistic concurrency, no locks);
  * a reader can say "everything after revision 41" (watch: nothing missed, nothing twice);
  * a list at revision 41 plus the watch after 41 is always the whole truth (informers).

The state lives in memory; `store/log.py` makes it durable behind our back.  A write returns at once
with its revision, and whoever acknowledges it to the outside waits until `durable_revision` got there.

History is kept in two parts: the newest `HOT` changes in memory, with their objects, because that is
what watches ask for; older ones as rows of the log.  An ephemeral store has no log and keeps bytes.
"""

from __future__ import annotations

import asyncio
import builtins
import itertools
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from kitlib.store.entry import Compacted, Entry, Event, Key, KeyExists, KeyMissing, RevisionConflict, StoreFull
from kitlib.store.log import Log, Version
from kitlib.store.watch import Watch

HOT = 1_000  # changes whose objects stay decoded
WINDOW = 4_000  # changes kept in memory beside a log
EPHEMERAL_HISTORY = 20_000  # changes kept when memory is all there is
HISTORY = 100_000  # changes kept in the log; older ones answer 410


class Store:
    """All objects of a cluster.  path: the log's file, or None for a store that dies with the process.

    Not thread-safe by design: all calls come from the one event loop, which makes each of them atomic.
    Raises StoreCorrupt or OSError when the file cannot be used.
    """

    def __init__(self, path: Path | None = None, *, history: int = HISTORY) -> None:
        self._resources: dict[str, dict[tuple[str, str], Entry]] = {}
        self._sorted: dict[str, list[tuple[str, str]]] = {}  # per resource, the keys in order; made when asked for
        self._watches: dict[str, list[Watch]] = {}
        self._window: deque[Event] = deque()
        self._hot: deque[Event] = deque()
        self._durable_callbacks: list[Callable[[int], None]] = []
        self._history = history
        self._log = Log(path) if path else None
        self.revision = self.compacted = 0
        if self._log:
            for version in self._log.current():
                entry = _entry(version)
                self._resources.setdefault(version.resource, {})[version.namespace, version.name] = entry
            self.revision, self.compacted = self._log.durable, self._log.compacted
        self._window_start = self.revision  # the window has every change after this revision

    # -- reading -----------------------------------------------------------------------------------

    def get(self, resource: str, namespace: str, name: str) -> Entry | None:
        objects = self._resources.get(resource)
        return objects.get((namespace, name)) if objects else None

    def list(self, resource: str, namespace: str | None = None) -> list[Entry]:
        """The entries of a resource in one namespace (None: in all), sorted by namespace and name."""
        objects = self._resources.get(resource)
        if not objects:
            return []
        keys = self._sorted.get(resource)
        if keys is None:
            keys = self._sorted[resource] = sorted(objects)
        if namespace is not None:
            keys = keys[bisect_right(keys, (namespace, "")):bisect_right(keys, (namespace, "\U0010ffff"))]
        return [objects[key] for key in keys]

    def list_at(self, resource: str, namespace: str | None, revision: int) -> builtins.list[Entry]:
        """The same as of an earlier revision.  Raises Compacted if that is no longer known."""
        if revision >= self.revision:
            return self.list(resource, namespace)
        if revision < self.compacted:
            raise Compacted(revision, self.compacted)
        if revision < self._window_start and self._log:
            return [_entry(version) for version in self._log.at(resource, namespace, revision)]
        state = {entry.key: entry for entry in self.list(resource, namespace)}
        for event in reversed(self._window):  # undo, newest first
            if event.revision <= revision:
                break
            key = event.entry.key
            if key.resource == resource and namespace in (None, key.namespace):
                if event.previous is None:
                    state.pop(key, None)
                else:
                    state[key] = event.previous
        return [state[key] for key in sorted(state)]

    def count(self, resource: str) -> int:
        return len(self._resources.get(resource, ()))

    def resources(self) -> Sequence[str]:
        """The resources that hold at least one object."""
        return sorted(resource for resource, objects in self._resources.items() if objects)

    # -- writing -----------------------------------------------------------------------------------

    def create(self, resource: str, namespace: str, name: str, obj: dict[str, Any]) -> Entry:
        """Put a new object.  Raises KeyExists.  The store owns `obj` from here on."""
        objects = self._resources.setdefault(resource, {})
        taken = objects.get((namespace, name))
        if taken:
            raise KeyExists(taken)
        revision = self._next()
        entry = _encode(Key(resource, namespace, name), obj, revision, revision)
        objects[namespace, name] = entry
        self._sorted.pop(resource, None)
        self._record(Event("ADDED", entry, None))
        return entry

    def update(self, resource: str, namespace: str, name: str, obj: dict[str, Any], expect: int | None = None) -> Entry:
        """Replace an object, if it still is at revision `expect` (None: whatever it is at).

        Raises KeyMissing, RevisionConflict.
        """
        previous = self._expect(resource, namespace, name, expect)
        entry = _encode(previous.key, obj, self._next(), previous.created)
        self._resources[resource][namespace, name] = entry
        self._record(Event("MODIFIED", entry, previous))
        return entry

    def delete(self, resource: str, namespace: str, name: str, expect: int | None = None,
               obj: dict[str, Any] | None = None) -> Entry:
        """Remove an object and return its last state (or `obj`, if the deletion itself still changed it)."""
        previous = self._expect(resource, namespace, name, expect)
        entry = _encode(previous.key, obj or previous.obj, self._next(), previous.created)
        del self._resources[resource][namespace, name]
        self._sorted.pop(resource, None)
        self._record(Event("DELETED", entry, previous))
        return entry

    # -- watching ----------------------------------------------------------------------------------

    def watch(self, resource: str, namespace: str | None = None, after: int | None = None) -> Watch:
        """Every change of a resource after a revision (None: from now on).  Raises Compacted."""
        after = self.revision if after is None else after
        if after < self.compacted:
            raise Compacted(after, self.compacted)
        watch = Watch(resource, namespace, self._since(resource, namespace, after), self._forget)
        self._watches.setdefault(resource, []).append(watch)
        return watch

    def _since(self, resource: str, namespace: str | None, after: int) -> builtins.list[Event]:
        backlog = []
        if after < self._window_start and self._log:
            for version in self._log.between(resource, namespace, after, self._window_start):
                before = self._log.before(version) if version.type != "ADDED" else None
                backlog.append(Event(version.type, _entry(version), _entry(before) if before else None))
        # Revisions have no gaps, so the position of a revision in the window is plain arithmetic.
        skip = max(0, after - self._window_start)
        for event in itertools.islice(self._window, skip, None):
            key = event.entry.key
            if key.resource == resource and namespace in (None, key.namespace):
                backlog.append(event)
        return backlog

    def _forget(self, watch: Watch) -> None:
        self._watches[watch.resource].remove(watch)

    # -- durability --------------------------------------------------------------------------------

    @property
    def durable_revision(self) -> int:
        """Everything up to here survives `kill -9`.  An ephemeral store promises nothing and waits for nothing."""
        return self._log.durable if self._log else self.revision

    @property
    def failure(self) -> str | None:
        """Why nothing can be written at the moment, in one sentence, or None."""
        return self._log.failure if self._log else None

    def on_durable(self, callback: Callable[[int], None]) -> None:
        """Call back with `durable_revision` each time it moves (on the loop given to `attach`)."""
        self._durable_callbacks.append(callback)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the log's thread report its progress on this event loop."""
        if self._log:
            self._log.on_progress = lambda: loop.call_soon_threadsafe(self._progress)

    async def wait_durable(self, revision: int) -> None:
        """Return when `revision` is durable (needs `attach`)."""
        if self.durable_revision >= revision:
            return
        reached = asyncio.get_running_loop().create_future()

        def check(durable: int) -> None:
            if durable >= revision and not reached.done():
                reached.set_result(None)

        self._durable_callbacks.append(check)
        try:
            check(self.durable_revision)
            await reached
        finally:
            self._durable_callbacks.remove(check)

    def flush(self, timeout: float = 10.0) -> bool:
        """Block until everything written is durable.  False if the disk does not manage in time."""
        return self._log.flush(timeout) if self._log else True

    def close(self) -> None:
        if self._log:
            self._log.close()

    def _progress(self) -> None:
        durable = self.durable_revision
        for callback in list(self._durable_callbacks):
            callback(durable)

    # -- inside ------------------------------------------------------------------------------------

    def _next(self) -> int:
        if self._log and self._log.failure:
            raise StoreFull(self._log.failure)
        return self.revision + 1

    def _expect(self, resource: str, namespace: str, name: str, expect: int | None) -> Entry:
        entry = self.get(resource, namespace, name)
        if entry is None:
            raise KeyMissing(f"{resource} {namespace}/{name}")
        if expect is not None and entry.revision != expect:
            raise RevisionConflict(entry, expect)
        return entry

    def _record(self, event: Event) -> None:
        """The one place where history grows: number, log, window, watchers, in this order."""
        entry = event.entry
        self.revision = entry.revision
        if self._log:
            self._log.append(Version(entry.revision, event.type, *entry.key, entry.created, entry.data))
        self._window.append(event)
        self._trim(event)
        for watch in tuple(self._watches.get(entry.key.resource, ())):
            if watch.namespace is None or watch.namespace == entry.key.namespace:
                watch.push(event)

    def _trim(self, event: Event) -> None:
        self._hot.append(event)
        if len(self._hot) > HOT:
            old = self._hot.popleft()
            old.lines = None
            if old.previous:
                old.previous.cool()
            if old.type == "DELETED":
                old.entry.cool()
        limit = WINDOW if self._log else min(EPHEMERAL_HISTORY, self._history)
        # What is not durable yet exists in memory only.
        while len(self._window) > limit and self._window[0].revision <= self.durable_revision:
            self._window_start = self._window.popleft().revision
            if not self._log:
                self.compacted = self._window_start
        if self._log and self.revision - self.compacted > self._history * 5 // 4:
            self.compacted = self.revision - self._history
            self._log.compact(self.compacted)


def _encode(key: Key, obj: dict[str, Any], revision: int, created: int) -> Entry:
    obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(revision)}}
    return Entry(key, obj, orjson.dumps(obj), revision, created)


def _entry(version: Version) -> Entry:
    key = Key(version.resource, version.namespace, version.name)
    return Entry(key, None, bytes(version.data), version.revision, version.created)
