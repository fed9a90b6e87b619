"""From a container's spec to a running process: image, environment, mounts, create, start, postStart.

Each step can be refused; the reason of the refusal is what `kubectl get pods` shows:

    image      ErrImagePull, ImagePullBackOff, ErrImageNeverPull, InvalidImageName
    configure  CreateContainerConfigError       (a ConfigMap that is not there)
    create     CreateContainerError
    start      RunContainerError                (no such command)
    postStart  PostStartHookError               (the container is killed again)

Source: pkg/kubelet/kuberuntime/kuberuntime_container.go (startContainer).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..objects import quantity
from ..runtime.cri import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    Mount,
    Resources,
    RuntimeError_,
)
from .containers import ANNOTATION_HASH, LABEL_CONTAINER_NAME, spec_hash
from .context import NodeContext
from .env import Facts, command_line, environment
from .fields import ConfigError
from .images import ImageRefused
from .sandbox import labels
from .termination import message_file
from .volumes import Prepared, VolumeError, mount_path

Object = Mapping[str, Any]
Say = Callable[[str, str, str], None]
Noted = Callable[[ContainerStatus], bool]


class StartRefused(Exception):
    """The container does not run.  retry_at: when another try makes sense (None: when the restart policy says)."""

    def __init__(self, reason: str, message: str, retry_at: float | None = None) -> None:
        super().__init__(message)
        self.reason, self.message, self.retry_at = reason, message, retry_at


RETRY = 10.0   # the kubelet's resync after a failed sync
SHOWN = 1.0    # how long ErrImagePull is to be seen before it becomes ImagePullBackOff


async def start_container(node: NodeContext, pod: Object, container: Object, attempt: int, sandbox_id: str,
                          pod_ip: str, volumes: Mapping[str, Prepared], say: Say, noted: Noted,
                          target: str = "") -> ContainerStatus:
    """The running container.  `noted` hears of every state on the way; raises StartRefused.

    target: the id of the container whose process numbers an ephemeral one shares (targetContainerName).
    """
    try:
        await node.images.ensure(pod["metadata"]["uid"], dict(container), say)
    except ImageRefused as refused:
        soon = SHOWN if refused.reason == "ErrImagePull" else RETRY
        raise StartRefused(refused.reason, refused.message, refused.retry_at or node.clock.now() + soon) from refused
    try:
        config = replace(container_config(node, pod, container, attempt, node.facts(pod_ip), volumes),
                         pid_mode="TARGET" if target else pid_mode(pod), target_id=target)
    except (ConfigError, VolumeError) as error:
        say("Warning", "Failed", f"Error: {error}")
        raise StartRefused("CreateContainerConfigError", str(error), node.clock.now() + RETRY) from error
    try:
        container_id = await node.runtime.create_container(sandbox_id, config)
    except RuntimeError_ as error:
        say("Warning", "Failed", f"Error: {error.message}")
        raise StartRefused("CreateContainerError", error.message, node.clock.now() + RETRY) from error
    say("Normal", "Created", "Container created")
    try:
        await node.runtime.start_container(container_id)
    except RuntimeError_ as error:
        noted(await _failed_start(node, container_id, sandbox_id, config, error))
        say("Warning", "Failed", f"Error: {error.message}")
        raise StartRefused("RunContainerError", error.message) from error
    status = await node.runtime.container_status(container_id)
    say("Normal", "Started", "Container started")
    return status


async def _failed_start(node: NodeContext, container_id: str, sandbox_id: str, config: ContainerConfig,
                        error: RuntimeError_) -> ContainerStatus:
    """A container that could not start counts as a run that ended with StartError, 128."""
    now = node.clock.now()
    try:
        status = await node.runtime.container_status(container_id)
    except RuntimeError_:
        status = ContainerStatus(container_id, sandbox_id, config, ContainerState.EXITED, now)
    return replace(status, state=ContainerState.EXITED, reason="StartError", message=error.message,
                   exit_code=128, finished_at=status.finished_at or now)


def container_config(node: NodeContext, pod: Object, container: Object, attempt: int, facts: Facts,
                     volumes: Mapping[str, Prepared]) -> ContainerConfig:
    """Everything the runtime needs, from spec and facts.  Raises ConfigError, VolumeError."""
    env = environment(pod, container, node.source, facts)
    command, args = command_line(container, env)
    context = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    return ContainerConfig(
        name=container["name"], image=container["image"], attempt=attempt, command=command, args=args,
        working_dir=container.get("workingDir", ""), envs=tuple(env.items()),
        mounts=_mounts(node, pod, container, attempt, env, volumes),
        log_path=f"{container['name']}/{attempt}.log", stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")), tty=bool(container.get("tty")),
        run_as_user=context.get("runAsUser"), run_as_group=context.get("runAsGroup"),
        readonly_rootfs=bool(context.get("readOnlyRootFilesystem")), resources=resources(container),
        **privileges(context),
        labels={**labels(pod, node.name), LABEL_CONTAINER_NAME: container["name"]},
        annotations={ANNOTATION_HASH: spec_hash(container)})


def privileges(context: Object) -> dict[str, Any]:
    """What a securityContext gives and takes, in the CRI's words.  fsGroup is one of the groups."""
    groups = [*(context.get("supplementalGroups") or ()), *([context["fsGroup"]] if "fsGroup" in context else ())]
    capabilities = context.get("capabilities") or {}
    return {"privileged": bool(context.get("privileged")), "supplemental_groups": groups,
            "no_new_privs": context.get("allowPrivilegeEscalation") is False,
            "add_capabilities": capabilities.get("add") or (), "drop_capabilities": capabilities.get("drop") or (),
            "seccomp": (context.get("seccompProfile") or {}).get("type", "")}


def pid_mode(pod: Object) -> str:
    """The CRI's NamespaceMode for process numbers."""
    if pod["spec"].get("hostPID"):
        return "NODE"
    return "POD" if pod["spec"].get("shareProcessNamespace") else "CONTAINER"


def _mounts(node: NodeContext, pod: Object, container: Object, attempt: int, env: Mapping[str, str],
            volumes: Mapping[str, Prepared]) -> list[Mount]:
    directory = node.pod_directory(pod["metadata"]["uid"])
    result: list[Mount] = []
    for number, mount in enumerate(container.get("volumeMounts") or ()):
        prepared = volumes.get(mount["name"])
        if prepared is None:
            raise VolumeError(f'volume "{mount["name"]}" is not mounted')
        read_only = bool(mount.get("readOnly")) or prepared.read_only
        pin = directory / "volume-subpaths" / mount["name"] / container["name"] / str(number)
        result.append(Mount(mount["mountPath"], str(mount_path(prepared, mount, env, pin)), read_only))
    taken = {m.container_path for m in result}
    if "/etc/hosts" not in taken and not pod["spec"].get("hostNetwork"):
        result.append(Mount("/etc/hosts", str(directory / "etc-hosts")))
    last_words = container.get("terminationMessagePath") or "/dev/termination-log"
    file = message_file(directory, container["name"], attempt)
    _make_file(file)
    result.append(Mount(last_words, str(file)))
    return result


def _make_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(0o666)   # the container may run as any user


def resources(container: Object) -> Resources:
    """Requests and limits as the kernel has them: shares, quota per 100 ms, bytes."""
    wanted = container.get("resources") or {}
    requests, limits = wanted.get("requests") or {}, wanted.get("limits") or {}
    cpu = requests.get("cpu", limits.get("cpu"))
    shares = max(2, quantity.cpu_millis(cpu) * 1024 // 1000) if cpu is not None else 0
    quota = max(1000, quantity.cpu_millis(limits["cpu"]) * 100) if "cpu" in limits else 0
    memory = quantity.memory_bytes(limits["memory"]) if "memory" in limits else 0
    return Resources(cpu_shares=shares, cpu_quota=quota, memory_limit_in_bytes=memory)
