"""kube-proxy on nodes with kernels of their own: it keeps up, heals, survives a restart, and says what it cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest
from kernel_net import NODES, PODS, Net, runner
from proxy_objects import service

from kitlib.network.iptables import RuleContext, Tables
from kitlib.network.kernel import conntrack, proxy
from kitlib.network.kernel.fabric import ways
from kitlib.network.kernel.policies import NodePolicies, PolicyWatch
from kitlib.network.kernel.proxy import RuleProxy
from kitlib.network.kernel.restore import restore_input
from kitlib.network.kernel.shell import NodeShell
from kitlib.network.kernel.transaction import NOTHING, transaction
from kitlib.network.nftables import Block, Table
from kitlib.network.policy.model import World as Policies
from kitlib.network.proxy.client import ProxyProcess
from kitlib.network.service_ports import service_ports

KERNEL = ("iptables", "nftables")


class Listed:
    """An informer whose objects the test sets."""

    def __init__(self, objects: Sequence[dict[str, Any]] = ()) -> None:
        self.objects = {o["metadata"]["name"]: o for o in objects}
        self._handlers: list[Callable[[str, Any, Any], None]] = []

    def add_handler(self, handler: Callable[[str, Any, Any], None]) -> None:
        self._handlers.append(handler)

    def list(self) -> list[dict[str, Any]]:
        return list(self.objects.values())

    def get(self, name: str) -> dict[str, Any] | None:
        return self.objects.get(name)

    def put(self, *objects: dict[str, Any]) -> None:
        for one in objects:
            old, self.objects[one["metadata"]["name"]] = self.objects.get(one["metadata"]["name"]), one
            for handler in self._handlers:
                handler("MODIFIED" if old else "ADDED", old, one)


def endpoints(*pods: str) -> dict[str, Any]:
    made = [{"addresses": [PODS[p][1]], "conditions": {"ready": True}, "nodeName": PODS[p][0]} for p in pods]
    return {"metadata": {"name": "web-1", "namespace": "proxy", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": made, "ports": [{"name": "", "port": 8080, "protocol": "TCP"}]}


def node(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": NODES[name]}]}}


class World:
    def __init__(self, net: Net) -> None:
        self.net = net
        self.services, self.slices = Listed([service()]), Listed([endpoints("a1")])
        self.nodes = Listed([node(name) for name in NODES])
        self.commands: list[list[str]] = []

    def enter(self, place: str, command: Sequence[str]) -> list[str]:
        self.commands.append(list(command))
        return self.net.enter(place or "fabric", command)

    def proxy(self, mode: str, **more: Any) -> RuleProxy:
        return RuleProxy(mode, self.services, self.slices, self.nodes, NodeShell(runner(self.enter)),  # type: ignore[arg-type]
                         lambda place: ProxyProcess(enter=lambda command: self.net.enter(place, command)),
                         cluster_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16", **more)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    made = Net()
    yield made
    made.close()


in_kernel = pytest.mark.parametrize("mode", KERNEL)
needs = pytest.mark.needs("netfilter")


def answers(net: Net) -> str:
    said = net.ask("a2", "10.96.50.1", 80, timeout=0.5)
    return str(said["name"] if isinstance(said, dict) else said)


@needs
@in_kernel
def test_it_keeps_up_with_changes_and_a_restart_changes_nothing(net: Net, mode: str) -> None:
    async def live() -> None:
        world = World(net)
        kept = world.proxy(mode)
        kept.start(list(NODES))
        await kept.synced()
        assert answers(net) == "a1"
        world.slices.put(endpoints("b1"))
        await kept.synced()
        assert answers(net) == "b1"
        await kept.close()
        assert answers(net) == "b1"   # the rules are the kernel's; nobody has to live for them

        world.commands.clear()
        again = world.proxy(mode)
        again.start(list(NODES))
        await again.synced()
        writes = [c for c in world.commands if c[0] in ("iptables-restore", "nft") and "list" not in c]
        assert writes == []
        assert {entry["error"] for entry in again.status()["nodes"].values()} == {""}
        await again.close(clear=True)
        assert answers(net) != "b1"

    run(live())


@needs
@in_kernel
def test_rules_that_somebody_took_away_come_back(net: Net, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "RESYNC_SECONDS", 0.2)

    async def live() -> None:
        kept = World(net).proxy(mode)
        kept.start(list(NODES))
        await kept.synced()
        if mode == "iptables":
            net.run("node1", "iptables", "-t", "nat", "-F")
        else:
            net.run("node1", "nft", "delete", "table", "ip", "kube-proxy")
        assert answers(net) != "a1"
        for _ in range(50):
            await asyncio.sleep(0.1)
            if answers(net) == "a1":
                break
        assert answers(net) == "a1"
        await kept.close(clear=True)

    run(live())


@needs
def test_policies_that_somebody_took_away_come_back_with_the_rules(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "RESYNC_SECONDS", 0.2)
    closed = {"metadata": {"name": "closed", "namespace": "proxy"},
              "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
    pods = [{"metadata": {"name": "a1", "namespace": "proxy"}, "spec": {"nodeName": "node1", "containers": []},
             "status": {"podIP": PODS["a1"][1]}}]

    async def live() -> None:
        world = World(net)
        policies = NodePolicies(NodeShell(runner(world.enter)), lambda: list(NODES))
        kept = world.proxy("nftables", beside=lambda name: [PolicyWatch(name, policies.heal)])
        kept.start(list(NODES))
        await kept.synced()
        await policies.apply(Policies.of([closed], [{"metadata": {"name": "proxy"}}], pods))
        assert answers(net) == "silence"
        net.run("node1", "nft", "flush", "ruleset")
        for _ in range(50):
            await asyncio.sleep(0.1)
            if "closed" in net.run("node1", "nft", "list", "ruleset") and answers(net) == "silence":
                break
        assert answers(net) == "silence"
        await policies.clear()
        assert answers(net) == "a1"   # the Service's rules are back as well
        await kept.close(clear=True)

    run(live())


@needs
@pytest.mark.parametrize("mode", ["iptables", "userspace"])
def test_another_mode_takes_over_and_leaves_nothing_of_the_first(net: Net, mode: str) -> None:
    async def live() -> None:
        world = World(net)
        first = world.proxy(mode)
        first.start(list(NODES))
        await first.synced()
        await first.close()
        second = world.proxy("nftables")
        for name in NODES:
            await second.clear_other_modes(name)
        second.start(list(NODES))
        await second.synced()
        assert "KUBE-" not in net.run("node1", "iptables-save")
        assert "10.96.0.0/16" not in net.run("node1", "ip", "route", "show", "table", "local")
        assert answers(net) == "a1"
        await second.close(clear=True)

    run(live())


def test_a_node_that_cannot_be_entered_is_tried_again_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "RETRY_SECONDS", (0.01,))
    tries: list[str] = []

    def enter(place: str, command: Sequence[str]) -> list[str]:
        tries.append(place)
        if len(tries) < 4:
            return ["sh", "-c", "echo 'Cannot open network namespace: No such file or directory' >&2; exit 1"]
        return ["true"]

    async def live() -> None:
        told: list[tuple[str, str]] = []
        kept = RuleProxy("nftables", Listed(), Listed(), Listed([node("node1")]),  # type: ignore[arg-type]
                         NodeShell(runner(enter)), lambda place: ProxyProcess(), cluster_cidr="10.244.0.0/16",
                         service_cidr="10.96.0.0/16",
                         tell=lambda node, why: told.append((node["metadata"]["name"], why)))
        kept.start(["node1"])
        await asyncio.sleep(0)
        while not kept.status()["nodes"]["node1"]["error"]:
            await asyncio.sleep(0.005)
        assert kept.status()["nodes"]["node1"]["error"] == (
            "sh on node1: Cannot open network namespace: No such file or directory")
        await kept.synced()
        assert kept.status()["nodes"]["node1"]["error"] == ""
        assert told == [("node1", "sh on node1: Cannot open network namespace: No such file or directory")]
        await kept.close()

    run(live())


def test_without_conntrack_the_rules_are_right_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def enter(place: str, command: Sequence[str]) -> list[str]:
        return ["sh", "-c", "exit 127"] if command[0] == "conntrack" else ["true"]

    async def live() -> None:
        udp = service(ports=[{"port": 53, "protocol": "UDP"}])
        kept = RuleProxy("nftables", Listed([udp]), Listed(), Listed([node("node1")]),  # type: ignore[arg-type]
                         NodeShell(runner(enter)), lambda place: ProxyProcess(), cluster_cidr="10.244.0.0/16",
                         service_cidr="10.96.0.0/16")
        kept.start(["node1"])
        await kept.synced()
        assert kept.status()["nodes"]["node1"]["error"] == ""
        await kept.close()

    run(live())
    assert "conntrack is not installed: who talks UDP" in caplog.text


def test_a_mode_that_cannot_be_applied_is_refused() -> None:
    with pytest.raises(ValueError, match='mode "ipvs" cannot be applied; there is iptables, nftables, userspace'):
        RuleProxy("ipvs", Listed(), Listed(), Listed(), NodeShell(runner(lambda p, c: list(c))),  # type: ignore[arg-type]
                  lambda place: ProxyProcess(), cluster_cidr="", service_cidr="")


# -- the pure parts --------------------------------------------------------------------------------------------


def test_only_what_changed_is_restored() -> None:
    before = Tables({"PREROUTING": ["-j KUBE-A"], "KUBE-A": ["-j ACCEPT"], "KUBE-B": [], "KUBE-C": ["-j DROP"]})
    after = Tables({"PREROUTING": ["-j KUBE-A"], "KUBE-A": ["-j ACCEPT"], "KUBE-B": ["-j KUBE-A"]})
    assert restore_input(before, after) == (
        "*nat\n:KUBE-B - [0:0]\n:KUBE-C - [0:0]\n-A KUBE-B -j KUBE-A\n-X KUBE-C\nCOMMIT\n")
    assert restore_input(after, after) == ""


def test_other_peoples_rules_in_built_in_chains_stay() -> None:
    before = Tables.parse("*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-OLD - [0:0]\n-A PREROUTING -j DOCKER\n"
                          "-A PREROUTING -j KUBE-OLD\nCOMMIT\n")
    after = Tables({"PREROUTING": ["-j KUBE-1", "-j KUBE-2"], "KUBE-1": [], "KUBE-2": []})
    assert restore_input(before, after).splitlines()[-6:] == [
        ":KUBE-OLD - [0:0]", "-D PREROUTING -j KUBE-OLD", "-I PREROUTING -j KUBE-2", "-I PREROUTING -j KUBE-1",
        "-X KUBE-OLD", "COMMIT"]


def test_a_transaction_takes_pointers_away_before_what_they_point_at() -> None:
    def table(chain: str, *rules: str) -> Table:
        ips = Block("map service-ips", ["type ipv4_addr : verdict"], [f"10.0.0.1 : goto {chain}"])
        return Table({"service-ips": ips}, [], [Block(f"chain {chain}", list(rules))])

    first, second = table("service-a", "drop"), table("service-b", "accept")
    assert transaction(first, second).splitlines()[1:] == [
        "delete element ip kube-proxy service-ips { 10.0.0.1 }", "flush chain ip kube-proxy service-a",
        "delete chain ip kube-proxy service-a", "add chain ip kube-proxy service-b",
        "add rule ip kube-proxy service-b accept",
        "add element ip kube-proxy service-ips { 10.0.0.1 : goto service-b }"]
    assert transaction(first, first) == ""
    assert transaction(first, NOTHING).splitlines()[-1] == "delete map ip kube-proxy service-ips"


def test_udp_memories_are_wrong_when_another_answers_than_an_endpoint() -> None:
    def entry(to: str, sport: int, answering: str, state: str = "") -> str:
        return (f"udp      17 29 src=10.244.1.3 dst={to} sport={sport} dport=53 {state}src={answering} dst=10.244.1.3 "
                f"sport=8053 dport={sport} mark=0 use=1\n")

    listed = (entry("10.96.0.10", 4053, "10.244.1.2") + entry("10.96.0.10", 4054, "10.244.2.2", "[UNREPLIED] ")
              + entry("9.9.9.9", 4055, "9.9.9.9") + entry("10.96.0.77", 4056, "10.244.9.9"))
    now = {("10.96.0.10", 53): {"10.244.1.2"}}

    def forget(address: str, answering: str) -> tuple[str, ...]:
        return ("conntrack", "-D", "-p", "udp", "--orig-dst", address, "--orig-port-dst", "53", "--reply-src",
                answering)

    assert conntrack.stale(listed, now) == [forget("10.96.0.10", "10.244.2.2")]
    gone = conntrack.stale(listed, now, before=[("10.96.0.77", 53)])
    assert gone == [forget("10.96.0.10", "10.244.2.2"), forget("10.96.0.77", "10.244.9.9")]


def test_a_udp_services_fronts_are_all_its_addresses_and_the_nodes_for_its_node_port() -> None:
    udp = service(type="NodePort", externalIPs=["198.51.100.1"],
                  ports=[{"port": 53, "nodePort": 30053, "protocol": "UDP"}])
    context = RuleContext("node1", node_addresses=["192.0.2.2"])
    found = conntrack.fronts(service_ports([udp, service("tcp", address="10.96.50.8")], []), context)
    assert found == {("10.96.50.1", 53): set(), ("198.51.100.1", 53): set(), ("192.0.2.2", 30053): set()}


# -- the fabric's way to load balancers' addresses ------------------------------------------------------------------


def balanced(name: str, address: str, *pods: str, **spec: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    made = service(name, address=f"10.96.70.{address[-1]}", type="LoadBalancer", ports=[{"port": 80}], **spec)
    made["status"] = {"loadBalancer": {"ingress": [{"ip": address}]}}
    slices = endpoints(*pods)
    return made, slices | {"metadata": {"name": f"{name}-1", "namespace": "proxy",
                                        "labels": {"kubernetes.io/service-name": name}}}


def test_an_address_goes_to_all_nodes_or_only_where_its_pods_are() -> None:
    made = [balanced("a", "198.51.100.1", "a1"), balanced("b", "198.51.100.2", "a1", externalTrafficPolicy="Local"),
            balanced("c", "198.51.100.3", externalTrafficPolicy="Local")]
    ports = service_ports([s for s, _ in made], [e for _, e in made])
    assert ways(ports, NODES) == {"198.51.100.1": ["192.0.2.2", "192.0.2.3"], "198.51.100.2": ["192.0.2.2"]}


@needs
def test_the_fabric_follows_pods_of_policy_local_from_node_to_node(net: Net) -> None:
    async def live() -> None:
        world = World(net)
        net.run("fabric", "ip", "addr", "replace", "192.0.2.1/24", "dev", "br0")
        made, slices = balanced("db", "198.51.100.77", "b1", externalTrafficPolicy="Local")
        world.services.put(made)
        world.slices.put(slices)
        kept = world.proxy("nftables")
        kept.start(list(NODES), fabric=True)
        await kept.synced()
        assert net.ask("fabric", "198.51.100.77", 80) == {"name": "b1", "source": "192.0.2.1"}
        world.slices.put(balanced("db", "198.51.100.77", "a2", externalTrafficPolicy="Local")[1])
        await kept.synced()
        assert net.ask("fabric", "198.51.100.77", 80)["name"] == "a2"
        await kept.close(clear=True)
        assert "198.51.100.77" not in net.run("fabric", "ip", "route")

    run(live())
