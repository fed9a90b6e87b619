"""`status` of a Pod: what the kubelet tells the world, computed anew from what it sees.

Nothing is remembered here: the same containers always give the same status.  Only two things come from the status
before: transition times, and the phase that a Pod keeps until nothing of it runs any more (so that whoever reads
Succeeded or Failed may rely on it: no process is left, the address is free).

    container states ──▶ phase ──▶ conditions
                     ──▶ containerStatuses

Source: pkg/kubelet/kubelet_pods.go (generateAPIPodStatus, getPhase), pkg/kubelet/status/status_manager.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..objects import quantity
from ..objects.clock import rfc3339
from .conditions import DISRUPTED, conditions, disruption_target, resize_in_progress
from .container_status import container_status
from .containers import EPHEMERAL, INIT, MAIN, SIDECAR, ContainerView

TERMINAL = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else the status depends on.

    finished: nothing of the Pod runs any more and nothing will, so the phase may become terminal.
    reason, message: why the kubelet itself ended the Pod (DeadlineExceeded, Evicted...); then the phase is Failed.
    disrupted: it did so for a reason that is not the Pod's.
    """

    host_ip: str = ""
    pod_ip: str = ""
    sandbox_ready: bool = False
    finished: bool = False
    reason: str = ""
    message: str = ""
    disrupted: bool = False
    resizing: bool = False


def phase(pod: Mapping[str, Any], views: Sequence[ContainerView], finished: bool = False) -> str:
    """Pending, Running, Succeeded or Failed, from the containers alone."""
    policy = pod["spec"].get("restartPolicy", "Always")
    pending = failed = running = waiting = succeeded = stopped = sidecars = 0
    for view in views:
        if view.role == INIT:
            if view.exited and not view.succeeded:
                failed += 1
                pending += 1
            elif not view.succeeded:
                pending += 1
        elif view.role == SIDECAR:
            sidecars += view.running
            pending += view.latest is None or (view.running and not view.started)
        elif view.role == EPHEMERAL:
            continue
        elif view.running:
            running += 1
        elif view.exited:
            stopped += 1
            succeeded += view.succeeded
        else:
            waiting += 1
    begun = running or stopped
    if failed and policy == "Never" and not begun:
        return "Failed"
    if pending and not begun:
        return _ended(finished, views) or "Pending"
    if waiting:
        return _ended(finished, views) or "Pending"
    if running:
        return "Running"
    if finished:
        return "Succeeded" if stopped == succeeded else "Failed"
    if policy == "Always" or sidecars:
        return "Running"
    if stopped == succeeded:
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _ended(finished: bool, views: Sequence[ContainerView]) -> str:
    """A Pod that was stopped before all its containers had started has failed."""
    return "Failed" if finished and views else ""


def pod_status(pod: Mapping[str, Any], views: Sequence[ContainerView], around: Surroundings,
               now: float) -> dict[str, Any]:
    """The complete status to write; fields that others own are kept from `pod`."""
    before: Mapping[str, Any] = pod.get("status") or {}
    computed = "Failed" if around.reason else phase(pod, views, around.finished)
    shown = computed
    if computed in TERMINAL and not around.finished:
        shown = before.get("phase") or "Pending"
    if before.get("phase") in TERMINAL:
        computed = shown = before["phase"]  # terminal is for ever
    if around.finished:
        views = [replace(v, waiting=None) if v.exited else v for v in views]
    over = around.finished and all(v.succeeded for v in views if v.role == INIT)
    entries = {v.name: container_status(v, pod, lost=over and v.role == MAIN) for v in views}
    status: dict[str, Any] = {}
    if pod["metadata"].get("generation") is not None:
        status["observedGeneration"] = pod["metadata"]["generation"]
    status["phase"] = shown
    status["conditions"] = conditions(pod, views, entries, computed, around.sandbox_ready, now)
    if around.disrupted and not any(c["type"] == DISRUPTED for c in status["conditions"]):
        status["conditions"].insert(0, disruption_target(around.message, pod["metadata"].get("generation"), now))
    if around.resizing:
        status["conditions"].insert(0, resize_in_progress(pod["metadata"].get("generation"), now))
    if around.reason and around.finished:
        status["reason"] = around.reason
        status["message"] = around.message
    for name in ("reason", "message", "nominatedNodeName", "resize"):
        if before.get(name) and name not in status:
            status[name] = before[name]
    if around.host_ip:
        status["hostIP"] = around.host_ip
        status["hostIPs"] = [{"ip": around.host_ip}]
    if around.pod_ip:
        status["podIP"] = around.pod_ip
        status["podIPs"] = [{"ip": around.pod_ip}]
    status["startTime"] = before.get("startTime") or rfc3339(now)
    inits = [entries[v.name] for v in views if v.role in (INIT, SIDECAR)]
    if inits:
        status["initContainerStatuses"] = inits
    status["containerStatuses"] = [entries[v.name] for v in views if v.role == MAIN]
    guests = [entries[v.name] for v in views if v.role == EPHEMERAL]
    if guests:
        status["ephemeralContainerStatuses"] = guests
    status["qosClass"] = before.get("qosClass") or qos_class(pod)
    for name in ("resourceClaimStatuses", "extendedResourceClaimStatus"):
        if name in before:
            status[name] = before[name]
    return status


def qos_class(pod: Mapping[str, Any]) -> str:
    """Guaranteed: every container has limits for cpu and memory, equal to its requests.  BestEffort: none has any."""
    some = False
    guaranteed = True
    for container in (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]):
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for name in ("cpu", "memory"):
            limit, request = limits.get(name), requests.get(name, limits.get(name))
            some = some or limit is not None or request is not None
            if limit is None or quantity.parse(limit) != quantity.parse(request or "0"):
                guaranteed = False
    if not some:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
