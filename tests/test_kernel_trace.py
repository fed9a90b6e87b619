"""A walk is what the kernel does: rule by rule it is laid beside the kernel's own trace of a packet.  Needs root.

`nft monitor trace` tells of every rule that a packet matched.  The rules of iptables (its nf_tables variant) are seen
there, too; nft words them in its own way, so for them chains and verdicts are compared, for nftables the text as well.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from kernel_net import NODES, OUTSIDE, PODS, Kept, Net, context, gateway
from proxy_objects import ports, service
from test_kernel_services import NODE_PORT, VIP, endpoints

from kitlib.network.iptables import chain_name
from kitlib.network.nftables import chain_base
from kitlib.network.service_ports import ServicePort
from kitlib.network.walk.packet import Packet, Trace, outcomes
from kitlib.network.walk.walk import walker

pytestmark = pytest.mark.needs("netfilter")
NODE, POD = NODES["node1"], PODS["a2"][1]
TRACE = """table ip trace {
  chain pre { type filter hook prerouting priority -300
    ip daddr %(to)s tcp flags syn meta nftrace set 1
  }
  chain out { type filter hook output priority -300
    ip daddr %(to)s tcp flags syn meta nftrace set 1
  }
}
"""
_EVENT = re.compile(r"trace id (\w+) (ip \S+) (\S+) rule (.*) \(verdict \w+ ?(\S*)\)$")
BOTH = endpoints("a1", "b1")
CASES: dict[str, tuple[str, Packet, tuple[dict[str, Any], ...]]] = {
    "a Pod to a ClusterIP": ("a2", Packet(POD, VIP, 80, from_pod=True), (service(), BOTH)),
    "a Pod to itself": ("a1", Packet(PODS["a1"][1], VIP, 80, from_pod=True), (service(), endpoints("a1"))),
    "the node to a ClusterIP": ("node1", Packet(NODE, VIP, 80, from_node=True), (service(), BOTH)),
    "outside to a node port": ("outside", Packet(OUTSIDE, NODE, 30080), (service(**NODE_PORT), BOTH)),
    "outside to a Local node port": (
        "outside", Packet(OUTSIDE, NODE, 30080), (service(**NODE_PORT, externalTrafficPolicy="Local"), BOTH)),
    "outside to an external address": (
        "outside", Packet(OUTSIDE, "198.51.100.10", 80), (service(externalIPs=["198.51.100.10"]), BOTH)),
    "sticky": ("a2", Packet(POD, VIP, 80, from_pod=True), (service(sessionAffinity="ClientIP"), BOTH)),
    "no endpoint": ("a2", Packet(POD, VIP, 80, from_pod=True), (service(),)),
    "no local endpoint": (
        "a2", Packet(POD, VIP, 80, from_pod=True), (service(internalTrafficPolicy="Local"), endpoints("b1"))),
}


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    made = Net()
    yield made
    made.close()


class Monitor:
    """What the kernel of node1 tells of the first packet that is sent while this is open."""

    def __init__(self, net: Net, to: str) -> None:
        self._net, self._lines = net, list[str]()
        net.run("node1", "nft", "-f", "-", text=TRACE % {"to": to})
        self._process = subprocess.Popen(net.enter("node1", ["nft", "monitor", "trace"]), stdout=subprocess.PIPE,
                                         text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._lines.extend(self._process.stdout)

    def events(self, ask: Callable[[], Any]) -> list[tuple[str, str, str]]:
        """(chain, rule, where it goes) of kube-proxy's rules, in order.  Asks until the kernel tells something."""
        deadline = time.monotonic() + 10
        while sum("ip trace " in line and " packet: " in line for line in self._lines) < 2:   # then the first is over
            assert time.monotonic() < deadline, "the kernel traces nothing"
            ask()
            time.sleep(0.05)
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        found = [match for line in self._lines if (match := _EVENT.search(line.strip()))]
        begins = [index for index, match in enumerate(found) if match[2] == "ip trace"]
        first = found[begins[0]:begins[1] if len(begins) > 1 else None]
        return [(match[3], match[4].partition(' comment "')[0], match[5]) for match in first[1:]
                if match[1] == first[0][1]]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._net.run("node1", "nft", "delete", "table", "ip", "trace")


@pytest.mark.parametrize("mode", ["nftables", "iptables"])
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_goes_the_way_that_was_walked(net: Net, case: str, mode: str) -> None:
    place, packet, objects = CASES[case]
    found = ports(*objects)
    kept = Kept(net, mode)
    kept.sync(found)
    monitor = Monitor(net, packet.destination)
    try:
        events = monitor.events(lambda: net.ask(place, packet.destination, packet.port, timeout=0.3))
    finally:
        monitor.close()
        kept.clear()
    told = [(chain, target, rule if mode == "nftables" else "") for chain, rule, target in events]
    ways = [steps(walk, with_rules=mode == "nftables") for walk in walks(mode, packet, found)]
    assert told in ways, f"the kernel: {told}; walks: {ways}"


def steps(walk: Trace, *, with_rules: bool) -> list[tuple[str, str, str]]:
    """(chain, where the rule sends it, the rule), as the kernel tells it."""
    return [(step.chain, step.verdict.removeprefix("→ ") if step.verdict.startswith("→") else "",
             step.rule.partition(' comment "')[0] if with_rules else "") for step in walk.steps]


def walks(mode: str, packet: Packet, found: list[ServicePort]) -> Iterator[Trace]:
    """All that chance allows, for a client that is new and for one that stuck to an endpoint already."""
    sent = replace(packet, local=(NODE, gateway("node1")))
    for port in found:
        for known in (None, *port.endpoints):
            stuck = {chain_name("SEP", port, known), f"affinity-{chain_base(port, known)}"} if known else ()
            run = walker(mode, found, context("node1"), [], {name: [packet.source] for name in stuck})
            yield from (trace for _, trace in outcomes(lambda choose, run=run: run(sent, choose)))
