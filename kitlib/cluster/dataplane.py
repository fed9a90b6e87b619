"""The data plane of any cluster, worked out from its API: the rules of a node, and a packet's walk through them.

    Services, EndpointSlices, Nodes, Pods ──▶ Dataplane ──▶ .rules("nftables", node)
                                                        └─▶ .walk("web:80", source="client", mode="ipvs")

A node's rules follow from what the API says, so they can be read and walked for every mode and on every machine, also
where the kernel lacks what the mode needs, or where nobody lets us look into the node.  They are "computed" then.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

from kitlib.client import Client
from kitlib.cluster.applied import read
from kitlib.cluster.errors import KitError, UsageError
from kitlib.network.iptables import RuleContext
from kitlib.network.policy.model import World
from kitlib.network.policy.verdict import verdict
from kitlib.network.rules import MODES, rules_text
from kitlib.network.service_ports import ServicePort, service_ports
from kitlib.network.userspace import ZONE, ProxyNode
from kitlib.network.walk.packet import Packet, Step
from kitlib.network.walk.walk import Walk, reader, take, walker, with_pods
from kitlib.objects.errors import StatusError

Object = dict[str, Any]
SLICES = "endpointslices.discovery.k8s.io"


class Dataplane:
    """One look at a cluster.  namespace: where a short Service or Pod name is looked for."""

    def __init__(self, client: Client, namespace: str = "default") -> None:
        self._client, self.namespace = client, namespace
        self.services, self.slices, self.pods, nodes = (
            client.list(resource)["items"] for resource in ("services", SLICES, "pods", "nodes"))
        self.nodes = {node["metadata"]["name"]: node for node in nodes}
        if not self.nodes:
            raise KitError("the cluster has no nodes, so no kube-proxy and no rules; `kit up --nodes 3` has some.")
        self.addresses = {name: address for name, node in self.nodes.items() if (address := internal_ip(node))}
        self.service_cidr = _service_cidr(client)
        self.ports = service_ports(self.services, self.slices)
        self.proxied = [ProxyNode(name, address, self.nodes[name]["spec"].get("podCIDR", ""), self._zone(name))
                        for name, address in sorted(self.addresses.items())]

    @cached_property
    def mode(self) -> str:
        """The mode in which this cluster's kube-proxy works, as far as can be found out."""
        with suppress(StatusError):   # only our own clusters have that path
            return str(self._client.transport.request("GET", "/kit/status")["proxyMode"])
        with suppress(StatusError):   # kubeadm's, and so kind's
            config = self._client.get("configmaps", "kube-system", "kube-proxy")["data"].get("config.conf", "")
            found = re.search(r'^mode: "?(\w+)', config, re.M)
            return found[1] if found else "iptables"
        return "iptables"

    def mode_for(self, asked: str) -> str:
        """asked; else the cluster's own if it has rules to show, else iptables."""
        mode = asked or self.mode
        if mode not in MODES:
            raise UsageError(f'"{mode}" is no mode of kube-proxy; there is {", ".join(MODES)}.')
        return mode if asked or mode != "userspace" else "iptables"

    # -- rules ----------------------------------------------------------------------------------------

    def context(self, node: str = "") -> RuleContext:
        """What kube-proxy on a node knows about its node; the first node if none is named."""
        name = node or min(self.nodes)
        if name not in self.nodes:
            raise UsageError(f'there is no node "{name}"; there is: {", ".join(sorted(self.nodes))}.')
        address = self.addresses.get(name)
        return RuleContext(name, self._cluster_cidr(name), self.service_cidr, [address] if address else [],
                           self._zone(name))

    def _zone(self, node: str) -> str:
        return str((self.nodes[node]["metadata"].get("labels") or {}).get(ZONE, ""))

    def rules(self, mode: str = "", node: str = "", service: str = "") -> str:
        """The rules' text.  mode: "" for the cluster's own.  service: only what "namespace/name" (or "name") adds."""
        mode = self.mode_for(mode)
        ports = self._ports_of(service) if service else self.ports
        return rules_text(mode, ports, self.context(node), nodes=self.proxied, added_only=bool(service))

    def applied(self, node: str) -> tuple[str, str]:
        """(mode, text) of the rules that the node's kernel has."""
        return read(self._client, node)

    def _ports_of(self, service: str) -> list[ServicePort]:
        namespace, name = self._split(service)
        found = [port for port in self.ports if (port.namespace, port.service) == (namespace, name)]
        if not found:
            self._service(namespace, name)
            raise UsageError(f"Service {namespace}/{name} has no address of its own (it is headless, or only a name), "
                             "so kube-proxy writes no rules for it.")
        return found

    def _split(self, name: str) -> tuple[str, str]:
        namespace, slash, rest = name.rpartition("/")
        return (namespace, rest) if slash else (self.namespace, name)

    def _service(self, namespace: str, name: str) -> Object:
        for service in self.services:
            if (service["metadata"]["namespace"], service["metadata"]["name"]) == (namespace, name):
                return dict(service)
        here = [s["metadata"]["name"] for s in self.services if s["metadata"]["namespace"] == namespace]
        raise UsageError(f'there is no Service "{name}" in namespace {namespace}; '
                         f"there is: {', '.join(here) or 'none'}.")

    def _cluster_cidr(self, node: str) -> str:
        """The smallest network that covers the Pods of all nodes of this node's kind: kube-proxy's --cluster-cidr."""
        kind = _is_simulated(self.nodes[node])
        found = [ipaddress.IPv4Network(cidr) for other in self.nodes.values() if _is_simulated(other) == kind
                 and (cidr := other["spec"].get("podCIDR")) and ":" not in cidr]
        if not found:
            return "10.244.0.0/16"   # kubeadm's and kind's
        covering = found[0]
        while not all(network.subnet_of(covering) for network in found):
            covering = covering.supernet()
        return str(covering)

    # -- walks ----------------------------------------------------------------------------------------

    def walk(self, destination: str, *, source: str = "", mode: str = "", node: str = "", endpoint: str = "",
             protocol: str = "", applied: bool = False) -> Walk:
        """The walk of a connection's first packet.

        destination: "web", "web:80", "web.shop:http", "10.96.0.5:80", "node-1:30080".
        source: a Pod, a node or an address; by default a Pod of the namespace that is no endpoint, else the node.
        node: whose rules; by default those of the source's node.
        endpoint: let chance choose this one: a Pod's name, "ip" or "ip:port".
        applied: through the rules that the node's kernel has (applied.py), in the mode that it runs.
        """
        mode = self.mode_for(mode)
        address, number, protocol = self._destination(destination, protocol)
        where, sent_from, kind = self._source(source, node, address, number)
        context = self.context(where)
        packet = Packet(sent_from, address, number, protocol, from_node=kind == "node", from_pod=kind == "pod",
                        local=tuple(context.node_addresses))
        if applied:
            mode, text = self.applied(where)
            run = reader(mode, text)
        else:
            run = walker(mode, self.ports, context, self.proxied)
        try:
            walk = take(mode, where, packet, run, self.ports, self._endpoint(endpoint))
        except ValueError as error:
            raise UsageError(f"{error}.") from error
        walk = self._ask_policies(walk)
        names = self._pod_addresses()
        shown = {"node": f"node {where}", "pod": f"Pod {names.get(sent_from, '')}", "outside": "outside the cluster"}
        return with_pods(replace(walk, computed=not applied), names, shown[kind])

    def _ask_policies(self, walk: Walk) -> Walk:
        """The same walk, with what NetworkPolicies say about who meets at its end."""
        world = self._world if walk.outcome == "endpoint" else None
        if world is None:
            return walk
        seen, (address, _, port) = walk.source_after or self._address_of(walk.node), walk.trace.endpoint.rpartition(":")
        found = verdict(world, world.place(seen), world.place(address), int(port), walk.packet.protocol.upper())
        steps = [Step("policy", "network policy", f"{side.direction}: {', '.join(side.selecting)}", side.reason,
                      "goes on" if side.allowed else "DROP", "; ".join(side.allowing or side.missed))
                 for side in (found.egress, found.ingress) if side.selecting]
        refused = "" if found.allowed else "DROP"
        return replace(walk, trace=replace(walk.trace, steps=[*walk.trace.steps, *steps], refused=refused))

    @cached_property
    def _world(self) -> World | None:
        """Who may talk to whom; None while there is no policy, or where we may not know."""
        with suppress(StatusError):
            policies = self._client.list("networkpolicies.networking.k8s.io")["items"]
            if policies:
                return World.of(policies, self._client.list("namespaces")["items"], self.pods, self.services)
        return None

    def _pod_addresses(self) -> dict[str, str]:
        return {ip: f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in self.pods
                if (ip := _pod_ip(pod)) and not pod["spec"].get("hostNetwork")}

    def _destination(self, text: str, protocol: str) -> tuple[str, int, str]:
        host, _, port = text.partition(":")
        if host in self.nodes:
            if not port.isdigit() or host not in self.addresses:
                raise UsageError(f"{host} is a node: say which node port, as in {host}:30080.")
            return self.addresses[host], int(port), protocol or "tcp"
        if _is_address(host):
            if not port.isdigit():
                raise UsageError(f"which port of {host}? Write {host}:80.")
            return host, int(port), protocol or self._protocol(host, int(port))
        name, _, rest = host.partition(".")
        namespace = rest.partition(".")[0] or self.namespace
        found = self._ports_of(name if "/" in name else f"{namespace}/{name}")
        matching = [p for p in found if not port or port in (p.port_name, str(p.port))]
        matching = [p for p in matching if not protocol or p.protocol.lower() == protocol]
        if len({p.port for p in matching}) != 1:
            there = ", ".join(f"{p.port}" + (f" ({p.port_name})" if p.port_name else "") for p in found)
            raise UsageError(f"which port of Service {namespace}/{name}? It has {there}.")
        return matching[0].cluster_ips[0], matching[0].port, matching[0].protocol.lower()

    def _protocol(self, address: str, number: int) -> str:
        """What the Service at an address speaks: UDP if that is all it speaks there."""
        there = {p.protocol.lower() for p in self.ports
                 if address in (*p.cluster_ips, *p.external_ips, *p.load_balancer_ips) and p.port == number}
        return there.pop() if len(there) == 1 else "tcp"

    def _source(self, source: str, node: str, destination: str, number: int) -> tuple[str, str, str]:
        """(node whose rules it meets, its address, "pod", "node" or "outside")."""
        if source in self.nodes:
            return source, self._address_of(source), "node"
        if source and not _is_address(source):
            pod = self._pod(source)
            return self._node_of(pod), _pod_ip(pod), "pod"
        if source:
            return self._by_address(source, node, destination)
        servers = {e.ip for p in self.ports if destination in (*p.cluster_ips, *p.external_ips, *p.load_balancer_ips)
                   or number == p.node_port for e in p.endpoints}
        guests = [pod for pod in self.pods if pod["metadata"]["namespace"] == self.namespace and _pod_ip(pod)
                  and not pod["spec"].get("hostNetwork") and node in ("", pod["spec"].get("nodeName"))
                  and _pod_ip(pod) not in servers]
        if guests:
            guest = min(guests, key=lambda pod: str(pod["metadata"]["name"]))
            return self._node_of(guest), _pod_ip(guest), "pod"
        where = node or min(self.nodes)
        return where, self._address_of(where), "node"

    def _by_address(self, source: str, node: str, destination: str) -> tuple[str, str, str]:
        for pod in self.pods:
            if _pod_ip(pod) == source and not pod["spec"].get("hostNetwork"):
                return self._node_of(pod), source, "pod"
        for name, address in self.addresses.items():
            if address == source:
                return name, source, "node"
        # From outside: it meets the rules of the node that it was sent to.
        met = next((name for name, address in self.addresses.items() if address == destination), min(self.nodes))
        return node or met, source, "outside"

    def _address_of(self, node: str) -> str:
        if node not in self.addresses:
            raise UsageError(f'node "{node}" has no address of its own yet.')
        return self.addresses[node]

    def _pod(self, text: str) -> Object:
        namespace, name = self._split(text.removeprefix("pod/"))
        for pod in self.pods:
            if (pod["metadata"]["namespace"], pod["metadata"]["name"]) == (namespace, name):
                if not _pod_ip(pod):
                    raise UsageError(f"Pod {namespace}/{name} has no address (yet), so nothing comes from it.")
                return dict(pod)
        raise UsageError(f'"{text}" is no node, no address, and no Pod in namespace {namespace}.')

    @staticmethod
    def _node_of(pod: Object) -> str:
        return str(pod["spec"]["nodeName"])

    def _endpoint(self, endpoint: str) -> str:
        """The address of what was asked for, as a Pod's name or an address with or without port."""
        if not endpoint or _is_address(endpoint.partition(":")[0]):
            return endpoint
        return _pod_ip(self._pod(endpoint))


def internal_ip(node: Object) -> str:
    """A Node's IPv4 InternalIP, "" if it has none."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((a["address"] for a in addresses if a["type"] == "InternalIP" and ":" not in a["address"]), "")


def _pod_ip(pod: Object) -> str:
    return str((pod.get("status") or {}).get("podIP") or "")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_simulated(node: Object) -> bool:
    return (node["metadata"].get("annotations") or {}).get("kwok.x-k8s.io/node") == "fake"


def _service_cidr(client: Client) -> str:
    """Of the ServiceCIDR called kubernetes; where there is none (before 1.33), kubeadm's default."""
    try:
        found = client.get("servicecidrs.networking.k8s.io", "", "kubernetes")
    except StatusError:
        return "10.96.0.0/12"
    return next((cidr for cidr in found["spec"]["cidrs"] if ":" not in cidr), "10.96.0.0/12")
