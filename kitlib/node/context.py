"""What all Pods of one Node share: its runtime, its addresses, its way to the API server."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..client.client import Client
from ..client.events import EventRecorder
from ..objects.clock import Clock
from ..runtime.cri import RuntimeService
from .backoff import Backoff
from .env import Facts
from .handlers import Handlers
from .images import ImageManager
from .memory_volumes import MemoryVolumes
from .sandbox import Dns
from .volumes import VolumeSource

Durable = Callable[[int], Awaitable[None]]


Admit = Callable[[Mapping[str, Any], str, str], Awaitable[None]]


async def everybody(pod: Mapping[str, Any], ip: str, node_ip: str) -> None:
    """The default of `admit`: nothing enforces NetworkPolicies here."""


async def no_wait(revision: int) -> None:
    """The default of `durable`: side effects follow at once (an ephemeral cluster, tests)."""


class AddressPool:
    """The Node's Pod CIDR, handed out in turn, as the CNI plugin host-local does: what was freed last comes last."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.ip_network(cidr)
        self._first = int(network.network_address) + 2   # .0 is the network, .1 by custom the gateway
        self._last = int(network.broadcast_address) - 1
        self._next = self._first
        self._used: dict[str, str] = {}

    def allocate(self, owner: str) -> str:
        """An address for a Pod (by uid); the same one if it has one already."""
        for address, user in self._used.items():
            if user == owner:
                return address
        for _ in range(self._last - self._first + 1):
            address = str(ipaddress.ip_address(self._next))
            self._next = self._first if self._next >= self._last else self._next + 1
            if address not in self._used:
                self._used[address] = owner
                return address
        raise OSError(f"no free address in the Pod CIDR ({len(self._used)} are in use)")

    def reserve(self, address: str, owner: str) -> None:
        self._used[address] = owner

    def release(self, owner: str) -> None:
        for address in [a for a, user in self._used.items() if user == owner]:
            del self._used[address]


@dataclass(slots=True)
class NodeContext:
    """Everything a Pod worker needs to know about its Node."""

    name: str
    host_ip: str
    directory: Path
    runtime: RuntimeService
    client: Client
    clock: Clock
    events: EventRecorder
    source: VolumeSource
    pool: AddressPool
    images: ImageManager
    handlers: Handlers
    dns: Dns = field(default_factory=Dns)
    durable: Durable = no_wait
    admit: Admit = everybody  # a Pod gets its address: what isolates it must stand before it runs
    services: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    allocatable: Mapping[str, str] = field(default_factory=dict)
    restarts: Backoff = field(default_factory=Backoff)

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def memory_volumes(self) -> MemoryVolumes:
        return MemoryVolumes(self.directory)

    def pod_directory(self, uid: str) -> Path:
        return self.directory / "pods" / uid

    def facts(self, pod_ip: str) -> Facts:
        return Facts(pod_ip=pod_ip, host_ip=self.host_ip, allocatable=self.allocatable, services=self.services())
