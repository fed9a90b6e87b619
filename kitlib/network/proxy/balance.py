"""Which endpoint gets the next connection: first which list is for this caller, then the next of it, or the last one.

    caller 127.64.17.3 ──▶ Routes: allowed?  which route? ──▶ Balancer: round robin, or the endpoint it had before

Source: kube-proxy's userspace mode (pkg/proxy/userspace/roundrobin.go, until Kubernetes 1.25).
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Permits = Callable[[str, str, int, str], bool]  # caller, endpoint's address, its port, protocol: what policies allow


def everybody(client: str, ip: str, port: int, protocol: str) -> bool:
    """No NetworkPolicy is there."""
    return True


class Endpoint(NamedTuple):
    ip: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        ip, _, port = text.rpartition(":")
        return cls(ip, int(port))


class Balancer:
    """`affinity`: for how many seconds after its last connection a client keeps its endpoint; 0 for none."""

    def __init__(self, endpoints: Sequence[Endpoint] = (), affinity: float = 0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.endpoints = list(endpoints)
        self.affinity = affinity
        self._clock = clock
        self._next = 0
        self._sticky: dict[str, tuple[Endpoint, float]] = {}

    def update(self, endpoints: Sequence[Endpoint], affinity: float) -> None:
        """New endpoints; whoever stuck to one that has gone chooses anew."""
        if self.endpoints and endpoints:  # go on after the one that was served last
            last = self.endpoints[(self._next - 1) % len(self.endpoints)]
            self._next = endpoints.index(last) + 1 if last in endpoints else min(self._next, len(endpoints))
        self.endpoints = list(endpoints)
        self.affinity = affinity
        kept = {client: entry for client, entry in self._sticky.items() if entry[0] in endpoints}
        self._sticky = kept if affinity else {}

    def choose(self, client: str, failed: Sequence[Endpoint] = ()) -> Endpoint | None:
        """An endpoint for a client's connection, none of those that it has already tried; None if there is no other."""
        now = self._clock()
        if self.affinity and client in self._sticky:
            endpoint, since = self._sticky[client]
            if now - since <= self.affinity and endpoint not in failed:
                self._sticky[client] = (endpoint, now)
                return endpoint
        for offset in range(len(self.endpoints)):
            endpoint = self.endpoints[(self._next + offset) % len(self.endpoints)]
            if endpoint not in failed:
                self._next = (self._next + offset + 1) % len(self.endpoints)
                if self.affinity:
                    self._sticky[client] = (endpoint, now)
                return endpoint
        return None

    def forget(self) -> None:
        """Drop clients that have not come back within their time."""
        now = self._clock()
        self._sticky = {client: entry for client, entry in self._sticky.items() if now - entry[1] <= self.affinity}


class Cidrs:
    """Is an address in one of these ranges?"""

    def __init__(self, texts: Iterable[str]) -> None:
        networks = [ipaddress.IPv4Network(text, strict=False) for text in texts if ":" not in text]
        self._masks = [(int(network.network_address), int(network.netmask)) for network in networks]

    def __contains__(self, address: object) -> bool:
        number = int(ipaddress.IPv4Address(address))  # type: ignore[arg-type]
        return any(number & mask == network for network, mask in self._masks)


class Route(NamedTuple):
    """source: in whose name the endpoint is called, "" for the caller's own."""

    callers: Cidrs
    balancer: Balancer
    source: str


class Routes:
    """An entry of the desired state (network/userspace.py): for each caller a balancer."""

    def __init__(self) -> None:
        self._default = Route(Cidrs(()), Balancer(), "")
        self._routes: dict[tuple[str, ...], Route] = {}
        self._allow: Cidrs | None = None

    def update(self, entry: Mapping[str, Any]) -> None:
        """Balancers of callers that stay known keep their place and their clients."""
        affinity = entry.get("session_affinity") or 0
        self._default.balancer.update(_parse(entry["endpoints"]), affinity)
        self._allow = Cidrs(entry["allow"]) if "allow" in entry else None
        routes: dict[tuple[str, ...], Route] = {}
        for wanted in entry.get("routes") or ():
            key = tuple(wanted["from"])
            known = self._routes.get(key)
            balancer = known.balancer if known else Balancer()
            balancer.update(_parse(wanted["endpoints"]), affinity)
            routes[key] = Route(Cidrs(key), balancer, wanted.get("as", ""))
        self._routes = routes

    def of(self, client: str) -> Route | None:
        """What is for this caller; None if it may not call."""
        if self._allow is not None and client not in self._allow:
            return None
        for route in self._routes.values():
            if client in route.callers:
                return route
        return self._default

    @property
    def lead_somewhere(self) -> bool:
        return any(balancer.endpoints for balancer in self._balancers())

    def forget(self) -> None:
        for balancer in self._balancers():
            balancer.forget()

    def _balancers(self) -> list[Balancer]:
        return [route.balancer for route in (self._default, *self._routes.values())]


def source_for(route: Route, client: str, endpoint: Endpoint) -> str:
    """The address to call an endpoint from: only between addresses of this machine is there a choice."""
    source = route.source or client
    return source if source.startswith("127.") and endpoint.ip.startswith("127.") else ""


def _parse(texts: Iterable[str]) -> list[Endpoint]:
    return [Endpoint.parse(text) for text in texts]
