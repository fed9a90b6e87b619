"""A cluster's way in, for the tests of the ingress controller: what is put behind it, and how it is asked.

Everything is asked at the address that the controller's Service tells, as a client outside would, with a host's name.
"""

from __future__ import annotations

import base64
from typing import Any

from support import Kubectl, deployment

from kitlib.cluster import pki
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.traffic.door import Door
from kitlib.traffic.exchange import Answer

ECHO = {"name": "main", "image": "kit/echo", "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1}}


class Edge:
    """A cluster's way in, and what the tests put behind it."""

    def __init__(self, cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
        self.cluster, self.kubectl = cluster, kubectl
        self.client = cluster.client("test")

    def serve(self, *names: str, image: str = "kit/echo") -> None:
        """A Deployment and a Service on port 80 for each name."""
        for name in names:
            self.kubectl("create", "-f", "-", stdin=deployment(name, 1, ECHO | {"image": image}))
            self.kubectl("expose", "deployment", name, "--port=80", "--target-port=http")
        for name in names:
            self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")

    def ingress(self, name: str, *rules: tuple[str, str, str, str], **spec: Any) -> None:
        """rules: host, path, pathType, Service."""
        found: dict[str, list[dict[str, Any]]] = {}
        for host, path, kind, service in rules:
            backend = {"service": {"name": service, "port": {"number": 80}}}
            found.setdefault(host, []).append({"path": path, "pathType": kind, "backend": backend})
        made = [({"host": host} if host else {}) | {"http": {"paths": paths}} for host, paths in found.items()]
        self.kubectl("apply", "-f", "-", stdin={
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
            "spec": ({"rules": made} if made else {}) | spec})

    def secret(self, name: str, *hosts: str) -> str:
        """A TLS Secret; its certificate."""
        certificate, key = pki.self_signed(*hosts)
        data = {"tls.crt": certificate, "tls.key": key}
        self.kubectl("apply", "-f", "-", stdin={
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls",
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}})
        return certificate

    @property
    def address(self) -> str:
        """The controller's load balancer."""
        return Door(self.client).address

    def get(self, host: str, path: str = "/", **options: Any) -> Answer:
        """Ask the controller for a host that may be nobody's."""
        return Door(self.client).ask(f"http://{host}{path}", **options)

    def reaches(self, service: str, host: str, path: str = "/") -> bool:
        return self.get(host, path).pod.startswith(f"{service}-")

    def certificate(self, host: str) -> str:
        """What the controller shows to a client that says (SNI) it wants that host."""
        return Door(self.client).certificate(host)
