"""One walk with its odds, whatever the mode: the answer to "which rule took this packet where?"

    rules of the mode ─┬▶ one walk, at random or to the endpoint that was asked for ──▶ steps
                       └▶ every walk that chance allows ──▶ the probability of each endpoint

`Walk.json()` is plain data: what `kit walk --json` prints and what the figure draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from .. import iptables as iptables_rules
from .. import ipvs as ipvs_rules
from .. import nftables as nftables_rules
from ..iptables import RuleContext, Tables
from ..nftables import Table
from ..rules import MODES
from ..service_ports import ServicePort
from ..userspace import ProxyNode, desired_state
from . import iptables, ipvs, nftables, userspace
from .packet import Chooser, Packet, Trace, at_random, outcomes


@dataclass(frozen=True, slots=True)
class Choice:
    """An endpoint that chance may lead to.  pod: "namespace/name" where it is known."""

    address: str
    probability: float
    node: str = ""
    pod: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """outcome: endpoint (it reaches one), REJECT, DROP, or passes (no rule of a Service is about it)."""

    mode: str
    node: str
    packet: Packet
    trace: Trace
    choices: tuple[Choice, ...]
    service: str = ""
    source_name: str = ""   # "Pod default/client", "node node-1", "outside the cluster"
    computed: bool = True   # from Services and EndpointSlices; False: read from the node's kernel

    @property
    def outcome(self) -> str:
        return self.trace.refused or ("endpoint" if self.trace.packet.translated else "passes")

    @property
    def chosen(self) -> Choice | None:
        return next((choice for choice in self.choices if choice.chosen), None)

    @property
    def source_after(self) -> str:
        """The address that the endpoint sees; "" if it is the node's own on its side to the Pods: no rule knows it."""
        if self.trace.source or not self.trace.masqueraded:
            return self.trace.source or self.packet.source
        near = self.chosen is not None and self.chosen.node == self.node
        return "" if near or not self.packet.local else self.packet.local[0]

    def json(self) -> dict[str, Any]:
        packet = self.packet
        return {"mode": self.mode, "node": self.node, "computed": self.computed, "service": self.service,
                "packet": {"source": packet.source, "source_name": self.source_name,
                           "destination": packet.destination, "port": packet.port, "protocol": packet.protocol,
                           "from_node": packet.from_node},
                "outcome": self.outcome, "endpoint": self.trace.endpoint, "masqueraded": self.trace.masqueraded,
                "source_after": self.source_after, "choices": [asdict(choice) for choice in self.choices],
                "steps": [{"number": number, **asdict(step)} for number, step in enumerate(self.trace.steps, start=1)]}


def walker(mode: str, ports: Sequence[ServicePort], context: RuleContext, nodes: Sequence[ProxyNode],
           clients: iptables.Clients | None = None) -> Callable[[Packet, Chooser], Trace]:
    """The mode's rules for this node, and how a packet walks through them.  nodes: all, for userspace."""
    if mode == "iptables":
        tables = iptables_rules.rules(ports, context)
        return lambda packet, choose: iptables.walk(tables, packet, choose, clients)
    if mode == "nftables":
        ruleset = nftables.Ruleset(nftables_rules.table(ports, context))
        return lambda packet, choose: nftables.walk(ruleset, packet, choose, clients)
    if mode == "ipvs":
        state = ipvs_rules.rules(ports, context)
        return lambda packet, choose: ipvs.walk(state, packet, choose, clients)
    if mode == "userspace":
        listeners = desired_state(ports, nodes, nowhere=None)
        return lambda packet, choose: userspace.walk(listeners, packet, choose, clients)
    raise ValueError(f'"{mode}" is no mode of kube-proxy; there is {", ".join(MODES)}')


def reader(mode: str, text: str, clients: iptables.Clients | None = None) -> Callable[[Packet, Chooser], Trace]:
    """How a packet walks through rules that a kernel has.  text: of `iptables-save`, or `nft list table ip kube-proxy`.
    """
    if mode == "iptables":
        tables = Tables.parse(text)
        return lambda packet, choose: iptables.walk(tables, packet, choose, clients)
    ruleset = nftables.Ruleset(Table.parse(text))
    return lambda packet, choose: nftables.walk(ruleset, packet, choose, clients)


def take(mode: str, node: str, packet: Packet, run: Callable[[Packet, Chooser], Trace], ports: Iterable[ServicePort],
         endpoint: str = "", choose: Chooser = at_random) -> Walk:
    """A walk with its odds.  endpoint: "ip:port" that chance shall lead to; ValueError if it never does."""
    odds: dict[str, float] = {}
    ways: dict[str, Trace] = {}
    for probability, trace in outcomes(lambda chooser: run(packet, chooser)):
        if trace.endpoint:
            odds[trace.endpoint] = odds.get(trace.endpoint, 0.0) + probability
            ways.setdefault(trace.endpoint, trace)
    asked = next((way for way in ways if endpoint in (way, way.rpartition(":")[0])), "") if endpoint else ""
    if endpoint and not asked:
        there = ", ".join(odds) or "none"
        raise ValueError(f"this packet never reaches {endpoint}; the endpoints it may reach: {there}")
    trace = ways[asked] if asked else run(packet, choose)
    port = destined(ports, packet)
    nodes = {str(e): e.node for e in port.endpoints} if port else {}
    choices = tuple(Choice(address, round(p, 4), nodes.get(address, ""), chosen=address == trace.endpoint)
                    for address, p in sorted(odds.items()))
    return Walk(mode, node, packet, trace, choices, port.name if port else "")


def destined(ports: Iterable[ServicePort], packet: Packet) -> ServicePort | None:
    """The Service port that a packet is for, by any of its addresses."""
    for port in ports:
        addresses = (*port.cluster_ips, *port.external_ips, *port.load_balancer_ips)
        by_address = packet.destination in addresses and packet.port == port.port
        by_node_port = port.node_port == packet.port and packet.is_for_node
        if port.protocol.lower() == packet.protocol and (by_address or by_node_port):
            return port
    return None


def with_pods(walk: Walk, pods: Mapping[str, str], source_name: str = "") -> Walk:
    """The same walk with names.  pods: address → "namespace/name"."""
    named = tuple(replace(c, pod=pods.get(c.address.rpartition(":")[0], "")) for c in walk.choices)
    return replace(walk, choices=named, source_name=source_name)
