"""A packet meets the same fate in every mode of kube-proxy; the way there differs.

The tables of fates are the specification of each Service type and policy; every mode must agree with them.
"""

from __future__ import annotations

from typing import Any

import pytest
from proxy_objects import CONTEXT, PODS, ports, recorded, service, slice_of

from kitlib.network import ipvs
from kitlib.network.nftables import chain_base
from kitlib.network.userspace import ProxyNode
from kitlib.network.walk import nftables as nft_walk
from kitlib.network.walk.packet import Packet, Trace, outcomes
from kitlib.network.walk.walk import Walk, take, walker

KERNEL = ("iptables", "ipvs", "nftables")
NODE = "192.0.2.2"
POD, OUTSIDE = "10.244.0.7", "203.0.113.9"
NODE_PORT: dict[str, Any] = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}
LOCAL: dict[str, Any] = {**NODE_PORT, "externalTrafficPolicy": "Local"}
HERE, THERE = slice_of("web", *PODS[:2]), slice_of("web", *PODS[:2], node="node2")


def walked(mode: str, packet: Packet, *objects: dict[str, Any], clients: Any = None, endpoint: str = "") -> Walk:
    found = ports(*objects)
    run = walker(mode, found, CONTEXT, [ProxyNode("node1", NODE)], clients)
    return take(mode, "node1", packet, run, found, endpoint)


def from_pod(destination: str, port: int = 80, source: str = POD) -> Packet:
    return Packet(source, destination, port, local=(NODE,), from_pod=True)


def from_node(destination: str, port: int = 80) -> Packet:
    return Packet(NODE, destination, port, local=(NODE,), from_node=True)


def from_outside(destination: str, port: int, source: str = OUTSIDE) -> Packet:
    return Packet(source, destination, port, local=(NODE,))


def fate(walk: Walk) -> tuple[str, tuple[str, ...], bool]:
    """What becomes of it, the Pods it may reach, and whether they see the node instead of the client."""
    return walk.outcome, tuple(c.address.partition(":")[0] for c in walk.choices), walk.trace.masqueraded


def balanced(**spec: Any) -> dict[str, Any]:
    made = service(type="LoadBalancer", ports=[{"port": 80, "nodePort": 30080}], **spec)
    made["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.20"}]}}
    return made


VIP, BOTH = "10.96.50.1", PODS[:2]
FATES = {
    "a Pod to a ClusterIP keeps its address": (from_pod(VIP), (service(), HERE), ("endpoint", BOTH, False)),
    "the node to a ClusterIP": (from_node(VIP), (service(), HERE), ("endpoint", BOTH, True)),
    "a stranger to a ClusterIP": (from_outside(VIP, 80), (service(), HERE), ("endpoint", BOTH, True)),
    "a node port from outside": (from_outside(NODE, 30080), (service(**NODE_PORT), HERE), ("endpoint", BOTH, True)),
    "a Local node port keeps the client's address": (
        from_outside(NODE, 30080), (service(**LOCAL), HERE), ("endpoint", BOTH, False)),
    "a Pod to the node's own Local port takes any Pod": (
        from_pod(NODE, 30080), (service(**LOCAL), THERE), ("endpoint", BOTH, False)),
    "an external address": (from_outside("198.51.100.10", 80), (service(externalIPs=["198.51.100.10"]), HERE),
                            ("endpoint", BOTH, True)),
    "a balancer's address": (from_outside("198.51.100.20", 80), (balanced(), HERE), ("endpoint", BOTH, True)),
    "a balancer's address, source in range": (
        from_outside("198.51.100.20", 80), (balanced(loadBalancerSourceRanges=["203.0.113.0/24"]), HERE),
        ("endpoint", BOTH, True)),
    "a balancer's address, source out of range": (
        from_outside("198.51.100.20", 80, "198.18.0.1"),
        (balanced(loadBalancerSourceRanges=["203.0.113.0/24", "203.0.114.0/24"]), HERE), ("DROP", (), False)),
    "ranges do not guard the node port": (
        from_outside(NODE, 30080, "198.18.0.1"), (balanced(loadBalancerSourceRanges=["203.0.113.0/24"]), HERE),
        ("endpoint", BOTH, True)),
    "no endpoint: refused": (from_pod(VIP), (service(),), ("REJECT", (), False)),
    "no endpoint behind a node port: refused": (
        from_outside(NODE, 30080), (service(**NODE_PORT),), ("REJECT", (), False)),
    "internal Local stays on the node": (
        from_pod(VIP), (service(internalTrafficPolicy="Local"), HERE), ("endpoint", BOTH, False)),
    "another address goes its own way": (from_pod("8.8.8.8", 53), (service(), HERE), ("passes", (), False)),
}


@pytest.mark.parametrize("mode", KERNEL)
@pytest.mark.parametrize("name", FATES)
def test_every_mode_agrees_on_a_packets_fate(name: str, mode: str) -> None:
    packet, objects, expected = FATES[name]
    outcome, pods, masqueraded = fate(walked(mode, packet, *objects))
    assert (outcome, pods) == expected[:2]
    if outcome == "endpoint":
        assert masqueraded == expected[2]


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_a_local_policy_drops_where_there_is_no_endpoint(mode: str) -> None:
    assert walked(mode, from_outside(NODE, 30080), service(**LOCAL), THERE).outcome == "DROP"
    assert walked(mode, from_pod(VIP), service(internalTrafficPolicy="Local"), THERE).outcome == "DROP"


def test_ipvs_lets_local_fall_back_to_all_endpoints_of_a_service_with_external_ones() -> None:
    assert walked("ipvs", from_outside(NODE, 30080), service(**LOCAL), THERE).outcome == "endpoint"


@pytest.mark.parametrize("mode", KERNEL)
def test_a_pod_that_meets_itself_is_masqueraded_and_meets_others_as_it_is(mode: str) -> None:
    pair = (service(), HERE)
    for endpoint in BOTH:
        walk = walked(mode, from_pod(VIP, source=PODS[0]), *pair, endpoint=endpoint)
        assert (walk.trace.endpoint, walk.trace.masqueraded) == (f"{endpoint}:8080", endpoint == PODS[0])


@pytest.mark.parametrize("mode", [*KERNEL, "userspace"])
def test_each_endpoint_has_its_exact_chance(mode: str) -> None:
    walk = walked(mode, from_pod(VIP), service(), slice_of("web", *PODS))
    assert [(c.address, c.probability) for c in walk.choices] == [(f"{pod}:8080", pytest.approx(1 / 3, abs=1e-4))
                                                                 for pod in PODS]
    assert [c.address for c in walk.choices if c.chosen] == [walk.trace.endpoint]


@pytest.mark.parametrize("mode", [*KERNEL, "userspace"])
def test_a_sticky_client_meets_its_endpoint_again(mode: str) -> None:
    sticky, slices = service(sessionAffinity="ClientIP"), slice_of("web", *PODS)
    (port,) = ports(sticky, slices)
    third = port.endpoints[2]
    names = {"iptables": "KUBE-SEP-2WSAQ6Z76HQLVRCK", "nftables": f"affinity-{chain_base(port, third)}"}
    known = {names.get(mode, str(third)): [POD]}
    assert walked(mode, from_pod(VIP), sticky, slices, clients=known).choices[0].address == str(third)
    assert len(walked(mode, from_pod(VIP, source="10.244.0.8"), sticky, slices, clients=known).choices) == 3


def test_an_endpoint_that_chance_never_chooses_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"never reaches 10\.244\.0\.9; the endpoints it may reach: 10\.244\.0\.201"):
        walked("iptables", from_pod(VIP), service(), HERE, endpoint="10.244.0.9")


def test_outcomes_are_all_there_is_and_their_probabilities_add_up() -> None:
    def throw(choose: Any) -> Trace:
        return Trace(Packet("a", "b", 10 * choose((0.5, 0.5)) + choose((0.25, 0.75))))

    found = {trace.packet.port: probability for probability, trace in outcomes(throw)}
    assert found == {0: 0.125, 1: 0.375, 10: 0.125, 11: 0.375}


def test_a_statement_that_the_walk_does_not_know_is_not_passed_over() -> None:
    from kitlib.network.nftables import table

    made = table(ports(service(), HERE), CONTEXT)
    next(chain for chain in made.chains if chain.name == "services").lines.insert(0, "limit rate 5/second accept")
    with pytest.raises(ValueError, match="does not know this statement of nft: limit rate"):
        nft_walk.walk(made, from_pod(VIP))


def many(services: int) -> list[dict[str, Any]]:
    return [o for i in range(1, services + 1)
            for o in (service(f"s{i}", address=f"10.96.60.{i}"), slice_of(f"s{i}", PODS[0]))]


def test_nft_asks_maps_where_iptables_asks_rule_after_rule() -> None:
    objects = many(59)
    steps = walked("nftables", from_pod("10.96.60.59"), *objects).trace.steps
    (lookup,) = [s for s in steps if s.looks_up == "service-ips"]
    assert lookup.rule == "ip daddr . meta l4proto . th dport vmap @service-ips"
    assert lookup.verdict.endswith("proxy/s59/tcp/")
    (asked,) = [s for s in walked("iptables", from_pod("10.96.60.59"), *objects).trace.steps
                if s.chain == "KUBE-SERVICES" and s.table == "nat"]
    assert "10.96.60.59/32" in asked.rule


# -- ipvs as text ------------------------------------------------------------------------------------------


def test_virtual_servers_are_what_ipvsadm_saves() -> None:
    made = ipvs.rules(recorded("affinity"), CONTEXT)
    assert made.servers_text().splitlines()[-3:] == [
        "-A -t 10.96.50.3:80 -s rr -p 600", "-a -t 10.96.50.3:80 -r 10.244.0.201:8080 -m -w 1",
        "-a -t 10.96.50.3:80 -r 10.244.0.202:8080 -m -w 1"]
    assert made.bound == ["10.96.0.1", "10.96.50.3"]


def test_every_set_that_a_rule_asks_is_made_and_every_entry_added_once() -> None:
    for name in ("loadbalancer", "nodeport", "external-ip", "internal-local"):
        made = ipvs.rules([*recorded(name), *recorded(name)], CONTEXT)
        lines = made.sets_text().splitlines()
        created = {line.split()[1] for line in lines if line.startswith("create")}
        rules = made.tables.text("nat") + made.tables.text("filter")
        asked = {word.split()[0] for word in rules.split("--match-set ")[1:]}
        assert asked <= created == set(ipvs.SETS)
        assert len(lines) == len(set(lines))


def test_the_rules_do_not_grow_with_the_services() -> None:
    def count(services: int) -> int:
        return len(ipvs.rules(ports(*many(services)), CONTEXT).tables.text("nat").splitlines())

    assert count(1) == count(50)


def test_a_node_that_is_not_among_the_sources_may_not_use_the_balancers_address() -> None:
    def filters(*ranges: str) -> list[str]:
        made = ipvs.rules(ports(balanced(loadBalancerSourceRanges=list(ranges)), HERE), CONTEXT)
        return made.tables.filter["KUBE-IPVS-OUT-FILTER"]

    assert filters("203.0.113.0/24") == [
        "-s 198.51.100.20/32 -m ipvs --vproto 6 --vaddr 198.51.100.20/32 --vport 80 -j DROP"]
    assert filters("203.0.113.0/24", "192.0.2.0/24") == []


@pytest.mark.parametrize(("source", "pod", "seen"), [("10.244.0.7", "10.244.1.5", NODE), ("127.64.17.2", "127.64.18.2",
                                                                                         "127.64.17.2")])
def test_a_process_in_between_shows_the_client_only_on_one_loopback_network(source: str, pod: str, seen: str) -> None:
    walk = walked("userspace", from_pod(VIP, source=source), service(), slice_of("web", pod, node="node2"))
    assert walk.source_after == seen
