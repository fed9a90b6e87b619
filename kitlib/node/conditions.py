"""A Pod's conditions: five questions the kubelet answers, always in this order.

    PodReadyToStartContainers   has it a sandbox with an address?
    Initialized                 are the init containers done?
    Ready                       may it get traffic? (ContainersReady and every readiness gate)
    ContainersReady             is every container ready?
    PodScheduled                has it a node? (the scheduler's answer, repeated)

Source: pkg/kubelet/status/generate.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..objects.clock import rfc3339
from .containers import EPHEMERAL, INIT, MAIN, SIDECAR, ContainerView

RESIZING = "PodResizeInProgress"
DISRUPTED = "DisruptionTarget"
KUBELETS_OWN = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")

Verdict = tuple[str, str, str]  # status, reason, message
YES: Verdict = ("True", "", "")


def initialized(views: Sequence[ContainerView], statuses: Mapping[str, Mapping[str, Any]], phase: str) -> Verdict:
    """statuses: container name → its status entry."""
    if phase == "Succeeded":
        return ("True", "PodCompleted", "")
    if any(v.role == MAIN and v.latest is not None for v in views):
        return YES
    incomplete = [v.name for v in views if (v.role == INIT and not statuses[v.name]["ready"])
                  or (v.role == SIDECAR and not statuses[v.name]["started"])]
    if incomplete:
        return ("False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(incomplete)}]")
    return YES


def containers_ready(views: Sequence[ContainerView], statuses: Mapping[str, Mapping[str, Any]], phase: str) -> Verdict:
    if phase == "Succeeded":
        return ("False", "PodCompleted", "")
    if phase == "Failed":
        return ("False", "PodFailed", "")
    unready = [v.name for v in views if v.role not in (INIT, EPHEMERAL) and not statuses[v.name]["ready"]]
    if unready:
        return ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    return YES


def ready(pod: Mapping[str, Any], of_containers: Verdict) -> Verdict:
    """ContainersReady, and every readiness gate that somebody else has set."""
    if of_containers[0] != "True":
        return of_containers
    known = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions") or ()}
    complaints = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in known:
            complaints.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif known[kind] != "True":
            complaints.append(f'the status of pod readiness gate "{kind}" is not "True", but {known[kind]}')
    if complaints:
        return ("False", "ReadinessGatesNotReady", ", ".join(complaints))
    return YES


def conditions(pod: Mapping[str, Any], views: Sequence[ContainerView], statuses: Mapping[str, Mapping[str, Any]],
               phase: str, sandbox_ready: bool, now: float) -> list[dict[str, Any]]:
    """All conditions: those of others unchanged, then ours; lastTransitionTime moves only when the status does."""
    of_containers = containers_ready(views, statuses, phase)
    verdicts = {
        "PodReadyToStartContainers": YES if sandbox_ready else ("False", "", ""),
        "Initialized": initialized(views, statuses, phase),
        "Ready": ready(pod, of_containers),
        "ContainersReady": of_containers,
        "PodScheduled": YES,
    }
    before = {c["type"]: c for c in pod.get("status", {}).get("conditions") or ()}
    generation = pod["metadata"].get("generation")
    result = [c for c in before.values() if c["type"] not in (*KUBELETS_OWN, RESIZING)]
    for kind in KUBELETS_OWN:
        result.append(_condition(kind, verdicts[kind], before.get(kind), generation, now))
    return result


def resize_in_progress(generation: int | None, now: float) -> dict[str, Any]:
    """There only while new resources are being given to running containers."""
    return _condition(RESIZING, YES, None, generation, now)


def disruption_target(message: str, generation: int | None, now: float) -> dict[str, Any]:
    """The Pod is ended for a reason that is not its own; a Job need not count it as a failure."""
    return _condition(DISRUPTED, ("True", "TerminationByKubelet", message), None, generation, now)


def _condition(kind: str, verdict: Verdict, before: Mapping[str, Any] | None, generation: int | None,
               now: float) -> dict[str, Any]:
    status, reason, message = verdict
    condition: dict[str, Any] = {"type": kind}
    if generation is not None:
        condition["observedGeneration"] = generation
    condition["status"] = status
    condition["lastProbeTime"] = None
    same = before is not None and before["status"] == status and before.get("lastTransitionTime")
    condition["lastTransitionTime"] = before["lastTransitionTime"] if same and before else rfc3339(now)
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition
