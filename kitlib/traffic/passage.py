"""What one request passes through on its way into the cluster, told by those who saw it.

    client ──▶ Service of the controller ──▶ controller ──▶ a Pod
               L4: addresses, ports          L7: host, path, headers

The request is really made.  The controller's line about it in its access log says which rule it took and which Pod it
asked (found by an X-Request-Id of our own); the Pod, if it is kit/echo, says what it got.  The rules come from the
Ingresses.  Nothing here is worked out that somebody could tell.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kitlib.client import Client
from kitlib.objects.errors import StatusError
from kitlib.traffic import exchange
from kitlib.traffic.door import Door, names_of
from kitlib.traffic.exchange import Answer
from kitlib.traffic.ingress import CONTROLLER as NAME
from kitlib.traffic.rules import SLICES, Route, gateway_routes, routes

Object = dict[str, Any]
MARK = "X-Request-Id"
LOG_SECONDS, POLL_SECONDS, LOG_LINES = 3.0, 0.05, 400


@dataclass(frozen=True)
class Endpoint:
    """A Pod behind a Service."""

    address: str
    pod: str
    ready: bool


@dataclass
class Passage:
    """One request's way.  Where something is not known it is empty: a request that nobody took has no endpoint.

    front: the address that was asked; source: from where, as the controller saw it.  taken: the rule it took.
    seen: what the Pod got, as kit/echo reports it.  milliseconds: in the controller (overhead) and behind it (origin).
    """

    url: str
    method: str
    host: str
    path: str
    tls: bool
    answer: Answer
    front: str = ""
    source: str = ""
    controller: Endpoint | None = None
    certificate: tuple[str, tuple[str, ...]] = ("", ())
    rules: list[Route] = field(default_factory=list)
    taken: Route | None = None
    router: str = ""
    service: str = ""
    endpoints: list[Endpoint] = field(default_factory=list)
    endpoint: str = ""
    seen: Object = field(default_factory=dict)
    origin: float = 0.0
    overhead: float = 0.0

    @property
    def status(self) -> int:
        return self.answer.status


def follow(client: Client, url: str, *, namespace: str = "default",
           headers: Mapping[str, str] | None = None) -> Passage:
    """Ask the controller for a URL, and collect what is known of the request's way.  Raises ValueError for no URL."""
    target, door = exchange.parse_url(url), Door(client, namespace)
    mark = uuid.uuid4().hex
    answer = door.ask(url, headers={"Accept": "application/json", MARK: mark, **(headers or {})})
    bare = target.path.partition("?")[0]
    found = Passage(target.url, answer.method, target.host, target.path, target.scheme == "https", answer,
                    front=answer.address)
    if found.tls and answer.address:
        shown = door.certificate(target.host, target.port)
        found.certificate = names_of(shown) if shown else ("", ())
    found.rules = [rule for rule in routes(client)
                   if rule.host in (target.host, "*") or rule.matches(target.host, bare)]
    line, found.controller = _logged(client, mark) if answer.address else ({}, None)
    found.source = line.get("ClientHost", "")
    found.router = line.get("RouterName", "")
    found.endpoint = line.get("ServiceAddr", "")
    found.origin, found.overhead = line.get("OriginDuration", 0) / 1e6, line.get("Overhead", 0) / 1e6
    found.taken = _taken(line, found.rules, target.host, bare)
    if found.router.endswith("@kubernetesgateway"):
        _by_gateway(client, found)
    name = line.get("KubernetesServiceName") or (found.taken.service.rpartition(":")[0].rpartition("/")[2]
                                                 if found.taken else "")
    if name:
        space = line.get("KubernetesServiceNamespace") or (found.taken.ingress.partition("/")[0] if found.taken else "")
        found.service = f"{space}/{name}"
        found.endpoints = _endpoints(client, space, name)
    found.seen = _report(answer)
    return found


def _logged(client: Client, mark: str) -> tuple[Object, Endpoint | None]:
    """The controller's log line about our request, and which of its Pods wrote it; nothing for whom may not read it."""
    end = time.monotonic() + LOG_SECONDS
    while True:
        try:
            pods = client.list("pods", NAME, label_selector=f"app={NAME}")["items"]
        except StatusError as error:
            if error.code in (403, 404):
                return {}, None
            raise
        for pod in pods:
            name = pod["metadata"]["name"]
            text = client.transport.request("GET", f"/api/v1/namespaces/{NAME}/pods/{name}/log",
                                            query={"tailLines": str(LOG_LINES)})
            lines = text.get("message", "").splitlines() if "message" in text else [json.dumps(text)]
            for line in reversed(lines):
                if mark in line and line.startswith("{"):
                    return json.loads(line), Endpoint(pod["status"].get("podIP", ""), name, True)
        if time.monotonic() > end:
            return {}, None
        time.sleep(POLL_SECONDS)


def _taken(line: Object, rules: list[Route], host: str, path: str) -> Route | None:
    """The rule that the controller says it took: of that Ingress, to that Service; of several the most exact."""
    ingress = f"{line.get('KubernetesIngressNamespace')}/{line.get('KubernetesIngressName')}"
    fits = [rule for rule in rules if rule.ingress == ingress and rule.matches(host, path)
            and (not line.get("KubernetesServiceName")
                 or rule.service.rpartition(":")[0].endswith("/" + line["KubernetesServiceName"]))]
    return max(fits, key=lambda rule: (rule.kind != "default", len(rule.path), rule.kind == "Exact"), default=None)


def _by_gateway(client: Client, found: Passage) -> None:
    """Its router's name tells the HTTPRoute and the number of the rule."""
    for name, rules in gateway_routes(client).items():
        number = re.search(r"-ep-.+-(\d+)-[0-9a-f]+@", found.router)
        if found.router.startswith(f"httproute-{name.replace('/', '-')}-gw-") and number:
            found.rules, found.taken = rules, rules[int(number[1])]
            services = [part.partition(":")[0] for part in found.taken.service.partition("/")[2].split(" + ")]
            space = name.partition("/")[0]
            found.endpoints = [each for service in services for each in _endpoints(client, space, service)]
            found.service = f"{space}/{' and '.join(services)}"


def _endpoints(client: Client, namespace: str, service: str) -> list[Endpoint]:
    found = []
    slices = client.list(SLICES, namespace, label_selector=f"kubernetes.io/service-name={service}")["items"]
    for each in slices:
        port = next((p["port"] for p in each.get("ports") or ()), 0)
        for endpoint in each.get("endpoints") or ():
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            found += [Endpoint(f"{address}:{port}", (endpoint.get("targetRef") or {}).get("name", ""), ready)
                      for address in endpoint["addresses"]]
    return sorted(found, key=lambda each: each.address)


def _report(answer: Answer) -> Object:
    """What kit/echo says it got; {} from anybody else."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "headers" in found and "pod" in found else {}
