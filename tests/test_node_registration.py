"""A Node makes itself known, stays alive, and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from node_fakes import FakeRuntime, run
from node_scenario import Api

from kitlib.node.node_object import LEASE_NAMESPACE, NodeFacts, machine_capacity
from kitlib.node.registration import LEASES, Registration
from kitlib.objects.clock import FakeClock, parse_time

FACTS = NodeFacts("n1", "192.0.2.1", "10.0.0.0/24", {"cpu": "2", "memory": "4Gi", "pods": "110"}, isolation="none")


def test_a_node_is_registered_with_addresses_capacity_and_a_lease() -> None:
    clock = FakeClock()
    api = Api(clock)
    client = api.client("kubelet/n1")
    run(clock, Registration(client, FACTS, clock, FakeRuntime(clock)).register())
    node = client.get("nodes", "", "n1")
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    assert node["spec"]["podCIDR"] == "10.0.0.0/24"
    assert node["status"]["addresses"][0] == {"type": "InternalIP", "address": "192.0.2.1"}
    assert node["status"]["allocatable"] == dict(FACTS.capacity)
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"] == "process://1"
    assert node["status"]["images"][0]["names"] == ["docker.io/library/busybox:1.36"]
    lease = client.get(LEASES, LEASE_NAMESPACE, "n1")
    assert lease["spec"]["holderIdentity"] == "n1"
    assert lease["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]


def test_the_lease_is_renewed_every_ten_seconds_and_the_status_hardly_ever() -> None:
    clock = FakeClock()
    api = Api(clock)
    client = api.client("kubelet/n1")

    async def life() -> None:
        registration = Registration(client, FACTS, clock)
        await registration.register()
        beating = asyncio.ensure_future(registration.run())
        status = client.get("nodes", "", "n1")["metadata"]["resourceVersion"]
        first = api.store.revision
        await asyncio.sleep(65)
        assert api.store.revision - first == 6
        assert client.get("nodes", "", "n1")["metadata"]["resourceVersion"] == status
        renewed = client.get(LEASES, LEASE_NAMESPACE, "n1")["spec"]["renewTime"]
        assert clock.now() - parse_time(renewed) < 10
        await asyncio.sleep(300)
        heartbeat = client.get("nodes", "", "n1")["status"]["conditions"][-1]["lastHeartbeatTime"]
        assert clock.now() - parse_time(heartbeat) < 300
        beating.cancel()

    run(clock, life())


def test_a_second_registration_keeps_what_people_have_done_to_the_node() -> None:
    clock = FakeClock()
    api = Api(clock)
    client, person = api.client("kubelet/n1"), api.client("kubectl")
    run(clock, Registration(client, FACTS, clock).register())
    person.patch("nodes", "", "n1", {"metadata": {"labels": {"disk": "ssd"}}, "spec": {"unschedulable": True}})
    since = {c["type"]: c["lastTransitionTime"] for c in person.get("nodes", "", "n1")["status"]["conditions"]}
    clock.advance(100)
    run(clock, Registration(client, FACTS, clock).register())
    node = person.get("nodes", "", "n1")
    assert node["metadata"]["labels"]["disk"] == "ssd"
    assert node["spec"]["unschedulable"] is True
    assert {c["type"]: c["lastTransitionTime"] for c in node["status"]["conditions"]} == since


def test_a_node_that_was_deleted_registers_again() -> None:
    clock = FakeClock()
    api = Api(clock)
    client = api.client("kubelet/n1")

    async def life() -> None:
        registration = Registration(client, FACTS, clock)
        await registration.register()
        beating = asyncio.ensure_future(registration.run())
        api.client("kubectl").delete("nodes", "", "n1")
        await asyncio.sleep(301)
        assert client.get("nodes", "", "n1")["metadata"]["name"] == "n1"
        beating.cancel()

    run(clock, life())


def test_the_machine_has_a_cpu_and_memory(tmp_path: Path) -> None:
    capacity = machine_capacity(str(tmp_path))
    assert int(capacity["cpu"]) >= 1
    assert int(capacity["memory"].removesuffix("Ki")) > 100_000
    assert capacity["pods"] == "110"
