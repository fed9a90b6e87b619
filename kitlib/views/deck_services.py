"""Services for slides: the live map, fed with a small, exact story.

`!figure service clusterip` and so on; the story is that of chapter 14: web behind its Service, a gate that leads
nowhere, a door on every node, a crew without a proxy, and a bank that is only a name.
"""

from __future__ import annotations

from typing import Any

from kitlib.views import service_map_svg
from kitlib.views.service_map import describe

Object = dict[str, Any]
NODES = {"nodeA": "192.0.2.1", "nodeB": "192.0.2.2"}
PODS = (("web-x7k2p", "nodeA", "10.244.1.7"), ("web-bq4zn", "nodeA", "10.244.1.8"),
        ("web-m9wtd", "nodeB", "10.244.2.4"))


def _service(name: str, address: str = "10.96.0.50", **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {
        "type": "ClusterIP", "clusterIP": address, "selector": {"app": name},
        "ports": [{"port": 80, "targetPort": 8080}], **spec}}


def _slice(unready: str = "", pods: int = 3) -> Object:
    return {"ports": [{"port": 8080}], "endpoints": [
        {"addresses": [ip], "nodeName": node, "targetRef": {"name": name}, "conditions": {"ready": name != unready}}
        for name, node, ip in PODS[:pods]]}


STORIES: dict[str, tuple[Object, list[Object]]] = {
    "clusterip": (_service("web"), [_slice("web-bq4zn")]),
    "broken": (_service("gate", selector={"app": "gates"}), []),
    "nodeport": (_service("web", type="NodePort", ports=[{"port": 80, "targetPort": 8080, "nodePort": 30080}]),
                 [_slice()]),
    "balancer": (_service("web", type="LoadBalancer", externalTrafficPolicy="Local",
                          ports=[{"port": 80, "targetPort": 8080, "nodePort": 30080}])
                 | {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}}, [_slice()]),
    "headless": (_service("web", "None", ports=[{"port": 8080}]), [_slice()]),
    "alias": (_service("bank", "", type="ExternalName", externalName="vault.shop.svc.cluster.local", selector=None,
                       ports=[]), []),
}


def service(story: str = "clusterip") -> str:
    """The map.  Raises ValueError for a story that there is not."""
    if story not in STORIES:
        raise ValueError(f"there is {', '.join(STORIES)}")
    made, slices = STORIES[story]
    return service_map_svg.render(describe(made, slices, NODES))
