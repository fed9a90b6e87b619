"""kube-proxy's userspace mode as a pure function: Services, EndpointSlices and Nodes in, what to listen on out.

    ServicePort ──▶ one entry per address to listen on:  ip, port, protocol
                      endpoints        where connections go, for callers no route is for
                      routes           [{"from": [CIDR …], "endpoints": […]} …]: the first that has the caller counts
                      as               the address under which the endpoint sees the caller; else the caller's own
                      allow            only callers from these CIDRs
                      health           no endpoints at all: answers a load balancer's question "any Pods on this node?"

One process serves all nodes of the machine.  Which node a caller is on shows in its source address: each node has a
range of its own for its Pods.  A caller with any other address (a terminal, a browser, `kit curl`) is on no node: it
is what comes from outside the cluster.  It may use a ClusterIP all the same, with all endpoints behind it.

A caller whose list is empty while others have endpoints is reset, where kube-proxy's rules would drop its packets.

Source: pkg/proxy/topology.go, pkg/proxy/iptables/proxier.go (the chains KUBE-SVC, KUBE-SVL, KUBE-EXT).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .service_ports import ProxyEndpoint, ServicePort, cluster_endpoints, endpoints_for, local_to, usable

Object = dict[str, Any]

SIMULATED = ipaddress.IPv4Network("10.128.0.0/9")   # Pods of simulated nodes: nobody answers there
ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True)
class ProxyNode:
    """A node of this machine.  callers: CIDRs of those who are on it, its Pods and itself."""

    name: str
    address: str
    pod_cidr: str = ""
    zone: str = ""

    @property
    def callers(self) -> list[str]:
        return [*([self.pod_cidr] if self.pod_cidr else []), f"{self.address}/32"]


def nodes_here(nodes: Iterable[Mapping[str, Any]]) -> list[ProxyNode]:
    """The nodes that are on this machine, by name."""
    result: list[ProxyNode] = []
    for node in nodes:
        meta, spec = node["metadata"], node.get("spec") or {}
        for entry in (node.get("status") or {}).get("addresses") or ():
            if entry["type"] == "InternalIP" and ipaddress.ip_address(entry["address"]).is_loopback:
                zone = (meta.get("labels") or {}).get(ZONE, "")
                result.append(ProxyNode(meta["name"], entry["address"], spec.get("podCIDR", ""), zone))
    return sorted(result, key=lambda node: node.name)


def desired_state(ports: Iterable[ServicePort], nodes: Sequence[ProxyNode], *,
                  nowhere: ipaddress.IPv4Network | None = SIMULATED) -> list[Object]:
    """All entries; where two Services claim one address and port, the first has it.

    nowhere: a network where nobody answers; endpoints there are not dialled.
    """
    result: dict[tuple[str, int, str], Object] = {}
    for port in ports:
        there = [e for e in port.endpoints if nowhere is None or ipaddress.IPv4Address(e.ip) not in nowhere]
        for entry in _entries(replace(port, endpoints=tuple(there)), nodes):
            result.setdefault((entry["ip"], entry["port"], entry["protocol"]), entry)
    return list(result.values())


def _entries(port: ServicePort, nodes: Sequence[ProxyNode]) -> Iterable[Object]:
    internal = {node.name: endpoints_for(port, node.name, node.zone) for node in nodes}
    for address in port.cluster_ips:
        yield _entry(port, address, port.port, usable(port.endpoints), _routes(nodes, internal))
    outside = _outside(port, nodes)
    for address in port.external_ips:
        yield _entry(port, address, port.port, *outside)
    for address in port.load_balancer_ips:
        entry = _entry(port, address, port.port, *outside)
        yield entry | ({"allow": list(port.source_ranges)} if port.source_ranges else {})
    for node in nodes:
        if port.node_port:
            yield _node_port(port, node, nodes)
        if port.health_check_node_port:
            count = len(_addresses(local_to(port.endpoints, node.name)))
            yield {"ip": node.address, "port": port.health_check_node_port, "protocol": "TCP", "service": port.name,
                   "health": {"namespace": port.namespace, "name": port.service, "localEndpoints": count}}


def _outside(port: ServicePort, nodes: Sequence[ProxyNode]) -> tuple[list[ProxyEndpoint], list[Object]]:
    """Behind an external address: policy Local sends a balancer's traffic to nodes that have endpoints, so to any."""
    inside = {node.name: cluster_endpoints(port.endpoints, node.name, node.zone) for node in nodes}
    if not port.external_local:
        routes = _routes(nodes, inside, masquerade=True)
        return usable(port.endpoints), [*routes, *_as(usable(port.endpoints), ["0.0.0.0/0"], nodes[:1])]
    here = [e for node in nodes for e in local_to(port.endpoints, node.name)]
    return here, _routes(nodes, inside)


def _node_port(port: ServicePort, node: ProxyNode, nodes: Sequence[ProxyNode]) -> Object:
    everywhere = cluster_endpoints(port.endpoints, node.name, node.zone)
    if not port.external_local:
        return _entry(port, node.address, port.node_port, everywhere, _as(everywhere, ["0.0.0.0/0"], [node]))
    pods = [cidr for other in nodes for cidr in other.callers]
    routes = [{"from": pods, "endpoints": _addresses(everywhere)}]
    return _entry(port, node.address, port.node_port, local_to(port.endpoints, node.name), routes)


def _routes(nodes: Sequence[ProxyNode], chosen: Mapping[str, list[ProxyEndpoint]], *,
            masquerade: bool = False) -> list[Object]:
    """One route per node; none where all nodes have the same choice anyway."""
    if masquerade:
        return [route for node in nodes for route in _as(chosen[node.name], node.callers, [node])]
    return [{"from": node.callers, "endpoints": _addresses(chosen[node.name])} for node in nodes]


def _as(endpoints: Iterable[ProxyEndpoint], callers: list[str], nodes: Sequence[ProxyNode]) -> list[Object]:
    """Through this node, in its name: who comes from outside is masqueraded, so that answers find their way back."""
    return [{"from": callers, "endpoints": _addresses(endpoints), "as": node.address} for node in nodes]


def _entry(port: ServicePort, address: str, number: int, endpoints: Iterable[ProxyEndpoint],
           routes: Sequence[Object]) -> Object:
    default = _addresses(endpoints)
    plain = all(route["endpoints"] == default and "as" not in route for route in routes)
    return {"ip": address, "port": number, "protocol": port.protocol, "service": port.name,
            "session_affinity": port.affinity, "endpoints": default, **({} if plain else {"routes": list(routes)})}


def _addresses(endpoints: Iterable[ProxyEndpoint]) -> list[str]:
    return [str(e) for e in endpoints]
