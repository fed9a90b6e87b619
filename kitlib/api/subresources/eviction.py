"""`/pods/NAME/eviction`: a deletion that respects PodDisruptionBudgets (`kubectl drain`).

The budget is spent here, in its status, before the Pod is deleted, so that two evictions at once cannot
both take the last allowed disruption.  A Pod that never ran, or has finished, disturbs nobody.

Source: k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api import decode, deletion, respond, writing
from kitlib.api.call import Call
from kitlib.api.deletion import DeleteOptions
from kitlib.api.kind import Kind
from kitlib.api.request import Response
from kitlib.api.verbs.get import find
from kitlib.objects.clock import rfc3339
from kitlib.objects.errors import StatusError, bad_request, internal
from kitlib.objects.meta import clone
from kitlib.objects.selectors import LabelSelector
from kitlib.store import Entry

EVICTION = Kind("policy", "v1", "Eviction", "evictions", virtual=True)
BUDGETS = "poddisruptionbudgets.policy"
MAX_DISRUPTED = 2000
ALWAYS_ALLOW = "AlwaysAllow"
DISRUPTED = "DisruptionTarget"


def eviction(call: Call) -> Response:
    raw = decode.plain(call) if decode.media_type(call) == decode.JSON else None
    if isinstance(raw, dict) and raw.get("apiVersion") == "policy/v1beta1":
        call.request.obj, call.request.body = {**raw, "apiVersion": "policy/v1"}, b""
    body = decode.body(call, EVICTION)
    name = body["metadata"].get("name")
    if name and name != call.name:
        raise bad_request("name in URL does not match name in Eviction object")
    found = find(call)
    pod = found.obj
    options = _options(body.get("deleteOptions") or {})
    if call.dry_run:
        options.dry_run = True
    call.api.admission.check_delete(call, pod)  # before anything is spent: a webhook may still have to be asked
    if not _can_ignore_budgets(pod):
        _spend(call, pod)
    if not options.dry_run and options.version in ("", pod["metadata"]["resourceVersion"]):
        found = _mark_disrupted(call, found)
        options.version = found.obj["metadata"]["resourceVersion"] if options.version else ""
    deletion.delete(call, found, options, admit=False)
    return respond.json(respond.success(201), 201, call.api.store.revision)


def _mark_disrupted(call: Call, found: Entry) -> Entry:
    """Say why the Pod goes, before it goes: a Job's podFailurePolicy reads it."""
    pod = found.obj
    status = pod.get("status") or {}
    others = [c for c in status.get("conditions") or () if c["type"] != DISRUPTED]
    condition = {"type": DISRUPTED, "observedGeneration": pod["metadata"].get("generation", 1), "status": "True",
                 "lastProbeTime": None, "lastTransitionTime": rfc3339(call.api.clock.now()),
                 "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
    entry = call.api.store.update(*found.key, {**pod, "status": {**status, "conditions": [*others, condition]}},
                                  expect=found.revision)
    call.api.writes.record(call, entry, "update")
    return entry


def _options(body: dict[str, Any]) -> DeleteOptions:
    conditions = body.get("preconditions") or {}
    return DeleteOptions(grace=body.get("gracePeriodSeconds"), uid=conditions.get("uid", ""),
                         version=conditions.get("resourceVersion", ""), policy=body.get("propagationPolicy", ""),
                         orphan=body.get("orphanDependents"))


def _can_ignore_budgets(pod: dict[str, Any]) -> bool:
    return pod.get("status", {}).get("phase") in ("Pending", "Succeeded", "Failed") or bool(
        pod["metadata"].get("deletionTimestamp"))


def _spend(call: Call, pod: dict[str, Any]) -> None:
    """Take one disruption off the Pod's budget.  Raises 429 if there is none left, 500 for two budgets."""
    labels = pod["metadata"].get("labels") or {}
    budgets = [entry for entry in call.api.store.list(BUDGETS, call.namespace)
               if entry.obj.get("spec", {}).get("selector") is not None
               and LabelSelector.of(entry.obj["spec"]["selector"]).matches(labels)]
    if not budgets:
        return
    if len(budgets) > 1:
        raise internal("This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
                       "support.")
    budget = budgets[0].obj
    if not _is_ready(pod) and _unhealthy_may_go(budget):
        return
    _decrement(call, budgets[0], pod["metadata"]["name"])


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions") or ())


def _unhealthy_may_go(budget: dict[str, Any]) -> bool:
    """Whether a Pod that is not ready may be evicted without spending: only a healthy application can spare it."""
    if budget["spec"].get("unhealthyPodEvictionPolicy") == ALWAYS_ALLOW:
        return True
    status = budget.get("status", {})
    return status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) and status.get("desiredHealthy", 0) > 0


def _decrement(call: Call, found: Entry, pod_name: str) -> None:
    budget = clone(found.obj)
    meta, status = budget["metadata"], budget.setdefault("status", {})
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        raise _blocked(meta["name"], "The disruption budget is still being processed by the server.", 10)
    if status.get("disruptionsAllowed", 0) <= 0:
        spec = (f"The disruption budget {meta['name']} needs {status.get('desiredHealthy', 0)} healthy pods and has "
                f"{status.get('currentHealthy', 0)} currently")
        raise _blocked(meta["name"], spec, 0)
    disrupted = status.setdefault("disruptedPods", {})
    if len(disrupted) >= MAX_DISRUPTED:
        raise call.forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    if call.dry_run:
        return
    status["disruptionsAllowed"] -= 1
    disrupted[pod_name] = rfc3339(call.api.clock.now())
    entry = call.api.store.update(*found.key, writing.as_stored(budget), expect=found.revision)
    call.api.writes.record(call, entry, "update")


def _blocked(name: str, why: str, retry: int) -> StatusError:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry:
        details["retryAfterSeconds"] = retry
    return StatusError(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.",
                       details)
