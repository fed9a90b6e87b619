"""Pods: status at birth, quality of service, and how a Pod dies.

A Pod on a node cannot simply vanish: its containers run.  DELETE only sets deletionTimestamp (now plus
the grace period); the kubelet stops the containers and deletes again with grace 0.  A Pod that no node
has, or that has finished, goes at once.

Source: k8s.io/kubernetes/pkg/registry/core/pod/strategy.go, pkg/apis/core/helper/qos.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.call import Call
from kitlib.api.strategies.base import Obj, Strategy
from kitlib.objects import quantity
from kitlib.objects.clock import rfc3339

FINISHED = ("Succeeded", "Failed")
QOS_RESOURCES = ("cpu", "memory")


class PodStrategy(Strategy):
    """The strategy of Pods."""

    returns_deleted = True

    def initial_status(self, call: Call, obj: Obj) -> None:
        obj["status"] = {"phase": "Pending"}

    def prepare_create(self, call: Call, obj: Obj) -> None:
        status, spec = obj["status"], obj.get("spec", {})
        status["qosClass"] = qos_class(spec)
        if spec.get("schedulingGates"):
            status["conditions"] = [{
                "type": "PodScheduled", "status": "False", "lastProbeTime": None, "reason": "SchedulingGated",
                "lastTransitionTime": rfc3339(call.api.clock.now()),
                "message": "Scheduling is blocked due to non-empty scheduling gates"}]

    def prepare_status(self, call: Call, obj: Obj, old: Obj) -> None:
        status, before = obj.setdefault("status", {}), old.get("status", {})
        if before.get("qosClass"):
            status["qosClass"] = before["qosClass"]
        for one, many in (("podIP", "podIPs"), ("hostIP", "hostIPs")):
            _keep_in_step(status, before, one, many)
        references = old["metadata"].get("ownerReferences")
        if references is not None:
            obj["metadata"]["ownerReferences"] = references

    def grace(self, obj: Obj, wanted: int | None) -> int:
        spec = obj.get("spec", {})
        if not spec.get("nodeName") or obj.get("status", {}).get("phase") in FINISHED:
            return 0
        if wanted is not None:
            return wanted
        own = spec.get("terminationGracePeriodSeconds")
        return 30 if own is None else max(own, 1) if own < 0 else own


def _keep_in_step(status: Obj, before: Obj, one: str, many: str) -> None:
    """podIP is the first of podIPs; a writer who sets only one of them sets both."""
    single, plural = status.get(one), status.get(many)
    if single and (not plural or (single != before.get(one) and plural == before.get(many))):
        status[many] = [{"ip": single}]
    elif plural and not single:
        status[one] = plural[0]["ip"]
    elif not single:
        status.pop(many, None)


def qos_class(spec: dict[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort: who is killed last when memory runs short."""
    whole = spec.get("resources")
    if whole and (whole.get("requests") or whole.get("limits")):
        return _class_of([whole])
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return _class_of([container.get("resources") or {} for container in containers])


def _class_of(resources: list[dict[str, Any]]) -> str:
    any_set, guaranteed = False, bool(resources)
    for part in resources:
        requests, limits = part.get("requests") or {}, part.get("limits") or {}
        for name in QOS_RESOURCES:
            request, limit = _amount(requests.get(name)), _amount(limits.get(name))
            any_set = any_set or request > 0 or limit > 0
            if limit <= 0 or (request > 0 and request != limit):
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amount(text: Any) -> Any:
    return quantity.parse(str(text)) if text is not None else 0
