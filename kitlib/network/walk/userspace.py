"""A packet's walk in userspace mode: there are no rules, a process stands in between.

    client ──▶ 10.96.50.1:80, where the proxy listens ──▶ an endpoint, each in turn
               one connection ends here                    another one begins

Source: network/userspace.py, and pkg/proxy/userspace (until Kubernetes 1.25).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .iptables import Clients
from .packet import Chooser, Packet, Step, Trace, at_random


def walk(listeners: Sequence[Mapping[str, Any]], packet: Packet, choose: Chooser = at_random,
         clients: Clients | None = None) -> Trace:
    """listeners: `userspace.desired_state`.  clients: endpoint → sources that stick to it."""
    trace = Trace(packet)
    entry = next((e for e in listeners if (e["ip"], e["port"], e["protocol"].lower())
                  == (packet.destination, packet.port, packet.protocol) and "health" not in e), None)
    if entry is None:
        return trace
    place = f"{entry['ip']}:{entry['port']}/{entry['protocol']}"

    def note(comment: str, verdict: str, rule: str) -> None:
        trace.steps.append(Step("process", "proxy", place, comment, verdict, rule, place))

    note("the proxy listens here", "accepts the connection", f"listen {place}")
    if "allow" in entry and not _within(packet.source, entry["allow"]):
        trace.refused = "REJECT"
        note("this source is not allowed", "REJECT", f"only from {', '.join(entry['allow'])}")
        return trace
    routes = (route for route in entry.get("routes", ()) if _within(packet.source, route["from"]))
    route: Mapping[str, Any] = next(routes, {})
    if route:
        note("for callers from these networks", "chooses among their own endpoints", f"from {', '.join(route['from'])}")
    endpoints = route.get("endpoints", entry["endpoints"])
    if not endpoints:
        trace.refused = "REJECT"
        note("there is no endpoint", "REJECT", "closes the connection")
        return trace
    kept = [e for e in endpoints if packet.source in (clients or {}).get(e, ())] if entry["session_affinity"] else []
    chosen = kept[0] if kept else endpoints[choose([1 / len(endpoints)] * len(endpoints))]
    ip, _, port = chosen.rpartition(":")
    trace.packet = replace(packet, destination=ip, port=int(port), translated=True)
    # A process connects with an address of its machine.  On one loopback network the client's is one, too.
    kept_source = "as" not in route and ip.startswith("127.") and packet.source.startswith("127.")
    trace.masqueraded, trace.source = not kept_source, route.get("as", "") if ip.startswith("127.") else ""
    named = f" from {trace.source}" if trace.source else ""
    note("this client's own endpoint" if kept else "each in turn", f"connects to {chosen}{named}",
         f"dial {chosen}, copy bytes both ways")
    return trace


def _within(source: str, networks: Iterable[str]) -> bool:
    return any(ipaddress.ip_address(source) in ipaddress.ip_network(network, strict=False) for network in networks)
