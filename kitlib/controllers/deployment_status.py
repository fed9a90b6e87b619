"""What a Deployment says about itself: counts and three conditions.

    Available       enough Pods serve right now                        True | False
    Progressing     the rollout moves, is done, is stuck, is paused    True | False | Unknown
    ReplicaFailure  a ReplicaSet cannot create or delete Pods          True

"Stuck" means: nothing got better for `progressDeadlineSeconds`.  "Better" is any of: more updated, fewer old, more
ready, more available Pods than the last status said; each such step renews Progressing's `lastUpdateTime`.

Source: k8s.io/kubernetes/pkg/controller/deployment (progress.go, sync.go, util/deployment_util.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.controllers.pods import condition
from kitlib.controllers.rollout import available, max_unavailable, replicas, total
from kitlib.objects.clock import parse_time, rfc3339

Object = dict[str, Any]

NO_DEADLINE = 2**31 - 1


def has_deadline(deployment: Mapping[str, Any]) -> bool:
    return deployment["spec"].get("progressDeadlineSeconds") not in (None, NO_DEADLINE)


def calculate(deployment: Object, all_sets: Sequence[Object], new: Object | None, now: float) -> Object:
    """Counts, and the Available condition; the other conditions stay as they were."""
    serving = sum(available(rs) for rs in all_sets)
    counts = {
        "replicas": _sum(all_sets, "replicas"),
        "updatedReplicas": _sum([new] if new else [], "replicas"),
        "readyReplicas": _sum(all_sets, "readyReplicas"),
        "availableReplicas": serving,
        "unavailableReplicas": max(0, total(all_sets) - serving),
    }
    status: Object = {"observedGeneration": deployment["metadata"].get("generation", 1)}
    status |= {name: count for name, count in counts.items() if count}
    terminating = _terminating(all_sets)
    if terminating is not None:
        status["terminatingReplicas"] = terminating
    old = deployment.get("status") or {}
    if old.get("collisionCount") is not None:
        status["collisionCount"] = old["collisionCount"]
    enough = serving >= replicas(deployment) - max_unavailable(deployment)
    verdict = (("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.") if enough else
               ("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."))
    return set_condition(status | {"conditions": old.get("conditions") or []}, new_condition(*verdict, now))


def with_progress(deployment: Object, status: Object, all_sets: Sequence[Object], new: Object | None,
                  now: float) -> Object:
    """The status with Progressing and ReplicaFailure brought up to date."""
    current = condition(deployment, "Progressing")
    if not has_deadline(deployment):
        status = without_condition(status, "Progressing")
    elif not (current and current["reason"] == "NewReplicaSetAvailable"
              and status.get("replicas", 0) == status.get("updatedReplicas", 0)):
        status = _progress(deployment, status, current, new, now)
    failures = [c for rs in [*([new] if new else []), *all_sets] if (c := condition(rs, "ReplicaFailure"))]
    if failures:
        first = failures[0]
        return set_condition(status, new_condition("ReplicaFailure", first["status"], first["reason"],
                                                   first.get("message", ""), now))
    return without_condition(status, "ReplicaFailure")


def _progress(deployment: Object, status: Object, current: Mapping[str, Any] | None, new: Object | None,
              now: float) -> Object:
    subject = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    if is_complete(deployment, status):
        return set_condition(status, new_condition("Progressing", "True", "NewReplicaSetAvailable",
                                                   f"{subject} has successfully progressed.", now))
    if _is_better(deployment.get("status") or {}, status):
        moved = new_condition("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        if current and current["status"] == "True":
            moved["lastTransitionTime"] = current["lastTransitionTime"]
        return set_condition(without_condition(status, "Progressing"), moved)
    if current and has_timed_out(deployment, current, now):
        return set_condition(status, new_condition("Progressing", "False", "ProgressDeadlineExceeded",
                                                   f"{subject} has timed out progressing.", now))
    return status


def is_complete(deployment: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Everything is new, and all of it serves."""
    wanted = replicas(deployment)
    return (all(status.get(name, 0) == wanted for name in ("updatedReplicas", "replicas", "availableReplicas"))
            and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1))


def _is_better(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    def outdated(status: Mapping[str, Any]) -> int:
        return status.get("replicas", 0) - status.get("updatedReplicas", 0)

    good = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return any(new.get(name, 0) > old.get(name, 0) for name in good) or outdated(new) < outdated(old)


def has_timed_out(deployment: Mapping[str, Any], progressing: Mapping[str, Any], now: float) -> bool:
    if progressing["reason"] == "NewReplicaSetAvailable":
        return False
    return progressing["reason"] == "ProgressDeadlineExceeded" or seconds_left(deployment, progressing, now) < 0


def seconds_left(deployment: Mapping[str, Any], progressing: Mapping[str, Any], now: float) -> float:
    return parse_time(progressing["lastUpdateTime"]) + deployment["spec"]["progressDeadlineSeconds"] - now


# -- conditions -----------------------------------------------------------------------------------------------


def new_condition(type: str, status: str, reason: str, message: str, now: float) -> Object:
    stamp = rfc3339(now)
    return {"type": type, "status": status, "lastUpdateTime": stamp, "lastTransitionTime": stamp, "reason": reason,
            "message": message}


def set_condition(status: Object, fresh: Object) -> Object:
    """The status with this condition; one with the same status and reason is left as it is, with its times."""
    known = next((c for c in status.get("conditions") or () if c["type"] == fresh["type"]), None)
    if known and (known["status"], known["reason"]) == (fresh["status"], fresh["reason"]):
        return status
    if known and known["status"] == fresh["status"]:
        fresh = fresh | {"lastTransitionTime": known["lastTransitionTime"]}
    others = [c for c in status.get("conditions") or () if c["type"] != fresh["type"]]
    return status | {"conditions": [*others, fresh]}


def without_condition(status: Object, type: str) -> Object:
    return status | {"conditions": [c for c in status.get("conditions") or () if c["type"] != type]}


def _sum(sets: Sequence[Object], count: str) -> int:
    return sum((rs.get("status") or {}).get(count) or 0 for rs in sets)


def _terminating(sets: Sequence[Object]) -> int | None:
    """None if a ReplicaSet that has been synced does not say (an older controller wrote it)."""
    counts = 0
    for rs in sets:
        status = rs.get("status") or {}
        if "terminatingReplicas" not in status and status.get("observedGeneration"):
            return None
        counts += status.get("terminatingReplicas") or 0
    return counts
