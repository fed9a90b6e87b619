"""Which Pod a connection gets: affinity, traffic policies, hints, Pods that are leaving; with real traffic."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_pods import WEB, Place, outside, pod, web
from support import Kubectl, eventually

from kitlib.cluster.embedded import EmbeddedCluster

EVERYBODY = set(WEB)
ZONE = "topology.kubernetes.io/zone"
NODE_1, NODE_2 = {"web-1", "web-2"}, {"web-3"}


@pytest.fixture(scope="module")
def place(cluster: EmbeddedCluster, shared_home: Path) -> Iterator[Place]:
    kubectl = Kubectl(cluster.kubeconfig, "service-policies", shared_home / "cache-service-policies")
    kubectl("create", "namespace", "service-policies")
    yield Place(kubectl)
    kubectl("delete", "namespace", "service-policies", "--wait=false")


def test_a_client_sticks_to_its_pod_by_its_own_address_until_the_time_is_over(place: Place) -> None:
    config = {"clientIP": {"timeoutSeconds": 1}}
    place.service("sticky", sessionAffinity="ClientIP", sessionAffinityConfig=config)
    eventually(lambda: place.who("client-1", "sticky", times=1) != {"-"})
    pods = {client: place.who(client, "sticky") for client in ("client-1", "client-2", "client-3")}
    assert all(len(seen) == 1 for seen in pods.values()), pods
    assert set.union(*pods.values()) == EVERYBODY   # each client its own, though all come from one machine
    slow = "import time, urllib.request\nfor _ in range(3):\n" \
           "    print(urllib.request.urlopen('http://sticky/').read().split()[0].decode())\n    time.sleep(1.3)"
    assert len(set(place.run("client-1", slow).split())) > 1


def test_an_internal_policy_of_local_stays_on_the_callers_node(place: Place) -> None:
    address = place.service("inner", internalTrafficPolicy="Local")["spec"]["clusterIP"]
    eventually(lambda: place.who("client-1", address) == NODE_1)
    assert place.who("client-2", address) == NODE_2
    assert place.who("client-3", address, times=2) == {"-"}   # node-3 has none, and nobody else's are used


def test_an_external_policy_of_local_shows_the_clients_address_and_uses_the_nodes_own_pods(place: Place) -> None:
    made = place.service("outer", type="NodePort", externalTrafficPolicy="Local")
    port = made["spec"]["ports"][0]["nodePort"]
    answers = eventually(lambda: [a for a in outside(place.nodes["node-1"], port) if a[0] != "-"])
    assert {who for who, _ in answers} == NODE_1
    assert {caller for _, caller in answers} == {"127.0.0.1"}
    assert {who for who, _ in outside(place.nodes["node-2"], port)} == NODE_2
    assert {who for who, _ in outside(place.nodes["node-3"], port, times=2)} == {"-"}
    assert place.who("client-3", place.nodes["node-3"], port) == EVERYBODY   # Pods are inside


def health(address: str, port: int) -> tuple[int, int]:
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/healthz", timeout=3) as answer:
            return answer.status, json.load(answer)["localEndpoints"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["localEndpoints"]
    except OSError:
        return 0, 0


def test_each_node_tells_a_load_balancer_whether_it_has_pods(place: Place) -> None:
    made = place.service("checked", type="LoadBalancer", externalTrafficPolicy="Local")
    port = made["spec"]["healthCheckNodePort"]
    assert eventually(lambda: (h := health(place.nodes["node-1"], port))[0] and h) == (200, 2)
    assert [health(place.nodes[node], port) for node in ("node-2", "node-3")] == [(200, 1), (503, 0)]
    ingress = eventually(lambda: place.kubectl.get("service", "checked")["status"]["loadBalancer"].get("ingress"))
    answers = eventually(lambda: [a for a in outside(ingress[0]["ip"]) if a[0] != "-"])
    assert {caller for _, caller in answers} == {"127.0.0.1"}
    assert {who for who, _ in answers} == EVERYBODY


def test_prefer_same_node_goes_elsewhere_only_if_it_must(place: Place) -> None:
    address = place.service("near", trafficDistribution="PreferSameNode")["spec"]["clusterIP"]
    eventually(lambda: place.who("client-1", address) == NODE_1)
    assert place.who("client-2", address) == NODE_2
    assert place.who("client-3", address) == EVERYBODY


def test_prefer_same_zone_follows_the_labels_of_the_nodes(place: Place) -> None:
    address = place.service("zoned", trafficDistribution="PreferClose")["spec"]["clusterIP"]
    for node, zone in (("node-1", "east"), ("node-2", "west"), ("node-3", "west")):
        place.kubectl("label", "node", node, f"{ZONE}={zone}")
    try:
        eventually(lambda: place.who("client-3", address) == NODE_2)
        assert place.who("client-1", address) == NODE_1
        hints = [e.get("hints") for s in place.kubectl.get("endpointslices", "-l", "kubernetes.io/service-name=zoned")[
            "items"] for e in s["endpoints"]]
        assert all(hint["forZones"] for hint in hints)
    finally:
        for node in ("node-1", "node-2", "node-3"):
            place.kubectl("label", "node", node, f"{ZONE}-")
    eventually(lambda: place.who("client-3", address) == EVERYBODY)


def test_pods_that_are_leaving_serve_as_long_as_nobody_else_can(place: Place) -> None:
    hook = {"preStop": {"exec": {"command": ["sleep", "20"]}}}
    leaving = pod("leaving", "node-1", {"image": "kit/echo", "lifecycle": hook}, app="leaving")
    leaving["spec"]["terminationGracePeriodSeconds"] = 30
    place.kubectl("create", "-f", "-", stdin=leaving)
    address = place.service("leaving", selector={"app": "leaving"})["spec"]["clusterIP"]
    eventually(lambda: place.who("client-1", address) == {"leaving"})
    place.kubectl("delete", "pod", "leaving", "--wait=false")

    def conditions() -> dict[str, Any]:
        (found,) = place.kubectl.get("endpointslices", "-l", "kubernetes.io/service-name=leaving")["items"]
        return found["endpoints"][0]["conditions"]

    eventually(lambda: conditions() == {"ready": False, "serving": True, "terminating": True})
    assert place.who("client-1", address) == {"leaving"}
    place.kubectl("create", "-f", "-", stdin=pod("fresh", "node-2", {"image": "kit/echo"}, app="leaving"))
    eventually(lambda: place.who("client-1", address) == {"fresh"})
    place.kubectl("delete", "pod", "leaving", "--grace-period=0", "--force")


def test_a_target_port_by_name_is_looked_up_in_each_pod(place: Place) -> None:
    for name, port in (("old", 8081), ("new", 9090)):
        made = web(name, "node-1", port=port)
        made["metadata"]["labels"] = {"app": "both"}
        place.kubectl("create", "-f", "-", stdin=made)
    address = place.service("both", selector={"app": "both"}, ports=[{"port": 80, "targetPort": "http"}])[
        "spec"]["clusterIP"]
    eventually(lambda: place.who("client-1", address) == {"old", "new"})
    found = place.kubectl.get("endpointslices", "-l", "kubernetes.io/service-name=both")["items"]
    assert sorted(s["ports"][0]["port"] for s in found) == [8081, 9090]
