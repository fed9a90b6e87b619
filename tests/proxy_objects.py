"""Services and EndpointSlices as a test writes them, and those for which a real kube-proxy's rules were recorded."""

from __future__ import annotations

import json
from typing import Any

from scenarios.recorded import kube_proxy

from kitlib.network.iptables import RuleContext
from kitlib.network.service_ports import ServicePort, service_ports

RECORDED = kube_proxy()
CONTEXT = RuleContext("node1", node_addresses=["192.0.2.2"])


def service(name: str = "web", namespace: str = "proxy", address: str = "10.96.50.1", **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP"}]
    return {"metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": address, "type": "ClusterIP", "ports": ports, **spec}}


def slice_of(name: str, *addresses: str, namespace: str = "proxy", port: int = 8080, port_name: str = "",
             node: str = "node1") -> dict[str, Any]:
    endpoints = [{"addresses": [a], "conditions": {"ready": True}, "nodeName": node} for a in addresses]
    return {"metadata": {"name": f"{name}-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": port_name, "port": port, "protocol": "TCP"}]}


API = service("kubernetes", "default", "10.96.0.1", ports=[{"name": "https", "port": 443}])
API_SLICE = slice_of("kubernetes", "192.0.2.2", namespace="default", port=26443, port_name="https", node="")
PODS = ("10.244.0.201", "10.244.0.202", "10.244.0.203")


def ports(*objects: dict[str, Any]) -> list[ServicePort]:
    return service_ports([o for o in objects if "spec" in o], [o for o in objects if "spec" not in o])


def recorded(name: str) -> list[ServicePort]:
    data = json.loads(RECORDED[f"{name}.json"]) if name != "base" else {}
    return ports(API, API_SLICE, *data.get("services", ()), *data.get("endpointslices", ()))
