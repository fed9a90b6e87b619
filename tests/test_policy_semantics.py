"""What NetworkPolicies mean: every case asked of the explanation and of the table that is enforced."""

from __future__ import annotations

import itertools
import time
from typing import Any

import policy_cases
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_cases import ALL, CASES, NAMESPACES, PODS, PORTS, PROTOCOLS, Case, address, peers, policy

from kitlib.network.policy import PolicyPod, World, verdict
from kitlib.network.policy.compiled import compile_table
from kitlib.objects.policytable import PolicyTable

LABELS = {name: {"ns": name, "kubernetes.io/metadata.name": name} for name in NAMESPACES}
NAMED = tuple((f"serve-{number}-{protocol.lower()}", number, protocol) for number in PORTS for protocol in PROTOCOLS)


def _pods(**more: Any) -> list[PolicyPod]:
    return [PolicyPod(ns, name, address(f"{ns}/{name}"), {"pod": name}, NAMED, node="n", **more)
            for ns in NAMESPACES for name in PODS]


def _world(policies: list[dict[str, Any]], pods: list[PolicyPod] | None = None) -> World:
    return World(World.of(policies, [], []).policies, LABELS, pods or _pods())


def _connections() -> list[tuple[str, str, int, str]]:
    places = [f"{ns}/{name}" for ns in NAMESPACES for name in PODS]
    return list(itertools.product(places, places, PORTS, PROTOCOLS))


def test_there_are_many_cases_and_each_has_its_own_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES) > 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_means_what_it_must(case: Case) -> None:
    world = _world(case.policies)
    table = PolicyTable(compile_table(world))
    wrong = []
    for source, destination, number, protocol in _connections():
        must = source == destination or case.passes(source, destination, number, protocol)
        seen = verdict(world, world.place(source), world.place(destination), number, protocol)
        looked_up = table.allows(address(source), address(destination), number, protocol)
        if (seen.allowed, looked_up) != (must, must):
            wrong.append((source, destination, number, protocol, must, seen.allowed, looked_up))
    assert not wrong, wrong[:5]


def test_a_denial_names_the_policies_and_says_why_each_rule_missed() -> None:
    world = _world([policy("deny", "x", ALL, ingress=[]),
                    policy("web", "x", policy_cases.pod("a"), ingress=peers(
                        {"namespaceSelector": policy_cases.ns("y"), "podSelector": policy_cases.pod("b")},
                        ports=[policy_cases.port(80)]))])
    found = verdict(world, world.place("z/b"), world.place("x/a"), 81)
    assert not found.allowed
    assert found.egress.reason == "no policy selects z/b for egress"
    assert found.ingress.selecting == ("x/deny", "x/web")
    assert found.ingress.missed == (
        "x/deny: has no ingress rule, so it allows nothing",
        "x/web: ingress rule 1 (from Pods with pod=b in namespaces with ns=y, on 80/TCP): b has pod=b, its namespace z "
        "has kubernetes.io/metadata.name=z,ns=z; the port is 81/TCP")
    allowed = verdict(world, world.place("y/b"), world.place("x/a"), 80)
    assert allowed.ingress.allowing == ("x/web: ingress rule 1 (from Pods with pod=b in namespaces with ns=y, on "
                                        "80/TCP)",)
    assert allowed.lines()[0] == "Pod y/b (10.1.2.2) → Pod x/a (10.1.1.1), port 80/TCP: allowed"
    assert found.json()["ingress"]["policies"] == ["x/deny", "x/web"]


DENY_ALL = [policy("deny", ns, ALL, ingress=[], egress=[]) for ns in NAMESPACES]


@pytest.mark.parametrize(("source", "destination", "why"), [
    ("10.1.1.1", "10.1.1.1", "itself"), ("10.7.0.1", "10.1.1.1", "own node"), ("10.1.1.1", "10.7.0.1", "own node"),
    ("127.0.0.1", "10.1.1.1", "own node"),
])  # fmt: skip
def test_what_no_policy_touches(source: str, destination: str, why: str) -> None:
    world = _world(DENY_ALL, _pods(node_ip="10.7.0.1"))
    found = verdict(world, world.place(source), world.place(destination), 80)
    assert found.allowed
    assert why in found.ingress.reason
    table = PolicyTable(compile_table(world))
    assert table.allows(source, destination, 80, "TCP")
    assert not table.allows("10.7.0.2", "10.1.1.1", 80, "TCP"), "another node is a stranger"


def test_host_network_pods_are_exempt_and_no_selector_sees_them() -> None:
    host = PolicyPod("x", "agent", "10.7.0.9", {"pod": "b"}, NAMED, host_network=True)
    world = _world([policy("deny", "x", ALL, ingress=[], egress=[]),
                    policy("allow", "x", policy_cases.pod("a"), ingress=peers({"podSelector": policy_cases.pod("b")}))],
                   [*_pods(), host])
    assert world.selecting(host, "ingress") == []
    found = verdict(world, world.place("x/agent"), world.place("x/a"), 80)
    assert found.egress.allowed
    assert "uses its node's network" in found.egress.reason
    assert not found.ingress.allowed
    assert "selectors do not see it" in found.ingress.missed[0]


def test_pods_out_of_objects() -> None:
    def pod(name: str, phase: str, ip: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "x", "uid": name, "labels": {"app": name}},
                "spec": {"nodeName": "n", "containers": [{"ports": [{"containerPort": 80, "name": "http"}]}],
                         "initContainers": [
                             {"ports": [{"containerPort": 1, "name": "once"}]},
                             {"ports": [{"containerPort": 2, "name": "car"}], "restartPolicy": "Always"}]},
                "status": {"phase": phase} | ({"podIP": ip, "hostIP": "10.7.0.1"} if ip else {})}

    dns = {"metadata": {"name": "kube-dns", "namespace": "kube-system"},
           "spec": {"clusterIP": "10.96.0.10", "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}}
    pods = [pod("run", "Running", "10.1.1.1"), pod("done", "Succeeded", "10.1.1.2"), pod("new", "Pending", "")]
    world = World.of([], [{"metadata": {"name": "x"}}], pods, [dns], {"new": ("10.1.1.3", "10.7.0.2")})
    assert sorted(world.pods) == ["kube-system/kube-dns", "x/new", "x/run"]
    assert world.pods["x/new"].ip == "10.1.1.3"
    assert world.pods["x/new"].node_ip == "10.7.0.2"
    assert world.pods["x/run"].ports == (("http", 80, "TCP"), ("car", 2, "TCP"))
    assert world.by_ip["10.96.0.10"].labels == {"k8s-app": "kube-dns"}


def test_a_services_address_is_open_if_any_endpoint_is() -> None:
    world = _world([policy("one", "x", policy_cases.pod("a"), ingress=[])])
    services = [{"ip": "10.96.0.7", "port": 8000, "protocol": "TCP", "endpoints": ["10.1.1.1:80", "10.1.1.2:80"]},
                {"ip": "10.96.0.8", "port": 8000, "protocol": "TCP", "endpoints": ["10.1.1.1:80"]},
                {"ip": "10.96.0.9", "port": 8000, "protocol": "TCP", "endpoints": []}]
    table = PolicyTable(compile_table(world, services))
    assert table.reaches("10.1.2.1", "10.96.0.7", 8000, "TCP")
    assert not table.reaches("10.1.2.1", "10.96.0.8", 8000, "TCP")
    assert table.reaches("10.1.2.1", "10.96.0.9", 8000, "TCP"), "nobody there: it is refused, not dropped"
    assert table.reaches("10.1.1.1", "10.96.0.8", 8000, "TCP"), "a Pod reaches itself by way of a Service"


_SELECTORS = st.sampled_from([{}, policy_cases.pod("a"), policy_cases.pod("b", "c")])
_NAMESPACES = st.sampled_from([{}, policy_cases.ns("x"), policy_cases.ns("y", "z"), policy_cases.not_ns("x")])
_PEERS = st.one_of(
    st.builds(lambda s: {"podSelector": s}, _SELECTORS), st.builds(lambda s: {"namespaceSelector": s}, _NAMESPACES),
    st.builds(lambda s, n: {"podSelector": s, "namespaceSelector": n}, _SELECTORS, _NAMESPACES),
    st.sampled_from([{"ipBlock": {"cidr": "10.1.0.0/16", "except": ["10.1.2.0/24"]}},
                     {"ipBlock": {"cidr": "10.1.3.0/30"}}, {"ipBlock": {"cidr": "fd00::/8"}}]))
_PORTS = st.sampled_from([policy_cases.port(80), policy_cases.port("serve-81-tcp"), policy_cases.port(81, "UDP"),
                          policy_cases.port(1, end=80), {"protocol": "UDP"}, {}])
_SIDES = {side: st.lists(st.fixed_dictionaries({}, optional={key: st.lists(_PEERS, max_size=2),
                                                             "ports": st.lists(_PORTS, max_size=2)}), max_size=2)
          for side, key in (("ingress", "from"), ("egress", "to"))}
_POLICIES = st.builds(lambda n, ns, s, i, e, t: policy(f"p{n}", ns, s, ingress=i, egress=e, types=t),
                      st.integers(0, 9), st.sampled_from(NAMESPACES), _SELECTORS, _SIDES["ingress"], _SIDES["egress"],
                      st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"], None]))


@settings(max_examples=60, deadline=None)
@given(st.lists(_POLICIES, max_size=4))
def test_what_is_explained_is_what_is_enforced(policies: list[dict[str, Any]]) -> None:
    world = _world(policies)
    table = PolicyTable(compile_table(world))
    for source, destination, number, protocol in _connections():
        seen = verdict(world, world.place(source), world.place(destination), number, protocol)
        assert seen.allowed == table.allows(address(source), address(destination), number, protocol), seen.lines()
        assert bool(seen.ingress.missed) != seen.ingress.allowed


def test_equal_pods_share_a_profile_and_a_look_up_costs_microseconds() -> None:
    pods = [PolicyPod("x", f"p{i}", f"10.2.{i // 250}.{i % 250 + 1}", {"pod": "a"}) for i in range(1000)]
    world = _world([policy("deny", "x", ALL, ingress=peers({"podSelector": policy_cases.pod("a")}))], pods)
    data = compile_table(world)
    assert len(data["ingress"]) == 1000
    assert len(data["profiles"]) == len(data["sets"]) == 1
    table = PolicyTable(data)
    begun = time.perf_counter()
    for i in range(10_000):
        assert table.allows("10.2.0.1", "10.2.0.2", i % 7, "TCP")
    assert (time.perf_counter() - begun) / 10_000 < 20e-6
