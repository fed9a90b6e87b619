"""Which addresses a network has, and who has which.

Docker gives 172.17.0.0/16 to the default bridge, then 172.18 to 172.31, then slices of 192.168.  Where no network
namespaces are to be had, addresses are those of the machine's loopback: /24 slices of the engine's own 127.X.0.0/16.

Source: moby's libnetwork/ipamutils (defaults), libnetwork/ipam; network/addresses.py.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator

from kitlib.engine.errors import EngineError, bad_request

Network = ipaddress.IPv4Network


class DockerPools:
    first = Network("172.17.0.0/16")

    def candidates(self) -> Iterator[Network]:
        for number in range(17, 32):
            yield Network(f"172.{number}.0.0/16")
        for number in range(0, 256, 16):
            yield Network(f"192.168.{number}.0/20")


class LoopbackPools:
    """number: X of the engine's 127.X.0.0/16 (its containers find the DNS server at 127.X.0.10)."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.first = Network(f"127.{number}.17.0/24")

    def candidates(self) -> Iterator[Network]:
        for third in range(17, 250):
            yield Network(f"127.{self._number}.{third}.0/24")

    def owns(self, network: Network) -> bool:
        return network.subnet_of(Network(f"127.{self._number}.0.0/16"))


Pools = DockerPools | LoopbackPools


def choose(pools: Pools, taken: Iterable[Network]) -> Network:
    """One that does not overlap with any that is taken."""
    known = list(taken)
    for candidate in pools.candidates():
        if not any(candidate.overlaps(other) for other in known):
            return candidate
    raise EngineError(404, "could not find an available, non-overlapping IPv4 address pool among the defaults to "
                           "assign to the network")


def checked(text: str, taken: Iterable[Network], pools: Pools) -> Network:
    """A subnet that somebody wants.  Raises EngineError."""
    try:
        network = Network(text)
    except ValueError as error:
        raise bad_request(f"Invalid subnet {text} : invalid CIDR address: {text}") from error
    if isinstance(pools, LoopbackPools) and not pools.owns(network):
        raise bad_request(f"subnet {text} cannot be had here: this machine allows no network namespaces, so addresses "
                          f"are those of the loopback network ({pools.first} and its neighbours)")
    if any(network.overlaps(other) for other in taken):
        raise EngineError(403, "Pool overlaps with other one on this address space")
    return network


def free(network: Network, taken: Collection[str], within: Network | None = None) -> str:
    """The lowest address that nobody has."""
    for address in (within or network).hosts():
        if str(address) not in taken and address != network.network_address:
            return str(address)
    raise EngineError(500, "no available IPv4 addresses on this network's address pools")


def mac(address: str) -> str:
    """02:42 and the four bytes of the address, as Docker makes it."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)
