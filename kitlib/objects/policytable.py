"""NetworkPolicies as a table per address: what those who carry connections look into.

The policies' meaning is worked out where the API is known (network/policy/compiled.py); here are addresses and numbers
only, so that the runtime daemon and the proxy need neither selectors nor objects.  As JSON:

    {"egress":   {"127.80.17.2": 0},          address of an isolated Pod → its profile
     "ingress":  {"127.80.17.3": 1},
     "profiles": [[rule, …], …]               any rule will do; none: nothing is allowed
     "sets":     [["127.80.17.4", …], …]      addresses that selectors chose
     "nodes":    {"127.80.17.2": "127.80.15.1"},   a Pod's own node, which it may always talk to
     "services": {"127.80.0.7:80/TCP": ["127.80.17.3:8080", …]}}

    rule = {"sets": [0], "blocks": [["10.0.0.0/8", ["10.1.0.0/16"]]], "ports": [["TCP", 80, 80]]}
           without "sets" and "blocks": anybody; without "ports": every port

A connection costs one look into a dict: verdicts are kept until the next table comes.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

_KEPT = 8192
_Block = tuple[int, int, int]  # family, network, mask


class _Rule(NamedTuple):
    """anybody: no condition on the peer."""

    anybody: bool
    addresses: tuple[frozenset[str], ...]
    blocks: tuple[tuple[_Block, tuple[_Block, ...]], ...]
    ports: tuple[tuple[str, int, int], ...]

    def allows(self, peer: str, port: int, protocol: str) -> bool:
        if self.ports and not any(p == protocol and first <= port <= last for p, first, last in self.ports):
            return False
        if self.anybody or any(peer in addresses for addresses in self.addresses):
            return True
        return bool(self.blocks) and self._in_block(peer)

    def _in_block(self, peer: str) -> bool:
        family, number = _number(peer)
        return any(_within(block, family, number) and not any(_within(hole, family, number) for hole in holes)
                   for block, holes in self.blocks)


def _number(address: str) -> tuple[int, int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, int.from_bytes(socket.inet_pton(family, address), "big")


def _block(cidr: str) -> _Block:
    address, _, length = cidr.partition("/")
    family, number = _number(address)
    bits = 128 if family == socket.AF_INET6 else 32
    mask = (1 << bits) - (1 << (bits - int(length or bits)))
    return family, number & mask, mask


def _within(block: _Block, family: int, number: int) -> bool:
    return block[0] == family and number & block[2] == block[1]


def is_machine(address: str) -> bool:
    """127.0.0.0/10: this machine, which is every Pod's node."""
    return address.startswith("127.") and int(address.split(".", 2)[1]) < 64


class PolicyTable:
    """Immutable.  `PolicyTable()` is a cluster without policies."""

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        data = data or {}
        sets = [frozenset(addresses) for addresses in data.get("sets", ())]
        profiles = [tuple(_rule(raw, sets) for raw in profile) for profile in data.get("profiles", ())]
        self._egress = {ip: profiles[index] for ip, index in data.get("egress", {}).items()}
        self._ingress = {ip: profiles[index] for ip, index in data.get("ingress", {}).items()}
        self._nodes: dict[str, str] = dict(data.get("nodes", {}))
        self._services = {key: [_endpoint(text) for text in found] for key, found in data.get("services", {}).items()}
        self._verdicts: dict[tuple[str, str, int, str], bool] = {}

    @property
    def is_empty(self) -> bool:
        return not self._egress and not self._ingress

    def allows(self, source: str, destination: str, port: int, protocol: str) -> bool:
        """May a connection be opened?  Addresses are those of the Pods, after a Service was resolved."""
        if source not in self._egress and destination not in self._ingress:
            return True
        key = source, destination, port, protocol
        known = self._verdicts.get(key)
        if known is None:
            if len(self._verdicts) >= _KEPT:
                self._verdicts.clear()
            known = self._verdicts[key] = self._decide(*key)
        return known

    def reaches(self, source: str, destination: str, port: int, protocol: str) -> bool:
        """The same for an address that may be a Service's: is any of its endpoints allowed?  The proxy picks one.

        Where it leads nowhere the answer is yes: then the caller is to be refused, not kept waiting.
        """
        endpoints = self._services.get(f"{destination}:{port}/{protocol}")
        if endpoints is not None:
            return not endpoints or any(self.allows(source, ip, number, protocol) for ip, number in endpoints)
        return self.allows(source, destination, port, protocol)

    def _decide(self, source: str, destination: str, port: int, protocol: str) -> bool:
        if source == destination or is_machine(source) or is_machine(destination):
            return True
        if self._nodes.get(source) == destination or self._nodes.get(destination) == source:
            return True
        rules = self._egress.get(source)
        if rules is not None and not any(rule.allows(destination, port, protocol) for rule in rules):
            return False
        rules = self._ingress.get(destination)
        return rules is None or any(rule.allows(source, port, protocol) for rule in rules)


def _rule(raw: Mapping[str, Any], sets: list[frozenset[str]]) -> _Rule:
    blocks = tuple((_block(cidr), tuple(map(_block, holes))) for cidr, holes in raw.get("blocks", ()))
    return _Rule("sets" not in raw and "blocks" not in raw, tuple(sets[index] for index in raw.get("sets", ())), blocks,
                 tuple((protocol, first, last) for protocol, first, last in raw.get("ports", ())))


def _endpoint(text: str) -> tuple[str, int]:
    ip, _, port = text.rpartition(":")
    return ip, int(port)
