"""Which endpoint gets the next connection: round robin, or the client's last one.

Source: kube-proxy's userspace mode (pkg/proxy/userspace/roundrobin.go, until Kubernetes 1.25).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


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
