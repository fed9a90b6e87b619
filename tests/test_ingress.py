"""The ingress controller: Traefik comes with the first Ingress, and real traffic goes where the rules say.

Everything is asked at the address that the Ingress's status tells, as a client outside would, with the host's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ingress_edge import Edge
from support import Kubectl, eventually

from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings
from kitlib.traffic.network import Network
from kitlib.traffic.passage import follow
from kitlib.traffic.request import request

ROUTE_KIND = {"apiVersion": "gateway.networking.k8s.io/v1"}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    home = tmp_path_factory.mktemp("edge")
    cluster = EmbeddedCluster(ClusterDir("edge", home))
    cluster.start(Settings(nodes=2, ephemeral=True, parent_pid=os.getpid()))
    found = Edge(cluster, Kubectl(cluster.kubeconfig, "default", home / "cache"))
    found.serve("front", "back", "odd")
    yield found
    cluster.delete()


def test_the_first_ingress_brings_the_controller_up(edge: Edge) -> None:
    kubectl = edge.kubectl
    assert kubectl.run("get", "namespace", "traefik").returncode != 0
    edge.ingress("shop", ("shop.example", "/", "Prefix", "front"))
    assert kubectl("get", "ingress", "shop", "-o", "jsonpath={.spec.ingressClassName}") == "traefik"
    address = ("get", "ingress", "shop", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
    assert eventually(lambda: kubectl(*address)) == edge.address
    assert "starting its controller" in kubectl("describe", "ingress", "shop")
    eventually(lambda: request(edge.client, "http://shop.example/").pod.startswith("front-"))
    owner = kubectl.get("deployment", "traefik", "-n", "traefik")
    assert owner["spec"]["template"]["spec"]["serviceAccountName"] == "traefik"


def test_where_the_network_is_elsewhere_the_way_is_through_the_api(edge: Edge) -> None:
    edge.ingress("far", ("far.example", "/", "Prefix", "front"))
    eventually(lambda: edge.reaches("front", "far.example"))
    answer = request(edge.client, "http://far.example/", network=Network(edge.client, through_api=True))
    assert answer.pod.startswith("front-")
    assert "port-forward to a Pod of Service traefik/traefik" in answer.notes[1]


def test_hosts_and_paths(edge: Edge) -> None:
    edge.ingress("paths", ("paths.example", "/", "Prefix", "front"), ("paths.example", "/api", "Prefix", "back"),
                 ("paths.example", "/exactly", "Exact", "odd"), ("*.wild.example", "/", "Prefix", "odd"),
                 ("only.example", "/only", "Exact", "odd"))
    eventually(lambda: edge.reaches("front", "paths.example"))
    paths = ("/", "/else", "/api", "/api/", "/api/orders", "/apiary", "/exactly", "/exactly/x", "/api?/exactly")
    went = {path: edge.get("paths.example", path).pod.partition("-")[0] for path in paths}
    assert went == {"/": "front", "/else": "front", "/api": "back", "/api/": "back", "/api/orders": "back",
                    "/apiary": "front", "/exactly": "odd", "/exactly/x": "front", "/api?/exactly": "back"}
    assert edge.reaches("odd", "a.wild.example")
    assert edge.get("wild.example").status == 404
    assert edge.reaches("odd", "only.example", "/only")
    assert edge.get("only.example", "/only/more").status == 404


def test_the_pod_sees_whom_the_client_asked(edge: Edge) -> None:
    edge.ingress("seen", ("seen.example", "/", "Prefix", "front"))
    eventually(lambda: edge.reaches("front", "seen.example"))
    seen = edge.get("seen.example", "/a?format=json").json()
    assert seen["headers"]["Host"] == "seen.example"
    assert seen["headers"]["X-Forwarded-Host"] == "seen.example"
    assert seen["headers"]["X-Forwarded-For"]
    assert seen["client"] == edge.client.list("pods", "traefik")["items"][0]["status"]["podIP"]


def test_tls_is_chosen_by_the_name_that_the_client_says(edge: Edge) -> None:
    first, second = edge.secret("one", "one.example"), edge.secret("two", "two.example", "deux.example")
    edge.ingress("one", ("one.example", "/", "Prefix", "front"), tls=[{"hosts": ["one.example"], "secretName": "one"}])
    edge.ingress("two", ("two.example", "/", "Prefix", "back"), ("deux.example", "/", "Prefix", "back"),
                 tls=[{"hosts": ["two.example", "deux.example"], "secretName": "two"}])
    eventually(lambda: edge.certificate("one.example") == first)
    eventually(lambda: edge.certificate("two.example") == second)
    assert edge.certificate("deux.example") == second
    assert edge.certificate("three.example") not in (first, second)
    eventually(lambda: request(edge.client, "https://two.example/", cacert=second).pod.startswith("back-"))
    assert request(edge.client, "https://two.example/").failure.kind == "certificate"  # type: ignore[union-attr]
    renewed = edge.secret("one", "one.example")
    assert renewed != first
    eventually(lambda: edge.certificate("one.example") == renewed)


def test_a_default_backend_gets_what_is_nobodys(edge: Edge) -> None:
    edge.ingress("named", ("named.example", "/", "Prefix", "front"))
    eventually(lambda: edge.reaches("front", "named.example"))
    assert edge.get("nobodys.example").status == 404
    edge.ingress("rest", defaultBackend={"service": {"name": "odd", "port": {"number": 80}}})
    eventually(lambda: edge.reaches("odd", "nobodys.example", "/some/where"))
    assert edge.reaches("front", "named.example")
    edge.kubectl("delete", "ingress", "rest")
    eventually(lambda: edge.get("nobodys.example").status == 404)


def test_an_ingress_of_another_class_is_left_alone(edge: Edge) -> None:
    edge.ingress("foreign", ("foreign.example", "/", "Prefix", "front"), ingressClassName="somebody-elses")
    edge.ingress("own", ("own.example", "/", "Prefix", "front"), ingressClassName="traefik")
    eventually(lambda: edge.reaches("front", "own.example"))
    assert edge.get("foreign.example").status == 404
    assert not edge.kubectl("get", "ingress", "foreign", "-o", "jsonpath={.status.loadBalancer.ingress}")


def test_a_service_without_pods_is_a_503_and_one_that_is_not_there_a_404(edge: Edge) -> None:
    edge.serve("brief")
    edge.ingress("brief", ("brief.example", "/", "Prefix", "brief"), ("void.example", "/", "Prefix", "nowhere"))
    eventually(lambda: edge.reaches("brief", "brief.example"))
    assert edge.get("void.example").status == 404
    edge.kubectl("scale", "deployment/brief", "--replicas=0")
    eventually(lambda: edge.get("brief.example").status == 503)
    edge.kubectl("scale", "deployment/brief", "--replicas=2")
    eventually(lambda: edge.reaches("brief", "brief.example"))
    edge.kubectl("delete", "ingress", "brief")
    eventually(lambda: edge.get("brief.example").status == 404)


def test_a_changed_backend_takes_over(edge: Edge) -> None:
    edge.ingress("moving", ("moving.example", "/", "Prefix", "front"))
    eventually(lambda: edge.reaches("front", "moving.example"))
    edge.ingress("moving", ("moving.example", "/", "Prefix", "back"))
    eventually(lambda: edge.reaches("back", "moving.example"))


def gateway(name: str, **listener: Any) -> dict[str, Any]:
    return ROUTE_KIND | {"kind": "Gateway", "metadata": {"name": name}, "spec": {
        "gatewayClassName": "traefik", "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"} | listener]}}


def http_route(name: str, parent: str, host: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return ROUTE_KIND | {"kind": "HTTPRoute", "metadata": {"name": name}, "spec": {
        "parentRefs": [{"name": parent}], "hostnames": [host], "rules": list(rules)}}


def test_the_gateway_api_splits_matches_and_redirects(edge: Edge) -> None:
    edge.ingress("first", ("first.example", "/", "Prefix", "front"))  # in case this test runs alone
    eventually(lambda: edge.kubectl.run("get", "gatewayclass", "traefik").returncode == 0)
    edge.kubectl("create", "-f", "-", stdin=gateway("edge"))
    beta = {"matches": [{"headers": [{"name": "X-Beta", "value": "yes"}]}],
            "backendRefs": [{"name": "odd", "port": 80}]}
    away = {"matches": [{"path": {"type": "Exact", "value": "/old"}}], "filters": [
        {"type": "RequestRedirect", "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"},
                                                        "statusCode": 301}}]}
    split = {"backendRefs": [{"name": "front", "port": 80, "weight": 3}, {"name": "back", "port": 80, "weight": 1}]}
    edge.kubectl("create", "-f", "-", stdin=http_route("split", "edge", "gw.example", beta, away, split))
    eventually(lambda: edge.get("gw.example").status == 200)
    went = [edge.get("gw.example").pod.partition("-")[0] for _ in range(40)]
    assert {name: went.count(name) for name in ("front", "back")} == {"front": 30, "back": 10}
    assert request(edge.client, "http://gw.example/", headers={"X-Beta": "yes"}).pod.startswith("odd-")
    old = edge.get("gw.example", "/old")
    assert (old.status, dict(old.headers)["Location"]) == (301, "http://gw.example/new")
    kubectl = edge.kubectl
    assert kubectl("get", "gateway", "edge", "--no-headers").split()[:4] == ["edge", "traefik", edge.address, "True"]
    kubectl("wait", "httproute/split", "--timeout=10s",
            "--for=jsonpath={.status.parents[0].conditions[?(@.type=='Accepted')].status}=True")
    assert "gw.example" in kubectl("get", "httproute", "split")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"rules": [{"matches": [{"path": {"type": "Prefix", "value": "/"}}]}]}, 'Unsupported value: "Prefix"'),
    ({"hostnames": ["no blanks.example"]}, "hostnames[0]"),
    ({"rules": [{"backendRefs": [{"name": "front", "port": 99999}]}]}, "65535"),
    ({"rules": [{"matches": [{"path": {"value": "api"}}]}]}, "path"),
])  # fmt: skip
def test_a_route_that_makes_no_sense_is_refused(edge: Edge, change: dict[str, Any], sentence: str) -> None:
    eventually(lambda: edge.kubectl.run("get", "crd", "httproutes.gateway.networking.k8s.io").returncode == 0)
    route = http_route("bad", "edge", "bad.example")
    route["spec"] |= change
    refused = edge.kubectl.run("create", "-f", "-", stdin=route)
    assert refused.returncode == 1
    assert sentence in refused.stderr


def test_a_requests_way_is_told_by_those_who_saw_it(edge: Edge) -> None:
    edge.ingress("way", ("way.example", "/", "Prefix", "front"), ("way.example", "/api", "Prefix", "back"),
                 ("way.example", "/none", "Prefix", "nopods"))
    edge.kubectl("create", "service", "clusterip", "nopods", "--tcp=80:8080")
    eventually(lambda: edge.get("way.example", "/none").status == 503)
    way = follow(edge.client, "http://way.example/api/x?y=1")
    controller = edge.client.list("pods", "traefik")["items"][0]
    assert way.status == 200
    assert way.taken is not None
    assert (way.taken.path, way.taken.kind, way.service) == ("/api", "Prefix", "default/back")
    assert way.controller is not None
    assert way.controller.pod == controller["metadata"]["name"]
    assert [each.address for each in way.endpoints] == [way.endpoint]
    assert way.seen["client"] == controller["status"]["podIP"]
    assert way.front == f"{edge.address}:80"
    none = follow(edge.client, "https://way.example/none")
    assert (none.status, none.endpoint, none.endpoints, none.certificate[0]) == (503, "", [], "TRAEFIK DEFAULT CERT")
    assert follow(edge.client, "http://stranger.example/").taken is None


def test_its_rights_were_enough(edge: Edge) -> None:
    edge.ingress("last", ("last.example", "/", "Prefix", "front"))
    eventually(lambda: edge.reaches("front", "last.example"))
    log = edge.kubectl("logs", "-n", "traefik", "deployment/traefik")
    assert "forbidden" not in log.lower()
    assert "Failed to watch" not in log
    assert '"RequestHost":"last.example"' in log


@pytest.mark.needs("oci")
def test_it_is_the_same_with_real_containers(tmp_path: Path) -> None:
    cluster = EmbeddedCluster(ClusterDir("real", tmp_path))
    cluster.start(Settings(nodes=1, ephemeral=True, parent_pid=os.getpid(), runtime="oci"))
    try:
        edge = Edge(cluster, Kubectl(cluster.kubeconfig, "default", tmp_path / "cache"))
        edge.serve("front")
        certificate = edge.secret("lock", "shop.example")
        edge.ingress("shop", ("shop.example", "/", "Prefix", "front"),
                     tls=[{"hosts": ["shop.example"], "secretName": "lock"}])
        eventually(lambda: edge.reaches("front", "shop.example"), 60)
        eventually(lambda: edge.certificate("shop.example") == certificate)
        assert follow(edge.client, "https://shop.example/").seen["headers"]["X-Forwarded-Proto"] == "https"
    finally:
        cluster.delete()


def test_a_restarted_cluster_still_routes(tmp_path: Path) -> None:
    cluster = EmbeddedCluster(ClusterDir("again", tmp_path))
    cluster.start(Settings(nodes=1, parent_pid=os.getpid()))
    try:
        edge = Edge(cluster, Kubectl(cluster.kubeconfig, "default", tmp_path / "cache"))
        edge.serve("front")
        edge.ingress("shop", ("shop.example", "/", "Prefix", "front"))
        eventually(lambda: edge.address and edge.reaches("front", "shop.example"))
        address = edge.address
        cluster.stop()
        cluster.start()
        edge.client = cluster.client("test")
        eventually(lambda: edge.reaches("front", "shop.example"), 60)
        assert edge.address == address
    finally:
        cluster.delete()
