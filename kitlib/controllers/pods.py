"""What controllers ask about Pods, and how they make one from a template.

Source: k8s.io/kubernetes/pkg/controller/controller_utils.go, pkg/api/v1/pod/util.go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from kitlib.objects.clock import parse_time
from kitlib.objects.meta import owner_reference

Object = dict[str, Any]

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def phase(pod: Mapping[str, Any]) -> str:
    return (pod.get("status") or {}).get("phase") or "Pending"


def is_finished(pod: Mapping[str, Any]) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Mapping[str, Any]) -> bool:
    """Neither finished nor on its way out: a Pod that counts."""
    return "deletionTimestamp" not in pod["metadata"] and not is_finished(pod)


def is_terminating(pod: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"] and not is_finished(pod)


def condition(obj: Mapping[str, Any], type: str) -> Mapping[str, Any] | None:
    for candidate in (obj.get("status") or {}).get("conditions") or ():
        if candidate["type"] == type:
            return candidate
    return None


def is_ready(pod: Mapping[str, Any]) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and ready["status"] == "True"


def ready_since(pod: Mapping[str, Any]) -> float:
    """When the Pod became Ready; 0 if it is not or nobody wrote it down."""
    ready = condition(pod, "Ready")
    if ready is None or ready["status"] != "True" or not ready.get("lastTransitionTime"):
        return 0.0
    return parse_time(ready["lastTransitionTime"])


def available_in(pod: Mapping[str, Any], min_ready_seconds: int, now: float) -> float | None:
    """Seconds until the Pod, if it stays Ready, counts as available: 0 if it does, None if it is not Ready."""
    if not is_ready(pod):
        return None
    return max(0.0, ready_since(pod) + min_ready_seconds - now) if min_ready_seconds else 0.0


def from_template(template: Mapping[str, Any], owner: Object, **metadata: Any) -> Object:
    """A Pod as the template says, owned by `owner`.  metadata: name or generateName, and what else is special."""
    given = template.get("metadata") or {}
    meta = {name: given[name] for name in ("labels", "annotations", "finalizers") if given.get(name)}
    meta |= {"namespace": owner["metadata"]["namespace"], "ownerReferences": [owner_reference(owner)]} | metadata
    if "name" not in meta:
        meta.setdefault("generateName", owner["metadata"]["name"] + "-")
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": template["spec"]}


def deletion_order(pods: Iterable[Object], crowd: Mapping[str, int], now: float) -> list[Object]:
    """The Pods in the order in which a ReplicaSet gives them up; the first goes first.

    1. without a node before with one           5. more companions on its node before fewer (`crowd`)
    2. Pending before Unknown before Running    6. Ready for less time before longer, on a logarithmic scale
    3. not Ready before Ready                   7. more restarts before fewer
    4. lower deletion cost before higher        8. newer before older, on a logarithmic scale

    The logarithm makes Pods of about the same age equal; among them the uid decides, that is, chance: otherwise
    a scale-down would always hit the newest node's Pods.
    """
    return sorted(pods, key=lambda pod: _rank(pod, crowd, now))


def _rank(pod: Object, crowd: Mapping[str, int], now: float) -> tuple:
    node = pod["spec"].get("nodeName") or ""
    regular, sidecar = _restarts(pod)
    return (bool(node), _PHASES.get(phase(pod), 0), is_ready(pod), deletion_cost(pod), -crowd.get(node, 0),
            _age_class(ready_since(pod), now) if is_ready(pod) else 0, -regular, -sidecar,
            _age_class(parse_time(pod["metadata"]["creationTimestamp"]), now), pod["metadata"]["uid"])


def _age_class(since: float, now: float) -> int:
    """How long ago, as a power of two; unknown times count as the longest."""
    if not since:
        return 1 << 10
    return -1 if now <= since else int(math.log2((now - since) * 1e9))


def deletion_cost(pod: Object) -> int:
    try:
        return int((pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0"))
    except ValueError:
        return 0   # the API warns about it; here it means no preference


def _restarts(pod: Object) -> tuple[int, int]:
    """(most restarts of a container, most restarts of a sidecar)."""
    status = pod.get("status") or {}
    sidecars = {c["name"] for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"}
    regular = [c["restartCount"] for c in status.get("containerStatuses") or ()]
    aside = [c["restartCount"] for c in status.get("initContainerStatuses") or () if c["name"] in sidecars]
    return max(regular, default=0), max(aside, default=0)
