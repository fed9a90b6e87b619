"""Which of the kernel's memories are wrong: UDP has no connections, so they do not end by themselves.

A DNS client that asks from one port again and again keeps the entry of its first packet alive, and with it the way to
an endpoint that is gone, or to none, if the Service had no endpoint then.  (TCP forgets when the connection ends.)

    udp 17 29 src=10.244.0.7 dst=10.96.0.10 sport=4053 dport=53   src=10.244.0.3 dst=10.244.0.7 sport=53 …
              └ what the client sent: to a Service ───────────┘   └ who answers: is it still an endpoint?

Source: pkg/proxy/conntrack/cleanup.go; conntrack(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ..iptables import RuleContext
from ..service_ports import ServicePort, reachable

LIST = ("conntrack", "-L", "-p", "udp")
Command = tuple[str, ...]
Front = tuple[str, int]

_ENTRY = re.compile(r"src=\S+ dst=(\S+) sport=\d+ dport=(\d+) .*?src=(\S+) dst=")


def fronts(ports: Iterable[ServicePort], context: RuleContext) -> dict[Front, set[str]]:
    """Every address and port of a UDP Service, and who may answer for it.  A node port has every address of the node.
    """
    found: dict[Front, set[str]] = {}
    for port in ports:
        if port.protocol != "UDP":
            continue
        answering = {endpoint.ip for endpoint in reachable(port, context.node, context.zone).all}
        addresses = (*port.cluster_ips, *port.external_ips, *port.load_balancer_ips)
        found.update({(address, port.port): answering for address in addresses})
        if port.node_port:
            found.update({(address, port.node_port): answering for address in context.node_addresses})
    return found


def stale(listed: str, now: Mapping[Front, set[str]], before: Iterable[Front] = ()) -> list[Command]:
    """The commands that make the kernel forget.

    listed: what LIST printed.  before: fronts that a Service had until now; who still uses one must ask anew.
    """
    return list(dict.fromkeys(_stale(listed, now, set(before))))


def _stale(listed: str, now: Mapping[Front, set[str]], before: set[Front]) -> Iterator[Command]:
    for line in listed.splitlines():
        found = _ENTRY.search(line)
        if not found:
            continue
        front, answering = (found[1], int(found[2])), found[3]
        known = front in now or front in before
        if known and answering not in now.get(front, ()):
            yield ("conntrack", "-D", "-p", "udp", "--orig-dst", front[0], "--orig-port-dst", str(front[1]),
                   "--reply-src", answering)
