"""One connection, decided and explained.

    source ──egress──▶ ∙ ──ingress──▶ destination
             1st side       2nd side

Each side is open if no policy isolates its Pod in that direction; else a rule must fit, and the side remembers which
one did, or why each did not.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from kitlib.network.policy.model import EGRESS, INGRESS, MACHINE, Place, Policy, Rule, World


@dataclass(frozen=True, slots=True)
class Side:
    """One direction.  selecting: the policies that isolate the Pod; allowing: the rules that let it through;
    missed: why each rule of the selecting policies did not, if none does."""

    direction: str
    allowed: bool
    reason: str
    selecting: tuple[str, ...] = ()
    allowing: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        return {"allowed": self.allowed, "reason": self.reason, "policies": list(self.selecting),
                "allowedBy": list(self.allowing), "missed": list(self.missed)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """May `source` open a connection to `destination`?"""

    source: Place
    destination: Place
    port: int
    protocol: str
    egress: Side
    ingress: Side

    @property
    def allowed(self) -> bool:
        return self.egress.allowed and self.ingress.allowed

    def lines(self) -> list[str]:
        """The explanation, for people."""
        head = f"{self.source} → {self.destination}, port {self.port}/{self.protocol}: " \
               f"{'allowed' if self.allowed else 'denied'}"
        result = [head]
        for side in (self.egress, self.ingress):
            result.append(f"  {'✓' if side.allowed else '✗'} {side.direction}: {side.reason}")
            result += [f"      {text}" for text in (side.allowing if side.allowed else side.missed)]
        return result

    def json(self) -> dict[str, Any]:
        def place(end: Place) -> dict[str, Any]:
            return {"ip": end.ip, "pod": end.pod.key if end.pod else None}

        return {"from": place(self.source), "to": place(self.destination), "port": self.port,
                "protocol": self.protocol, "allowed": self.allowed, "egress": self.egress.json(),
                "ingress": self.ingress.json()}


def verdict(world: World, source: Place, destination: Place, port: int, protocol: str = "TCP") -> Verdict:
    exempt = exemption(source, destination)
    sides = [Side(direction, True, exempt) if exempt else _side(world, direction, source, destination, port, protocol)
             for direction in (EGRESS, INGRESS)]
    return Verdict(source, destination, port, protocol, sides[0], sides[1])


def exemption(source: Place, destination: Place) -> str:
    """Why policies do not apply at all; empty if they do."""
    if source.ip == destination.ip:
        return "a Pod may always talk to itself"
    for pod, other in ((source.pod, destination.ip), (destination.pod, source.ip)):
        if pod is not None and not pod.host_network and (other == pod.node_ip or is_machine(other)):
            return "a Pod and its own node may always talk (so probes arrive)"
    return ""


def is_machine(ip: str) -> bool:
    """A loopback address: whoever has it is on the Pod's own node."""
    return ipaddress.ip_address(ip) in MACHINE


def _side(world: World, direction: str, source: Place, destination: Place, port: int, protocol: str) -> Side:
    own, other = (source, destination) if direction == EGRESS else (destination, source)
    selecting = world.selecting(own.pod, direction)
    if not selecting:
        return Side(direction, True, _why_open(own, direction))
    names = tuple(policy.key for policy in selecting)
    allowing, missed = [], []
    for policy in selecting:
        rules = policy.rules(direction) or ()
        if not rules:
            missed.append(f"{policy.key}: has no {direction} rule, so it allows nothing")
        for number, rule in enumerate(rules, start=1):
            why = _miss(world, policy, rule, other, destination, port, protocol)
            shown = f"{policy.key}: {direction} rule {number} ({rule.shown(direction)})"
            if why:
                missed.append(f"{shown}: {why}")
            else:
                allowing.append(shown)
    if allowing:
        return Side(direction, True, "a rule lets it through", names, tuple(allowing))
    who = own.pod.key if own.pod else own.ip
    return Side(direction, False, f"{who} is isolated by {', '.join(names)}, and no rule allows this", names, (),
                tuple(missed))


def _why_open(own: Place, direction: str) -> str:
    if own.pod is None:
        return f"{own.ip} is no Pod of this cluster"
    if own.pod.host_network:
        return f"{own.pod.key} uses its node's network: policies do not apply"
    return f"no policy selects {own.pod.key} for {direction}"


def _miss(world: World, policy: Policy, rule: Rule, other: Place, destination: Place, port: int,
          protocol: str) -> str:
    """Why a rule does not fit; empty if it does."""
    peer_fits = not rule.peers or any(p.covers(other.ip, other.pod, world, policy.namespace) for p in rule.peers)
    port_fits = not rule.ports or any(p.covers(port, protocol, destination.pod) for p in rule.ports)
    if peer_fits and port_fits:
        return ""
    reasons = []
    if not peer_fits:
        reasons.append(_who_it_is(world, policy, rule, other))
    if not port_fits:
        reasons.append(f"the port is {port}/{protocol}")
    return "; ".join(reasons)


def _who_it_is(world: World, policy: Policy, rule: Rule, other: Place) -> str:
    """What the peer has instead of what was asked for."""
    pod = other.pod
    if pod is None:
        return f"{other.ip} is no Pod" if all(p.block is None for p in rule.peers) else f"{other.ip} is not in it"
    if pod.host_network:
        return f"{pod.key} uses its node's network, and selectors do not see it"
    parts = [f"{pod.name} has {_labels(pod.labels)}"]
    if any(peer.namespaces is not None for peer in rule.peers):
        parts.append(f"its namespace {pod.namespace} has {_labels(world.namespaces.get(pod.namespace, {}))}")
    elif pod.namespace != policy.namespace:
        parts.append(f"and is in namespace {pod.namespace}")
    return ", ".join(parts)


def _labels(labels: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "no labels"
