"""The network around the nodes: which way a load balancer's (or an external) address goes.

    10.64.0.1  Service web, policy Cluster   nexthop node-1, node-2, node-3     any node knows the way
    10.64.0.2  Service db, policy Local      nexthop node-2                     only where there are Pods of it

This is what MetalLB tells the routers of a data centre by BGP: a route for every address, over all nodes that may take
it.  The choice among them is by connection (a hash of addresses and ports), so one connection stays on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..iptables import RuleContext
from ..service_ports import ServicePort, local_to
from .node import Rules
from .shell import NodeShell, set_kernel

PLACE = ""         # the fabric's name among the nodes
PROTOCOL = "107"   # who made a route: a number that nobody in /etc/iproute2/rt_protos has, so we know ours again


class BalancerRoutes(Rules):
    """addresses: node → its address on the fabric, of the nodes that are there now."""

    def __init__(self, shell: NodeShell, addresses: Callable[[], Mapping[str, str]]) -> None:
        self._shell, self._addresses = shell, addresses
        self._written: dict[str, list[str]] | None = None

    async def sync(self, ports: Sequence[ServicePort], context: RuleContext) -> None:
        wanted = ways(ports, self._addresses())
        before, self._written = self._written, None
        lines = []
        if before is None:   # whatever an earlier process left
            await set_kernel(self._shell, PLACE, "net/ipv4/fib_multipath_hash_policy", "1")
            before, lines = {}, [f"route flush proto {PROTOCOL}"]
        lines += [f"route del {address}/32 proto {PROTOCOL}" for address in before if address not in wanted]
        lines += [f"route replace {address}/32 proto {PROTOCOL} {_hops(wanted[address])}" for address in wanted
                  if before.get(address) != wanted[address]]
        if lines:
            await self._shell.must(PLACE, ["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))
        self._written = wanted

    async def clear(self) -> None:
        self._written = None
        await self._shell.must(PLACE, ["ip", "route", "flush", "proto", PROTOCOL])

    def look_again(self) -> None:
        self._written = None


def ways(ports: Iterable[ServicePort], addresses: Mapping[str, str]) -> dict[str, list[str]]:
    """Each address from outside → the nodes' addresses that take it; those that nobody takes are left out."""
    found: dict[str, set[str]] = {}
    for port in ports:
        taking = {a for node, a in addresses.items() if not port.external_local or local_to(port.endpoints, node)}
        for address in (*port.external_ips, *port.load_balancer_ips):
            if address not in addresses.values():
                found.setdefault(address, set()).update(taking)
    return {address: sorted(taking) for address, taking in sorted(found.items()) if taking}


def _hops(gateways: Sequence[str]) -> str:
    if len(gateways) == 1:
        return f"via {gateways[0]}"
    return " ".join(f"nexthop via {gateway}" for gateway in gateways)
