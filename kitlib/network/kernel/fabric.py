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
from .routes import Routes
from .shell import NodeShell, set_kernel

PLACE = ""   # the fabric's name among the nodes


class BalancerRoutes(Rules):
    """addresses: node → its address on the fabric, of the nodes that are there now."""

    def __init__(self, shell: NodeShell, addresses: Callable[[], Mapping[str, str]]) -> None:
        self._shell, self._addresses = shell, addresses
        self._routes = Routes(shell, PLACE)
        self._prepared = False

    async def sync(self, ports: Sequence[ServicePort], context: RuleContext) -> None:
        if not self._prepared:
            await set_kernel(self._shell, PLACE, "net/ipv4/fib_multipath_hash_policy", "1")
            self._prepared = True
        found = ways(ports, self._addresses())
        await self._routes.change({f"{address}/32": _hops(taking) for address, taking in found.items()})

    async def clear(self) -> None:
        await self._routes.clear()

    def look_again(self) -> None:
        self._routes.forget()


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
