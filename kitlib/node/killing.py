"""Stopping containers in the order that Kubernetes promises.

    Killing event ─▶ preStop hook ─▶ TERM ─▶ … grace period … ─▶ KILL
                     └────────── all of it within the grace period ──────────┘

All main containers at once; sidecars after them, the last started first.
Source: pkg/kubelet/kuberuntime/kuberuntime_container.go (killContainer), kuberuntime_termination_order.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ..objects.clock import Clock
from ..runtime.cri import RuntimeError_, RuntimeService
from .containers import EPHEMERAL, MAIN, ContainerView
from .handlers import Handlers

MINIMUM_GRACE = 2.0      # what is left for TERM when preStop has eaten the grace period
MINIMUM_OF_POD = 1.0     # the same when the whole Pod ends, and what a forced deletion gives
Say = Callable[[str, str, str, str], None]  # type, reason, message, field path


class Killer:
    """Stops containers of one Pod.  Hooks run once per container, however often the stopping is begun anew."""

    def __init__(self, runtime: RuntimeService, handlers: Handlers, clock: Clock, say: Say) -> None:
        self._runtime, self._handlers, self._clock, self._say = runtime, handlers, clock, say
        self._announced: set[str] = set()
        self._hooked: set[str] = set()

    async def kill(self, view: ContainerView, grace: float, message: str = "", before: float = 0.0,
                   minimum: float = MINIMUM_GRACE) -> None:
        """Stop one container; `before` seconds of the grace period have been used up already."""
        status = view.latest
        if status is None or not view.running:
            return
        self.announce(view, message)
        began = self._clock.now()
        hook = (view.spec.get("lifecycle") or {}).get("preStop")
        if hook and status.id not in self._hooked and grace - before > 0:
            self._hooked.add(status.id)
            done, output = await self._handlers.run(hook, view.spec, status.id, status.sandbox_id, grace - before)
            if not done:
                self._say("Warning", "FailedPreStopHook", f"PreStopHook failed: {output}", view.field_path)
        left = max(minimum, grace - before - (self._clock.now() - began))
        await self._stop(status.id, left)

    async def kill_all(self, views: Sequence[ContainerView], grace: float) -> None:
        """Stop a whole Pod: main containers together, then the sidecars in reverse order."""
        began = self._clock.now()
        together = (MAIN, EPHEMERAL)
        for view in views:
            if view.running:
                self.announce(view)
        await asyncio.gather(*(self.kill(v, grace, minimum=MINIMUM_OF_POD) for v in views if v.role in together))
        for view in reversed([v for v in views if v.role not in together]):
            await self.kill(view, grace, before=self._clock.now() - began, minimum=MINIMUM_OF_POD)

    def announce(self, view: ContainerView, message: str = "") -> None:
        if view.latest is not None and view.latest.id not in self._announced:
            self._announced.add(view.latest.id)
            self._say("Normal", "Killing", message or f"Stopping container {view.name}", view.field_path)

    async def _stop(self, container_id: str, grace: float) -> None:
        try:
            await self._runtime.stop_container(container_id, grace)
        except RuntimeError_ as error:
            if error.reason != "NotFound":
                raise
