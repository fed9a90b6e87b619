"""The arithmetic of a rolling update, as pure functions over numbers and ReplicaSets.

With `replicas` 10, `maxSurge` 25 % and `maxUnavailable` 25 %: surge rounds up (3), unavailable rounds down (2), so
during the update there are at most 13 Pods and at least 8 available ones.

    new ReplicaSet   up by     min(replicas + surge − all, replicas − new)
    old ReplicaSets  down by   all − (replicas − unavailable) − (new, not available yet)
                               first their Pods that are not available anyway, then the oldest ReplicaSet's

If the size of the Deployment changes in the middle of a rollout, the difference is shared out in proportion.

Source: k8s.io/kubernetes/pkg/controller/deployment (rolling.go, sync.go, util/deployment_util.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Object = dict[str, Any]

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"


def replicas(obj: Mapping[str, Any]) -> int:
    """spec.replicas."""
    return obj["spec"].get("replicas") or 0


def available(rs: Mapping[str, Any]) -> int:
    return (rs.get("status") or {}).get("availableReplicas") or 0


def total(rss: Iterable[Mapping[str, Any]]) -> int:
    return sum(replicas(rs) for rs in rss)


def is_rolling(deployment: Mapping[str, Any]) -> bool:
    return (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"


def share_of(value: int | str | None, whole: int, *, up: bool) -> int:
    """3, "3" and "25%" of whole; a percentage rounds up or down."""
    text = str(value or 0)
    if not text.endswith("%"):
        return int(text)
    percent = int(text[:-1]) * whole
    return -(-percent // 100) if up else percent // 100


def fenceposts(deployment: Mapping[str, Any]) -> tuple[int, int]:
    """(surge, unavailable) in Pods.  Both 0 would mean no step is allowed: then one may be unavailable."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    wanted = replicas(deployment)
    surge = share_of(rolling.get("maxSurge"), wanted, up=True)
    unavailable = share_of(rolling.get("maxUnavailable"), wanted, up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def max_surge(deployment: Mapping[str, Any]) -> int:
    return fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Mapping[str, Any]) -> int:
    if not is_rolling(deployment) or replicas(deployment) == 0:
        return 0
    return min(fenceposts(deployment)[1], replicas(deployment))


def max_replicas(deployment: Mapping[str, Any]) -> int:
    """How many Pods there may be at once, finished ones aside."""
    return replicas(deployment) + max_surge(deployment)


def new_size(deployment: Object, all_sets: Sequence[Object], current: int) -> int:
    """How large the new ReplicaSet (now `current`) may be in the next step."""
    if not is_rolling(deployment):
        return replicas(deployment)
    room = max_replicas(deployment) - total(all_sets)
    return current + min(room, replicas(deployment) - current) if room > 0 else current


def old_sizes(deployment: Object, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """The old ReplicaSets' sizes after the next step, by name; only those that change."""
    least = replicas(deployment) - max_unavailable(deployment)
    room = total([*old, new]) - least - (replicas(new) - available(new))
    sizes = {rs["metadata"]["name"]: replicas(rs) for rs in sorted(old, key=age)}
    if room <= 0:
        return {}
    for rs in sorted(old, key=age):   # first those that serve nobody
        unhealthy = max(0, replicas(rs) - available(rs))
        cut = min(room, unhealthy)
        sizes[rs["metadata"]["name"]] -= cut
        room -= cut
    spare = sum(available(rs) for rs in [*old, new]) - least
    for name, size in sizes.items():   # then those that do, as long as enough are left
        cut = min(size, max(0, spare))
        sizes[name] = size - cut
        spare -= cut
    return {rs["metadata"]["name"]: sizes[rs["metadata"]["name"]] for rs in old
            if sizes[rs["metadata"]["name"]] != replicas(rs)}


def proportional_sizes(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """The sizes after a scale in the middle of a rollout: each set gets its share, the largest one the rest."""
    allowed = max_replicas(deployment) if replicas(deployment) else 0
    to_add = allowed - total(active)
    by_age = sorted(active, key=age, reverse=to_add > 0)
    ordered = sorted(by_age, key=replicas, reverse=True)
    sizes, added = {}, 0
    for rs in ordered:
        share = _proportion(deployment, rs, to_add - added) if to_add else 0
        sizes[rs["metadata"]["name"]] = replicas(rs) + share
        added += share
    if ordered and to_add:
        largest = ordered[0]["metadata"]["name"]
        sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _proportion(deployment: Object, rs: Object, left: int) -> int:
    """This set's share of the change, never more than what is left of it."""
    if not replicas(rs) or not left:
        return 0
    if not replicas(deployment):
        share = -replicas(rs)
    else:
        before = annotation(rs, MAX) or (deployment.get("status") or {}).get("replicas") or replicas(rs)
        share = _round(replicas(rs) * max_replicas(deployment) / before) - replicas(rs)
    return min(share, left) if left > 0 else max(share, left)


def _round(value: float) -> int:
    """Half away from zero, as Go's; Python would round 2.5 to 2."""
    return int(value + 0.5) if value >= 0 else int(value - 0.5)


def annotation(obj: Mapping[str, Any], name: str) -> int | None:
    """An annotation that is a number; None if it is missing or is not one."""
    text = (obj["metadata"].get("annotations") or {}).get(name, "")
    return int(text) if text.isdigit() else None


def age(obj: Mapping[str, Any]) -> tuple[str, str]:
    """Sort key: older first, equal ones by name."""
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]
