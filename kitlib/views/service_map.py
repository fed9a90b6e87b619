"""A Service as it is now: the ways in, whom it chooses, and which of those get connections.

    ways in                       Service                    nodes and their Pods
    name      web.shop.svc…  ─┐   ClusterIP            ┌──▶  web-1  ready
    ClusterIP 10.96.0.7:80   ─┼─▶ selector app=web   ──┼──▶  web-2  ready
    NodePort  node-1:30080   ─┘   80 → 8080            └╌╌✗  web-3  not ready

Everything is read through the API: the Service, its EndpointSlices, and the nodes' addresses.
"""

from __future__ import annotations

from typing import Any

from kitlib.client import Client
from kitlib.objects.errors import StatusError
from kitlib.views import service_map_svg

Object = dict[str, Any]
SLICES = "endpointslices.discovery.k8s.io"
READY, LEAVING, NOT_READY = "ready", "leaving", "not ready"
POLICIES = {"sessionAffinity": "affinity: {}", "internalTrafficPolicy": "from inside: {}",
            "externalTrafficPolicy": "from outside: {}", "trafficDistribution": "{}"}


def collect(client: Client, namespace: str, name: str) -> Object:
    """The map as plain data.  Raises StatusError (404) where there is no such Service."""
    service = client.get("services", namespace, name)
    slices = client.list(SLICES, namespace, label_selector=f"kubernetes.io/service-name={name}")["items"]
    nodes = {n["metadata"]["name"]: next((a["address"] for a in n["status"].get("addresses") or ()
                                          if a["type"] == "InternalIP"), "") for n in client.list("nodes")["items"]}
    return describe(service, slices, nodes)


def describe(service: Object, slices: list[Object], nodes: dict[str, str]) -> Object:
    """Pure.  nodes: name → address."""
    meta, spec = service["metadata"], service["spec"]
    pods = [pod for s in slices for e in s.get("endpoints") or () for pod in [_endpoint(s, e)]]
    selector = ", ".join(f"{key}={value}" for key, value in (spec.get("selector") or {}).items())
    return {"name": meta["name"], "namespace": meta["namespace"], "type": _kind(spec), "selector": selector,
            "ports": [_port(port) for port in spec.get("ports") or ()],
            "policies": [text.format(spec[key]) for key, text in POLICIES.items()
                         if spec.get(key) not in (None, "None", "Cluster")],
            "external_name": spec.get("externalName", "") if spec.get("type") == "ExternalName" else "",
            "ways": _ways(service, nodes), "pods": sorted(pods, key=lambda p: (p["node"], p["name"]))}


def _kind(spec: Object) -> str:
    return "headless" if spec.get("clusterIP") == "None" else str(spec.get("type", "ClusterIP"))


def _port(port: Object) -> str:
    target = port.get("targetPort", port["port"])
    return f"{port['port']}/{port.get('protocol', 'TCP')} → {target}"


def _ways(service: Object, nodes: dict[str, str]) -> list[dict[str, str]]:
    meta, spec = service["metadata"], service["spec"]
    ways = [{"kind": "name", "address": f"{meta['name']}.{meta['namespace']}.svc.cluster.local"}]
    ports = spec.get("ports") or ()
    if spec.get("clusterIP") not in (None, "", "None"):
        ways += [{"kind": "cluster IP", "address": f"{spec['clusterIP']}:{port['port']}"} for port in ports]
    for port in ports:
        if port.get("nodePort") and nodes:
            first = sorted(nodes)[0]
            more = f" (and {len(nodes) - 1} more nodes)" if len(nodes) > 1 else ""
            ways.append({"kind": "node port", "address": f"{nodes[first]}:{port['nodePort']}{more}"})
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    ways += [{"kind": "load balancer", "address": f"{entry.get('ip') or entry.get('hostname')}:{port['port']}"}
             for entry in ingress for port in ports]
    return ways + [{"kind": "external IP", "address": f"{ip}:{port['port']}"} for ip in spec.get("externalIPs") or ()
                   for port in ports]


def _endpoint(slice_: Object, endpoint: Object) -> dict[str, str]:
    conditions = endpoint.get("conditions") or {}
    numbers = ",".join(str(port["port"]) for port in slice_.get("ports") or () if port.get("port"))
    state = READY if conditions.get("ready") is not False else \
        LEAVING if conditions.get("serving") and conditions.get("terminating") else NOT_READY
    return {"name": (endpoint.get("targetRef") or {}).get("name", ""), "node": endpoint.get("nodeName") or "",
            "address": f"{endpoint['addresses'][0]}:{numbers or '?'}",
            "state": state if numbers else "no such port"}


class ServiceMap:
    """`.map` is the plain data, `.svg` the picture, `str()` the text."""

    def __init__(self, found: Object) -> None:
        self.map = found

    @property
    def svg(self) -> str:
        return service_map_svg.render(self.map)

    def __str__(self) -> str:
        found = self.map
        lines = [f"Service {found['name']} ({', '.join([found['type'], *found['policies']])})"]
        lines += [f"  {way['kind']:14} {way['address']}" for way in found["ways"]]
        lines += [f"  port           {port}" for port in found["ports"]]
        if found["external_name"]:
            return "\n".join([*lines, f"  is a name for  {found['external_name']}"])
        lines.append(f"  selects        {found['selector'] or 'nothing: somebody else writes its EndpointSlices'}")
        if not found["pods"]:
            lines.append("  no endpoints: connections are refused")
        lines += [f"  {pod['node']:14} {pod['name']:24} {pod['address']:24} {pod['state']}" for pod in found["pods"]]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        # HTML rather than image/svg+xml: then the picture is part of the page and follows its theme.
        return {"text/html": self.svg, "text/plain": str(self)}


def draw(client: Client, namespace: str, name: str) -> ServiceMap:
    """Raises KeyError with a sentence where there is no such Service."""
    try:
        return ServiceMap(collect(client, namespace, name))
    except StatusError as error:
        if error.code != 404:
            raise
        raise KeyError(f'there is no Service "{name}" in namespace {namespace}') from None
