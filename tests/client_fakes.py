"""A few verbs over the real store: enough API to test the client alone, and to make it misbehave.

Not Kubernetes: no kinds, no defaults, no validation.  `fail` makes the next matching requests fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from kitlib.api.request import Answer, Request, Response, User
from kitlib.client.client import Client
from kitlib.client.local import LocalTransport
from kitlib.objects import mergepatch, meta
from kitlib.objects.clock import FakeClock, rfc3339
from kitlib.objects.errors import StatusError, already_exists, conflict, expired, not_found
from kitlib.objects.selectors import LabelSelector
from kitlib.store import Compacted, KeyExists, KeyMissing, RevisionConflict, Store

KINDS = {"pods": "Pod", "replicasets": "ReplicaSet", "leases": "Lease", "events": "Event", "configmaps": "ConfigMap"}


class FakeApi:
    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.store = Store()
        self.requests: list[Request] = []
        self.fail: Callable[[Request], StatusError | None] = lambda request: None
        self.streams: list[FakeStream] = []

    def client(self, agent: str = "test") -> Client:
        return Client(LocalTransport(self, User("admin", ("system:masters",))), agent)

    def handle(self, request: Request) -> Answer:
        self.requests.append(request)
        try:
            refusal = self.fail(request)
            if refusal is not None:
                raise refusal
            return self._handle(request)
        except StatusError as error:
            return Response(error.code, b"", error.status)

    def _handle(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("/")
        group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name, sub = [*rest, "", ""][:3]
        resource = f"{plural}.{group}" if group else plural
        kind = {"kind": KINDS[plural], "apiVersion": f"{group}/{version}" if group else version}
        if request.method == "GET" and not name:
            if request.param("watch"):
                return self._watch(resource, namespace, request)
            return self._list(resource, namespace, request, kind)
        if request.method == "POST":
            return self._create(resource, namespace, request.obj, kind)
        entry = self.store.get(resource, namespace, name)
        if entry is None:
            raise not_found(group, plural, name)
        if request.method == "GET":
            return Response(200, b"", entry.obj)
        if request.method == "DELETE":
            return self._delete(resource, namespace, name, entry.obj, request.obj or {})
        obj = request.obj if request.method == "PUT" else mergepatch.apply(entry.obj, request.obj)
        if sub == "status":
            obj = {**entry.obj, "status": obj.get("status"), "metadata": obj["metadata"]}
        expect = obj["metadata"].get("resourceVersion")
        try:
            done = self.store.update(resource, namespace, name, obj, int(expect) if expect else None)
        except RevisionConflict:
            raise conflict(group, plural, name, "the object has been modified") from None
        except KeyMissing:
            raise not_found(group, plural, name) from None
        return Response(200, b"", done.obj)

    def _create(self, resource: str, namespace: str, obj: dict[str, Any], kind: dict[str, str]) -> Response:
        given = obj["metadata"]
        name = given.get("name") or meta.generate_name(given["generateName"])
        made = {**kind, **obj, "metadata": {**given, "name": name, "uid": meta.new_uid(),
                                            "creationTimestamp": rfc3339(self.clock.now())}}
        if namespace:
            made["metadata"]["namespace"] = namespace
        try:
            return Response(201, b"", self.store.create(resource, namespace, name, made).obj)
        except KeyExists:
            raise already_exists("", resource, name) from None

    def _delete(self, resource: str, namespace: str, name: str, obj: dict[str, Any],
                options: dict[str, Any]) -> Response:
        uid = (options.get("preconditions") or {}).get("uid")
        if uid and uid != obj["metadata"]["uid"]:
            raise conflict("", resource, name, "the UID in the precondition does not match")
        self.store.delete(resource, namespace, name)
        return Response(200, b"", {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    def _list(self, resource: str, namespace: str, request: Request, kind: dict[str, str]) -> Response:
        selector = LabelSelector.parse(request.param("labelSelector"))
        items = [{k: v for k, v in entry.obj.items() if k not in ("kind", "apiVersion")}
                 for entry in self.store.list(resource, namespace or None)
                 if selector.matches(entry.obj["metadata"].get("labels") or {})]
        return Response(200, b"", {"kind": kind["kind"] + "List", "apiVersion": kind["apiVersion"], "items": items,
                                   "metadata": {"resourceVersion": str(self.store.revision)}})

    def _watch(self, resource: str, namespace: str, request: Request) -> FakeStream:
        try:
            watch = self.store.watch(resource, namespace or None, after=int(request.param("resourceVersion", "0")))
        except Compacted:
            raise expired("too old resource version") from None
        stream = FakeStream(watch)
        self.streams.append(stream)
        return stream


class FakeStream:
    """lose(n): the next n events never arrive; hold: nothing arrives for now; end: the server closes the watch."""

    content_type = "application/json"

    def __init__(self, watch: Any) -> None:
        self._watch = watch
        self.closed = False
        self.hold = False
        self._lose = 0
        self._extra: list[tuple[int, bytes]] = []

    def poll(self) -> list[tuple[int, bytes]]:
        if self.hold:
            return []
        lines = [(e.revision, orjson.dumps({"type": e.type, "object": e.entry.obj})) for e in self._watch.poll()]
        lost, self._lose = min(self._lose, len(lines)), max(0, self._lose - len(lines))
        lines, self._extra = lines[lost:] + self._extra, []
        return lines

    def lose(self, count: int) -> None:
        self._lose = count

    def end(self, status: dict[str, Any] | None = None) -> None:
        if status is not None:
            self._extra.append((0, orjson.dumps({"type": "ERROR", "object": status})))
        self.closed = True

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._watch.on_ready(callback)

    def close(self) -> None:
        self.closed = True
        self._watch.close()
