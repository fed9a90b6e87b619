"""Addresses of an embedded cluster: real ones, of this machine's loopback network.

Every address of 127.0.0.0/8 belongs to every Linux machine, so a cluster can have 65,536 of them without asking anyone.
Each cluster leases a slice of its own:

    127.X.0.0/16        X = 64 … 127
      127.X.0.0/20      Services: .0.1 is `kubernetes`, .0.10 the DNS server; node i is 127.X.15.i
      127.X.16.0/24     Pods of node 0
      127.X.17.0/24     Pods of node 1 …
      127.X.255.0/24    load balancers; .254 of it is the lease: whoever listens there owns the slice

The kernel is the arbiter: it lets one process of one user listen on an address and port, and forgets it with the
process.

Source: the CNI plug-in host-local for the order in which Pods get addresses.
"""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from kitlib.objects.clock import Clock, SystemClock

FIRST_SLICE, LAST_SLICE = 64, 127
MAX_NODES = 239
LEASE_PORT = 10250


class Addresses(Protocol):
    """Who has which address in a cluster.  Node 0 is where the control plane listens."""

    @property
    def service_cidr(self) -> str: ...
    @property
    def kubernetes_ip(self) -> str: ...
    @property
    def dns_ip(self) -> str: ...
    @property
    def load_balancer_cidr(self) -> str: ...

    def node_ip(self, index: int) -> str: ...

    def pod_cidr(self, index: int) -> str: ...


class PrivateAddresses:
    """Of a cluster whose network is nobody else's (the runtime `oci`): those that kubeadm would choose."""

    service_cidr = "10.96.0.0/16"
    kubernetes_ip = "10.96.0.1"
    dns_ip = "10.96.0.10"
    cluster_cidr = "10.244.0.0/16"
    load_balancer_cidr = "10.64.0.0/24"   # routed to the nodes, address by address (kernel/fabric.py)
    node_prefix = 16

    def node_ip(self, index: int) -> str:
        return f"10.10.0.{index + 1}"

    def pod_cidr(self, index: int) -> str:
        return f"10.244.{index}.0/24"


class NoFreeSlice(Exception):
    """All slices of the machine, or the one that was asked for, belong to someone else."""


@dataclass(frozen=True)
class Slice:
    """One leased /16.  Holding the object holds the lease; `release` or the end of the process gives it back."""

    number: int
    lease: socket.socket | None = None

    @property
    def service_cidr(self) -> str:
        return f"127.{self.number}.0.0/20"

    @property
    def kubernetes_ip(self) -> str:
        return f"127.{self.number}.0.1"

    @property
    def dns_ip(self) -> str:
        return f"127.{self.number}.0.10"

    @property
    def load_balancer_cidr(self) -> str:
        return f"127.{self.number}.255.0/24"

    def node_ip(self, index: int) -> str:
        self._check(index)
        return f"127.{self.number}.15.{index}"

    def pod_cidr(self, index: int) -> str:
        self._check(index)
        return f"127.{self.number}.{16 + index}.0/24"

    @staticmethod
    def _check(index: int) -> None:
        if not 0 <= index < MAX_NODES:
            raise ValueError(f"a slice has room for nodes 0 to {MAX_NODES - 1}, not for node {index}")

    def release(self) -> None:
        if self.lease is not None:
            self.lease.close()


def _try(number: int) -> Slice | None:
    lease = socket.socket()
    try:
        lease.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # no waiting for the last owner's TIME_WAIT
        lease.bind((f"127.{number}.255.254", LEASE_PORT))
        lease.listen(1)
    except OSError as error:
        lease.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return Slice(number, lease)


def lease_slice(preferred: int | None = None, avoid: Collection[int] = ()) -> Slice:
    """A free slice; `preferred` and no other if it is given (a cluster that comes back must keep its addresses).

    `avoid`: slices of clusters that do not run now but will want theirs again.
    """
    if preferred is not None:
        found = _try(preferred)
        if found is None:
            raise NoFreeSlice(f"127.{preferred}.0.0/16, this cluster's addresses, is in use by another cluster on this "
                              "machine")  # fmt: skip
        return found
    numbers = list(range(FIRST_SLICE, LAST_SLICE + 1))
    random.shuffle(numbers)
    for number in sorted(numbers, key=lambda number: number in avoid):
        found = _try(number)
        if found is not None:
            return found
    raise NoFreeSlice(f"all {len(numbers)} address slices of this machine are in use by other clusters")


class PodAddresses:
    """The addresses of one node's Pods.  An address rests for `reuse_delay` seconds before another Pod gets it.

    So that a client which still holds a connection, or an EndpointSlice not yet updated, does not reach the wrong Pod.
    """

    def __init__(self, cidr: str, *, clock: Clock | None = None, reuse_delay: float = 30.0) -> None:
        network = ipaddress.IPv4Network(cidr)
        self._cidr, self._clock, self._delay = cidr, clock or SystemClock(), reuse_delay
        # .0 is the network, .1 by custom the gateway, the last one the broadcast address
        self._free = deque(str(address) for address in list(network.hosts())[1:])
        self._resting: deque[tuple[float, str]] = deque()
        self._owners: dict[str, str] = {}

    def allocate(self, owner: str) -> str:
        """An address for a Pod (by uid); the same one if it has one."""
        for address, user in self._owners.items():
            if user == owner:
                return address
        while self._resting and self._resting[0][0] <= self._clock.monotonic():
            self._free.append(self._resting.popleft()[1])
        if not self._free:
            raise OSError(errno.EADDRNOTAVAIL, f"no IP addresses available in range set {self._cidr}: "
                          f"{len(self._owners)} are in use, {len(self._resting)} rest after use")  # fmt: skip
        address = self._free.popleft()
        self._owners[address] = owner
        return address

    def reserve(self, address: str, owner: str) -> None:
        """Take over a Pod that runs already."""
        if self._owners.get(address, owner) != owner:
            raise OSError(errno.EADDRINUSE, f"{address} belongs to Pod {self._owners[address]}, not to {owner}")
        if address in self._free:
            self._free.remove(address)
        self._resting = deque(entry for entry in self._resting if entry[1] != address)
        self._owners[address] = owner

    def release(self, owner: str) -> None:
        for address in [address for address, user in self._owners.items() if user == owner]:
            del self._owners[address]
            self._resting.append((self._clock.monotonic() + self._delay, address))

    def used(self) -> dict[str, str]:
        """Address to owner."""
        return dict(self._owners)
