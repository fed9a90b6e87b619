"""What happened to the Pods behind an address while the load was on: when each was made, ready, in the Service's
endpoints, told to end, and gone.  The clock is the load's, so a lost request can be laid beside what caused it.

    created ──▶ ready ──▶ in the endpoints ──▶ terminating ──▶ out of the endpoints ──▶ gone

It is seen as any client sees it, by watches; that is a few milliseconds after it happened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kitlib.client import Client
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import is_ready
from kitlib.traffic.network import SERVICE_NAME, SLICES, Owner

Object = dict[str, Any]
Handle = Callable[[str, Object, float], None]
AGAIN_SECONDS = 0.2


@dataclass
class Lifeline:
    """One Pod.  moments: what → when, monotonic seconds; there from the start: what was true then has -inf.

    what: created, ready, unready, endpoint (in the slices, ready), no-endpoint, terminating, gone.
    """

    pod: str
    template: str = ""  # the label pod-template-hash: which ReplicaSet it is of
    moments: list[tuple[float, str]] = field(default_factory=list)

    def note(self, what: str, at: float) -> None:
        opposite = {"ready": "unready", "unready": "ready", "endpoint": "no-endpoint", "no-endpoint": "endpoint"}
        known = [name for _, name in self.moments if name in (what, opposite.get(what))]
        if known[-1:] == [what] or (not known and what in ("unready", "no-endpoint")):
            return
        self.moments.append((at, what))

    def at(self, what: str) -> float | None:
        """When it last happened."""
        return next((when for when, name in reversed(self.moments) if name == what), None)


class PodWatch:
    """Follows the Pods of a Service (or one Pod) in two threads, until `stop`."""

    def __init__(self, client: Client, owner: Owner) -> None:
        self._client, self._owner = client, owner
        self.lifelines: dict[str, Lifeline] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._began = 0.0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Returns when what is there now is known."""
        selector = self._selector()
        if selector is None:
            return
        watches: list[tuple[str, str, Handle]] = [("pods", selector, self._pod)]
        if self._owner.kind == "Service":
            watches.append((SLICES, f"{SERVICE_NAME}={self._owner.name}", self._slice))
        for resource, labels, handle in watches:
            listed = self._client.list(resource, self._owner.namespace, label_selector=labels)
            for obj in listed["items"]:
                handle("ADDED", obj, float("-inf"))
            thread = threading.Thread(target=self._follow, daemon=True, name="kit-pods", args=(
                resource, labels, listed["metadata"]["resourceVersion"], handle))
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(2)

    def _selector(self) -> str | None:
        """The Service's, as a query; None: there are no Pods to follow."""
        if self._owner.kind != "Service":
            return None
        try:
            service = self._client.get("services", self._owner.namespace, self._owner.name)
        except StatusError:
            return None
        selector = service["spec"].get("selector") or {}
        return ",".join(f"{key}={value}" for key, value in selector.items()) or None

    def _follow(self, resource: str, labels: str, version: str, handle: Handle) -> None:
        while not self._stopped.is_set():
            try:
                for event in self._events(resource, labels, version):
                    if event["type"] == "ERROR":
                        version = self._list_anew(resource, labels, handle)
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        handle(event["type"], event["object"], time.monotonic())
            except (StatusError, OSError):
                self._stopped.wait(AGAIN_SECONDS)

    def _list_anew(self, resource: str, labels: str, handle: Handle) -> str:
        listed = self._client.list(resource, self._owner.namespace, label_selector=labels)
        for obj in listed["items"]:
            handle("MODIFIED", obj, time.monotonic())
        return str(listed["metadata"]["resourceVersion"])

    def _events(self, resource: str, labels: str, version: str) -> Iterator[Object]:
        watch = self._client.watch(resource, self._owner.namespace, resource_version=version, label_selector=labels)
        woken = threading.Event()
        watch.on_ready(woken.set)
        try:
            while not self._stopped.is_set():
                woken.wait(0.1)
                woken.clear()
                yield from watch.poll()
                if watch.closed:
                    return
        finally:
            watch.close()

    def _line(self, name: str) -> Lifeline:
        return self.lifelines.setdefault(name, Lifeline(name))

    def _pod(self, kind: str, pod: Object, at: float) -> None:
        meta = pod["metadata"]
        with self._lock:
            line = self._line(meta["name"])
            line.template = (meta.get("labels") or {}).get("pod-template-hash", "")
            line.note("created", at)
            line.note("ready" if is_ready(pod) else "unready", at)
            if meta.get("deletionTimestamp"):
                line.note("terminating", at)
            if kind == "DELETED":
                line.note("gone", at)

    def _slice(self, kind: str, obj: Object, at: float) -> None:
        there = {} if kind == "DELETED" else {
            endpoint["targetRef"]["name"]: (endpoint.get("conditions") or {}).get("ready") is not False
            for endpoint in obj.get("endpoints") or () if endpoint.get("targetRef")}
        with self._lock:
            for name, ready in there.items():
                self._line(name).note("endpoint" if ready else "no-endpoint", at)
            for name, line in self.lifelines.items():
                if name not in there:
                    line.note("no-endpoint", at)
