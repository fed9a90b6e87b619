"""Every Service type, in every mode that a kernel can apply, proven by traffic between namespaces.  Needs root."""

from __future__ import annotations

import collections
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from kernel_net import NODES, OUTSIDE, PODS, Kept, Net, gateway
from proxy_objects import ports, service

from kitlib.network.kernel.policies import NodePolicies
from kitlib.network.policy.model import World

pytestmark = pytest.mark.needs("netfilter")

VIP, EXTERNAL, BALANCER = "10.96.50.1", "198.51.100.10", "198.51.100.20"
KERNEL = ("iptables", "nftables")
MODES = (*KERNEL, "userspace")
NODE_PORT: dict[str, Any] = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}


def endpoints(*pods: str, protocol: str = "TCP", **conditions: bool) -> dict[str, Any]:
    made = [{"addresses": [PODS[pod][1]], "conditions": {"ready": True, **conditions}, "nodeName": PODS[pod][0]}
            for pod in pods]
    return {"metadata": {"name": "web-1", "namespace": "proxy", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": made, "ports": [{"name": "", "port": 8080, "protocol": protocol}]}


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    made = Net()
    yield made
    made.close()


@pytest.fixture
def kept(net: Net, request: pytest.FixtureRequest) -> Iterator[Kept]:
    made = Kept(net, request.param)
    yield made
    made.clear()


every_mode = pytest.mark.parametrize("kept", MODES, indirect=True)
in_kernel = pytest.mark.parametrize("kept", KERNEL, indirect=True)


def names(net: Net, place: str, address: str, port: int, times: int = 12, **how: Any) -> collections.Counter[str]:
    """Who answered, how often."""
    answers = [net.ask(place, address, port, **how) for _ in range(times)]
    return collections.Counter(a["name"] if isinstance(a, dict) else a for a in answers)


def without_counters(ruleset: str) -> list[str]:
    """iptables-save notes the time and counts packets."""
    return [re.sub(r"\[\d+:\d+\]|packets \d+ bytes \d+", "", line) for line in ruleset.splitlines()
            if not line.startswith("# ")]


@every_mode
def test_a_cluster_ip_leads_from_everywhere_to_every_pod(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(), endpoints("a1", "b1")))
    for place in ("a2", "b1", "node1", "node2"):
        assert set(names(net, place, VIP, 80, times=16)) == {"a1", "b1"}, place


@in_kernel
def test_a_pod_sees_pods_as_they_are_and_others_as_their_node(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(), endpoints("b1")))
    assert net.ask("a1", VIP, 80) == {"name": "b1", "source": PODS["a1"][1]}
    assert net.ask("node1", VIP, 80) == {"name": "b1", "source": NODES["node1"]}


@every_mode
def test_a_pod_reaches_itself_behind_its_service(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(), endpoints("a1")))
    answer = net.ask("a1", VIP, 80)
    assert answer["name"] == "a1"
    assert answer["source"] != PODS["a1"][1]   # else it would answer itself, past the translation


@every_mode
def test_a_node_port_is_open_on_every_node(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(**NODE_PORT), endpoints("b1")))
    for node, address in NODES.items():
        masked = gateway("node2") if node == "node2" else address
        assert net.ask("outside", address, 30080) == {"name": "b1", "source": masked}, node
    assert net.ask("a1", NODES["node1"], 30080)["name"] == "b1"
    assert net.ask("node1", NODES["node1"], 30080)["name"] == "b1"


@in_kernel
def test_a_node_port_on_localhost_is_a_speciality_of_iptables(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(**NODE_PORT), endpoints("b1")))
    answer = net.ask("node1", "127.0.0.1", 30080, timeout=0.3)
    if kept.mode == "iptables":
        assert answer == {"name": "b1", "source": NODES["node1"]}
    else:
        assert answer == "refused"


@every_mode
def test_a_local_node_port_keeps_the_clients_address_and_to_its_node(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(**NODE_PORT, externalTrafficPolicy="Local"), endpoints("b1")))
    answer = net.ask("outside", NODES["node2"], 30080)
    assert answer["name"] == "b1"
    if kept.mode != "userspace":   # a process in between has an address of its own
        assert answer["source"] == OUTSIDE
    assert net.ask("outside", NODES["node1"], 30080, timeout=0.3) in ("silence", "refused")
    assert net.ask("a1", NODES["node1"], 30080)["name"] == "b1"   # Pods are not bound by it


@every_mode
def test_an_internal_policy_local_keeps_to_the_callers_node(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(internalTrafficPolicy="Local"), endpoints("a1", "b1")))
    assert set(names(net, "a2", VIP, 80)) == {"a1"}
    assert set(names(net, "b1", VIP, 80)) == {"b1"}
    kept.sync(ports(service(internalTrafficPolicy="Local"), endpoints("b1")))
    assert net.ask("a2", VIP, 80, timeout=0.3) in ("silence", "refused")


@every_mode
def test_external_and_balancer_addresses_work_from_outside(net: Net, kept: Kept) -> None:
    balanced = service(type="LoadBalancer", externalIPs=[EXTERNAL], ports=[{"port": 80}])
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}
    kept.sync(ports(balanced, endpoints("a1", "b1")))
    for address in (EXTERNAL, BALANCER):
        assert set(names(net, "outside", address, 80, times=16)) == {"a1", "b1"}
        assert set(names(net, "a2", address, 80, times=16)) == {"a1", "b1"}


@every_mode
def test_source_ranges_let_only_some_in(net: Net, kept: Kept) -> None:
    def balanced(source: str) -> dict[str, Any]:
        made = service(type="LoadBalancer", loadBalancerSourceRanges=[source], ports=[{"port": 80}])
        made["status"] = {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}
        return made

    kept.sync(ports(balanced("192.0.2.9/32"), endpoints("a1")))
    assert net.ask("outside", BALANCER, 80)["name"] == "a1"
    kept.sync(ports(balanced("203.0.113.0/24"), endpoints("a1")))
    assert net.ask("outside", BALANCER, 80, timeout=0.3) in ("silence", "refused")
    assert net.ask("a2", VIP, 80)["name"] == "a1"


@every_mode
def test_without_an_endpoint_it_refuses_at_once(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(**NODE_PORT)))
    for place, address, port in (("a1", VIP, 80), ("node1", VIP, 80), ("outside", NODES["node1"], 30080)):
        assert net.ask(place, address, port) == "refused", place


@every_mode
def test_a_sticky_client_stays_and_another_is_free(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(sessionAffinity="ClientIP"), endpoints("a1", "b1")))
    first = names(net, "a2", VIP, 80)
    assert len(first) == 1
    kept.sync(ports(service("other", address="10.96.50.9"), service(sessionAffinity="ClientIP"), endpoints("a1", "b1")))
    assert names(net, "a2", VIP, 80) == first   # another Service's change does not make it forget


@every_mode
def test_the_last_pod_serves_until_it_is_gone(net: Net, kept: Kept) -> None:
    kept.sync(ports(service(), endpoints("a1", ready=False, serving=True, terminating=True)))
    assert net.ask("a2", VIP, 80)["name"] == "a1"


@every_mode
def test_udp_is_balanced_and_forgets_an_endpoint_that_is_gone(net: Net, kept: Kept) -> None:
    udp = service(ports=[{"port": 53, "protocol": "UDP"}])
    kept.sync(ports(udp, endpoints("a1", protocol="UDP")))
    # A resolver that asks from one port again and again would keep the first answerer for ever.
    assert net.ask("a2", VIP, 53, protocol="udp", sport=4053)["name"] == "a1"
    kept.sync(ports(udp, endpoints("b1", protocol="UDP")))
    assert net.ask("a2", VIP, 53, protocol="udp", sport=4053)["name"] == "b1"


@in_kernel
def test_a_balancer_is_told_whether_there_are_pods_on_the_node(net: Net, kept: Kept) -> None:
    spec: dict[str, Any] = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000}
    kept.sync(ports(service(**spec), endpoints("a1")))
    code = "import urllib.request as u, urllib.error as e\ntry: print(u.urlopen('http://%s:32000/').status)\n" \
           "except e.HTTPError as error: print(error.code)"
    answers = {node: net.run("outside", sys.executable, "-c", code % address).strip()
               for node, address in NODES.items()}
    assert answers == {"node1": "200", "node2": "503"}


@in_kernel
def test_what_is_gone_leaves_nothing(net: Net, kept: Kept) -> None:
    def ruleset() -> str:
        return net.run("node1", "iptables-save") + net.run("node1", "nft", "list", "ruleset")

    kept.sync(ports())
    empty = ruleset()
    kept.sync(ports(service(**NODE_PORT, sessionAffinity="ClientIP"), endpoints("a1", "b1")))
    assert "proxy/web" in ruleset()
    kept.sync(ports())
    assert sorted(without_counters(ruleset())) == sorted(without_counters(empty))
    for node in NODES:
        for part in kept.parts[node]:
            kept.loop.run_until_complete(part.clear())
    assert not [line for line in ruleset().splitlines() if "KUBE-" in line or "kube-proxy" in line]


@in_kernel
def test_a_network_policy_is_asked_after_the_service_was_translated(net: Net, kept: Kept) -> None:
    def policy(ports: list[dict[str, Any]]) -> World:
        allowed = {"from": [{"podSelector": {"matchLabels": {"app": "a2"}}}], "ports": ports}
        spec = {"podSelector": {"matchLabels": {"app": "a1"}}, "policyTypes": ["Ingress"], "ingress": [allowed]}
        pods = [{"metadata": {"name": name, "namespace": "proxy", "labels": {"app": name}},
                 "spec": {"nodeName": where, "containers": []}, "status": {"podIP": ip}}
                for name, (where, ip) in PODS.items()]
        return World.of([{"metadata": {"name": "only-a2", "namespace": "proxy"}, "spec": spec}],
                        [{"metadata": {"name": "proxy"}}], pods)

    policies = NodePolicies(kept.shell, lambda: list(NODES))
    kept.sync(ports(service(), endpoints("a1")))
    kept.loop.run_until_complete(policies.apply(policy([{"port": 8080, "protocol": "TCP"}])))
    assert net.ask("a2", VIP, 80)["name"] == "a1"
    assert net.ask("b1", VIP, 80, timeout=0.3) == "silence"
    assert net.ask("node1", VIP, 80)["name"] == "a1"   # a kubelet's probes always arrive
    kept.loop.run_until_complete(policies.apply(policy([{"port": 80, "protocol": "TCP"}])))   # the Service's port
    assert net.ask("a2", VIP, 80, timeout=0.3) == "silence"
    kept.loop.run_until_complete(policies.clear())
    assert net.ask("b1", VIP, 80)["name"] == "a1"
