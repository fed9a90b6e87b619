"""Pods, the most looked at table of all: STATUS is not a field but a story told from many.

Source: pkg/printers/internalversion/printers.go (printPod).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.api.columns.printer import AGE, NAME, Column, Obj, prints, wide
from kitlib.api.columns.text import NONE, age, containers, is_true, labels, name, part, since

_COMPLETED = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}


def completed(pod: Obj) -> list[dict[str, str]]:
    phase = part(pod, "status", "phase")
    if phase not in _COMPLETED:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _COMPLETED[phase]}]


class _Restarts:
    """How often, and when last."""

    def __init__(self) -> None:
        self.count, self.last = 0, ""

    def add(self, status: Mapping[str, Any]) -> None:
        self.count += status.get("restartCount", 0)
        # RFC 3339 in UTC with whole seconds: the order of the texts is the order of the times.
        self.last = max(self.last, part(status, "lastState", "terminated", "finishedAt") or "")

    def cell(self, now: float) -> str:
        return f"{self.count} ({since(self.last, now)} ago)" if self.count and self.last else str(self.count)


def _exit(terminated: Mapping[str, Any]) -> str:
    if terminated.get("reason"):
        return terminated["reason"]
    signal = terminated.get("signal", 0)
    return f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode', 0)}"


def _initialising(pod: Obj, sidecars: set[str], restarts: _Restarts, sidecar_restarts: _Restarts) -> tuple[str, int]:
    """("Init:…", ready sidecars) while an init container keeps the Pod from starting, else ("", ready sidecars)."""
    ready = 0
    for index, status in enumerate(part(pod, "status", "initContainerStatuses") or ()):
        restarts.add(status)
        sidecar = status.get("name") in sidecars
        if sidecar:
            sidecar_restarts.add(status)
        terminated, waiting = part(status, "state", "terminated"), part(status, "state", "waiting")
        if terminated and terminated.get("exitCode", 0) == 0:
            continue
        if sidecar and status.get("started"):
            ready += bool(status.get("ready"))
            continue
        if terminated:
            return f"Init:{_exit(terminated)}", ready
        if waiting and waiting.get("reason", "PodInitializing") not in ("", "PodInitializing"):
            return f"Init:{waiting['reason']}", ready
        return f"Init:{index}/{len(part(pod, 'spec', 'initContainers') or ())}", ready
    return "", ready


def _running(pod: Obj, reason: str, restarts: _Restarts) -> tuple[str, int]:
    """The reason and the number of ready containers, looking at the main containers, last to first."""
    ready = 0
    for status in reversed(part(pod, "status", "containerStatuses") or ()):
        restarts.add(status)
        state = status.get("state") or {}
        waiting, terminated = state.get("waiting"), state.get("terminated")
        if waiting and waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = _exit(terminated)
        elif status.get("ready") and state.get("running") is not None:
            ready += 1
    if reason == "Completed" and ready:  # one container has ended, another one goes on
        reason = "Running" if is_true(pod, "Ready") else "NotReady"
    return reason, ready


@prints("", "Pod", NAME, Column("Ready", description="Ready containers of all."),
        Column("Status", description="What the Pod as a whole is at."),
        Column("Restarts", description="How often its containers were started again, and when last."), AGE,
        wide("IP", "The Pod's address."), wide("Node", "Where it runs."),
        wide("Nominated Node", "The node where preemption makes room for it."),
        wide("Readiness Gates", "Further conditions of readiness, those met of all."), conditions=completed)
def pod(obj: Obj, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    phase = status.get("phase", "")
    reason = status.get("reason") or phase
    for entry in status.get("conditions") or ():
        if entry.get("type") == "PodScheduled" and entry.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    sidecars = {c.get("name") for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    restarts, sidecar_restarts = _Restarts(), _Restarts()
    initialising, ready = _initialising(obj, sidecars, restarts, sidecar_restarts)
    if initialising:
        reason = initialising
    if not initialising or is_true(obj, "Initialized"):
        restarts = sidecar_restarts
        reason, started = _running(obj, reason, restarts)
        ready += started
    if obj["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in _COMPLETED:
            reason = "Terminating"
    total = len(spec.get("containers") or ()) + len(sidecars)
    gates = [gate.get("conditionType", "") for gate in spec.get("readinessGates") or ()]
    met = sum(is_true(obj, gate) for gate in gates)
    return [name(obj), f"{ready}/{total}", reason, restarts.cell(now), age(obj, now), status.get("podIP") or NONE,
            spec.get("nodeName") or NONE, status.get("nominatedNodeName") or NONE,
            f"{met}/{len(gates)}" if gates else NONE]


@prints("", "PodTemplate", NAME, Column("Containers", description="Names of the template's containers."),
        Column("Images", description="Their images."),
        Column("Pod Labels", description="Labels of the Pods made of it."))
def pod_template(obj: Obj, now: float) -> list[Any]:
    return [name(obj), *containers(part(obj, "template", "spec")), labels(part(obj, "template", "metadata", "labels"))]
