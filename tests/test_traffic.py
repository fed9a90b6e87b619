"""Real traffic: `kit curl`, `kit dig` and what checks use, against Pods that really run."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support import Kubectl, busybox, deployment, eventually, pod

from kitlib.checks.world import World
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.traffic.network import Network
from kitlib.traffic.request import request

NAMESPACE = "traffic"


@pytest.fixture(scope="module")
def shop(cluster: EmbeddedCluster, kubectl_of: Any) -> Iterator[Kubectl]:
    """A Service with two Pods, and two Pods to ask from: one has nc, one python3."""
    kubectl: Kubectl = kubectl_of(cluster)
    kubectl("create", "namespace", NAMESPACE)
    kubectl.namespace = NAMESPACE
    for obj in (deployment("web", 2, {"name": "main", "image": "kit/echo"}), pod("client", busybox("sleep 3600"))):
        kubectl("apply", "-f", "-", stdin=obj)
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    world = World(cluster.client(), NAMESPACE)
    eventually(lambda: world.request("http://web/").ok)
    yield kubectl
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def world(shop: Kubectl, cluster: EmbeddedCluster) -> World:
    return World(cluster.client(), NAMESPACE)


def echoes(kubectl: Kubectl) -> set[str]:
    return {item["metadata"]["name"] for item in kubectl.get("pods", "-l", "app=web")["items"]}


def test_a_service_answers_and_says_who(world: World, shop: Kubectl) -> None:
    answers = [world.request("http://web.traffic.svc/some/path?x=1") for _ in range(8)]
    assert {answer.pod for answer in answers} == echoes(shop)
    assert answers[0].text.endswith("GET /some/path?x=1\n")
    assert answers[0].seconds < 5


@pytest.mark.parametrize("inside", ["client", f"{NAMESPACE}/client", "web"])
def test_a_request_from_a_pod_has_its_address(world: World, shop: Kubectl, inside: str) -> None:
    """Once with nc (busybox), once with python3 (kit/echo)."""
    name = sorted(echoes(shop))[0] if inside == "web" else inside
    assert world.request("http://web/", from_pod=name).pod in echoes(shop)
    listener = socket.socket()
    own = shop.get("pod", name.rpartition("/")[2])["status"]["podIP"]
    listener.bind((own, 0))  # on this machine the Pod's address is ours, too
    listener.listen(1)
    seen: list[str] = []

    def answer() -> None:
        connection, (peer, _) = listener.accept()
        seen.append(peer)
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        connection.close()

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    assert world.request(f"http://{own}:{listener.getsockname()[1]}/", from_pod=name).text == "hi"
    thread.join(5)
    listener.close()
    assert seen == [own]


@pytest.mark.parametrize("from_pod", ["", "client"])
@pytest.mark.parametrize(("url", "kind"), [("http://nobody/", "dns"), ("http://web:81/", "refused")])
def test_why_nobody_answered(world: World, url: str, kind: str, from_pod: str) -> None:
    answer = world.request(url, from_pod=from_pod)
    assert (answer.status, answer.failure and answer.failure.kind) == (0, kind), answer.failure


def test_a_pod_that_does_not_exist_cannot_ask(world: World) -> None:
    answer = world.request("http://web/", from_pod="nobody")
    assert str(answer.failure) == '(7) Pod nobody cannot ask: pods "nobody" not found'


def serve(reply: bytes | None) -> tuple[socket.socket, int]:
    """A server on an address of this machine that says this (None: nothing at all) and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        if reply is None:
            threading.Event().wait(2)
        else:
            connection.sendall(reply)
        connection.close()

    threading.Thread(target=run, daemon=True).start()
    return listener, listener.getsockname()[1]


@pytest.mark.parametrize(("reply", "kind"), [
    (b"", "closed"), (None, "timeout"), (b"SSH-2.0-no\r\n\r\n", "closed"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "reset")])
def test_answers_that_are_none(world: World, reply: bytes | None, kind: str) -> None:
    listener, port = serve(reply)
    with listener:
        answer = world.request(f"http://127.0.0.1:{port}/", seconds=0.3)
    assert answer.failure is not None
    assert answer.failure.kind == kind


def test_tls_is_checked_unless_one_says_so(world: World, cluster: EmbeddedCluster) -> None:
    url = "https://kubernetes.default.svc/healthz"
    distrusted = world.request(url)
    assert distrusted.failure is not None
    assert distrusted.failure.kind == "certificate"
    assert world.request(url, insecure=True).text == "ok"
    assert world.request(url, cacert=str(cluster.directory.pki / "ca.crt")).text == "ok"
    assert world.request(url, insecure=True, from_pod="client").text == "ok"


def test_a_host_of_an_ingress_goes_to_its_controller(world: World, shop: Kubectl) -> None:
    """The controller here is a Pod that shows the Host it was asked for (its class is nobody's)."""
    address = shop.get("service", "web")["spec"]["clusterIP"]
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": "shop.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    shop("apply", "-f", "-", stdin={
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
        "spec": {"ingressClassName": "by-hand", "rules": [rule]}})
    shop("patch", "ingress", "shop", "--subresource=status", "--type=merge", "-p",
         json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}))
    answer = world.request("http://shop.example/")
    assert answer.pod in echoes(shop)
    assert ("Host", "shop.example") in answer.sent
    assert f"asking its controller at {address}" in answer.notes[0]
    assert world.request("http://shop.example/", from_pod="client").pod in echoes(shop)


def test_through_the_api_where_the_network_is_elsewhere(shop: Kubectl, cluster: EmbeddedCluster) -> None:
    """The way that a foreign cluster needs: port-forward to a ready Pod."""
    client = cluster.client()
    network = Network(client, NAMESPACE, through_api=True)
    answers = [request(client, "http://web/", network=network) for _ in range(12)]
    assert {answer.pod for answer in answers} == echoes(shop)
    assert "port-forward to a Pod of Service traffic/web" in answers[0].notes[0]
    missing = request(client, "http://web:81/", network=network).failure
    assert missing is not None
    assert missing.message.endswith("Service traffic/web has no such port (it has 80)")
    address = shop.get("pod", sorted(echoes(shop))[0])["status"]["podIP"]
    assert request(client, f"http://{address}:8080/", network=network).pod == sorted(echoes(shop))[0]


# -- the command line ------------------------------------------------------------------------------------------


def kit(shop: Kubectl, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kitlib.cli.main", *arguments], env=shop.env, capture_output=True,
                          text=True, check=False, timeout=60)


def test_kit_curl_is_shaped_like_curl(shop: Kubectl) -> None:
    done = kit(shop, "curl", "-i", "-n", NAMESPACE, "-d", "hello", "http://web/x")
    head, _, body = done.stdout.partition("\n\n")
    assert head.splitlines()[0] == "HTTP/1.1 200 OK"
    assert body.splitlines()[1] == "POST /x"
    assert kit(shop, "curl", "-n", NAMESPACE, "--json", "web").stdout.startswith("{")
    verbose = kit(shop, "curl", "-v", "-n", NAMESPACE, "web").stderr
    assert "Service traffic/web" in verbose
    assert "> GET / HTTP/1.1" in verbose


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (("http://nobody.traffic.svc/",), 6, "curl: (6) Could not resolve host: nobody.traffic.svc"),
    (("http://web.traffic.svc:81/",), 7, "Connection refused"),
    (("https://kubernetes.default.svc/",), 60, "SSL certificate problem"),
    (("-fk", "https://kubernetes.default.svc/",), 22, "returned error: 403"),
    (("ftp://web/",), 2, "http or https"), (("-H", "x", "http://web/"), 2, "Name: value"),
])  # fmt: skip
def test_kit_curls_exit_codes_are_curls(shop: Kubectl, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = kit(shop, "curl", *arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_kit_dig_shows_what_was_tried(shop: Kubectl) -> None:
    address = shop.get("service", "web")["spec"]["clusterIP"]
    page = kit(shop, "dig", "-n", NAMESPACE, "web").stdout
    assert ";;   web.traffic.svc.cluster.local  NOERROR, 1 record" in page
    assert f"IN\tA\t{address}" in page
    assert kit(shop, "dig", "-n", NAMESPACE, "web", "+short").stdout == f"{address}\n"
    assert kit(shop, "dig", "-x", address, "+short").stdout == "web.traffic.svc.cluster.local.\n"
    assert kit(shop, "dig", "_https._tcp.kubernetes.default", "SRV", "+short", "+tcp").stdout.startswith("0 100 443 ")
    other = json.loads(kit(shop, "dig", "web", "--json").stdout)  # as a Pod of namespace default: not found
    assert [entry["code"] for entry in other["tries"][:3]] == ["NXDOMAIN"] * 3
    assert kit(shop, "dig", "web", "NONSENSE").returncode == 2


def test_in_a_notebook_they_print_and_return(shop: Kubectl, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    import kitlib

    monkeypatch.setenv("KUBECONFIG", str(shop.kubeconfig))
    answer = kitlib.curl("http://web/", namespace=NAMESPACE)
    assert answer.pod in echoes(shop)
    assert capsys.readouterr().out == answer.text
    assert kitlib.curl("http://nobody/").failure.kind == "dns"
    assert capsys.readouterr().out == "curl: (6) Could not resolve host: nobody\n"
    assert kitlib.dig("web", namespace=NAMESPACE, short=True).addresses == [
        shop.get("service", "web")["spec"]["clusterIP"]]
    with pytest.raises(kitlib.KitError, match="cannot be asked for"):
        kitlib.dig("a..b")
