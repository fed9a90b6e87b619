"""The rules of all Ingresses, one by one: which host and path goes to which Service.

Source: networking.k8s.io/v1 Ingress; kubernetes.io/docs/concepts/services-networking/ingress (matching, precedence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kitlib.client import Client
from kitlib.objects.errors import StatusError
from kitlib.traffic.ingress import INGRESSES, ROUTES, matches

Object = dict[str, Any]
SLICES = "endpointslices.discovery.k8s.io"


@dataclass(frozen=True)
class Route:
    """One rule.  host "*": any; kind: Prefix, Exact, ImplementationSpecific, or "default" for a default backend.

    service: namespace/name:port; endpoints: how many are ready; tls: the Secret's name.
    """

    ingress: str
    ingress_class: str
    host: str
    path: str
    kind: str
    service: str
    endpoints: int
    tls: str = ""

    @property
    def text(self) -> str:
        """The path as people write it: /api (Prefix)."""
        return "(default)" if self.kind == "default" else f"{self.path} ({self.kind})"

    def matches(self, host: str, path: str) -> bool:
        """Whether it is for such a request, as the API says it; whether it wins is another question."""
        if self.kind == "default":
            return True
        if self.host != "*" and not matches(self.host, host):
            return False
        if self.kind == "Exact":
            return path == self.path
        wanted = self.path.rstrip("/")
        return path == wanted or path.startswith(wanted + "/")

def routes(client: Client, namespace: str | None = None) -> list[Route]:
    """The rules of all Ingresses, the default backends last."""
    ready = ready_endpoints(client, namespace)
    found = []
    for ingress in client.list(INGRESSES, namespace)["items"]:
        meta, spec = ingress["metadata"], ingress.get("spec") or {}
        secrets = {host: tls.get("secretName", "") for tls in spec.get("tls") or () for host in tls.get("hosts") or ()}

        def route(host: str, path: str, kind: str, backend: Object, meta: Object = meta, spec: Object = spec,
                  secrets: dict[str, str] = secrets) -> Route:
            service = backend.get("service") or {}
            name, port = service.get("name", ""), service.get("port") or {}
            return Route(f"{meta['namespace']}/{meta['name']}", spec.get("ingressClassName", ""), host, path, kind,
                         f"{meta['namespace']}/{name}:{port.get('number') or port.get('name', '')}",
                         ready.get((meta["namespace"], name), 0), secrets.get(host, ""))

        for rule in spec.get("rules") or ():
            found += [route(rule.get("host") or "*", path.get("path", "/"), path["pathType"], path["backend"])
                      for path in (rule.get("http") or {}).get("paths") or ()]
        if spec.get("defaultBackend"):
            found.append(route("*", "", "default", spec["defaultBackend"]))
    return sorted(found, key=lambda each: (each.kind == "default", each.host == "*", each.host, each.path))


def gateway_routes(client: Client) -> dict[str, list[Route]]:
    """The rules of all HTTPRoutes: namespace/name → a Route for each of its rules, in order."""
    try:
        found = client.list(ROUTES, None)["items"]
    except StatusError as error:
        if error.code in (403, 404):
            return {}
        raise
    return {f"{obj['metadata']['namespace']}/{obj['metadata']['name']}": _rules_of(obj) for obj in found}


def _rules_of(obj: Object) -> list[Route]:
    meta, spec, made = obj["metadata"], obj["spec"], []
    host = ", ".join(spec.get("hostnames") or ("*",))
    for rule in spec.get("rules") or ():
        match = (rule.get("matches") or [{}])[0]
        path = match.get("path") or {}
        words = [path.get("value", "/"), *(f"{h['name']}: {h['value']}" for h in match.get("headers") or ())]
        backends = " + ".join(f"{b['name']}:{b.get('port', '')} ×{b.get('weight', 1)}"
                              for b in rule.get("backendRefs") or ())
        made.append(Route(f"{meta['namespace']}/{meta['name']}", "", host, " ".join(words),
                          path.get("type", "PathPrefix"), f"{meta['namespace']}/{backends}", 0))
    return made


def ready_endpoints(client: Client, namespace: str | None = None) -> dict[tuple[str, str], int]:
    """(namespace, Service) → how many endpoints would get traffic."""
    found: dict[tuple[str, str], int] = {}
    for each in client.list(SLICES, namespace)["items"]:
        labels = each["metadata"].get("labels") or {}
        key = each["metadata"]["namespace"], labels.get("kubernetes.io/service-name", "")
        good = [e for e in each.get("endpoints") or () if (e.get("conditions") or {}).get("ready") is not False]
        found[key] = found.get(key, 0) + len(good)
    return found
