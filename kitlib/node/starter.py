"""Starting the containers of one Pod, one at a time, and watching over them once they run.

    start (starting.py) ──▶ postStart ──▶ probes
          │                    │
          └─ refused ──────────┴──▶ `waiting` says why; `retry` says when another try makes sense
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..runtime.cri import ContainerStatus, RuntimeError_
from . import lifecycle
from .containers import EPHEMERAL, MAIN, ContainerView, Waiting, grace_period
from .context import NodeContext
from .killing import Killer, Say
from .pod_sandbox import PodSandbox
from .probes import ProbeRunner, ProbeSpec
from .runs import Runs
from .starting import StartRefused, resources, start_container

log = logging.getLogger("kit.kubelet")
Pod = Mapping[str, Any]
HOOK_TIMEOUT = 3600.0


class Starter:
    """quiet: True once the Pod is to end, when failing probes are no news."""

    def __init__(self, node: NodeContext, sandbox: PodSandbox, runs: Runs, killer: Killer, say: Say,
                 changed: Callable[[], None], quiet: Callable[[], bool]) -> None:
        self._node, self._sandbox, self._runs, self._killer = node, sandbox, runs, killer
        self._say, self._changed, self._quiet = say, changed, quiet
        self._retry: dict[str, tuple[str, float]] = {}   # container → (image, when to try again)

    def due(self, view: ContainerView, now: float) -> float | None:
        """None: try now.  Else when.  Another image may be tried at once."""
        image, at = self._retry.get(view.name, ("", 0.0))
        return at if image == view.spec.get("image", "") and at > now else None

    def configuration_changed(self) -> None:
        """What was refused for want of a ConfigMap or Secret may be tried again."""
        for name, (image, _) in list(self._retry.items()):
            waiting = self._runs.waiting.get(name)
            if waiting is not None and waiting.reason == "CreateContainerConfigError":
                self._retry[name] = (image, 0.0)

    async def start(self, pod: Pod, view: ContainerView, attempt: int) -> bool:
        """True if the container after this one may be started too."""
        name = view.name
        self._runs.hold(name)
        died = self._runs.died(name)
        if died is not None:
            self._node.restarts.next(lifecycle.backoff_key(pod, view.spec), died, self._node.clock.now())
        try:
            target = self._runs.latest(view.spec.get("targetContainerName", ""))
            status = await start_container(
                self._node, pod, view.spec, attempt, self._sandbox.id, self._sandbox.ip, self._sandbox.volumes,
                lambda kind, reason, message: self._say(kind, reason, message, view.field_path), self._runs.note,
                target.id if target else "")
            self._retry.pop(name, None)
            await self._after_start(pod, view, status)
        except StartRefused as refused:
            self._runs.release()
            self._runs.waiting[name] = Waiting(refused.reason, refused.message)
            if refused.retry_at is not None:
                self._retry[name] = (view.spec.get("image", ""), refused.retry_at)
            return view.role in (MAIN, EPHEMERAL)
        await self._forget_old_runs(name)
        return True

    async def _after_start(self, pod: Pod, view: ContainerView, status: ContainerStatus) -> None:
        """postStart, then the probes.  Until postStart has finished nobody is told that the container runs."""
        hook = (view.spec.get("lifecycle") or {}).get("postStart")
        if hook:
            done, output = await self._node.handlers.run(hook, view.spec, status.id, self._sandbox.id, HOOK_TIMEOUT)
            if not done:
                self._say("Warning", "FailedPostStartHook", f"PostStartHook failed: {output}", view.field_path)
                self._runs.note_running(status)
                current = next(v for v in self._runs.views(pod) if v.name == view.name)
                await self._killer.kill(current, grace_period(pod), "FailedPostStartHook")
                raise StartRefused("PostStartHookError", f"PostStartHook failed: {output}")
        self._runs.waiting.pop(view.name, None)
        self._runs.note_running(status)
        self._runs.given[status.id] = view.spec.get("resources") or {}
        self.watch_over(view, status)

    def watch_over(self, view: ContainerView, status: ContainerStatus, was_started: bool = False,
                   was_ready: bool = False) -> None:
        """Begin the probes of a running container; was_*: what was known of it before a restart of the kubelet."""

        async def ask(probe: ProbeSpec) -> tuple[bool, str]:
            return await self._node.handlers.run(probe.handler, view.spec, status.id, self._sandbox.id, probe.timeout)

        def complain(kind: str, message: str) -> None:
            latest = self._runs.latest(view.name)
            if latest is not None and latest.id == status.id and not self._quiet():
                self._say("Warning", "Unhealthy", message, view.field_path)

        self._runs.probes[status.id] = ProbeRunner(
            view.spec, status.started_at, self._node.clock, ask, complain, self._changed,
            was_started=was_started, was_ready=was_ready)

    def resized(self, pod: Pod) -> list[ContainerView]:
        """Running containers whose spec now says something else than they were given."""
        return [v for v in self._runs.views(pod) if v.running and v.resources is not None
                and v.resources != (v.spec.get("resources") or {})]

    async def resize(self, views: list[ContainerView]) -> None:
        """Give running containers what their spec says now; nobody is restarted."""
        for view in views:
            if view.latest is not None:
                await self._node.runtime.update_container_resources(view.latest.id, resources(view.spec))
                self._runs.given[view.latest.id] = view.spec.get("resources") or {}

    async def _forget_old_runs(self, name: str) -> None:
        """Keep the current run and the one before, as the kubelet's container GC does."""
        for old in self._runs.superseded(name):
            self._runs.probes.pop(old.id, None)
            self._runs.given.pop(old.id, None)
            try:
                await self._node.runtime.remove_container(old.id)
            except RuntimeError_ as error:
                log.debug("removing %s: %s", old.id, error)


def resize_text(pod: Pod, views: list[ContainerView]) -> str:
    """What the resize events say: which containers have which resources now, as JSON."""
    containers = [{"name": v.name, "resources": v.spec.get("resources") or {}} for v in views]
    return json.dumps({"containers": containers, "generation": pod["metadata"].get("generation", 0)},
                      separators=(",", ":"))
