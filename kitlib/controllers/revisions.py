"""A Deployment's ReplicaSets as its history: which is the new one, what number it has, which may be forgotten.

Three annotations, of `deployment.kubernetes.io/`, carry it:

    revision            1, 2, 3…: on each ReplicaSet, and on the Deployment the current one
    revision-history    the numbers a ReplicaSet had before, if its template came back ("1,3")
    desired-replicas,   the Deployment's size when this ReplicaSet was last sized: how a scale in the middle of a
    max-replicas        rollout is noticed, and shared out in proportion

Source: k8s.io/kubernetes/pkg/controller/deployment/util/deployment_util.go, sync.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.controllers import rollout
from kitlib.controllers.template_hash import compute_hash
from kitlib.objects.meta import owner_reference, with_annotations

Object = dict[str, Any]

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NOT_COPIED = frozenset({LAST_APPLIED, REVISION, HISTORY, rollout.DESIRED, rollout.MAX,
                        "deprecated.deployment.rollback.to"})
NO_LIMIT = 2**31 - 1


def same_template(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two Pod templates are equal but for the hash label."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Mapping[str, Any]) -> Object:
    meta = dict(template.get("metadata") or {})
    meta.pop("creationTimestamp", None)
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH_LABEL}
    return {**template, "metadata": {**meta, "labels": labels}}


def find_new(deployment: Object, sets: Sequence[Object]) -> Object | None:
    """The ReplicaSet that has the Deployment's template; of several (it should not happen) the oldest."""
    template = deployment["spec"]["template"]
    return next((rs for rs in sorted(sets, key=rollout.age) if same_template(rs["spec"]["template"], template)), None)


def revision(obj: Mapping[str, Any]) -> int:
    return rollout.annotation(obj, REVISION) or 0


def revision_text(rs: Mapping[str, Any]) -> str:
    return (rs["metadata"].get("annotations") or {}).get(REVISION, "")


def next_revision(old: Sequence[Object]) -> int:
    return max((revision(rs) for rs in old), default=0) + 1


def new_replica_set(deployment: Object, old: Sequence[Object]) -> Object:
    """A ReplicaSet for the current template, of size 0."""
    meta, spec = deployment["metadata"], deployment["spec"]
    template = spec["template"]
    word = compute_hash(template, (deployment.get("status") or {}).get("collisionCount"))
    template_meta = template.get("metadata") or {}
    labels = (template_meta.get("labels") or {}) | {HASH_LABEL: word}
    selector = spec["selector"]
    fresh: Object = {
        "kind": "ReplicaSet", "apiVersion": "apps/v1",
        "metadata": {"name": f"{meta['name']}-{word}", "namespace": meta["namespace"], "labels": labels,
                     "annotations": _copied(deployment) | {REVISION: str(next_revision(old))} | _sizes(deployment),
                     "ownerReferences": [owner_reference(deployment)]},
        "spec": {"replicas": 0,
                 "selector": selector | {"matchLabels": (selector.get("matchLabels") or {}) | {HASH_LABEL: word}},
                 "template": template | {"metadata": template_meta | {"labels": labels}}},
    }
    if spec.get("minReadySeconds"):
        fresh["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return fresh


def updated(deployment: Object, new: Object, old: Sequence[Object]) -> Object:
    """The new ReplicaSet as it should be labelled: the same object if nothing is to be changed."""
    known = new["metadata"].get("annotations") or {}
    wanted = known | _copied(deployment)
    number = next_revision(old)
    if revision(new) < number:
        wanted[REVISION] = str(number)
        if known.get(REVISION):   # its template came back: remember the number it had
            wanted[HISTORY] = ",".join(part for part in (known.get(HISTORY), known[REVISION]) if part)
    patience = deployment["spec"].get("minReadySeconds") or 0
    same_patience = (new["spec"].get("minReadySeconds") or 0) == patience
    if wanted == known and same_patience:
        return new
    return with_annotations(new, wanted) | {"spec": new["spec"] | {"minReadySeconds": patience}}


def with_revision(deployment: Object, text: str) -> Object:
    """The Deployment with its revision annotation; the same object if it has it."""
    if (deployment["metadata"].get("annotations") or {}).get(REVISION) == text:
        return deployment
    return with_annotations(deployment, {REVISION: text})


def with_sizes(deployment: Object, rs: Object) -> Object:
    """The ReplicaSet with the Deployment's size noted on it; the same object if it is already."""
    sizes = _sizes(deployment)
    if sizes.items() <= (rs["metadata"].get("annotations") or {}).items():
        return rs
    return with_annotations(rs, sizes)


def beyond_limit(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """Old ReplicaSets that may be deleted: the lowest revisions beyond revisionHistoryLimit, if they are empty."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None or limit == NO_LIMIT:
        return []
    alive = [rs for rs in old if "deletionTimestamp" not in rs["metadata"]]
    surplus = sorted(alive, key=revision)[:max(0, len(alive) - limit)]
    return [rs for rs in surplus if _is_empty(rs)]


def _is_empty(rs: Object) -> bool:
    status = rs.get("status") or {}
    seen = status.get("observedGeneration", 0) >= rs["metadata"].get("generation", 1)
    return seen and not status.get("replicas") and not rollout.replicas(rs)


def _copied(deployment: Object) -> dict[str, str]:
    """The Deployment's annotations, but for those that are about itself."""
    return {k: v for k, v in (deployment["metadata"].get("annotations") or {}).items() if k not in NOT_COPIED}


def _sizes(deployment: Object) -> dict[str, str]:
    return {rollout.DESIRED: str(rollout.replicas(deployment)), rollout.MAX: str(rollout.max_replicas(deployment))}
