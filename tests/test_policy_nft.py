"""The nftables rules of NetworkPolicies: loaded into the kernel, and tried by traffic, every case there is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from policy_cases import CASES, NAMESPACES, PODS, PORTS, PROTOCOLS, Case, address
from policy_net import PLACES, Net

from kitlib.network.policy import PolicyPod, World
from kitlib.network.policy.nft import TABLE, ruleset

pytestmark = pytest.mark.needs("nftables")

NAMED = tuple((f"serve-{number}-{protocol.lower()}", number, protocol) for number in PORTS for protocol in PROTOCOLS)
CONNECTIONS = [(source, destination, port, protocol) for source, destination, port, protocol
               in itertools.product(PLACES, PLACES, PORTS, PROTOCOLS) if source != destination]


def _world(case: Case) -> World:
    labels = {name: {"ns": name, "kubernetes.io/metadata.name": name} for name in NAMESPACES}
    pods = [PolicyPod(ns, name, address(f"{ns}/{name}"), {"pod": name}, NAMED) for ns in NAMESPACES for name in PODS]
    return World(World.of(case.policies, [], []).policies, labels, pods)


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    made = Net()
    yield made
    made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_rules_let_pass_what_must_and_drop_the_rest(net: Net, case: Case) -> None:
    world = _world(case)
    for node in (0, 1):
        net.nft(node, ruleset(world, net.local(node)))
    must = {connection for connection in CONNECTIONS if case.passes(*connection)}
    seen = net.passed(CONNECTIONS, 5.0 if len(must) == len(CONNECTIONS) else 0.25)
    if seen != must:  # a busy machine is slow; a drop stays a drop
        seen = net.passed(CONNECTIONS, 2.0)
    assert (seen - must, must - seen) == (set(), set())


def test_loading_again_replaces_and_no_policy_leaves_no_rule_behind(net: Net) -> None:
    world = _world(CASES[3])
    for _ in range(2):
        net.nft(0, ruleset(world, net.local(0)))
    rules = net.rules(0)
    assert rules.count(f"table {TABLE} ") == 1
    assert 'comment "x/a: no rule of x/deny allows it"' in rules
    net.nft(0, ruleset(world, ()))
    assert "drop" not in net.rules(0)
