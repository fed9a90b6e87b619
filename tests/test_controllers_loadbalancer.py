"""Service load balancers: who gets an address, which one, and when it is free again."""

from __future__ import annotations

from typing import Any

import pytest
from controller_world import World

from kitlib.client import Patch
from kitlib.controllers.loadbalancer import CLASS, FINALIZER, LoadBalancer, Observed

POOL = "127.64.255.0/29"   # .1 to .5


def service(name: str = "web", kind: str = "LoadBalancer", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"type": kind, "ports": [{"port": 80, "protocol": "TCP"}], **spec}}


def world() -> World:
    return World(LoadBalancer(POOL), nodes=0)


def address(world: World, name: str = "web") -> str | None:
    ingress = world.get("services", name)["status"]["loadBalancer"].get("ingress")
    if not ingress:
        return None
    assert ingress == [{"ip": ingress[0]["ip"], "ipMode": "VIP"}]
    return ingress[0]["ip"]


def events(world: World) -> list[str]:
    return [event["reason"] for event in world.list("events")]


def test_every_service_of_the_type_gets_an_address_of_its_own() -> None:
    cluster = world()
    for name in ("a", "b", "c"):
        cluster.create("services", service(name))
    cluster.create("services", service("plain", "ClusterIP"))
    cluster.settle()
    assert [address(cluster, name) for name in ("a", "b", "c")] == [f"127.64.255.{n}" for n in (1, 2, 3)]
    assert address(cluster, "plain") is None
    assert sorted(events(cluster)) == ["EnsuredLoadBalancer"] * 3 + ["EnsuringLoadBalancer"] * 3


def test_in_the_steady_state_it_does_nothing() -> None:
    made = service() | {"status": {"loadBalancer": {"ingress": [{"ip": "127.64.255.2", "ipMode": "VIP"}]}}}
    made["metadata"]["finalizers"] = [FINALIZER]
    assert LoadBalancer(POOL).diff(Observed(made, frozenset({"127.64.255.1"}))) == []


def test_the_finalizer_comes_first() -> None:
    made = service()
    made["metadata"]["resourceVersion"] = "7"
    (action,) = LoadBalancer(POOL).diff(Observed(made, frozenset()))
    assert isinstance(action, Patch)
    assert action.patch["metadata"]["finalizers"] == [FINALIZER]


def test_a_deleted_service_gives_its_address_back() -> None:
    cluster = world()
    cluster.create("services", service("a"))
    cluster.settle()
    cluster.user.delete("services", "default", "a")
    cluster.settle()
    assert not cluster.exists("services", "a")
    cluster.create("services", service("b"))
    cluster.settle()
    assert address(cluster, "b") == "127.64.255.1"
    assert {"DeletingLoadBalancer", "DeletedLoadBalancer"} <= set(events(cluster))


def test_another_type_gives_the_address_back_and_keeps_the_service() -> None:
    cluster = world()
    cluster.create("services", service())
    cluster.settle()
    cluster.patch("services", "web", {"spec": {"type": "ClusterIP"}})
    cluster.settle()
    assert address(cluster) is None
    assert "finalizers" not in cluster.get("services", "web")["metadata"]


def test_a_class_that_is_not_ours_is_left_alone() -> None:
    cluster = world()
    cluster.create("services", service("theirs", loadBalancerClass="example.com/other"))
    cluster.create("services", service("ours", loadBalancerClass=CLASS))
    cluster.settle()
    assert address(cluster, "theirs") is None
    assert "finalizers" not in cluster.get("services", "theirs")["metadata"]
    assert address(cluster, "ours") == "127.64.255.1"


def test_an_address_may_be_asked_for() -> None:
    cluster = world()
    cluster.create("services", service("a", loadBalancerIP="127.64.255.4"))
    cluster.create("services", service("b"))
    cluster.settle()
    assert (address(cluster, "a"), address(cluster, "b")) == ("127.64.255.4", "127.64.255.1")


@pytest.mark.parametrize(("asked", "why"), [
    ("10.0.0.1", "10.0.0.1 is not one of this cluster's load balancer addresses, 127.64.255.1 to 127.64.255.5"),
    ("127.64.255.1", "127.64.255.1 belongs to another Service")])
def test_an_address_that_cannot_be_had_is_said(asked: str, why: str) -> None:
    cluster = world()
    cluster.create("services", service("first"))
    cluster.settle()
    cluster.create("services", service("second", loadBalancerIP=asked))
    cluster.settle()
    assert address(cluster, "second") is None
    (failed,) = [event for event in cluster.list("events") if event["reason"] == "SyncLoadBalancerFailed"]
    assert (failed["type"], failed["message"]) == (
        "Warning", f"Error syncing load balancer: failed to ensure load balancer: {why}")


def test_who_found_the_pool_empty_gets_the_first_address_that_becomes_free() -> None:
    cluster = world()
    for number in range(6):
        cluster.create("services", service(f"s{number}"))
    cluster.settle()
    assert address(cluster, "s5") is None
    cluster.user.delete("services", "default", "s2")
    cluster.settle()
    assert address(cluster, "s5") == "127.64.255.3"
