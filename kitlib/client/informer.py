"""Informer: a local copy of one kind that keeps itself up to date.

    LIST  ──▶ everything, as of revision 812
    WATCH ──▶ every change after 812, in order, as it happens
               └─▶ cache ──▶ handlers (most often: put a key into a work queue)

Reading the cache costs the API server nothing, which is why a controller can look at all its Pods on every
reconcile.  The price: the copy is always a little behind.  `revision` says how far it has got.

A watch can end at any time.  Then it is opened again where it stopped; if the server no longer knows that
revision (410 Gone) the informer lists anew and tells the handlers what it missed, deletions included.

No threads, no waiting: `sync` takes what has come and returns; `next_due` says when to try again after an error.

Source: k8s.io/client-go/tools/cache (Reflector, DeltaFIFO, SharedInformer).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kitlib.client.cache import Cache, IndexFunction, Objects
from kitlib.client.client import Client
from kitlib.client.transport import WatchSource, status_error
from kitlib.objects.clock import Clock
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import object_key

Object = dict[str, Any]
Handler = Callable[[str, "Object | None", "Object | None"], None]

RETRY_FIRST, RETRY_MOST = 0.8, 30.0
LOOK_SECONDS = 1.0  # a quiet watch is asked this often all the same: it may have ended without a word


class Informer:
    """namespace None: all namespaces.  relist: list again every so many seconds, for a network that loses events."""

    def __init__(self, client: Client, resource: str, namespace: str | None = None, *, clock: Clock,
                 label_selector: str = "", field_selector: str = "", relist: float = 0.0) -> None:
        self.client, self.resource, self.namespace = client, resource, namespace
        self.revision = 0
        self.synced = False
        self.error: Exception | None = None
        self._label_selector, self._field_selector = label_selector, field_selector
        self._clock, self._relist = clock, relist
        self._cache = Cache()
        self._handlers: list[Handler] = []
        self._watch: WatchSource | None = None
        self._ready: Callable[[], None] = lambda: None
        self._told = False   # the watch has something; of fifty informers of a process nearly all are quiet
        self._looked_at = 0.0
        self._failures = 0
        self._retry_at = 0.0
        self._listed_at = 0.0

    # -- reading the copy -------------------------------------------------------------------------------------

    def get(self, key: str) -> Object | None:
        """key: "namespace/name", or "name" for what has no namespace."""
        return self._cache.get(key)

    def list(self, namespace: str | None = None) -> Objects:
        return self._cache.list(namespace)

    def by_index(self, index: str, value: str) -> Objects:
        return self._cache.by_index(index, value)

    def index_values(self, index: str) -> set[str]:
        return self._cache.index_values(index)

    def add_index(self, name: str, function: IndexFunction) -> None:
        self._cache.add_index(name, function)

    def add_label_index(self, label: str) -> None:
        self._cache.add_label_index(label)

    # -- being told -------------------------------------------------------------------------------------------

    def add_handler(self, handler: Handler) -> None:
        """handler(type, old, new): ADDED (old None), MODIFIED, DELETED (new None).  What is there is told at once."""
        self._handlers.append(handler)
        for obj in self._cache.list():
            handler("ADDED", None, obj)

    def on_ready(self, callback: Callable[[], None]) -> None:
        """callback is called when a `sync` would find something; it may come from another thread."""
        self._ready = callback
        if self._watch is not None:
            self._watch.on_ready(self._event_came)

    def _event_came(self) -> None:
        self._told = True
        self._ready()

    @property
    def absent(self) -> bool:
        """The server does not serve this resource (any more): a CRD that has gone."""
        return self._watch is None and isinstance(self.error, StatusError) and self.error.code == 404

    def next_due(self) -> float | None:
        """The monotonic time of the next retry or relist; None while the watch does all the work."""
        if self._watch is None:
            return self._retry_at
        return self._listed_at + self._relist if self._relist else None

    # -- keeping up -------------------------------------------------------------------------------------------

    def sync(self) -> int:
        """Take in what has happened; how many events that was.  Never raises for what the server says."""
        now = self._clock.monotonic()
        changes = 0
        if self._relist and self._watch is not None and now >= self._listed_at + self._relist:
            self.stop()
            self.synced, self._retry_at = False, now
        if self._watch is None:
            if now < self._retry_at:
                return 0
            changes += self._connect()
        watch = self._watch
        if watch is not None and (self._told or watch.closed or now - self._looked_at >= LOOK_SECONDS):
            self._told, self._looked_at = False, now
            changes += self._take()
        return changes

    def stop(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _connect(self) -> int:
        try:
            changes = 0 if self.synced else self._list()
            self._watch = self.client.watch(self.resource, self.namespace, resource_version=str(self.revision),
                                            label_selector=self._label_selector, field_selector=self._field_selector)
        except (StatusError, OSError) as error:
            self._failed(error)
            return 0
        self._failures, self.error = 0, None
        self._told = True
        self._watch.on_ready(self._event_came)
        return changes

    def _failed(self, error: Exception) -> None:
        self.error = error
        if isinstance(error, StatusError) and error.code == 410:
            self.synced = False
            self._retry_at = self._clock.monotonic()
            return
        self._retry_at = self._clock.monotonic() + min(RETRY_FIRST * 2 ** self._failures, RETRY_MOST)
        self._failures += 1

    def _list(self) -> int:
        """Replace the copy by a fresh list; handlers hear of the differences only."""
        answer = self.client.list(self.resource, self.namespace, label_selector=self._label_selector,
                                  field_selector=self._field_selector)
        self._listed_at = self._clock.monotonic()
        types = {"kind": answer["kind"].removesuffix("List"), "apiVersion": answer["apiVersion"]}
        fresh = {object_key(obj): types | obj for obj in answer.get("items") or ()}   # items of a list lack their type
        changes = 0
        for key in sorted(self._cache.keys() - fresh.keys()):
            changes += self._apply("DELETED", self._cache.get(key) or {})
        for key, obj in fresh.items():
            known = self._cache.get(key)
            if known is None or known["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                changes += self._apply("ADDED", obj)
        self.revision = int(answer["metadata"]["resourceVersion"])
        self.synced = True
        return changes

    def _take(self) -> int:
        changes = 0
        watch = self._watch
        assert watch is not None
        for event in watch.poll():
            kind, obj = event["type"], event["object"]
            if kind == "ERROR":
                self.stop()
                self._failed(status_error(obj))
                return changes
            self.revision = max(self.revision, int(obj["metadata"]["resourceVersion"]))
            if kind != "BOOKMARK":
                changes += self._apply(kind, obj)
        if watch.closed:
            self.stop()
            self._retry_at = self._clock.monotonic()
        return changes

    def _apply(self, kind: str, obj: Object) -> int:
        """One change into the copy.  The type told is ours, from what the copy knew: events may repeat."""
        old: Object | None
        new: Object | None
        if kind == "DELETED":
            if self._cache.remove(object_key(obj)) is None:
                return 0
            old, new = obj, None
        else:
            old, new = self._cache.put(obj), obj
            if old is not None and old["metadata"]["uid"] != obj["metadata"]["uid"]:
                self._tell("DELETED", old, None)   # the deletion was missed: another object has the name now
                old = None
            kind = "ADDED" if old is None else "MODIFIED"
        self._tell(kind, old, new)
        return 1

    def _tell(self, kind: str, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            handler(kind, old, new)
