"""Deployments, StatefulSets, DaemonSets, ReplicaSets.

Source: pkg/apis/apps/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def deployment_spec(obj: Obj) -> None:
    obj.setdefault("replicas", 1)
    strategy = obj["strategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    obj.setdefault("revisionHistoryLimit", 10)
    obj.setdefault("progressDeadlineSeconds", 600)


def stateful_set_spec(obj: Obj) -> None:
    obj.setdefault("podManagementPolicy", "OrderedReady")
    strategy = obj["updateStrategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    retention = obj.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    obj.setdefault("replicas", 1)
    obj.setdefault("revisionHistoryLimit", 10)
    for claim in obj.get("volumeClaimTemplates") or ():  # whole objects inside another are always named in full
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"


def daemon_set_spec(obj: Obj) -> None:
    strategy = obj["updateStrategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    obj.setdefault("revisionHistoryLimit", 10)


def replica_set_spec(obj: Obj) -> None:
    obj.setdefault("replicas", 1)


HOOKS = {
    "apps/v1.DeploymentSpec": deployment_spec, "apps/v1.StatefulSetSpec": stateful_set_spec,
    "apps/v1.DaemonSetSpec": daemon_set_spec, "apps/v1.ReplicaSetSpec": replica_set_spec,
}
