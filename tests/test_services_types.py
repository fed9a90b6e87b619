"""Every type of Service, with real traffic between real Pods, and from outside."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service_pods import WEB, Place, outside
from support import Kubectl, eventually

from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.objects import lowports

EVERYBODY = set(WEB)


@pytest.fixture(scope="module")
def place(cluster: EmbeddedCluster, shared_home: Path) -> Iterator[Place]:
    kubectl = Kubectl(cluster.kubeconfig, "service-types", shared_home / "cache-service-types")
    kubectl("create", "namespace", "service-types")
    yield Place(kubectl)
    kubectl("delete", "namespace", "service-types", "--wait=false")


def eventually_all(ask: Callable[[], list[tuple[str, str]]]) -> list[tuple[str, str]]:
    """What is answered once every Pod takes part (a proxy learns of a Service a moment after its creation)."""
    return eventually(lambda: (got := ask()) and {pod for pod, _ in got} == EVERYBODY and got)


def test_a_cluster_ip_leads_to_every_pod_which_sees_who_calls(place: Place) -> None:
    address = place.service("plain")["spec"]["clusterIP"]
    answers = eventually_all(lambda: place.ask("client-1", address))
    assert {caller for _, caller in answers} == {place.ips["client-1"]}
    assert {pod for pod, _ in outside(address)} == EVERYBODY


def test_a_service_is_found_by_name_in_its_namespace_and_elsewhere(place: Place) -> None:
    place.service("named")
    for name in ("named", "named.service-types", "named.service-types.svc.cluster.local"):
        assert eventually(lambda name=name: place.who("client-2", name)) == EVERYBODY


def test_a_node_port_leads_from_every_node_to_every_pod_in_the_nodes_name(place: Place) -> None:
    made = place.service("by-node", type="NodePort")
    port = made["spec"]["ports"][0]["nodePort"]
    for node in ("node-1", "node-3"):
        address = place.nodes[node]
        answers = eventually_all(lambda address=address: outside(address, port))
        assert {caller for _, caller in answers} == {address}   # masqueraded
    assert {pod for pod, _ in outside(made["spec"]["clusterIP"])} == EVERYBODY


def test_a_load_balancer_gets_an_address_that_answers_and_loses_it(place: Place) -> None:
    place.service("balanced", type="LoadBalancer")
    ingress = eventually(lambda: place.kubectl.get("service", "balanced")["status"]["loadBalancer"].get("ingress"))
    assert [entry["ipMode"] for entry in ingress] == ["VIP"]
    address = ingress[0]["ip"]
    assert address.startswith(f"127.{place.slice}.255.")
    eventually_all(lambda: outside(address))
    assert place.who("client-3", address) == EVERYBODY
    assert address in place.kubectl("get", "service", "balanced")
    reasons = {e["reason"] for e in place.kubectl.get("events")["items"] if e["involvedObject"]["name"] == "balanced"}
    assert {"EnsuringLoadBalancer", "EnsuredLoadBalancer"} <= reasons
    place.kubectl("delete", "service", "balanced")
    eventually(lambda: {pod for pod, _ in outside(address, times=1)} == {"-"})


def test_a_load_balancers_source_ranges_keep_others_out(place: Place) -> None:
    place.service("ranged", type="LoadBalancer", loadBalancerSourceRanges=[f"{place.ips['client-1']}/32"])
    ingress = eventually(lambda: place.kubectl.get("service", "ranged")["status"]["loadBalancer"].get("ingress"))
    eventually(lambda: place.who("client-1", ingress[0]["ip"]) == EVERYBODY)
    assert place.who("client-2", ingress[0]["ip"], times=2) == {"-"}
    assert {pod for pod, _ in outside(ingress[0]["ip"], times=2)} == {"-"}


def test_an_external_ip_of_this_machine_leads_to_the_pods(place: Place) -> None:
    address = f"127.{place.slice}.254.77"
    place.service("external", externalIPs=[address])
    eventually_all(lambda: outside(address))
    assert place.who("client-2", address) == EVERYBODY


def test_an_address_that_is_not_this_machines_is_told_as_an_event(place: Place) -> None:
    place.service("foreign", externalIPs=["203.0.113.7"])
    assert "cannot serve 203.0.113.7:80/TCP: this machine does not have that address" in failure(place, "foreign")


def test_sctp_is_refused_in_clear_words(place: Place) -> None:
    place.service("sctp", ports=[{"port": 3868, "protocol": "SCTP"}])
    assert failure(place, "sctp").endswith("/SCTP: the userspace proxy has no SCTP, only TCP and UDP")


def failure(place: Place, service: str) -> str:
    def told() -> list[str]:
        return [e["message"] for e in place.kubectl.get("events")["items"]
                if (e["reason"], e["involvedObject"]["name"]) == ("FailedToServe", service)]

    (message,) = eventually(told)
    return message


def test_an_external_name_is_an_alias_that_pods_can_follow(place: Place) -> None:
    place.service("real")
    place.service("alias", slices=False, type="ExternalName", externalName="real.service-types.svc.cluster.local",
                  selector=None, ports=None)
    assert eventually(lambda: place.who("client-1", "alias")) == EVERYBODY


_ADDRESSES = "import socket, sys; print(*sorted({a[4][0] for a in socket.getaddrinfo(sys.argv[1], 80)}))"


def addresses(place: Place, name: str) -> set[str]:
    done = place.kubectl.run("exec", "client-1", "--", "python3", "-c", _ADDRESSES, name)
    return set(done.stdout.split())


def test_a_headless_service_is_its_pods_and_each_pod_with_a_name_has_one(place: Place) -> None:
    place.service("headless", clusterIP="None")
    assert eventually(lambda: len(found := addresses(place, "headless")) == 3 and found) == {
        place.ips[name] for name in WEB}
    assert place.who("client-1", "headless", 8080) <= EVERYBODY   # no proxy: the Pods' own port

    named = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db-0", "labels": {"app": "db"}},
             "spec": {"hostname": "db-0", "subdomain": "db", "terminationGracePeriodSeconds": 0,
                      "containers": [{"name": "main", "image": "kit/echo"}]}}
    place.service("db", slices=False, clusterIP="None", selector={"app": "db"})
    place.kubectl("create", "-f", "-", stdin=named)
    assert eventually(lambda: place.who("client-1", "db-0.db", 8080, 1) - {"-"}) == {"db-0"}


def test_addresses_of_pods_that_are_not_ready_may_be_published(place: Place) -> None:
    unready = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "slow", "labels": {"app": "slow"}},
               "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                   {"name": "main", "image": "kit/echo", "readinessProbe": {"exec": {"command": ["false"]}}}]}}
    place.kubectl("create", "-f", "-", stdin=unready)
    for name, publish in (("strict", False), ("early", True)):
        place.service(name, slices=False, clusterIP="None", selector={"app": "slow"}, publishNotReadyAddresses=publish)
    assert len(eventually(lambda: addresses(place, "early"))) == 1
    assert addresses(place, "strict") == set()


_UDP_SERVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 53))
while True:
    data, peer = server.recvfrom(100)
    server.sendto(f"{socket.gethostname()} {peer[0]} {data.decode()}".encode(), peer)
"""
_UDP_CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(0.5)
for _ in range(10):
    client.sendto(b"hello", (sys.argv[1], 53))
    try:
        data, peer = client.recvfrom(100)
    except OSError:
        continue
    print(data.decode(), peer[0])
    break
"""


def test_udp_reaches_a_pod_and_the_answer_comes_from_the_service(place: Place) -> None:
    server = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "udp", "labels": {"app": "udp"}},
              "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                  {"name": "main", "image": "python", "command": ["python3", "-c", _UDP_SERVER]}]}}
    place.kubectl("create", "-f", "-", stdin=server)
    made = place.service("udp", selector={"app": "udp"}, ports=[{"port": 53, "protocol": "UDP"}])
    address = made["spec"]["clusterIP"]
    answer = eventually(lambda: place.run("client-1", _UDP_CLIENT, address))
    assert answer.split() == ["udp", place.ips["client-1"], "hello", address]


def test_a_service_without_endpoints_refuses_until_it_has_some(place: Place) -> None:
    made = place.service("empty", slices=False, selector={"app": "nobody"})
    address = made["spec"]["clusterIP"]
    ((answer, why),) = place.ask("client-1", address, times=1)
    assert (answer, "refused" in why) == ("-", True)
    place.kubectl("patch", "service", "empty", "--patch", json.dumps({"spec": {"selector": {"app": "web"}}}))
    eventually(lambda: place.who("client-1", address) == EVERYBODY)


def test_a_service_without_selector_leads_where_its_own_slice_says(place: Place) -> None:
    made = place.service("manual", slices=False, selector=None)
    endpoints: list[dict[str, Any]] = [{"addresses": [place.ips["web-2"]]}]
    place.kubectl("create", "-f", "-", stdin={
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": endpoints,
        "metadata": {"name": "manual-1", "labels": {"kubernetes.io/service-name": "manual"}},
        "ports": [{"name": "web", "port": 8080}]})
    eventually(lambda: place.who("client-1", made["spec"]["clusterIP"]) == {"web-2"})


def test_an_open_connection_outlives_a_change_of_the_services_port(place: Place) -> None:
    address = place.service("moving")["spec"]["clusterIP"]
    eventually_all(lambda: outside(address))
    start = lowports.unprivileged_port_start()
    kept = http.client.HTTPConnection(address, lowports.reachable(80, start), timeout=5)

    def ask() -> str:
        kept.request("GET", "/")
        return kept.getresponse().read().decode().splitlines()[0]

    first = ask()
    ports = [{"name": "web", "port": 8000, "targetPort": 8080}]
    place.kubectl("patch", "service", "moving", "--patch", json.dumps({"spec": {"ports": ports, "type": "ClusterIP"}}),
                  "--type=merge")
    eventually(lambda: {pod for pod, _ in outside(address, 80, 1)} == {"-"})
    assert {pod for pod, _ in outside(address, 8000)} == EVERYBODY
    assert ask() == first
    kept.close()
