"""What is counted and mirrored: quotas, and Endpoints in both directions."""

from __future__ import annotations

from typing import Any

import pytest
from controller_world import World, pod

from kitlib.controllers.endpoints import Endpoints, EndpointSliceMirroring
from kitlib.controllers.endpointslice import SLICES, EndpointSlice
from kitlib.controllers.resourcequota import ResourceQuota
from kitlib.objects.errors import StatusError


def world(*controllers: Any) -> World:
    made = World(*controllers, nodes=1)
    made.settle(1)
    return made


def demanding(name: str, cpu: str) -> dict[str, Any]:
    made = pod(name)
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu, "memory": "64Mi"}, "limits": {"cpu": cpu}}
    return made


def quota(w: World, **hard: str) -> None:
    named = {name.replace("__", "/").replace("_", "."): value for name, value in hard.items()}
    w.create("resourcequotas", {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
                                "spec": {"hard": named}})


def used(w: World) -> dict[str, str]:
    return w.get("resourcequotas", "q")["status"]["used"]


def test_a_quota_knows_what_was_there_before_it_and_what_comes_after():
    w = world(ResourceQuota())
    w.create("pods", demanding("a", "500m"))
    quota(w, pods="5", requests_cpu="2", requests_memory="1Gi", limits_cpu="2", count__configmaps="10", services="3")
    w.settle(2)
    assert used(w) == {"pods": "1", "requests.cpu": "500m", "requests.memory": "64Mi", "limits.cpu": "500m",
                       "count/configmaps": "0", "services": "1"}, "the Service kubernetes is there"
    w.create("pods", demanding("b", "1"))
    w.create("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})
    w.settle(2)
    assert (used(w)["pods"], used(w)["requests.cpu"], used(w)["count/configmaps"]) == ("2", "1500m", "1")
    before = w.store.revision
    w.settle(600)
    assert w.store.revision == before


def test_what_is_deleted_or_ended_is_given_back():
    w = world(ResourceQuota())
    quota(w, pods="2")
    w.settle(1)
    for name in "ab":
        w.create("pods", pod(name))
    w.settle(3)
    with pytest.raises(StatusError, match="exceeded quota"):
        w.create("pods", pod("c"))
    w.user.delete("pods", "default", "a", grace=0)
    w.kubelet.report(w.get("pods", "b"), "Succeeded", ready=False)
    w.settle(2)
    assert used(w) == {"pods": "0"}
    w.create("pods", pod("c"))


def service(w: World, **spec: Any) -> None:
    w.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                          "spec": {"ports": [{"port": 80, "targetPort": 8080}], **spec}})


def test_the_old_endpoints_object_has_ready_and_not_ready_addresses():
    w = world(EndpointSlice(), Endpoints())
    service(w, selector={"app": "web"})
    w.create("pods", pod("a"))
    w.settle(3)
    (subset,) = w.get("endpoints", "web")["subsets"]
    assert subset["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert [a["targetRef"]["name"] for a in subset["addresses"]] == ["a"]
    w.kubelet.report(w.get("pods", "a"), "Running", ready=False)
    w.settle(1)
    (subset,) = w.get("endpoints", "web")["subsets"]
    assert [a["targetRef"]["name"] for a in subset["notReadyAddresses"]] == ["a"]
    before = w.store.revision
    w.settle(600)
    assert w.store.revision == before


def test_hand_made_endpoints_become_a_slice():
    w = world(EndpointSlice(), Endpoints(), EndpointSliceMirroring())
    service(w)
    w.create("endpoints", {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"}, "subsets": [
        {"addresses": [{"ip": "198.51.100.7"}], "ports": [{"port": 9376}]}]})
    w.settle(2)

    def mirrored() -> list[dict[str, Any]]:
        return [s for s in w.list(SLICES) if s["metadata"]["name"].startswith("web-")]

    (found,) = mirrored()
    assert found["endpoints"] == [{"addresses": ["198.51.100.7"], "conditions": {"ready": True}}]
    assert found["ports"] == [{"name": "", "protocol": "TCP", "port": 9376}]
    assert found["metadata"]["labels"] == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"}
    assert found["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"
    before = w.store.revision
    w.settle(600)
    assert w.store.revision == before
    w.patch("endpoints", "web", {"subsets": None})
    w.settle(1)
    assert mirrored() == []


def test_the_endpoints_of_a_selecting_service_are_not_mirrored_back():
    w = world(EndpointSlice(), Endpoints(), EndpointSliceMirroring())
    service(w, selector={"app": "web"})
    w.create("pods", pod("a"))
    w.settle(3)
    managers = [s["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] for s in w.list(SLICES)
                if s["metadata"]["name"].startswith("web-")]
    assert managers == ["endpointslice-controller.k8s.io"]
