"""The place of one Pod on this machine: its sandbox, its address, its directory, its volumes.

Made before the first container, kept until the object is gone.  Nothing is made before the Pod's revision is durable:
a process whose Pod a crash has undone would be nobody's.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..runtime.cri import ContainerStatus, PodSandboxStatus, RuntimeError_
from .context import NodeContext
from .eviction import Usage, empty_dirs, measure
from .runs import Runs
from .sandbox import hosts_file, log_directory, sandbox_config
from .volumes import Prepared, VolumeError, VolumeManager

Say = Callable[[str, str, str], None]
RETRY = 2.0


class SandboxRefused(Exception):
    """No sandbox now; it has been said why."""

    def __init__(self, retry_at: float) -> None:
        super().__init__("the sandbox is not ready")
        self.retry_at = retry_at


class PodSandbox:
    """Idempotent: `ensure` may be called before every start."""

    def __init__(self, node: NodeContext, pod: Mapping[str, Any]) -> None:
        self._node = node
        self._uid: str = pod["metadata"]["uid"]
        self._host_network = bool(pod["spec"].get("hostNetwork"))
        self._attempt = 0
        self.logs: Path = log_directory(node.logs, pod)
        self.id, self.ip, self.ready = "", "", False
        self.in_doubt = False   # a RunPodSandbox is on its way, or was cut off
        self.retry_at = 0.0
        self.volumes: dict[str, Prepared] = {}
        self._manager = VolumeManager(node.pod_directory(self._uid), node.source, node.memory_volumes)

    def adopt(self, status: PodSandboxStatus) -> None:
        """A sandbox that was there before this kubelet."""
        self.id, self.ready, self.ip = status.id, status.ready, status.ip or status.config.ip
        self._attempt = status.config.attempt + 1
        if self.ip and not self._host_network:
            self._node.pool.reserve(self.ip, self._uid)

    async def ensure(self, pod: Mapping[str, Any], say: Say) -> bool:
        """Volumes mounted, sandbox running.  True if it was made just now."""
        if self.ready and self.volumes.keys() >= {v["name"] for v in pod["spec"].get("volumes") or ()}:
            return False
        node = self._node
        await node.durable(int(pod["metadata"].get("resourceVersion") or 0))
        if not self.ip:
            self.ip = node.host_ip if self._host_network else node.pool.allocate(self._uid)
        self._mount(pod, say)
        if self.ready:
            return False
        if not self._host_network:
            await node.admit(pod, self.ip, node.host_ip)
        config = sandbox_config(pod, node.name, self.ip, node.logs, node.dns, self._attempt)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.in_doubt = True
        try:
            self.id = await node.runtime.run_pod_sandbox(config)
        except RuntimeError_ as error:
            say("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error.message}")
            self.retry_at = node.clock.now() + RETRY
            raise SandboxRefused(self.retry_at) from error
        self._attempt += 1
        self.ready, self.in_doubt = True, False
        return True

    def _mount(self, pod: Mapping[str, Any], say: Say) -> None:
        directory = self._node.pod_directory(self._uid)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "etc-hosts").write_text(hosts_file(pod, self.ip, self._node.dns))
        try:
            self.volumes = self._manager.prepare(pod, self._node.facts(self.ip))
        except VolumeError as error:
            say("Warning", "FailedMount", str(error))
            self.retry_at = self._node.clock.now() + RETRY
            raise SandboxRefused(self.retry_at) from error
        self.retry_at = 0.0

    def refresh_volumes(self, pod: Mapping[str, Any]) -> None:
        """Files follow their objects.  The volumes of a Pod that was taken over are known again from here on."""
        facts = self._node.facts(self.ip)
        if self.volumes:
            self._manager.refresh(pod, facts)
        elif self.ready:
            with contextlib.suppress(VolumeError):  # the Pod runs; what it has it keeps
                self.volumes = self._manager.prepare(pod, facts)

    async def usage(self, pod: Mapping[str, Any]) -> Usage:
        """What its emptyDirs and its logs take of the disk now."""
        places = {name: self.volumes[name].path for name in empty_dirs(pod) if name in self.volumes}
        return await asyncio.get_running_loop().run_in_executor(None, measure, places, self.logs)

    async def recover(self, runs: Runs) -> None:
        """After an interrupted start: ask the runtime what it has of this Pod."""
        if self.in_doubt:
            for sandbox in await self._node.runtime.list_pod_sandbox():
                if sandbox.config.uid == self._uid and sandbox.ready:
                    self.id, self.ready = sandbox.id, True
            self.in_doubt = False
        for status in await self._node.runtime.list_containers():
            if status.sandbox_id == self.id:
                runs.note(status)

    async def stop(self) -> None:
        """Everything in it ends; the address is free again."""
        if self.id and self.ready:
            try:
                await self._node.runtime.stop_pod_sandbox(self.id)
            except RuntimeError_ as error:
                if error.reason != "NotFound":
                    raise
        self.ready = False
        self._node.pool.release(self._uid)

    def lost(self) -> None:
        """The runtime knows nothing of it any more; its address stays the Pod's."""
        self.id, self.ready = "", False

    async def remove(self) -> None:
        """Nothing is left: sandbox, logs, volumes."""
        if self.id:
            try:
                await self._node.runtime.remove_pod_sandbox(self.id)
            except RuntimeError_ as error:
                if error.reason != "NotFound":
                    raise
        self._node.memory_volumes.remove(self._uid)
        directory = self._node.pod_directory(self._uid)
        if directory.exists() or self.logs.exists():
            await asyncio.get_running_loop().run_in_executor(None, _remove_trees, directory, self.logs)

    def log_path(self, status: ContainerStatus) -> Path:
        return self.logs / (status.config.log_path or f"{status.config.name}/{status.config.attempt}.log")


def _remove_trees(*directories: Path) -> None:
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
