"""Deployment: the arithmetic, the steps of a rollout, and the history."""

from __future__ import annotations

from typing import Any

import pytest
from controller_world import World, deployment, template

from kitlib.controllers import rollout
from kitlib.controllers.deployment import Deployment
from kitlib.controllers.replicaset import ReplicaSet
from kitlib.controllers.revisions import REVISION
from kitlib.controllers.template_hash import compute_hash, fnv32a, safe_encode


def sized(replicas: int, surge: Any = "25%", unavailable: Any = "25%") -> dict[str, Any]:
    return deployment("web", replicas, strategy={"type": "RollingUpdate", "rollingUpdate": {
        "maxSurge": surge, "maxUnavailable": unavailable}})


def rs(name: str, replicas: int, available: int | None = None, made: str = "2026-01-01T00:00:00Z",
       annotations: dict[str, str] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": made, "annotations": annotations or {}},
            "spec": {"replicas": replicas},
            "status": {"availableReplicas": replicas if available is None else available}}


@pytest.mark.parametrize(("replicas", "surge", "unavailable", "expected"), [
    (10, "25%", "25%", (3, 2)),
    (3, "25%", "25%", (1, 0)),
    (4, 1, 0, (1, 0)),
    (5, 0, "10%", (0, 1)),       # both would be 0: one may be unavailable
    (2, "100%", 0, (2, 0)),
])
def test_surge_rounds_up_and_unavailable_down(replicas, surge, unavailable, expected):
    assert rollout.fenceposts(sized(replicas, surge, unavailable)) == expected


def test_the_new_set_grows_into_the_room_that_surge_gives():
    assert rollout.new_size(sized(10), [rs("old", 10), rs("new", 0)], 0) == 3
    assert rollout.new_size(sized(10), [rs("old", 8), rs("new", 5)], 5) == 5
    assert rollout.new_size(sized(10), [rs("old", 0), rs("new", 9)], 9) == 10


def test_the_old_set_shrinks_by_what_is_not_needed():
    assert rollout.old_sizes(sized(10), rs("new", 3, available=0), [rs("old", 10)]) == {"old": 8}
    assert rollout.old_sizes(sized(10), rs("new", 5, available=5), [rs("old", 8)]) == {"old": 3}
    assert rollout.old_sizes(sized(3, 1, 0), rs("new", 1, available=0), [rs("old", 3)]) == {}


def test_pods_that_serve_nobody_go_first_even_from_a_newer_old_set():
    oldest, broken = rs("oldest", 6), rs("broken", 4, available=0, made="2026-01-02T00:00:00Z")
    assert rollout.old_sizes(sized(10), rs("new", 3, available=0), [oldest, broken]) == {"broken": 2}


def test_a_scale_in_the_middle_of_a_rollout_is_shared_out_in_proportion():
    noted = {rollout.DESIRED: "10", rollout.MAX: "13"}
    sets = [rs("old", 8, annotations=noted), rs("new", 5, made="2026-01-02T00:00:00Z", annotations=noted)]
    assert rollout.proportional_sizes(sized(20), sets) == {"old": 15, "new": 10}
    assert sum(rollout.proportional_sizes(sized(5), sets).values()) == 7


def test_the_hash_is_a_word_of_safe_letters_and_depends_on_the_template_only():
    assert fnv32a(b"hello") == 0x4F9F2CAB
    assert len(set(safe_encode("0123456789"))) == 10
    one = compute_hash(template(version="1"))
    assert one == compute_hash(template(version="1"))
    assert one != compute_hash(template(version="2"))
    assert one != compute_hash(template(version="1"), collisions=1)
    assert 1 <= len(one) <= 10


# -- in a cluster ---------------------------------------------------------------------------------------------


def world(**options: Any) -> World:
    made = World(Deployment(), ReplicaSet(), **options)
    made.settle(1)
    return made


def rolled_out(replicas: int = 3, **spec: Any) -> World:
    made = world()
    made.create("deployments.apps", deployment("web", replicas, **spec))
    made.settle(10)
    return made


def conditions(w: World) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in w.get("deployments.apps", "web")["status"]["conditions"]}


def sizes(w: World) -> list[tuple[str, int]]:
    """(revision, replicas) of the ReplicaSets, by revision."""
    return sorted((s["metadata"]["annotations"][REVISION], s["spec"]["replicas"]) for s in w.list("replicasets.apps"))


def scalings(w: World) -> list[str]:
    return [message.replace("replica set ", "") for _, reason, message in w.events("web")
            if reason == "ScalingReplicaSet"]


def test_a_deployment_rolls_out_and_then_there_is_peace():
    w = rolled_out()
    found = w.get("deployments.apps", "web")
    status = {k: v for k, v in found["status"].items() if k != "conditions"}
    assert status == {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3,
                      "availableReplicas": 3, "terminatingReplicas": 0}
    assert conditions(w) == {"Available": ("True", "MinimumReplicasAvailable"),
                             "Progressing": ("True", "NewReplicaSetAvailable")}
    assert found["metadata"]["annotations"] == {REVISION: "1"}
    (only,) = w.list("replicasets.apps")
    word = only["metadata"]["labels"]["pod-template-hash"]
    assert only["metadata"]["name"] == f"web-{word}"
    assert only["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": word}
    assert only["metadata"]["annotations"] == {REVISION: "1", rollout.DESIRED: "3", rollout.MAX: "4"}
    before = w.store.revision
    w.settle(1200)
    assert w.store.revision == before


def test_a_rolling_update_never_has_too_few_or_too_many_pods():
    w = rolled_out(4, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}})
    w.patch("deployments.apps", "web", {"spec": {"template": template(version="2")}})
    seen = []
    for _ in range(100):
        w.settle(0.2)
        pods = [p for p in w.list("pods") if "deletionTimestamp" not in p["metadata"]]
        seen.append((len(pods), sum(p["status"]["phase"] == "Running" for p in pods)))
    assert max(total for total, _ in seen) == 5
    assert min(running for _, running in seen) == 3
    assert sizes(w) == [("1", 0), ("2", 4)]
    assert conditions(w)["Progressing"] == ("True", "NewReplicaSetAvailable")


def test_with_surge_1_and_unavailable_0_it_goes_one_by_one():
    w = rolled_out(2, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    old = w.names("replicasets.apps")[0]
    w.patch("deployments.apps", "web", {"spec": {"template": template(version="2")}})
    w.settle(20)
    new = next(name for name in w.names("replicasets.apps") if name != old)
    assert scalings(w) == [
        f"Scaled up {old} from 0 to 2", f"Scaled up {new} from 0 to 1", f"Scaled down {old} from 2 to 1",
        f"Scaled up {new} from 1 to 2", f"Scaled down {old} from 1 to 0"]


def test_a_template_that_comes_back_uses_its_old_replica_set_with_a_new_revision():
    w = rolled_out(2)
    w.patch("deployments.apps", "web", {"spec": {"template": template(version="2")}})
    w.settle(20)
    w.patch("deployments.apps", "web", {"spec": {"template": template(version="1")}})
    w.settle(20)
    assert sizes(w) == [("2", 0), ("3", 2)]
    again = next(s for s in w.list("replicasets.apps") if s["spec"]["replicas"] == 2)
    assert again["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert w.get("deployments.apps", "web")["metadata"]["annotations"][REVISION] == "3"


def test_recreate_waits_for_the_last_old_pod_to_be_gone():
    w = rolled_out(3, strategy={"type": "Recreate"})
    old = set(w.names("pods"))
    w.patch("deployments.apps", "web", {"spec": {"template": template(version="2")}})
    for _ in range(100):
        w.settle(0.1)
        names = set(w.names("pods"))
        assert not (names & old and names - old), "old and new at the same time"
    assert sizes(w) == [("1", 0), ("2", 3)]


def test_while_paused_it_scales_but_does_not_roll_out():
    w = rolled_out(2)
    w.patch("deployments.apps", "web", {"spec": {"paused": True}})
    w.settle(1)
    assert conditions(w)["Progressing"] == ("Unknown", "DeploymentPaused")
    w.patch("deployments.apps", "web", {"spec": {"replicas": 4, "template": template(version="2")}})
    w.settle(5)
    assert sizes(w) == [("1", 4)]
    w.patch("deployments.apps", "web", {"spec": {"paused": None}})
    w.settle(20)
    assert sizes(w) == [("1", 0), ("2", 4)]
    assert conditions(w)["Progressing"] == ("True", "NewReplicaSetAvailable")


def test_one_that_gets_nowhere_exceeds_its_deadline_and_recovers():
    slow = {"seconds": 60.0}
    w = world(ready_after=lambda pod: slow["seconds"])
    w.create("deployments.apps", deployment("web", 1, progressDeadlineSeconds=10))
    w.settle(9)
    assert conditions(w)["Progressing"] == ("True", "ReplicaSetUpdated")
    w.settle(4)
    assert conditions(w)["Progressing"] == ("False", "ProgressDeadlineExceeded")
    w.settle(60)
    assert conditions(w)["Progressing"] == ("True", "NewReplicaSetAvailable")


def test_old_versions_beyond_the_limit_are_forgotten():
    w = rolled_out(1, revisionHistoryLimit=1)
    for version in ("2", "3", "4"):
        w.patch("deployments.apps", "web", {"spec": {"template": template(version=version)}})
        w.settle(15)
    assert sizes(w) == [("3", 0), ("4", 1)]


def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportion():
    w = rolled_out(10)
    w.kubelet.ready_after = lambda pod: 1000.0
    w.patch("deployments.apps", "web", {"spec": {"template": template(version="2")}})
    w.settle(5)
    assert sizes(w) == [("1", 8), ("2", 5)]
    w.patch("deployments.apps", "web", {"spec": {"replicas": 20}})
    w.settle(5)
    assert sum(size for _, size in sizes(w)) == 25
    assert sizes(w) == [("1", 15), ("2", 10)]


def test_a_matching_replica_set_without_owner_is_adopted():
    w = rolled_out(2)
    w.user.delete("deployments.apps", "default", "web", propagation="Orphan")
    w.patch("replicasets.apps", w.names("replicasets.apps")[0], {"metadata": {"ownerReferences": None}})
    w.patch("deployments.apps", "web", {"metadata": {"finalizers": None}})
    assert not w.exists("deployments.apps", "web")
    w.create("deployments.apps", deployment("web", 2))
    w.settle(5)
    (only,) = w.list("replicasets.apps")
    assert only["metadata"]["ownerReferences"][0]["kind"] == "Deployment"
    assert len(w.names("pods")) == 2
