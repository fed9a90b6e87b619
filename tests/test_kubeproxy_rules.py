"""The iptables and nftables rules of a Service, and a packet's way through them.

Every file that a real kube-proxy wrote (scenarios/recorded.py) is reproduced, line by line.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from proxy_objects import CONTEXT, PODS, RECORDED, ports, recorded, service, slice_of

from kitlib.network.iptables import chain_name, probability, rules
from kitlib.network.nftables import chain_base, span, table
from kitlib.network.walk.iptables import parse, walk
from kitlib.network.walk.packet import Packet


def unordered(text: str) -> str:
    """The kernel lists the elements of a set or map in an order of its own."""
    def sort(match: re.Match[str]) -> str:
        return "elements = { " + ", ".join(sorted(e.strip() for e in match[1].split(","))) + " }\n"
    return re.sub(r"elements = \{(.*?) \}\n", sort, text, flags=re.S)


NAMES = ["base", *(name.removesuffix(".json") for name in RECORDED if name.endswith(".json"))]


@pytest.mark.parametrize("chains", ["nat", "filter"])
@pytest.mark.parametrize("name", NAMES)
def test_the_iptables_rules_are_those_of_a_real_kube_proxy(name: str, chains: str) -> None:
    assert rules(recorded(name), CONTEXT).text(chains) == RECORDED[f"{name}.iptables.{chains}.txt"]


# When the nftables table of no-endpoints was recorded, two Services of other namespaces were about.
PASSERS_BY = {"no-endpoints": [service("my-svc", "s3501-service-env-a", "10.96.90.12"),
                               service("my-svc", "s3501-service-env-b", "10.96.50.70")]}


@pytest.mark.parametrize("name", NAMES)
def test_the_nftables_table_is_that_of_a_real_kube_proxy(name: str) -> None:
    written = table([*recorded(name), *ports(*PASSERS_BY.get(name, ()))], CONTEXT).text()
    assert unordered(written) == unordered(RECORDED[f"{name}.nftables.nft.txt"])


def nat_of(chain: str, *objects: dict[str, Any]) -> list[str]:
    return rules(ports(*objects), CONTEXT).nat[chain]


def test_names_of_chains_are_hashes_of_what_they_are_for() -> None:
    (port,) = ports(service(), slice_of("web", PODS[0]))
    assert chain_name("SVC", port) == "KUBE-SVC-HYZAVZ3O2MWWAV4H"
    assert chain_name("SEP", port, port.endpoints[0]) == "KUBE-SEP-S5IS7RPXG5PB6HG3"
    assert chain_base(port) == "LMSEFEYO-proxy/web/tcp/"


def test_three_endpoints_get_a_third_each_by_two_coins() -> None:
    chain = nat_of("KUBE-SVC-HYZAVZ3O2MWWAV4H", service(), slice_of("web", *PODS))
    assert [re.findall(r"--probability (\S+)", line) for line in chain[1:]] == [
        ["0.33333333349"], ["0.50000000000"], []]
    assert probability(7) == "0.14285714272"


def test_traffic_from_outside_the_pod_network_is_masqueraded() -> None:
    assert nat_of("KUBE-SVC-HYZAVZ3O2MWWAV4H", service(), slice_of("web", PODS[0]))[0] == (
        '! -s 10.244.0.0/16 -d 10.96.50.1/32 -p tcp -m comment --comment "proxy/web cluster IP" -m tcp --dport 80 '
        "-j KUBE-MARK-MASQ")


def test_a_local_external_policy_keeps_the_source_and_drops_where_there_is_no_endpoint() -> None:
    spec: dict[str, Any] = {"type": "NodePort", "externalTrafficPolicy": "Local",
                            "ports": [{"port": 80, "nodePort": 30080}]}
    here = rules(ports(service(**spec), slice_of("web", PODS[0])), CONTEXT)
    ext = here.nat["KUBE-EXT-HYZAVZ3O2MWWAV4H"]
    assert ext[0].startswith("-s 10.244.0.0/16 ")
    assert ext[-1] == "-j KUBE-SVL-HYZAVZ3O2MWWAV4H"
    assert not any("masquerade traffic" in line for line in ext)
    elsewhere = rules(ports(service(**spec), slice_of("web", PODS[0], node="node2")), CONTEXT)
    assert "-j KUBE-SVL-HYZAVZ3O2MWWAV4H" not in elsewhere.nat["KUBE-EXT-HYZAVZ3O2MWWAV4H"]
    (drop,) = elsewhere.filter["KUBE-EXTERNAL-SERVICES"]
    assert "has no local endpoints" in drop
    assert drop.endswith("--dport 30080 -j DROP")


def test_nftables_finds_a_service_by_one_look_up() -> None:
    text = table(ports(service(), slice_of("web", *PODS)), CONTEXT).text()
    assert "elements = { 10.96.50.1 . tcp . 80 : goto service-LMSEFEYO-proxy/web/tcp/ }" in text
    assert ("numgen random mod 3 map { 0 : 10.244.0.201 . 8080, 1 : 10.244.0.202 . 8080, 2 : 10.244.0.203 . 8080 }"
            in text)
    assert [span(s) for s in (600, 10800, 90061)] == ["10m", "3h", "1d1h1m1s"]


def test_a_rule_is_read_with_its_signs() -> None:
    rule = parse('! -s 10.0.0.0/8 -p tcp -m comment --comment "a b" -m tcp --dport 80 -j KUBE-MARK-MASQ')
    assert rule.options == (("-s", "10.0.0.0/8", True), ("-p", "tcp", False), ("-m", "comment", False),
                            ("--comment", "a b", False), ("-m", "tcp", False), ("--dport", "80", False))
    assert parse("-m mark ! --mark 0x4000/0x4000 -j RETURN").options[1] == ("--mark", "0x4000/0x4000", True)
    assert parse("-p tcp -m tcp -j DNAT --to-destination 1.2.3.4:5").target_value == "1.2.3.4:5"


def way(packet: Packet, *objects: dict[str, Any], coins: tuple[int, ...] = (), **more: Any) -> list[str]:
    """The verdicts on a packet's way."""
    left = list(coins)
    return [s.verdict for s in walk(rules(ports(*objects), CONTEXT), packet, lambda odds: left.pop(0), **more).steps]


@pytest.mark.parametrize(("coins", "endpoint"), [((0,), 0), ((1, 0), 1), ((1, 1), 2)])
def test_a_pods_packet_ends_at_the_endpoint_that_the_coins_chose(coins: tuple[int, ...], endpoint: int) -> None:
    steps = way(Packet("10.244.0.7", "10.96.50.1", 80), service(), slice_of("web", *PODS), coins=coins)
    assert steps[:2] == ["→ KUBE-SERVICES", "→ KUBE-SVC-HYZAVZ3O2MWWAV4H"]
    assert f"DNAT to {PODS[endpoint]}:8080" in steps
    assert "leaves with the node's address" not in steps


def test_a_packet_from_the_node_itself_leaves_with_the_nodes_address() -> None:
    packet = Packet("192.0.2.2", "10.96.50.1", 80, from_node=True, local=("192.0.2.2",))
    steps = way(packet, service(), slice_of("web", PODS[0]))
    assert steps.index("marks it") < steps.index(f"DNAT to {PODS[0]}:8080") < steps.index("takes the mark off")
    assert steps[-1] == "leaves with the node's address"


def test_a_pod_that_meets_itself_behind_its_service_is_masqueraded() -> None:
    assert "marks it" in way(Packet(PODS[0], "10.96.50.1", 80), service(), slice_of("web", PODS[0]))


def test_a_node_port_leads_from_outside_to_a_pod() -> None:
    spec: dict[str, Any] = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}
    packet = Packet("203.0.113.9", "192.0.2.2", 30080, local=("192.0.2.2",))
    steps = way(packet, service(**spec), slice_of("web", PODS[0]))
    assert [s for s in steps if s.startswith("→ KUBE-") and "POST" not in s][:3] == [
        "→ KUBE-SERVICES", "→ KUBE-NODEPORTS", "→ KUBE-EXT-HYZAVZ3O2MWWAV4H"]
    assert steps[-1] == "leaves with the node's address"


def test_a_service_without_endpoints_refuses() -> None:
    assert way(Packet("10.244.0.7", "10.96.50.1", 80), service())[-1] == "REJECT"


def test_a_sticky_client_meets_the_endpoint_it_met_before() -> None:
    sticky = service(sessionAffinity="ClientIP")
    (port,) = ports(sticky, slice_of("web", *PODS))
    known = {chain_name("SEP", port, port.endpoints[2]): ["10.244.0.7"]}
    steps = way(Packet("10.244.0.7", "10.96.50.1", 80), sticky, slice_of("web", *PODS), clients=known)
    assert f"DNAT to {PODS[2]}:8080" in steps


def test_another_address_than_a_services_goes_its_own_way() -> None:
    assert not any("DNAT" in s for s in way(Packet("10.244.0.7", "8.8.8.8", 53, "udp"), service()))
