"""kube-proxy's role: watch Services and EndpointSlices, and make their addresses lead to Pods.

    Services ───────┐
    EndpointSlices ─┼──▶ service_ports ──▶ userspace.desired_state (pure) ──▶ the proxy process (network/proxy)
    Nodes ──────────┘                                                     ◀── what it could not do: an Event

This is the userspace mode: a process listens on each Service address and copies bytes.  An address that it cannot
have (a port in use, an external address that is not this machine's, SCTP) is tried again, and the Service gets an
Event that says why.

Source: pkg/proxy/userspace (until 1.25).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..client.informer import Informer
from .service_ports import service_ports
from .userspace import desired_state, nodes_here

Object = dict[str, Any]

SYNC_DELAY = 0.005      # several changes of one moment become one update
RETRY_SECONDS = 5.0


class Proxy(Protocol):
    """What takes the desired state: `network.proxy.client.ProxyProcess`, or a list in a test."""

    def apply(self, services: Sequence[Mapping[str, Any]]) -> Any: ...


class KubeProxy:
    """Feeds a proxy from three informers.  `start` after they have been given something to read.

    tell: called with (Service, sentence) once for every address of a Service that the proxy cannot serve.
    """

    def __init__(self, services: Informer, slices: Informer, nodes: Informer, proxy: Proxy,
                 loop: asyncio.AbstractEventLoop, tell: Callable[[Object, str], None] | None = None) -> None:
        self._services, self._slices, self._nodes = services, slices, nodes
        self._proxy, self._loop, self._tell = proxy, loop, tell
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.state: list[Object] | None = None
        self.on_state: Callable[[], None] = lambda: None  # told before the proxy is
        self.failed: dict[str, str] = {}

    def start(self) -> None:
        self._services.add_handler(self._changed)
        self._slices.add_handler(self._changed)
        self._nodes.add_handler(self._node_changed)
        self._soon()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._closed = True

    def sync(self) -> bool:
        """Compute the state and hand it over.  True if it is another than before, or some of it is to be tried again.
        """
        self._timer = None
        state = desired_state(service_ports(self._services.list(), self._slices.list()),
                              nodes_here(self._nodes.list()))
        if state == self.state and not self.failed:
            return False
        self.state = state
        self.on_state()
        report = self._proxy.apply(state)
        if isinstance(report, asyncio.Future):
            report.add_done_callback(self._reported)
        return True

    def _reported(self, report: asyncio.Future[dict[str, Any]]) -> None:
        if self._closed or report.cancelled() or report.exception() is not None:
            return
        failed: dict[str, str] = report.result()["failed"]
        fresh = {label: why for label, why in failed.items() if self.failed.get(label) != why}
        self.failed = failed
        if failed:
            self._soon(RETRY_SECONDS)
        services = {_label(entry): entry["service"] for entry in self.state or ()}
        for label, why in fresh.items():
            service = self._services.get(services.get(label, "").rpartition(":")[0] or services.get(label, ""))
            if self._tell is not None and service is not None:
                self._tell(service, f"cannot serve {label}: {why}")

    def _changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        self._soon()

    def _node_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        """Heartbeats change a Node every few minutes; only addresses, Pod range and zone matter here."""
        if nodes_here([old] if old else []) != nodes_here([new] if new else []):
            self._soon()

    def _soon(self, delay: float = SYNC_DELAY) -> None:
        if self._timer is not None and delay == SYNC_DELAY and self._timer.when() > self._loop.time() + delay:
            self._timer.cancel()   # a change does not wait for the next try
            self._timer = None
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(delay, self.sync)


def _label(entry: Mapping[str, Any]) -> str:
    return f"{entry['ip']}:{entry['port']}/{entry['protocol']}"
