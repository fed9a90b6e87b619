"""StatefulSet, DaemonSet, ReplicationController and PodDisruptionBudget in a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from controller_world import World, daemon_set, deployment, node, stateful_set, template

from kitlib.controllers.daemonset import DaemonSet
from kitlib.controllers.deployment import Deployment
from kitlib.controllers.disruption import Disruption
from kitlib.controllers.history import POD_LABEL, REVISIONS
from kitlib.controllers.replicaset import ReplicaSet
from kitlib.controllers.replicationcontroller import ReplicationController
from kitlib.controllers.statefulset import StatefulSet
from kitlib.objects.errors import StatusError


def world(*controllers: Any, **options: Any) -> World:
    made = World(*controllers, **options)
    made.settle(1)
    return made


def peaceful(w: World) -> bool:
    before = w.store.revision
    w.settle(600)
    return w.store.revision == before


def order(w: World, reason: str) -> list[str]:
    """The names in the Events of that reason, in order."""
    return [message.split()[2] for _, found, message in w.events() if found == reason]


# -- StatefulSet ----------------------------------------------------------------------------------------------


def test_stateful_pods_come_one_after_the_other_and_then_there_is_peace():
    w = world(StatefulSet())
    w.create("statefulsets.apps", stateful_set())
    w.settle(0.5)
    assert w.names("pods") == ["db-0"], "the next one waits until this one is Ready"
    w.settle(5)
    assert w.names("pods") == ["db-0", "db-1", "db-2"]
    assert order(w, "SuccessfulCreate") == ["db-0", "db-1", "db-2"]
    first = w.get("pods", "db-0")
    assert (first["spec"]["hostname"], first["spec"]["subdomain"]) == ("db-0", "db")
    assert first["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "db-0"
    assert first["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"
    status = w.get("statefulsets.apps", "db")["status"]
    (revision,) = w.names(REVISIONS)
    assert status == {"observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "currentReplicas": 3,
                      "updatedReplicas": 3, "currentRevision": revision, "updateRevision": revision,
                      "collisionCount": 0, "availableReplicas": 3}
    assert peaceful(w)


def test_stateful_pods_go_from_the_highest_down_each_waiting_for_the_one_above():
    w = world(StatefulSet())
    w.create("statefulsets.apps", stateful_set())
    w.settle(5)
    w.patch("statefulsets.apps", "db", {"spec": {"replicas": 1}})
    w.settle(0.5)
    assert ["deletionTimestamp" in p["metadata"] for p in w.list("pods")] == [False, False, True]
    w.settle(5)
    assert w.names("pods") == ["db-0"]
    assert order(w, "SuccessfulDelete") == ["db-2", "db-1"]


def test_parallel_management_does_not_wait():
    w = world(StatefulSet())
    w.create("statefulsets.apps", stateful_set(podManagementPolicy="Parallel"))
    w.calm()
    assert len(w.names("pods")) == 3


def test_a_stateful_pod_comes_back_under_its_name_when_the_old_one_is_gone():
    w = world(StatefulSet())
    w.create("statefulsets.apps", stateful_set())
    w.settle(5)
    old = w.get("pods", "db-1")["metadata"]["uid"]
    w.user.delete("pods", "default", "db-1")
    w.settle(0.5)
    assert w.get("pods", "db-1")["metadata"]["uid"] == old
    w.settle(5)
    assert w.get("pods", "db-1")["metadata"]["uid"] != old


def test_an_update_goes_down_to_the_partition():
    w = world(StatefulSet())
    w.create("statefulsets.apps", stateful_set(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {
        "partition": 1}}))
    w.settle(5)
    w.patch("statefulsets.apps", "db", {"spec": {"template": template("db", "2")}})
    w.settle(15)
    revisions = {p["metadata"]["name"]: p["metadata"]["labels"][POD_LABEL] for p in w.list("pods")}
    status = w.get("statefulsets.apps", "db")["status"]
    assert revisions == {"db-0": status["currentRevision"], "db-1": status["updateRevision"],
                         "db-2": status["updateRevision"]}
    assert order(w, "SuccessfulDelete") == ["db-2", "db-1"]
    w.patch("statefulsets.apps", "db", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})
    w.settle(15)
    status = w.get("statefulsets.apps", "db")["status"]
    assert status["currentRevision"] == status["updateRevision"]
    assert len(w.names(REVISIONS)) == 2


def test_with_on_delete_a_new_template_waits_for_somebody_to_delete():
    w = world(StatefulSet())
    w.create("statefulsets.apps", stateful_set(replicas=2, updateStrategy={"type": "OnDelete"}))
    w.settle(5)
    w.patch("statefulsets.apps", "db", {"spec": {"template": template("db", "2")}})
    w.settle(10)
    assert order(w, "SuccessfulDelete") == []
    w.user.delete("pods", "default", "db-1")
    w.settle(5)
    status = w.get("statefulsets.apps", "db")["status"]
    assert (status["currentReplicas"], status["updatedReplicas"]) == (1, 1)


def test_each_stateful_pod_has_a_claim_of_its_own_that_survives_it():
    w = world(StatefulSet())
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                                                    "resources": {"requests": {"storage": "1Gi"}}}}
    w.create("statefulsets.apps", stateful_set(replicas=1, volumeClaimTemplates=[claim]))
    w.settle(5)
    assert w.names("persistentvolumeclaims") == ["data-db-0"]
    volumes = {v["name"]: v.get("persistentVolumeClaim") for v in w.get("pods", "db-0")["spec"]["volumes"]}
    assert volumes["data"] == {"claimName": "data-db-0"}
    w.patch("statefulsets.apps", "db", {"spec": {"replicas": 0}})
    w.settle(5)
    assert (w.names("pods"), w.names("persistentvolumeclaims")) == ([], ["data-db-0"])


# -- DaemonSet ------------------------------------------------------------------------------------------------


def where(w: World) -> list[str]:
    return sorted(p["spec"].get("nodeName", "") for p in w.list("pods"))


def test_a_daemon_runs_on_every_node_and_follows_nodes_that_come_and_go():
    w = world(DaemonSet(), nodes=2)
    w.create("daemonsets.apps", daemon_set())
    w.settle(5)
    assert where(w) == ["node-0", "node-1"]
    assert w.get("daemonsets.apps", "agent")["status"] == {
        "currentNumberScheduled": 2, "numberMisscheduled": 0, "desiredNumberScheduled": 2, "numberReady": 2,
        "observedGeneration": 1, "updatedNumberScheduled": 2, "numberAvailable": 2}
    assert peaceful(w)
    w.add_node(node("late"))
    w.settle(5)
    assert where(w) == ["late", "node-0", "node-1"]
    w.user.delete("nodes", "", "late")
    w.settle(1)
    assert w.get("daemonsets.apps", "agent")["status"]["desiredNumberScheduled"] == 2


def test_a_daemon_goes_where_its_selector_and_the_taints_allow():
    w = world(DaemonSet(), nodes=0)
    w.add_node(node("a", disk="ssd"))
    w.add_node(node("b", disk="hdd"))
    w.add_node(node("c", disk="ssd"))
    w.patch("nodes", "c", {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}, namespace="")
    w.create("daemonsets.apps", daemon_set(template=template("agent", nodeSelector={"disk": "ssd"})))
    w.settle(5)
    assert where(w) == ["a"]
    w.patch("nodes", "b", {"metadata": {"labels": {"disk": "ssd"}}}, namespace="")
    w.settle(5)
    assert where(w) == ["a", "b"]


def test_a_daemon_tolerates_a_cordoned_node():
    w = world(DaemonSet(), nodes=1)
    w.patch("nodes", "node-0", {"spec": {"unschedulable": True}}, namespace="")
    w.create("daemonsets.apps", daemon_set())
    w.settle(5)
    assert where(w) == ["node-0"]


def daemon_hashes(w: World) -> set[str]:
    return {p["metadata"]["labels"][POD_LABEL] for p in w.list("pods") if "deletionTimestamp" not in p["metadata"]}


def test_a_daemon_update_has_at_most_one_node_without_a_working_pod():
    w = world(DaemonSet(), nodes=3)
    w.create("daemonsets.apps", daemon_set())
    w.settle(5)
    (old,) = daemon_hashes(w)
    w.patch("daemonsets.apps", "agent", {"spec": {"template": template("agent", "2")}})
    for _ in range(60):
        w.settle(0.3)
        working = [p for p in w.list("pods") if p["status"]["phase"] == "Running"
                   and "deletionTimestamp" not in p["metadata"]]
        assert len(working) >= 2
    assert len(daemon_hashes(w)) == 1
    assert daemon_hashes(w) != {old}


def test_with_surge_the_new_daemon_is_there_before_the_old_one_goes():
    w = world(DaemonSet(), nodes=2)
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    w.create("daemonsets.apps", daemon_set(updateStrategy=strategy))
    w.settle(5)
    (old,) = daemon_hashes(w)
    w.patch("daemonsets.apps", "agent", {"spec": {"template": template("agent", "2")}})
    for _ in range(60):
        w.settle(0.3)
        running = {p["spec"]["nodeName"] for p in w.list("pods") if p["status"]["phase"] == "Running"
                   and "deletionTimestamp" not in p["metadata"]}
        assert running == {"node-0", "node-1"}
    assert len(daemon_hashes(w)) == 1
    assert daemon_hashes(w) != {old}


# -- ReplicationController ------------------------------------------------------------------------------------


def test_a_replication_controller_is_a_replica_set_with_a_plain_selector():
    w = world(ReplicationController())
    spec = {"replicas": 2, "selector": {"app": "web"}, "template": template()}
    w.create("replicationcontrollers", {"apiVersion": "v1", "kind": "ReplicationController",
                                        "metadata": {"name": "web"}, "spec": spec})
    w.settle(5)
    assert w.get("replicationcontrollers", "web")["status"]["readyReplicas"] == 2
    assert {p["metadata"]["ownerReferences"][0]["kind"] for p in w.list("pods")} == {"ReplicationController"}
    assert peaceful(w)


# -- PodDisruptionBudget --------------------------------------------------------------------------------------


def budget(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "pdb"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec}}


def pdb(w: World) -> tuple[int, int, int, int]:
    status = w.get("poddisruptionbudgets.policy", "pdb")["status"]
    return (status["expectedPods"], status["currentHealthy"], status["desiredHealthy"], status["disruptionsAllowed"])


@pytest.mark.parametrize(("spec", "expected"), [
    ({"minAvailable": 2}, (4, 4, 2, 2)),
    ({"minAvailable": "50%"}, (4, 4, 2, 2)),
    ({"maxUnavailable": 1}, (4, 4, 3, 1)),
    ({"maxUnavailable": "30%"}, (4, 4, 2, 2)),
    ({"minAvailable": 9}, (4, 4, 9, 0)),
])
def test_a_budget_says_how_many_may_go(spec, expected):
    w = world(Deployment(), ReplicaSet(), Disruption())
    w.create("deployments.apps", deployment("web", 4))
    w.create("poddisruptionbudgets.policy", budget(**spec))
    w.settle(5)
    assert pdb(w) == expected
    assert peaceful(w)


def test_an_eviction_uses_the_budget_up_until_the_pod_is_replaced():
    w = world(Deployment(), ReplicaSet(), Disruption())
    w.create("deployments.apps", deployment("web", 3))
    w.create("poddisruptionbudgets.policy", budget(maxUnavailable=1))
    w.settle(5)

    def evict(name: str) -> None:
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
        w.user.create("pods", "default", eviction, name=name, subresource="eviction")

    first, second, _ = w.names("pods")
    evict(first)
    w.calm()
    assert pdb(w) == (3, 2, 2, 0)
    with pytest.raises(StatusError) as refused:
        evict(second)
    assert refused.value.code == 429
    w.settle(5)
    assert pdb(w) == (3, 3, 2, 1)


def test_a_budget_without_pods_allows_nothing_and_says_so():
    w = world(Disruption())
    w.create("poddisruptionbudgets.policy", budget(minAvailable=1))
    w.settle(1)
    assert pdb(w) == (0, 0, 1, 0)
    assert ("Normal", "NoPods", "No matching pods found") in w.events("pdb")
