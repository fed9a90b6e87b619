"""What the kubelet knows of one container of a Pod: its spec, its runs, and what the probes say.

Everything that decides (`lifecycle`) or reports (`pod_status`) is a pure function of a list of these.

    attempt 0: exited ─▶ attempt 1: exited ─▶ attempt 2: running
                         `previous`           `latest`            restartCount = latest.attempt = 2
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..runtime.cri import ContainerState, ContainerStatus

# Labels every container and sandbox carries, so that a restarted kubelet knows its own (pkg/kubelet/types/labels.go).
LABEL_POD_NAME = "io.kubernetes.pod.name"
LABEL_POD_NAMESPACE = "io.kubernetes.pod.namespace"
LABEL_POD_UID = "io.kubernetes.pod.uid"
LABEL_CONTAINER_NAME = "io.kubernetes.container.name"
LABEL_NODE = "kit/node"
ANNOTATION_HASH = "io.kubernetes.container.hash"

MAIN, INIT, SIDECAR, EPHEMERAL = "main", "init", "sidecar", "ephemeral"
_FIELDS = {MAIN: "containers", INIT: "initContainers", SIDECAR: "initContainers", EPHEMERAL: "ephemeralContainers"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run: what `state.waiting` shows."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container of a Pod at one moment.

    waiting: the last refusal (ErrImagePull, CrashLoopBackOff...); it covers an exited state, never a running one.
    started, ready: the probes' verdicts while it runs.  unhealthy: why a probe wants it killed, or "".
    resources: what it was given last; None means what its spec says.
    """

    spec: Mapping[str, Any]
    role: str = MAIN
    latest: ContainerStatus | None = None
    previous: ContainerStatus | None = None
    waiting: Waiting | None = None
    started: bool = False
    ready: bool = False
    unhealthy: str = ""
    resources: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        return self.spec["name"]

    @property
    def running(self) -> bool:
        return self.latest is not None and self.latest.state is ContainerState.RUNNING

    @property
    def exited(self) -> bool:
        return self.latest is not None and self.latest.state is ContainerState.EXITED

    @property
    def succeeded(self) -> bool:
        return self.exited and self.latest is not None and self.latest.exit_code == 0

    @property
    def restarts(self) -> int:
        return self.latest.config.attempt if self.latest else 0

    @property
    def field_path(self) -> str:
        """Where the container stands in the Pod, as Events name it."""
        return f"spec.{_FIELDS[self.role]}{{{self.name}}}"


def specs(pod: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(role, container) of a Pod: init containers and sidecars in their order, the main ones, those for debugging."""
    for container in pod["spec"].get("initContainers") or ():
        yield (SIDECAR if container.get("restartPolicy") == "Always" else INIT), container
    for container in pod["spec"].get("containers") or ():
        yield MAIN, container
    for container in pod["spec"].get("ephemeralContainers") or ():
        yield EPHEMERAL, container


def spec_hash(container: Mapping[str, Any]) -> str:
    """Changes when a running container has to be replaced: name and image are all a live Pod may change of it."""
    essence = json.dumps([container["name"], container.get("image", "")])
    return hashlib.sha256(essence.encode()).hexdigest()[:8]


def pod_key(pod: Mapping[str, Any]) -> str:
    meta = pod["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def grace_period(pod: Mapping[str, Any]) -> float:
    """Seconds between TERM and KILL: the deletion's own, else the Pod's, else 30."""
    meta, spec = pod["metadata"], pod["spec"]
    if meta.get("deletionTimestamp") and meta.get("deletionGracePeriodSeconds") is not None:
        return float(meta["deletionGracePeriodSeconds"])
    value = spec.get("terminationGracePeriodSeconds")
    return 30.0 if value is None else float(value)


def is_deleting(pod: Mapping[str, Any]) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_newer(pod: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Whether it is a later version of the same Pod."""
    return int(pod["metadata"].get("resourceVersion") or 0) > int(than["metadata"].get("resourceVersion") or 0)
