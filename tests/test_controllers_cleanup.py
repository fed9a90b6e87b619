"""What happens when something is deleted: dependents, namespaces, nodes, Pods of dead nodes."""

from __future__ import annotations

from typing import Any

import pytest
from controller_world import World, deployment, node, pod

from kitlib.client import Delete, Patch
from kitlib.controllers import garbagecollector as gc
from kitlib.controllers.deployment import Deployment
from kitlib.controllers.garbagecollector import GarbageCollector
from kitlib.controllers.namespace import Namespace
from kitlib.controllers.nodelifecycle import NodeLifecycle
from kitlib.controllers.podgc import PodGC
from kitlib.controllers.replicaset import ReplicaSet
from kitlib.controllers.rootca import RootCA
from kitlib.controllers.tainteviction import TaintEviction
from kitlib.objects.clock import rfc3339_micro
from kitlib.objects.errors import StatusError


def world(*more: Any, **options: Any) -> World:
    made = World(Deployment(), ReplicaSet(), GarbageCollector(), *more, **options)
    made.settle(1)
    return made


def config_map(name: str, *owners: dict[str, Any], **meta: Any) -> dict[str, Any]:
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": o["metadata"]["name"], "uid": o["metadata"]["uid"],
                   "blockOwnerDeletion": True} for o in owners]
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, **({"ownerReferences": references} if references else {}), **meta}}


# -- garbage collection ---------------------------------------------------------------------------------------


def test_with_living_owners_the_collector_does_nothing():
    w = world()
    w.create("deployments.apps", deployment())
    w.settle(10)
    before = w.store.revision
    w.settle(600)
    assert w.store.revision == before
    assert not [r for r in w.manager.records if r.controller == "garbagecollector" and r.writes]


def test_background_the_owner_goes_first():
    w = world()
    w.create("deployments.apps", deployment())
    w.settle(10)
    w.user.delete("deployments.apps", "default", "web", propagation="Background")
    assert not w.exists("deployments.apps", "web")
    assert len(w.names("pods")) == 3
    w.settle(5)
    assert (w.names("replicasets.apps"), w.names("pods")) == ([], [])


def test_foreground_the_owner_waits_for_its_dependents():
    w = world()
    w.create("deployments.apps", deployment())
    w.settle(10)
    w.user.delete("deployments.apps", "default", "web", propagation="Foreground")
    w.calm()
    for resource, name in (("deployments.apps", "web"), ("replicasets.apps", w.names("replicasets.apps")[0])):
        meta = w.get(resource, name)["metadata"]
        assert meta["finalizers"] == ["foregroundDeletion"]
    assert all("deletionTimestamp" in p["metadata"] for p in w.list("pods"))
    w.settle(5)
    assert (w.names("deployments.apps"), w.names("replicasets.apps"), w.names("pods")) == ([], [], [])


def test_orphan_the_dependents_stay_and_forget_their_owner():
    w = world()
    w.create("deployments.apps", deployment())
    w.settle(10)
    w.user.delete("deployments.apps", "default", "web", propagation="Orphan")
    w.settle(5)
    assert not w.exists("deployments.apps", "web")
    assert "ownerReferences" not in w.list("replicasets.apps")[0]["metadata"]
    assert len(w.names("pods")) == 3


def test_with_two_owners_it_goes_with_the_second():
    w = world()
    one, two = (w.create("configmaps", config_map(name)) for name in ("one", "two"))
    w.create("configmaps", config_map("child", one, two))
    w.settle(1)
    w.user.delete("configmaps", "default", "one")
    w.settle(1)
    assert [o["name"] for o in w.get("configmaps", "child")["metadata"]["ownerReferences"]] == ["two"]
    w.user.delete("configmaps", "default", "two")
    w.settle(1)
    assert not w.exists("configmaps", "child")


def test_an_owner_that_never_existed_or_has_another_uid_is_no_owner():
    w = world()
    impostor = w.create("configmaps", config_map("parent"))
    impostor = impostor | {"metadata": impostor["metadata"] | {"uid": "00000000-0000-0000-0000-000000000000"}}
    w.create("configmaps", config_map("child", impostor))
    w.settle(1)
    assert w.exists("configmaps", "parent")
    assert not w.exists("configmaps", "child")


def test_diff_tells_apart_solid_dangling_and_waiting_owners():
    def observed(*owners: dict[str, Any] | None, dependents: int = 0) -> gc.Observed:
        references = [{"uid": f"o{n}", "name": f"o{n}"} for n in range(len(owners))]
        child = {"metadata": {"name": "c", "namespace": "ns", "uid": "c", "resourceVersion": "9",
                              "ownerReferences": references}}
        return gc.Observed("configmaps", child, list(zip(references, owners, strict=True)),
                           [gc.Dependent("pods", {})] * dependents)

    alive = {"metadata": {"uid": "o0"}}
    waiting = {"metadata": {"uid": "o1", "deletionTimestamp": "x", "finalizers": ["foregroundDeletion"]}}
    collector = GarbageCollector()
    assert collector.diff(observed(alive)) == []
    assert collector.diff(observed(alive, None)) == [Patch("configmaps", "ns", "c", {"metadata": {
        "ownerReferences": [{"uid": "o0", "name": "o0"}], "uid": "c", "resourceVersion": "9"}})]
    assert collector.diff(observed(None)) == [Delete("configmaps", "ns", "c", uid="c", propagation="Background")]
    assert collector.diff(observed(waiting, dependents=1)) == [
        Delete("configmaps", "ns", "c", uid="c", propagation="Foreground")]


CRDS = "customresourcedefinitions.apiextensions.k8s.io"


def widgets(w: World) -> None:
    """A CRD."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    w.user.create(CRDS, "", {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}]}})


@pytest.mark.parametrize("seen", [True, False])
def test_a_crd_that_goes_holds_nobody_up(seen):
    w = world()
    widgets(w)
    if seen:
        w.settle(1)
    w.user.delete(CRDS, "", "widgets.example.com")
    w.manager.informer("widgets.example.com").stop()  # as when the server closes its watch: it is asked for again
    w.settle(1)
    w.create("deployments.apps", deployment())
    w.settle(10)
    assert w.get("deployments.apps", "web")["status"]["readyReplicas"] == 3
    widgets(w)  # and it may come back
    w.settle(60)
    w.create("widgets.example.com", {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {
        "name": "w", "ownerReferences": config_map("x", {"metadata": {"name": "never", "uid": "was"}})["metadata"][
            "ownerReferences"]}})
    w.settle(2)
    assert not w.exists("widgets.example.com", "w")


def test_custom_resources_are_collected_too():
    w = world()
    widgets(w)
    w.settle(1)
    owner = w.create("configmaps", config_map("parent"))
    reference = config_map("x", owner)["metadata"]["ownerReferences"]
    w.create("widgets.example.com", {"apiVersion": "example.com/v1", "kind": "Widget",
                                     "metadata": {"name": "w", "ownerReferences": reference}})
    w.settle(1)
    assert w.exists("widgets.example.com", "w")
    w.user.delete("configmaps", "default", "parent")
    w.settle(2)
    assert not w.exists("widgets.example.com", "w")


# -- namespaces -----------------------------------------------------------------------------------------------


def in_namespace(w: World) -> None:
    w.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    w.settle(1)


def test_every_namespace_gets_its_account_and_the_root_ca():
    w = world(RootCA("PEM"))
    in_namespace(w)
    assert w.names("serviceaccounts", "team") == ["default"]
    assert w.get("configmaps", "kube-root-ca.crt", "team")["data"] == {"ca.crt": "PEM"}
    w.user.delete("serviceaccounts", "team", "default")
    w.patch("configmaps", "kube-root-ca.crt", {"data": {"ca.crt": "forged"}}, namespace="team")
    w.settle(1)
    assert w.names("serviceaccounts", "team") == ["default"]
    assert w.get("configmaps", "kube-root-ca.crt", "team")["data"] == {"ca.crt": "PEM"}
    before = w.store.revision
    w.settle(600)
    assert w.store.revision == before


def test_deleting_a_namespace_deletes_pods_first_then_the_rest_then_itself():
    w = world(Namespace(), RootCA("PEM"))
    in_namespace(w)
    w.create("deployments.apps", deployment("app", 2), "team")
    w.settle(5)
    w.user.delete("namespaces", "", "team")
    w.calm()
    assert all("deletionTimestamp" in p["metadata"] for p in w.list("pods", "team"))
    assert w.names("deployments.apps", "team") == ["app"], "the rest waits for the Pods"
    with pytest.raises(StatusError) as refused:
        w.create("configmaps", config_map("late"), "team")
    assert refused.value.status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    w.settle(5)
    assert "team" not in w.names("namespaces", None)
    assert [key for key in w.store.resources() if w.store.list(key, "team")] == []


def test_a_finalizer_holds_the_namespace_and_the_conditions_say_so():
    w = world(Namespace())
    in_namespace(w)
    w.create("configmaps", config_map("held", finalizers=["example.com/hold"]), "team")
    w.user.delete("namespaces", "", "team")
    w.settle(5)
    status = w.get("namespaces", "team", "")["status"]
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert conditions == {
        "NamespaceDeletionDiscoveryFailure": ("False", "ResourcesDiscovered"),
        "NamespaceDeletionGroupVersionParsingFailure": ("False", "ParsedGroupVersions"),
        "NamespaceDeletionContentFailure": ("False", "ContentDeleted"),
        "NamespaceContentRemaining": ("True", "SomeResourcesRemain"),
        "NamespaceFinalizersRemaining": ("True", "SomeFinalizersRemain")}
    w.patch("configmaps", "held", {"metadata": {"finalizers": None}}, namespace="team")
    w.settle(5)
    assert "team" not in w.names("namespaces", None)


def test_a_living_namespace_is_left_alone():
    w = world(Namespace())
    in_namespace(w)
    before = w.store.revision
    w.settle(600)
    assert w.store.revision == before


# -- nodes ----------------------------------------------------------------------------------------------------


def heartbeat(w: World, name: str = "node-0") -> None:
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": rfc3339_micro(w.clock.now())}
    if w.exists("leases.coordination.k8s.io", name, "kube-node-lease"):
        w.patch("leases.coordination.k8s.io", name, {"spec": spec}, namespace="kube-node-lease")
    else:
        w.create("leases.coordination.k8s.io", {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                                                "metadata": {"name": name}, "spec": spec}, "kube-node-lease")


def alive(w: World, status: str = "True") -> None:
    heartbeat(w)
    w.user.patch("nodes", "", "node-0", {"status": {"conditions": [{"type": "Ready", "status": status}]}},
                 kind="strategic", subresource="status")


def taints(w: World) -> list[str]:
    return sorted(f"{t['key'].removeprefix('node.kubernetes.io/')}:{t['effect']}"
                  for t in w.get("nodes", "node-0", "")["spec"].get("taints") or ())


def test_conditions_become_taints():
    w = world(NodeLifecycle(), nodes=0)
    w.create("nodes", node("node-0"))
    alive(w)
    w.settle(1)
    assert taints(w) == [], "the taint that admission put on a new node is taken off"
    alive(w, "False")
    w.settle(1)
    assert taints(w) == ["not-ready:NoExecute", "not-ready:NoSchedule"]
    alive(w)
    w.patch("nodes", "node-0", {"spec": {"unschedulable": True}}, namespace="")
    w.settle(1)
    assert taints(w) == ["unschedulable:NoSchedule"]


def test_a_node_that_falls_silent_is_unknown_after_50_seconds_and_its_pods_are_not_ready():
    w = world(NodeLifecycle(), nodes=1)
    alive(w)
    w.create("pods", pod("p"))
    w.settle(5)
    for _ in range(10):
        w.settle(10)
        heartbeat(w)
    assert taints(w) == []
    w.settle(65)
    ready = next(c for c in w.get("nodes", "node-0", "")["status"]["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert taints(w) == ["unreachable:NoExecute", "unreachable:NoSchedule"]
    pods_ready = next(c for c in w.get("pods", "p")["status"]["conditions"] if c["type"] == "Ready")
    assert pods_ready["status"] == "False"
    alive(w)
    w.settle(15)
    assert taints(w) == []


def test_a_no_execute_taint_evicts_now_later_or_never():
    w = world(TaintEviction(), nodes=1)
    tolerating = {"key": "example.com/t", "operator": "Exists", "effect": "NoExecute"}
    w.create("pods", pod("none"))
    w.create("pods", pod("some", tolerations=[tolerating | {"tolerationSeconds": 4}]))
    w.create("pods", pod("stays", tolerations=[tolerating]))
    w.settle(5)
    w.patch("nodes", "node-0", {"spec": {"taints": [{"key": "example.com/t", "value": "x", "effect": "NoExecute"}]}},
            namespace="")
    w.calm()
    none = w.get("pods", "none")
    assert "deletionTimestamp" in none["metadata"]
    assert "DeletionByTaintManager" in [c.get("reason") for c in none["status"]["conditions"]]
    assert w.events("none")[-1] == ("Normal", "TaintManagerEviction", "Marking for deletion Pod default/none")
    w.settle(3)
    assert w.names("pods") == ["some", "stays"]
    w.settle(4)
    assert w.names("pods") == ["stays"]


def test_a_taint_that_goes_away_in_time_evicts_nobody():
    w = world(TaintEviction(), nodes=1)
    toleration = {"key": "t", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10}
    w.create("pods", pod("p", tolerations=[toleration]))
    w.settle(3)
    w.patch("nodes", "node-0", {"spec": {"taints": [{"key": "t", "effect": "NoExecute"}]}}, namespace="")
    w.settle(5)
    w.patch("nodes", "node-0", {"spec": {"taints": None}}, namespace="")
    w.settle(60)
    assert w.names("pods") == ["p"]


def test_pods_of_a_node_that_is_gone_are_removed_after_40_seconds():
    w = world(PodGC(), nodes=1)
    w.create("pods", pod("p"))
    w.settle(3)
    w.user.delete("nodes", "", "node-0")
    w.settle(35)
    assert w.names("pods") == ["p"]
    w.settle(10)
    assert w.names("pods") == []
