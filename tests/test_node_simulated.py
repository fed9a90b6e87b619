"""Nodes that only pretend, on a real API server, in virtual time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from node_fakes import run
from node_scenario import Api

from kitlib.client.informer import Informer
from kitlib.node.simulated import SimulatedKubelet, pod_cidr
from kitlib.node.sources import PodRouter, Pump
from kitlib.objects.clock import FakeClock
from kitlib.objects.errors import StatusError


class Fleet:
    """One SimulatedKubelet with its informers."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.api = clock, Api(clock)
        self.person = self.api.client("kubectl")

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.kubelet = SimulatedKubelet(self.api.client, self.clock, loop)
        pump = Pump(loop, self.clock)
        pods, nodes = (Informer(self.api.client(), kind, clock=self.clock) for kind in ("pods", "nodes"))
        pump.add(pods)
        pump.add(nodes)
        router = PodRouter(pods)
        router.default, self.kubelet.pods_of = self.kubelet.pod_event, router.pods_of
        nodes.add_handler(self.kubelet.node_event)

    def create(self, name: str, node: str, owner: dict[str, Any] | None = None, **annotations: str) -> None:
        keys = {f"kit/{key.replace('_', '-')}": value for key, value in annotations.items()}
        meta = {"name": name, "annotations": keys, **({"ownerReferences": [owner]} if owner else {})}
        spec = {"nodeName": node, "restartPolicy": "Never",
                "initContainers": [{"name": "i", "image": "x"}], "containers": [{"name": "c", "image": "nginx"}]}
        self.person.create("pods", "default", {"kind": "Pod", "metadata": meta, "spec": spec})

    def status(self, name: str) -> dict[str, Any]:
        return self.person.get("pods", "default", name)["status"]


def live(life: Callable[[Fleet], Awaitable[None]]) -> Fleet:
    clock = FakeClock()
    fleet = Fleet(clock)

    async def whole() -> None:
        fleet.start()
        await fleet.kubelet.add_nodes(["sim-1", "sim-2"])
        await life(fleet)
        fleet.kubelet.close()

    run(clock, whole())
    return fleet


def test_a_simulated_node_is_ready_and_recognisable() -> None:
    async def life(fleet: Fleet) -> None:
        node = fleet.person.get("nodes", "", "sim-1")
        assert node["metadata"]["labels"]["type"] == "kwok"
        assert node["metadata"]["annotations"]["kwok.x-k8s.io/node"] == "fake"
        assert node["spec"]["podCIDR"] == "10.128.0.0/24"
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]} == {
            "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"}

    live(life)


def test_each_node_has_a_range_of_its_own() -> None:
    assert [pod_cidr(i) for i in (0, 1, 256, 32767)] == [
        "10.128.0.0/24", "10.128.1.0/24", "10.129.0.0/24", "10.255.255.0/24"]


def test_a_bound_pod_becomes_running_and_ready_with_an_address_of_its_node() -> None:
    async def life(fleet: Fleet) -> None:
        for name, node in (("a", "sim-1"), ("b", "sim-1"), ("c", "sim-2")):
            fleet.create(name, node)
        await asyncio.sleep(0.5)
        statuses = [fleet.status(n) for n in "abc"]
        assert [(s["phase"], s["podIP"]) for s in statuses] == [
            ("Running", "10.128.0.2"), ("Running", "10.128.0.3"), ("Running", "10.128.1.2")]
        assert {c["type"]: c["status"] for c in statuses[0]["conditions"]}["Ready"] == "True"
        assert statuses[0]["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"

    live(life)


@pytest.mark.parametrize(("annotations", "phase"), [
    ({"run_seconds": "5"}, "Succeeded"), ({"run_seconds": "5", "exit_code": "3"}, "Failed"), ({}, "Running")])
def test_annotations_say_how_long_a_pod_runs_and_how_it_ends(annotations: dict[str, str], phase: str) -> None:
    async def life(fleet: Fleet) -> None:
        fleet.create("p", "sim-1", **annotations)
        await asyncio.sleep(4)
        assert fleet.status("p")["phase"] == "Running"
        await asyncio.sleep(2)
        assert fleet.status("p")["phase"] == phase

    live(life)


def test_an_annotation_delays_the_start() -> None:
    async def life(fleet: Fleet) -> None:
        fleet.create("p", "sim-1", start_seconds="3")
        await asyncio.sleep(2)
        assert fleet.status("p")["phase"] == "Pending"
        await asyncio.sleep(2)
        assert fleet.status("p")["phase"] == "Running"

    live(life)


def test_a_jobs_pod_succeeds_by_itself() -> None:
    async def life(fleet: Fleet) -> None:
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": True}
        fleet.create("p", "sim-1", owner)
        await asyncio.sleep(2)
        assert fleet.status("p")["phase"] == "Succeeded"

    live(life)


def test_a_deleted_pod_goes_and_its_address_is_free_again() -> None:
    async def life(fleet: Fleet) -> None:
        fleet.create("p", "sim-1")
        await asyncio.sleep(0.5)
        fleet.person.delete("pods", "default", "p")
        await asyncio.sleep(0.5)
        with pytest.raises(StatusError):
            fleet.status("p")
        assert fleet.kubelet._pools["sim-1"]._used == {}

    live(life)


def test_a_node_that_somebody_applies_with_kwoks_annotation_is_adopted() -> None:
    async def life(fleet: Fleet) -> None:
        meta = {"name": "mine", "annotations": {"kwok.x-k8s.io/node": "fake"}}
        fleet.person.create("nodes", "", {"kind": "Node", "metadata": meta, "status": {"capacity": {"cpu": "4"}}})
        fleet.create("p", "mine")
        await asyncio.sleep(0.5)
        assert fleet.status("p")["phase"] == "Running"
        node = fleet.person.get("nodes", "", "mine")
        assert node["status"]["capacity"] == {"cpu": "4"}
        assert next(c for c in node["status"]["conditions"] if c["type"] == "Ready")["status"] == "True"

    live(life)


def test_a_pod_may_be_bound_before_its_node_is_there() -> None:
    async def life(fleet: Fleet) -> None:
        fleet.create("p", "late")
        await asyncio.sleep(1)
        await fleet.kubelet.add_nodes(["late"])
        await asyncio.sleep(1)
        assert fleet.status("p")["phase"] == "Running"

    live(life)


def test_an_idle_fleet_writes_nothing_but_leases() -> None:
    async def life(fleet: Fleet) -> None:
        fleet.create("p", "sim-1")
        await asyncio.sleep(1)
        before = fleet.api.store.revision
        await asyncio.sleep(60)
        assert fleet.api.store.revision - before <= 2 * 60 / 30

    live(life)


def test_a_hundred_pods_cost_well_under_a_second() -> None:
    spent: list[float] = []

    async def life(fleet: Fleet) -> None:
        for number in range(100):
            fleet.create(f"p{number}", f"sim-{number % 2 + 1}")
        began = time.process_time()
        while any(e.obj["status"]["phase"] != "Running" for e in fleet.api.store.list("pods", "default")):
            await asyncio.sleep(0.01)
        spent.append(time.process_time() - began)

    live(life)
    assert spent[0] < 1.0
