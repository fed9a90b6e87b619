"""kube-proxy's role: watch Services and EndpointSlices, and make their addresses lead to Pods.

    Services ───────┐
    EndpointSlices ─┼──▶ service_ports ──▶ desired_state (pure) ──▶ the proxy process (network/proxy)
    Nodes ──────────┘                       [{ip, port, protocol, session_affinity, endpoints}, …]

This is the userspace mode: a process listens on each Service address and copies bytes.  One proxy serves all nodes of
the machine, so "local" can only be told apart where each node has an address of its own: at its node ports.

Source: pkg/proxy/userspace (until 1.25), pkg/proxy/topology.go (CategorizeEndpoints).
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..client.informer import Informer
from .service_ports import ProxyEndpoint, ServicePort, local_to, service_ports, usable

Object = dict[str, Any]

SIMULATED = ipaddress.ip_network("10.128.0.0/9")   # Pods of simulated nodes: nobody answers there
SYNC_DELAY = 0.005                                 # several changes of one moment become one update


class Proxy(Protocol):
    """What takes the desired state: `network.proxy.client.ProxyProcess`, or a list in a test."""

    def apply(self, services: Sequence[Mapping[str, Any]]) -> Any: ...


def desired_state(ports: Iterable[ServicePort], nodes: Mapping[str, str]) -> list[Object]:
    """One entry per address and port to listen on.  nodes: name → address, of the nodes on this machine."""
    result: dict[tuple[str, int, str], Object] = {}

    def listen(port: ServicePort, address: str, number: int, endpoints: Iterable[ProxyEndpoint]) -> None:
        key = (address, number, port.protocol)
        result.setdefault(key, {
            "ip": address, "port": number, "protocol": port.protocol, "session_affinity": port.affinity,
            "endpoints": [str(e) for e in endpoints if _dialable(e)]})

    for port in ports:
        everywhere = usable(port.endpoints)
        for address in (*port.cluster_ips, *port.external_ips, *port.load_balancer_ips):
            if ":" not in address:
                listen(port, address, port.port, everywhere)
        if port.node_port:
            for node, address in sorted(nodes.items()):
                own = local_to(port.endpoints, node) if port.external_local else everywhere
                listen(port, address, port.node_port, own)
    return list(result.values())


def _dialable(endpoint: ProxyEndpoint) -> bool:
    return ipaddress.ip_address(endpoint.ip) not in SIMULATED


def node_addresses(nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Name → InternalIP of the nodes that are on this machine."""
    result: dict[str, str] = {}
    for node in nodes:
        for entry in (node.get("status") or {}).get("addresses") or ():
            address = ipaddress.ip_address(entry["address"]) if entry["type"] == "InternalIP" else None
            if address is not None and address.is_loopback:
                result[node["metadata"]["name"]] = str(address)
    return result


class KubeProxy:
    """Feeds a proxy from three informers.  `start` after they have been given something to read."""

    def __init__(self, services: Informer, slices: Informer, nodes: Informer, proxy: Proxy,
                 loop: asyncio.AbstractEventLoop) -> None:
        self._services, self._slices, self._nodes = services, slices, nodes
        self._proxy, self._loop = proxy, loop
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.state: list[Object] | None = None

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
        """Compute the state and hand it over.  True if it is another than before."""
        self._timer = None
        state = desired_state(service_ports(self._services.list(), self._slices.list()),
                              node_addresses(self._nodes.list()))
        if state == self.state:
            return False
        self.state = state
        self._proxy.apply(state)
        return True

    def _changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        self._soon()

    def _node_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        """Heartbeats change a Node every few minutes; only addresses matter here."""
        if node_addresses([old] if old else []) != node_addresses([new] if new else []):
            self._soon()

    def _soon(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(SYNC_DELAY, self.sync)

