"""Walks for slides: a small, exact cluster, and the packets that a chapter follows through its rules.

    !figure walk clusterip iptables        a Pod calls a Service
    !figure walk nodeport nftables         somebody outside calls a node port
    !figure walk refused iptables          a Service without a ready Pod

The rules and the walks are computed as for any cluster; only chance is told what to choose, so a deck never changes.
"""

from __future__ import annotations

from typing import Any

from kitlib.network.iptables import RuleContext
from kitlib.network.service_ports import service_ports
from kitlib.network.userspace import ProxyNode
from kitlib.network.walk.packet import Packet
from kitlib.network.walk.walk import take, walker, with_pods
from kitlib.views import walk_svg

NODES = {"nodeA": ("192.0.2.2", "10.244.1.0/24"), "nodeB": ("192.0.2.3", "10.244.2.0/24")}
PODS = {"web-x7k2p": ("10.244.1.5", "nodeA"), "web-bq4zn": ("10.244.2.7", "nodeB"),
        "web-m9wtd": ("10.244.2.8", "nodeB")}
CLIENT, CHOSEN, OUTSIDE = "10.244.1.9", "10.244.2.7", "203.0.113.9"
ADDRESS, NODE_PORT = "10.96.0.50", 30080


def _service(name: str, address: str, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP"} | ({"nodePort": NODE_PORT} if "type" in spec else {})]
    return {"metadata": {"name": name, "namespace": "shop"},
            "spec": {"type": "ClusterIP", "clusterIP": address, "ports": ports, **spec}}


def _slice() -> dict[str, Any]:
    endpoints = [{"addresses": [ip], "conditions": {"ready": True}, "nodeName": node} for ip, node in PODS.values()]
    return {"metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "", "port": 8080, "protocol": "TCP"}]}


def walk(story: str = "clusterip", mode: str = "iptables", words: str = "") -> str:
    """The figure.  words: "words" for the rules below it, too.  Raises ValueError for what there is not."""
    local = (NODES["nodeA"][0],)
    stories = {
        "clusterip": (Packet(CLIENT, ADDRESS, 80, local=local, from_pod=True), "Pod shop/client", CHOSEN),
        "nodeport": (Packet(OUTSIDE, local[0], NODE_PORT, local=local), "outside the cluster", CHOSEN),
        "refused": (Packet(CLIENT, "10.96.0.60", 80, local=local, from_pod=True), "Pod shop/client", ""),
    }
    if story not in stories:
        raise ValueError(f"there is {', '.join(stories)}")
    packet, name, endpoint = stories[story]
    services = [_service("web", ADDRESS, type="NodePort"), _service("empty", "10.96.0.60")]
    ports = service_ports(services, [_slice()])
    context = RuleContext("nodeA", node_addresses=local)
    nodes = [ProxyNode(node, address, cidr) for node, (address, cidr) in NODES.items()]
    found = take(mode, "nodeA", packet, walker(mode, ports, context, nodes), ports, endpoint)
    pods = {ip: f"shop/{pod}" for pod, (ip, _) in PODS.items()}
    return walk_svg.render(with_pods(found, pods, name).json(), words=bool(words))
