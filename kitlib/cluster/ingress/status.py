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
from kitlib.traffic.ingress import first_address
from kitlib.traffic.rules import Route, routes

Object = dict[str, Any]


@dataclass
class Standing:
    """address: where clients outside find it, "" as long as nobody has given it one; inside: its Service's address.

    trouble: why a Pod of it does not start, in the runtime's words.
    """

    installed: bool
    ready: int = 0
    wanted: int = 0
    image: str = ""
    address: str = ""
    inside: str = ""
    trouble: str = ""
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
        why = f" A Pod waits: {self.trouble}" if self.trouble else ""
        return f"Traefik ({self.image}): {self.ready} of {self.wanted} Pods ready, {where}.{why}"


def standing(client: Client) -> Standing:
    """Look at the cluster."""
    deployment, service = _get(client, DEPLOYMENTS), _get(client, "services")
    found = Standing(installed=deployment is not None)
    if deployment is not None:
        found.ready = (deployment.get("status") or {}).get("readyReplicas") or 0
        found.wanted = deployment["spec"]["replicas"]
        found.trouble = _trouble(client) if found.ready < found.wanted else ""
        found.image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    if service is not None:
        found.address = first_address(service)
        found.inside = service["spec"].get("clusterIP", "")
        found.node_ports = {p["name"]: p["nodePort"] for p in service["spec"]["ports"] if p.get("nodePort")}
    for each in client.list(INGRESS_CLASSES)["items"]:
        found.classes.append(each["metadata"]["name"])
        if (each["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
            found.default_class = each["metadata"]["name"]
    found.routes = routes(client)
    return found


def _trouble(client: Client) -> str:
    """What a container of the controller waits for."""
    for pod in client.list("pods", NAME, label_selector=f"app={NAME}")["items"]:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            waiting = (status.get("state") or {}).get("waiting") or {}
            if waiting.get("message"):
                return f"{waiting.get('reason', '')}: {waiting['message']}"
    return ""


def _get(client: Client, resource: str) -> Object | None:
    try:
        return client.get(resource, NAME, NAME)
    except StatusError as error:
        if error.code in (403, 404):
            return None
        raise
