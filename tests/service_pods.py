"""A namespace with Pods that answer and Pods that ask, for the tests of Services with real traffic.

    node-1   web-1 web-2   client-1          every web-N is kit/echo on port 8080 (its port is called http)
    node-2   web-3         client-2          every client-N has Python
    node-3                 client-3
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from support import Kubectl, eventually

from kitlib.objects import lowports

WEB = {"web-1": "node-1", "web-2": "node-1", "web-3": "node-2"}
CLIENTS = {f"client-{number}": f"node-{number}" for number in (1, 2, 3)}
_ASK = """
import json, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for _ in range(int(sys.argv[2])):
    try:
        with opener.open(sys.argv[1] + "?format=json", timeout=3) as answer:
            found = json.load(answer)
        print(found["pod"], found["client"])
    except OSError as error:
        print("-", getattr(error, "reason", error))
"""


def pod(name: str, node: str, container: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "main", **container}]}}


def web(name: str, node: str, **more: Any) -> dict[str, Any]:
    port = more.pop("port", 8080)
    container = {"image": "kit/echo", "env": [{"name": "PORT", "value": str(port)}],
                 "ports": [{"name": "http", "containerPort": port}],
                 "readinessProbe": {"httpGet": {"path": "/readyz", "port": port}, "periodSeconds": 1}}
    return pod(name, node, container | more, app="web")


class Place:
    """The namespace; everything in it is Ready."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        client = {"image": "python", "command": ["python3", "-c", "import time; time.sleep(3600)"]}
        made = [web(name, node) for name, node in WEB.items()]
        made += [pod(name, node, client, app="client") for name, node in CLIENTS.items()]
        kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": made})
        kubectl("wait", "--for=condition=Ready", "pods", "--all", "--timeout=60s", timeout=90)
        self.ips = {p["metadata"]["name"]: p["status"]["podIP"] for p in kubectl.get("pods")["items"]}
        self.nodes = {n["metadata"]["name"]: n["status"]["addresses"][0]["address"]
                      for n in kubectl.get("nodes")["items"]}
        self.slice = next(iter(self.ips.values())).split(".")[1]

    def service(self, name: str, *, slices: bool = True, **spec: Any) -> dict[str, Any]:
        """Create a Service in front of the web Pods; it is returned when it has its endpoints."""
        defaults: dict[str, Any] = {"selector": {"app": "web"}, "ports": [{"name": "web", "port": 80,
                                                                           "targetPort": 8080}]}
        self.kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                                                 "spec": {k: v for k, v in (defaults | spec).items() if v is not None}})
        if slices:
            eventually(lambda: self.ready(name))
        return self.kubectl.get("service", name)

    def ready(self, service: str) -> list[str]:
        """The names of the Pods that are ready behind a Service."""
        found = self.kubectl.get("endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
        return sorted(e["targetRef"]["name"] for s in found for e in s.get("endpoints") or ()
                      if e["conditions"]["ready"])

    def ask(self, client: str, host: str, port: int = 80, times: int = 6) -> list[tuple[str, str]]:
        """From a client Pod, on a new connection each time: [(who answered, whom they saw calling)]."""
        text = self.run(client, _ASK, f"http://{host}:{port}/", str(times))
        return [(line.partition(" ")[0], line.partition(" ")[2]) for line in text.splitlines()]

    def who(self, client: str, host: str, port: int = 80, times: int = 6) -> set[str]:
        return {pod for pod, _ in self.ask(client, host, port, times)}

    def run(self, client: str, code: str, *arguments: str) -> str:
        return self.kubectl("exec", client, "--", "python3", "-c", code, *arguments)


def outside(address: str, port: int = 80, times: int = 6) -> list[tuple[str, str]]:
    """The same from this machine, which is no node: what comes from outside the cluster."""
    place = lowports.reachable(port, lowports.unprivileged_port_start())
    answers = []
    for _ in range(times):
        try:
            with urllib.request.urlopen(f"http://{address}:{place}/?format=json", timeout=3) as answer:
                found = json.load(answer)
            answers.append((found["pod"], found["client"]))
        except OSError as error:
            answers.append(("-", str(getattr(error, "reason", error))))
    return answers
