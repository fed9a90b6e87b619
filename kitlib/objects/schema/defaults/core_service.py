"""Services and Endpoints.  Addresses, node ports and IP families are allocated by the API, not defaulted here.

Source: pkg/apis/core/v1/defaults.go (SetDefaults_Service, SetDefaults_Endpoints).
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
AFFINITY_SECONDS = 10800  # three hours


def service(obj: Obj) -> None:
    spec = obj["spec"]
    kind = spec.setdefault("type", "ClusterIP")
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", AFFINITY_SECONDS)
    external = kind in ("NodePort", "LoadBalancer")
    if external or (kind == "ClusterIP" and spec.get("externalIPs")):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if external or kind == "ClusterIP":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in obj["status"]["loadBalancer"].get("ingress") or ():
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def service_port(obj: Obj) -> None:
    obj.setdefault("protocol", "TCP")
    if obj["targetPort"] in (0, ""):
        obj["targetPort"] = obj["port"]


def endpoint_port(obj: Obj) -> None:
    obj.setdefault("protocol", "TCP")


HOOKS = {"core/v1.Service": service, "core/v1.ServicePort": service_port, "core/v1.EndpointPort": endpoint_port}
