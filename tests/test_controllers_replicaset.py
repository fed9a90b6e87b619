"""ReplicaSet: what diff decides for given Pods, and what becomes of it in a cluster."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from controller_world import World, pod, replica_set, template

from kitlib.client import Create, Delete, Emit, Patch, UpdateStatus
from kitlib.controllers import pods as pods_
from kitlib.controllers.replicaset import Observed, ReplicaSet, slow_start
from kitlib.objects.clock import rfc3339
from kitlib.objects.meta import owner_reference

NOW = 1_700_000_000.0


def rs(wanted: int = 3, /, **status: Any) -> dict[str, Any]:
    made = replica_set("web", wanted)
    made["metadata"] |= {"namespace": "default", "uid": "rs-uid", "generation": 1, "resourceVersion": "5"}
    return made | {"status": status}


def owned(name: str, owner: dict[str, Any], *, ready: bool = True, node: str = "n1", age: float = 100.0,
          phase: str = "Running", **meta: Any) -> dict[str, Any]:
    made = pod(name)
    made["metadata"] |= {"namespace": "default", "uid": f"uid-{name}", "ownerReferences": [owner_reference(owner)],
                         "creationTimestamp": rfc3339(NOW - age), **meta}
    made["spec"]["nodeName"] = node
    made["status"] = {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False",
                                                      "lastTransitionTime": rfc3339(NOW - age)}]}
    return made


def diff(owner: dict[str, Any], pods: list[dict[str, Any]], **more: Any) -> list[Any]:
    return ReplicaSet().diff(Observed(owner, pods, NOW, **more))


def steady(replicas: int = 3) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    owner = rs(replicas, replicas=replicas, fullyLabeledReplicas=replicas, readyReplicas=replicas,
               availableReplicas=replicas, terminatingReplicas=0, observedGeneration=1)
    return owner, [owned(f"web-{number}", owner) for number in range(replicas)]


def victims(actions: list[Any]) -> list[str]:
    return [action.name for action in actions if isinstance(action, Delete)]


def test_in_the_steady_state_it_does_nothing():
    assert diff(*steady()) == []


def test_it_creates_what_is_missing_from_the_template_and_owns_it():
    owner = rs(3)
    actions = diff(owner, [owned("web-0", owner)])
    creates = [action for action in actions if isinstance(action, Create)]
    assert len(creates) == 2
    made = creates[0].obj
    assert made["metadata"]["generateName"] == "web-"
    assert made["metadata"]["labels"] == {"app": "web"}
    assert made["metadata"]["ownerReferences"] == [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web",
                                                    "uid": "rs-uid", "controller": True, "blockOwnerDeletion": True}]
    assert made["spec"] == owner["spec"]["template"]["spec"]
    assert creates[0].then == Emit(owner, "SuccessfulCreate", "Created pod: {name}")


def test_at_most_500_are_created_at_a_time():
    assert sum(isinstance(action, Create) for action in diff(rs(2000), [])) == 500


def test_the_status_counts_what_was_seen_before_the_actions():
    owner = rs(3)
    (status,) = [a.status for a in diff(owner, [owned("a", owner), owned("b", owner, ready=False)])
                 if isinstance(a, UpdateStatus)]
    assert status == {"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 1, "availableReplicas": 1,
                      "terminatingReplicas": 0, "observedGeneration": 1}


def test_finished_and_leaving_pods_do_not_count():
    owner, pods = steady()
    pods[0]["status"]["phase"] = "Failed"
    pods[1]["metadata"]["deletionTimestamp"] = rfc3339(NOW)
    actions = diff(owner, pods)
    assert sum(isinstance(action, Create) for action in actions) == 2
    (status,) = [a.status for a in actions if isinstance(a, UpdateStatus)]
    assert (status["replicas"], status["terminatingReplicas"]) == (1, 1)


ORDER = [
    ("no node", {"node": ""}),
    ("Pending", {"phase": "Pending"}),
    ("not Ready", {"ready": False}),
    ("cheap to delete", {"annotations": {pods_.DELETION_COST: "-5"}}),
    ("in a crowd", {"node": "crowded"}),
    ("Ready for a short time", {"age": 10.0}),
]


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_victims_go_in_the_documented_order(place):
    owner = rs(1)
    named = [owned(name.replace(" ", "-").lower(), owner, **what) for name, what in ORDER[place:]]
    keeper = owned("keeper", owner, age=100_000.0)
    actions = diff(owner, [keeper, *reversed(named)], crowd=Counter({"n1": 1, "crowded": 3}))
    assert victims(actions) == [p["metadata"]["name"] for p in named]


def test_more_restarts_go_before_fewer_and_newer_before_older():
    owner = rs(1)
    calm, restarted = owned("calm", owner, age=5000), owned("restarted", owner, age=5000)
    restarted["status"]["containerStatuses"] = [{"name": "c", "restartCount": 4}]
    new = owned("new", owner, age=5000)
    new["metadata"]["creationTimestamp"] = rfc3339(NOW - 20)
    assert victims(diff(owner, [calm, new, restarted])) == ["restarted", "new"]


def test_a_pod_whose_label_was_changed_is_released_and_replaced():
    owner, pods = steady()
    pods[0]["metadata"]["labels"] = {"app": "other"}
    actions = diff(owner, pods)
    (release,) = [a for a in actions if isinstance(a, Patch)]
    assert release.patch["metadata"]["ownerReferences"] == [{"$patch": "delete", "uid": "rs-uid"}]
    assert sum(isinstance(action, Create) for action in actions) == 1


def test_a_matching_orphan_is_adopted_instead_of_creating_one():
    owner, pods = steady()
    pods[0]["metadata"].pop("ownerReferences")
    actions = diff(owner, pods)
    assert [type(a) for a in actions] == [Patch]
    assert actions[0].patch["metadata"]["ownerReferences"][0]["uid"] == "rs-uid"


def test_one_that_is_being_deleted_neither_creates_nor_adopts():
    owner = rs(3, replicas=0, terminatingReplicas=0, observedGeneration=1)
    owner["metadata"]["deletionTimestamp"] = rfc3339(NOW)
    orphan = owned("web-0", owner)
    orphan["metadata"].pop("ownerReferences")
    assert diff(owner, [orphan]) == []


def test_batches_double_as_long_as_all_goes_well():
    creates = [Create("pods", {"metadata": {"name": str(n)}}) for n in range(10)]
    assert [len(batch) for batch in slow_start(creates)] == [1, 2, 4, 3]


# -- in a cluster ---------------------------------------------------------------------------------------------


def settled(replicas: int = 3, **options: Any) -> World:
    world = World(ReplicaSet(), **options)
    world.settle(1)
    world.create("replicasets.apps", replica_set("web", replicas))
    world.settle(5)
    return world


def status(world: World) -> dict[str, Any]:
    return world.get("replicasets.apps", "web")["status"]


def test_a_replica_set_becomes_running_pods_and_then_there_is_peace():
    world = settled(3)
    assert status(world) == {"replicas": 3, "fullyLabeledReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
                             "terminatingReplicas": 0, "observedGeneration": 1}
    before = world.store.revision
    world.settle(600)
    assert world.store.revision == before
    assert [reason for _, reason, _ in world.events("web")] == ["SuccessfulCreate"] * 3


def test_a_deleted_pod_is_replaced_at_once():
    world = settled(3)
    first = world.names("pods")[0]
    world.user.delete("pods", "default", first)
    world.calm()
    assert len(world.names("pods")) == 4, "the old one has its grace period, the new one is there already"
    world.settle(5)
    assert first not in world.names("pods")
    assert len(world.names("pods")) == 3


def test_scaling_down_says_how_many_are_terminating():
    world = settled(5)
    world.patch("replicasets.apps", "web", {"spec": {"replicas": 1}})
    world.calm()
    assert (status(world)["replicas"], status(world)["terminatingReplicas"]) == (1, 4)
    world.settle(5)
    assert (len(world.names("pods")), status(world)["terminatingReplicas"]) == (1, 0)


def test_two_bare_pods_are_adopted_and_one_is_made():
    world = World(ReplicaSet())
    world.settle(1)
    for name in "ab":
        world.create("pods", pod(name))
    world.create("replicasets.apps", replica_set("web", 3))
    world.settle(5)
    owners = [p["metadata"]["ownerReferences"][0]["name"] for p in world.list("pods")]
    assert owners == ["web", "web", "web"]
    assert [reason for _, reason, _ in world.events("web")] == ["SuccessfulCreate"]


def test_a_pod_is_ready_at_once_but_available_only_after_min_ready_seconds():
    world = World(ReplicaSet())
    world.settle(1)
    world.create("replicasets.apps", replica_set("web", 1, minReadySeconds=10))
    world.settle(3)
    assert (status(world).get("readyReplicas"), status(world).get("availableReplicas")) == (1, None)
    world.settle(10)
    assert status(world)["availableReplicas"] == 1


def test_a_refusal_becomes_a_condition_and_goes_away_when_it_ends():
    world = World(ReplicaSet())
    world.settle(1)
    bad = template("web") | {"spec": template("web")["spec"] | {"priorityClassName": "nowhere"}}
    made = replica_set("web", 2)
    world.create("replicasets.apps", made | {"spec": made["spec"] | {"template": bad}})
    world.settle(1)
    (condition,) = status(world)["conditions"]
    assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate")
    assert world.events("web")[0][:2] == ("Warning", "FailedCreate")
    world.user.create("priorityclasses.scheduling.k8s.io", "", {
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "nowhere"}, "value": 5})
    world.settle(30)
    assert "conditions" not in status(world)
    assert status(world)["readyReplicas"] == 2
