"""A packet's walk in ipvs mode: a few rules, then the kernel's load balancer, then a few rules.

    nat PREROUTING    is it for a Service, from outside the Pods? mark it
    routing           the Service's address is on kube-ipvs0: it is for this machine
    filter INPUT      may it?
    IPVS              -t 10.96.50.1:80: the next real server in turn
    nat POSTROUTING   what was marked leaves with the node's address

A packet of the node's own meets the balancer on its way out instead.
Source: net/netfilter/ipvs/ip_vs_core.c of Linux (ip_vs_ops: LOCAL_IN and LOCAL_OUT), ipset(8).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace

from ..ipvs import DUMMY_DEVICE, SCHEDULER, Ipvs, VirtualServer
from .iptables import Clients, Walker
from .packet import Chooser, Packet, Step, Trace, at_random


def walk(state: Ipvs, packet: Packet, choose: Chooser = at_random, clients: Clients | None = None) -> Trace:
    """Every rule that matched, and what IPVS did.  clients: real server ("ip:port") → sources it keeps."""
    packet = replace(packet, local=(*packet.local, *state.bound))
    walker = Walker(state.tables, packet, choose, {}, lambda name, fields, p: _in_set(state.sets, name, fields, p))
    trace = walker.trace
    walker.run("nat", "OUTPUT" if packet.from_node else "PREROUTING")
    if packet.from_node:
        _balance(state, trace, choose, clients or {}, "output")
        if not trace.refused:
            walker.run("filter", "OUTPUT")
    else:
        if packet.destination in state.bound:
            trace.steps.append(Step("routing", "route", DUMMY_DEVICE, "the address is bound here",
                                    "it is for this machine", f"ip addr show dev {DUMMY_DEVICE}: {packet.destination}"))
        walker.run("filter", "INPUT" if packet.is_for_node else "FORWARD")
        if not trace.refused:
            _balance(state, trace, choose, clients or {}, "input")
    if not trace.refused:
        walker.run("nat", "POSTROUTING")
    return trace


def _balance(state: Ipvs, trace: Trace, choose: Chooser, clients: Clients, hook: str) -> None:
    packet = trace.packet
    server = next((s for s in state.servers if (s.address, s.port, s.protocol.lower())
                   == (packet.destination, packet.port, packet.protocol)), None)
    if server is None:
        return

    def note(comment: str, verdict: str, rule: str) -> None:
        trace.steps.append(Step(hook, "ipvs", server.key, comment, verdict, rule, f"{server.address}:{server.port}"))

    how = f"each in turn ({SCHEDULER})" + (f", a client keeps its own for {server.persistent} s"
                                           if server.persistent else "")
    note(server.service, f"a virtual server: {how}", server.lines()[0])
    if not server.real_servers:
        trace.refused = "REJECT"
        note(server.service, "REJECT", "no real server: ICMP port unreachable")
        return
    chosen = _kept(server, clients, packet)
    if chosen is None:
        chosen = choose([1 / len(server.real_servers)] * len(server.real_servers))
    endpoint = server.real_servers[chosen]
    trace.packet = replace(packet, destination=endpoint.ip, port=endpoint.port, translated=True)
    note(server.service, f"DNAT to {endpoint}", server.line_of(endpoint))


def _kept(server: VirtualServer, clients: Clients, packet: Packet) -> int | None:
    for index, endpoint in enumerate(server.real_servers):
        if server.persistent and packet.source in clients.get(str(endpoint), ()):
            return index
    return None


def _in_set(sets: Mapping[str, list[str]], name: str, fields: str, packet: Packet) -> bool:
    """Whether the packet's fields, in the order of the match ("dst,dst,src"), are an entry of the set."""
    port = f"{packet.protocol}:{packet.port}"
    if fields == "dst":
        return {packet.destination, str(packet.port)} & set(sets[name]) != set()
    key = f"{packet.destination},{port}"
    if fields == "dst,dst":
        return key in sets[name]
    sources = [entry.removeprefix(f"{key},") for entry in sets[name] if entry.startswith(f"{key},")]
    return any(ipaddress.ip_address(packet.source) in ipaddress.ip_network(source, strict=False) for source in sources)
