"""One entry of `status.containerStatuses`: a container's runs as the API shows them.

    state         what it is now: waiting, running or terminated
    lastState     how the run before ended
    restartCount  the number of the run
    ready/started the probes' verdicts

Zero values stay in (`restartCount: 0`, `lastState: {}`): a reader must see that they were reported.
Source: pkg/kubelet/kubelet_pods.go (convertToAPIContainerStatuses).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..objects.clock import rfc3339
from ..runtime.cri import ContainerState, ContainerStatus
from .containers import EPHEMERAL, INIT, ContainerView
from .images import normalize

LOST = "ContainerStatusUnknown"
LOST_MESSAGE = "The container could not be located when the pod was terminated"


def container_id(status: ContainerStatus) -> str:
    return f"kit://{status.id}"


def terminated(status: ContainerStatus) -> dict[str, Any]:
    """`state.terminated` of a run that has ended."""
    reason = status.reason or ("Completed" if status.exit_code == 0 else "Error")
    state: dict[str, Any] = {"exitCode": status.exit_code}
    if status.signal:
        state["signal"] = status.signal
    state["reason"] = reason
    if status.message:
        state["message"] = status.message
    state["startedAt"] = rfc3339(status.started_at) if status.started_at else None
    state["finishedAt"] = rfc3339(status.finished_at) if status.finished_at else None
    state["containerID"] = container_id(status)
    return {"terminated": state}


def lost_state() -> dict[str, Any]:
    """Nobody knows how it ended, so it did not end well: 137."""
    return {"terminated": {"exitCode": 137, "reason": LOST, "message": LOST_MESSAGE,
                           "startedAt": None, "finishedAt": None}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def container_status(view: ContainerView, pod: Mapping[str, Any], lost: bool = False) -> dict[str, Any]:
    """The status of one container.  lost: the Pod is over, so a container that has not ended is shown as lost."""
    latest = view.latest
    started = view.role != EPHEMERAL and _started(view)
    status: dict[str, Any] = {
        "name": view.name, "state": lost_state() if lost and not view.exited else _state(view, pod),
        "lastState": _last_state(view),
        "ready": _ready(view, started), "restartCount": view.restarts,
        "image": view.spec.get("image", ""), "imageID": "",
    }
    if latest is not None:
        status["image"] = normalize(latest.config.image) or latest.config.image
        status["imageID"] = latest.image_ref
        status["containerID"] = container_id(latest)
    if view.role == EPHEMERAL:  # it has no probes, and nothing of its own to ask for
        return status
    status["started"] = started
    if latest is not None:
        resources = (view.spec.get("resources") or {}) if view.resources is None else view.resources
        if resources.get("requests"):
            status["allocatedResources"] = dict(resources["requests"])
        status["resources"] = dict(resources)
    mounts = [_mount_status(m) for m in view.spec.get("volumeMounts") or ()]
    if mounts:
        status["volumeMounts"] = mounts
    if latest is not None:
        status["user"] = {"linux": _user(view, pod)}
    return status


def _state(view: ContainerView, pod: Mapping[str, Any]) -> dict[str, Any]:
    latest = view.latest
    if view.waiting is not None and not view.running and not _final(view):
        return waiting(view.waiting.reason, view.waiting.message)
    if latest is None or latest.state is ContainerState.CREATED:
        return waiting("PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating")
    if latest.state is ContainerState.RUNNING:
        return {"running": {"startedAt": rfc3339(latest.started_at)}}
    return terminated(latest)


def _final(view: ContainerView) -> bool:
    """A completed init container stays terminated, whatever was said before it ran."""
    return view.role == INIT and view.succeeded


def _last_state(view: ContainerView) -> dict[str, Any]:
    covered = view.waiting is not None and view.exited and not _final(view)
    last = view.latest if covered else view.previous
    return terminated(last) if last is not None else {}


def _started(view: ContainerView) -> bool:
    if not view.running:
        return False
    return True if view.role == INIT else view.started


def _ready(view: ContainerView, started: bool) -> bool:
    if view.role == INIT:
        return view.succeeded
    return view.running and started and view.ready


def _mount_status(mount: Mapping[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        status["readOnly"] = True
        status["recursiveReadOnly"] = mount.get("recursiveReadOnly", "Disabled")
    return status


def _user(view: ContainerView, pod: Mapping[str, Any]) -> dict[str, Any]:
    """The identity asked for; an image without USER runs as root inside its container."""
    context = {**(pod["spec"].get("securityContext") or {}), **(view.spec.get("securityContext") or {})}
    gid = context.get("runAsGroup", 0)
    groups = [gid, *(g for g in context.get("supplementalGroups") or () if g != gid)]
    if context.get("fsGroup") is not None and context["fsGroup"] not in groups:
        groups.append(context["fsGroup"])
    return {"uid": context.get("runAsUser", 0), "gid": gid, "supplementalGroups": groups}


