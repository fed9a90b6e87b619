"""How the ingress controller of a cluster stands: what `kit ingress status` tells.

    running, address     from its Deployment and its Service
    routes               every rule of every Ingress, with how many endpoints are ready behind it

Everything is read from the API, so it is the same on every cluster.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from kitlib.client import Client
from kitlib.cluster.ingress.install import DEFAULT_CLASS, DEPLOYMENTS, INGRESS_CLASSES, NAME
from kitlib.objects.errors import StatusError

Object = dict[str, Any]
INGRESSES, SLICES = "ingresses.networking.k8s.io", "endpointslices.discovery.k8s.io"


@dataclass(frozen=True)
class Route:
    """One rule.  host "*": any; service: namespace/name:port; endpoints: how many are ready; tls: the Secret's name."""

    ingress: str
    ingress_class: str
    host: str
    path: str
    service: str
    endpoints: int
    tls: str = ""


@dataclass
class Standing:
    """address: where clients outside find it, "" as long as nobody has given it one; inside: its Service's address."""

    installed: bool
    ready: int = 0
    wanted: int = 0
    image: str = ""
    address: str = ""
    inside: str = ""
    node_ports: dict[str, int] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    default_class: str = ""
    routes: list[Route] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        """The controller in one line."""
        if not self.installed and NAME in self.classes:
            return "Traefik is not installed: the first Ingress brings it up, or `kit ingress install`."
        if not self.installed:
            return "Traefik is not installed: `kit ingress install` does it."
        where = f"at {self.address}" if self.address else f"at {self.inside} inside the cluster, without an address " \
                                                          f"for the outside"
        if not self.address and self.node_ports:
            where += f" (but for ports {', '.join(map(str, self.node_ports.values()))} of every node)"
        return f"Traefik ({self.image}): {self.ready} of {self.wanted} Pods ready, {where}."


def standing(client: Client) -> Standing:
    """Look at the cluster."""
    deployment, service = _get(client, DEPLOYMENTS), _get(client, "services")
    found = Standing(installed=deployment is not None)
    if deployment is not None:
        found.ready = (deployment.get("status") or {}).get("readyReplicas") or 0
        found.wanted = deployment["spec"]["replicas"]
        found.image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    if service is not None:
        given = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or [{}]
        found.address = given[0].get("ip") or given[0].get("hostname") or ""
        found.inside = service["spec"].get("clusterIP", "")
        found.node_ports = {p["name"]: p["nodePort"] for p in service["spec"]["ports"] if p.get("nodePort")}
    for each in client.list(INGRESS_CLASSES)["items"]:
        found.classes.append(each["metadata"]["name"])
        if (each["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
            found.default_class = each["metadata"]["name"]
    found.routes = routes(client)
    return found


def routes(client: Client, namespace: str | None = None) -> list[Route]:
    """The rules of all Ingresses, the default backends last."""
    ready = ready_endpoints(client, namespace)
    found = []
    for ingress in client.list(INGRESSES, namespace)["items"]:
        meta, spec = ingress["metadata"], ingress.get("spec") or {}
        secrets = {host: tls.get("secretName", "") for tls in spec.get("tls") or () for host in tls.get("hosts") or ()}

        def route(host: str, path: str, backend: Object, meta: Object = meta, spec: Object = spec,
                  secrets: dict[str, str] = secrets) -> Route:
            service = backend.get("service") or {}
            name, port = service.get("name", ""), service.get("port") or {}
            return Route(f"{meta['namespace']}/{meta['name']}", spec.get("ingressClassName", ""), host, path,
                         f"{meta['namespace']}/{name}:{port.get('number') or port.get('name', '')}",
                         ready.get((meta["namespace"], name), 0), secrets.get(host, ""))

        for rule in spec.get("rules") or ():
            found += [route(rule.get("host") or "*", f"{path.get('path', '/')} ({path['pathType']})", path["backend"])
                      for path in (rule.get("http") or {}).get("paths") or ()]
        if spec.get("defaultBackend"):
            found.append(route("*", "(default)", spec["defaultBackend"]))
    return sorted(found, key=lambda each: (each.path == "(default)", each.host == "*", each.host, each.path))


def ready_endpoints(client: Client, namespace: str | None = None) -> dict[tuple[str, str], int]:
    """(namespace, Service) → how many endpoints would get traffic."""
    found: dict[tuple[str, str], int] = {}
    for each in client.list(SLICES, namespace)["items"]:
        labels = each["metadata"].get("labels") or {}
        key = each["metadata"]["namespace"], labels.get("kubernetes.io/service-name", "")
        good = [e for e in each.get("endpoints") or () if (e.get("conditions") or {}).get("ready") is not False]
        found[key] = found.get(key, 0) + len(good)
    return found


def _get(client: Client, resource: str) -> Object | None:
    try:
        return client.get(resource, NAME, NAME)
    except StatusError as error:
        if error.code in (403, 404):
            return None
        raise
