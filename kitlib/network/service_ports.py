"""Services and EndpointSlices, seen as kube-proxy sees them: one entry per port of a Service, with its endpoints.

    Service web (ports http, metrics) ─┐      ServicePort default/web:http    → 10.0.0.2:8080, 10.0.0.3:8080
    EndpointSlices of web ─────────────┴──▶   ServicePort default/web:metrics → 10.0.0.2:9090, 10.0.0.3:9090

All modes of the proxy (userspace, iptables, ipvs, nftables) begin with this list; what they do with it differs.
Which of the endpoints a connection may take depends on where it begins and on how it was addressed:

                          policy Cluster                                Local
    ClusterIP             cluster_endpoints: all, or those hinted for   local_to: on the caller's node
    node port, external   the node or its zone                          local_to: on the node that was addressed

`endpoints_for` is that table as a function, `reachable` all of it at once for a node that writes rules.
Source: pkg/proxy/serviceport.go, pkg/proxy/endpoint.go, pkg/proxy/topology.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"


@dataclass(frozen=True, slots=True, order=True)
class ProxyEndpoint:
    """Where a connection may go.  serving stays true while a Pod terminates but still answers."""

    ip: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str = ""
    zone_hints: tuple[str, ...] = ()   # whose traffic it is meant for, by the slice's hints
    node_hints: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of one Service.  affinity: seconds of ClientIP stickiness, 0 for none."""

    namespace: str
    service: str
    port_name: str
    protocol: str
    cluster_ips: tuple[str, ...]
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity: int = 0
    external_local: bool = False
    internal_local: bool = False
    health_check_node_port: int = 0
    endpoints: tuple[ProxyEndpoint, ...] = field(default=())

    @property
    def name(self) -> str:
        """namespace/service, and :port if the port has a name: what rules and their comments call it."""
        base = f"{self.namespace}/{self.service}"
        return f"{base}:{self.port_name}" if self.port_name else base

    @property
    def outside(self) -> bool:
        """Whether it can be reached from outside the cluster."""
        return bool(self.node_port or self.external_ips or self.load_balancer_ips)

    @property
    def uses_cluster(self) -> bool:
        """Policy Cluster, or anything from outside: even under Local, Pods and the node itself take any endpoint."""
        return not self.internal_local or self.outside

    @property
    def uses_local(self) -> bool:
        return self.internal_local or (self.external_local and self.outside)


@dataclass(frozen=True, slots=True)
class Reachable:
    """What one node may use of a ServicePort.  anywhere: whether there is any endpoint in the whole cluster."""

    cluster: list[ProxyEndpoint]
    local: list[ProxyEndpoint]
    anywhere: bool
    internal_local: bool
    external_local: bool

    @property
    def all(self) -> list[ProxyEndpoint]:
        return sorted({*self.cluster, *self.local})

    @property
    def internal(self) -> list[ProxyEndpoint]:
        """For what comes to the ClusterIP."""
        return self.local if self.internal_local else self.cluster

    @property
    def external(self) -> list[ProxyEndpoint]:
        """For what comes from outside, to a node port, an external or a load balancer's address."""
        return self.local if self.external_local else self.cluster


def usable(endpoints: Iterable[ProxyEndpoint]) -> list[ProxyEndpoint]:
    """The ready ones; if there is none, those that terminate but still serve: better than nothing."""
    known = list(endpoints)
    return [e for e in known if e.ready] or [e for e in known if e.serving and e.terminating]


def local_to(endpoints: Iterable[ProxyEndpoint], node: str) -> list[ProxyEndpoint]:
    """The usable ones of this node's own, for a traffic policy of Local."""
    return usable(e for e in endpoints if e.node == node)


def cluster_endpoints(endpoints: Iterable[ProxyEndpoint], node: str = "", zone: str = "") -> list[ProxyEndpoint]:
    """The usable ones for a caller on this node, for a traffic policy of Cluster.

    Hints count only if every ready endpoint has one and at least one is for this caller; else they are ignored, all
    of them, so that no caller is left without an endpoint.
    """
    known = list(endpoints)
    ready = [e for e in known if e.ready]
    if ready and all(e.node_hints for e in ready) and any(node in e.node_hints for e in ready):
        return [e for e in ready if node in e.node_hints]
    if ready and all(e.zone_hints for e in ready) and any(zone in e.zone_hints for e in ready):
        return [e for e in ready if zone in e.zone_hints]
    return usable(known)


def endpoints_for(port: ServicePort, node: str, zone: str = "", *, external: bool = False) -> list[ProxyEndpoint]:
    """Where a connection that enters the network at this node may go.

    external: it was addressed to a node port, an external address or a load balancer's, and comes from outside.
    """
    if port.external_local if external else port.internal_local:
        return local_to(port.endpoints, node)
    return cluster_endpoints(port.endpoints, node, zone)


def reachable(port: ServicePort, node: str, zone: str = "") -> Reachable:
    """CategorizeEndpoints of the real thing."""
    cluster = cluster_endpoints(port.endpoints, node, zone) if port.uses_cluster else []
    local = local_to(port.endpoints, node) if port.uses_local else []
    return Reachable(cluster, local, bool(usable(port.endpoints)), port.internal_local, port.external_local)


def service_ports(services: Iterable[Object], slices: Iterable[Object]) -> list[ServicePort]:
    """All ports of all Services that need a proxy, ordered by name."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for slice_ in slices:
        name = (slice_["metadata"].get("labels") or {}).get(SERVICE_NAME_LABEL)
        if name and slice_.get("addressType", "IPv4") == "IPv4":
            by_service.setdefault((slice_["metadata"].get("namespace", ""), name), []).append(slice_)
    result: list[ServicePort] = []
    for service in services:
        if not needs_proxy(service) or not _ipv4(service["spec"].get("clusterIPs") or [service["spec"]["clusterIP"]]):
            continue
        own = by_service.get((service["metadata"]["namespace"], service["metadata"]["name"]), [])
        result += [_port(service, port, own) for port in service["spec"].get("ports") or ()]
    return sorted(result, key=lambda p: (p.namespace, p.service, p.port_name, p.protocol, p.port))


def needs_proxy(service: Object) -> bool:
    """Not headless, not an alias, and not somebody else's."""
    spec, labels = service["spec"], service["metadata"].get("labels") or {}
    address = spec.get("clusterIP", "")
    return bool(address) and address != "None" and spec.get("type") != "ExternalName" \
        and PROXY_NAME_LABEL not in labels


def _port(service: Object, port: Object, slices: Iterable[Object]) -> ServicePort:
    meta, spec = service["metadata"], service["spec"]
    protocol = port.get("protocol", "TCP")
    name = port.get("name", "")
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    external = spec.get("type") in ("NodePort", "LoadBalancer")
    return ServicePort(
        namespace=meta["namespace"], service=meta["name"], port_name=name, protocol=protocol,
        cluster_ips=_ipv4(spec.get("clusterIPs") or [spec["clusterIP"]]), port=port["port"],
        node_port=port.get("nodePort", 0) if external else 0,
        external_ips=_ipv4(spec.get("externalIPs") or ()),
        # ipMode Proxy: the balancer ends connections itself, so inside the cluster its address must lead to it, too
        load_balancer_ips=_ipv4(i["ip"] for i in ingress if i.get("ip") and i.get("ipMode", "VIP") == "VIP"),
        source_ranges=_ipv4(source.strip() for source in spec.get("loadBalancerSourceRanges") or ()),
        affinity=_affinity(spec), external_local=spec.get("externalTrafficPolicy") == "Local",
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        health_check_node_port=spec.get("healthCheckNodePort", 0),
        endpoints=tuple(sorted(set(_endpoints(slices, name, protocol)))))


def _ipv4(addresses: Iterable[str]) -> tuple[str, ...]:
    """The proxy is one family's; the other family would have one of its own."""
    return tuple(address for address in addresses if ":" not in address)


def _affinity(spec: Object) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds", 10800))


def _endpoints(slices: Iterable[Object], port_name: str, protocol: str) -> Iterable[ProxyEndpoint]:
    for slice_ in slices:
        for port in slice_.get("ports") or ():
            if (port.get("name") or "") != port_name or port.get("protocol", "TCP") != protocol or not port.get("port"):
                continue
            for endpoint in slice_.get("endpoints") or ():
                hints = endpoint.get("hints") or {}
                conditions = endpoint.get("conditions") or {}
                ready = conditions.get("ready") is not False
                serving = conditions.get("serving")
                # Only the first address counts: all addresses of one endpoint are the same place.
                yield ProxyEndpoint(endpoint["addresses"][0], port["port"], ready,
                                    ready if serving is None else serving, bool(conditions.get("terminating")),
                                    endpoint.get("nodeName") or "",
                                    tuple(hint["name"] for hint in hints.get("forZones") or ()),
                                    tuple(hint["name"] for hint in hints.get("forNodes") or ()))
