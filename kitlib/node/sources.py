"""What kubelets read from the API server, and how they hear of changes: one set for all Nodes of a process.

    pods                 one informer; each event goes to the sink of the Pod's node
    configmaps, secrets  read when a container starts, always fresh; a watch says when to look again
    services             read when a container starts

A real kubelet watches only its own Pods (`fieldSelector=spec.nodeName=...`); here one watch serves all of them.
Source: pkg/kubelet/config/apiserver.go, pkg/kubelet/util/manager (watch based ConfigMap and Secret managers).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..client.client import Client
from ..client.informer import Informer
from ..client.transport import WatchSource
from ..objects.clock import Clock
from ..objects.errors import StatusError
from .tokens import TokenManager

Object = dict[str, Any]
Sink = Callable[[str, "Object | None", "Object | None"], None]


class Pump:
    """Keeps informers up to date from the event loop: `on_ready` → one `sync` soon."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop, self._clock = loop, clock
        self._informers: list[Informer] = []
        self._closed = False

    def add(self, informer: Informer) -> None:
        self._informers.append(informer)
        pending = False

        def sync() -> None:
            nonlocal pending
            pending = False
            if self._closed:
                return
            informer.sync()
            due = informer.next_due()
            if due is not None:
                self._loop.call_later(max(0.05, due - self._clock.monotonic()), ready)

        def ready() -> None:
            nonlocal pending
            if not pending:
                pending = True
                self._loop.call_soon(sync)

        informer.on_ready(ready)
        sync()

    def close(self) -> None:
        self._closed = True
        for informer in self._informers:
            informer.stop()


class PodRouter:
    """One informer of Pods for many Nodes."""

    def __init__(self, informer: Informer) -> None:
        self.informer = informer
        informer.add_index("node", lambda pod: (pod["spec"]["nodeName"],) if pod["spec"].get("nodeName") else ())
        self._sinks: dict[str, Sink] = {}
        self.default: Sink | None = None   # for nodes without a sink of their own (simulated ones)
        informer.add_handler(self._route)

    def pods_of(self, node: str) -> list[Object]:
        return self.informer.by_index("node", node)

    def connect(self, node: str, sink: Sink) -> None:
        """From now on the sink hears of the node's Pods; those that are there it asks for (`pods_of`)."""
        self._sinks[node] = sink

    def disconnect(self, node: str) -> None:
        self._sinks.pop(node, None)

    def has(self, node: str) -> bool:
        return node in self._sinks

    def _route(self, kind: str, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        node = pod["spec"].get("nodeName")
        if not node:
            return
        sink = self._sinks.get(node, self.default)
        if sink is not None:
            sink(kind, old, new)


class ClusterSource:
    """ConfigSource and VolumeSource over a client.  Reads are calls in this process: nothing but tokens is kept."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._tokens = TokenManager(client, clock)

    def config_map(self, namespace: str, name: str) -> Object | None:
        return self._get("configmaps", namespace, name)

    def secret(self, namespace: str, name: str) -> Object | None:
        return self._get("secrets", namespace, name)

    def services(self) -> Sequence[Mapping[str, Any]]:
        return self._client.list("services").get("items") or ()

    def service_account_token(self, namespace: str, account: str, pod: Mapping[str, Any],
                              projection: Mapping[str, Any]) -> str:
        """A token that is bound to this Pod, and fresh."""
        return self._tokens.token(namespace, account, pod, projection)

    def persistent_volume(self, namespace: str, claim: str) -> Object | None:
        found = self._get("persistentvolumeclaims", namespace, claim)
        if ((found or {}).get("status") or {}).get("phase") != "Bound":
            return None  # named is not bound: the volume may be another claim's still
        name = ((found or {}).get("spec") or {}).get("volumeName")
        return self._get("persistentvolumes", "", name) if name else None

    def _get(self, resource: str, namespace: str, name: str) -> Object | None:
        try:
            return self._client.get(resource, namespace, name)
        except StatusError as error:
            if error.code == 404:
                return None
            raise


class ChangeSignal:
    """Tells which namespace had a change of a kind, and keeps no copy of anything."""

    def __init__(self, client: Client, resource: str, changed: Callable[[str], None],
                 loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._resource, self._changed, self._loop = client, resource, changed, loop
        self._watch: WatchSource | None = None
        self._pending = False
        self._closed = False
        self._open()

    def close(self) -> None:
        self._closed = True
        if self._watch is not None:
            self._watch.close()

    def _open(self) -> None:
        if self._closed:
            return
        try:
            revision = self._client.list(self._resource, limit=1)["metadata"]["resourceVersion"]
            self._watch = self._client.watch(self._resource, resource_version=revision)
        except (StatusError, OSError):
            self._loop.call_later(1.0, self._open)
            return
        self._watch.on_ready(self._ready)

    def _ready(self) -> None:
        if not self._pending:
            self._pending = True
            self._loop.call_soon(self._poll)

    def _poll(self) -> None:
        self._pending = False
        if self._watch is None or self._closed:
            return
        events = self._watch.poll()
        namespaces = {e["object"]["metadata"].get("namespace", "") for e in events
                      if e["type"] in ("ADDED", "MODIFIED", "DELETED")}
        for namespace in namespaces:
            self._changed(namespace)
        if self._watch.closed or any(e["type"] == "ERROR" for e in events):
            self._watch.close()
            self._open()
