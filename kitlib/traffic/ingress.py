"""Whose host it is: Ingresses and HTTPRoutes by the host names they are for.

Out in the world a DNS server of the company would lead shop.example to the ingress controller.  Here nobody does, so
`kit curl` looks into the Ingresses: the controller has written its address into their status.

Source: networking.k8s.io/v1 IngressRule.host (wildcards stand for one label); gateway-api HTTPRoute.spec.hostnames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kitlib.client import Client
from kitlib.objects.errors import StatusError

Object = dict[str, Any]
INGRESSES = "ingresses.networking.k8s.io"
CONTROLLER = "traefik"  # of its namespace and its Service
ROUTES, GATEWAYS = "httproutes.gateway.networking.k8s.io", "gateways.gateway.networking.k8s.io"


@dataclass(frozen=True)
class Entry:
    """Where a host is served.  target: the controller's address, or the name of its load balancer."""

    kind: str
    namespace: str
    name: str
    target: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Ingresses:
    """The hosts of one cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, host: str) -> Entry | None:
        """The entry for a host; an exact name wins over a wildcard."""
        found = [(pattern, entry) for pattern, entry in self._entries() if matches(pattern, host)]
        found.sort(key=lambda pair: pair[0].startswith("*"))
        return found[0][1] if found else None

    def _entries(self) -> Iterator[tuple[str, Entry]]:
        for obj in self._list(INGRESSES):
            target = first_address(obj) or self._controller()
            if target:
                for rule in (obj.get("spec") or {}).get("rules") or ():
                    if rule.get("host"):
                        yield rule["host"], _entry("Ingress", obj, target)
        yield from self._routes()

    def _controller(self) -> str:
        """Where nobody gives load balancers an address (kind): the Service of the controller that `kit` installs."""
        try:
            service = self._client.get("services", CONTROLLER, CONTROLLER)
        except StatusError as error:
            if error.code in (403, 404):
                return ""
            raise
        return service["spec"].get("clusterIP", "")

    def _routes(self) -> Iterator[tuple[str, Entry]]:
        routes = self._list(ROUTES)
        gateways = {(g["metadata"]["namespace"], g["metadata"]["name"]): g for g in self._list(GATEWAYS)} \
            if routes else {}
        for obj in routes:
            for parent in (obj.get("spec") or {}).get("parentRefs") or ():
                key = (parent.get("namespace") or obj["metadata"]["namespace"], parent["name"])
                addresses = (gateways.get(key, {}).get("status") or {}).get("addresses") or ()
                if addresses:
                    for host in obj["spec"].get("hostnames") or ():
                        yield host, _entry("HTTPRoute", obj, addresses[0]["value"])

    def _list(self, resource: str) -> list[Object]:
        """Nothing where the kind is not served or may not be read."""
        try:
            return self._client.list(resource, None)["items"]
        except StatusError as error:
            if error.code in (403, 404):
                return []
            raise


def matches(pattern: str, host: str) -> bool:
    """`*.shop.example` matches `a.shop.example`, but neither `shop.example` nor `a.b.shop.example`."""
    pattern, host = pattern.lower(), host.lower()
    if pattern.startswith("*."):
        return host.partition(".")[2] == pattern[2:]
    return pattern == host


def first_address(obj: Object) -> str:
    """What status.loadBalancer of an Ingress or a Service tells: an address, a host name, or "" as long as nothing."""
    entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return next((entry.get("ip") or entry.get("hostname") or "" for entry in entries), "")


def _entry(kind: str, obj: Object, target: str) -> Entry:
    return Entry(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"], target)
