"""One node that runs processes: its kubelet and its heartbeat, which can be switched off and on.

    switch_on ──▶ Node registered, Ready ──▶ kubelet takes in its Pods and what still runs of them
    shut_down ──▶ not Ready ──▶ Pods end in order (node/shutdown.py) ──▶ silence
    pull_the_plug ──▶ silence, and every process of the node's Pods is dead
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from kitlib.node.context import NodeContext
from kitlib.node.kubelet import Kubelet
from kitlib.node.node_object import NodeFacts
from kitlib.node.registration import Registration
from kitlib.node.shutdown import NODE_MESSAGE
from kitlib.node.sources import PodRouter
from kitlib.objects.errors import StatusError
from kitlib.runtime.cri import ContainerState, RuntimeError_

log = logging.getLogger("kit")


class Machine:
    """facts, context: what the node is.  changed: told of its kubelet, or that it has none any more."""

    def __init__(self, facts: NodeFacts, context: NodeContext, router: PodRouter,
                 changed: Callable[[str, Kubelet | None], None]) -> None:
        self._facts, self._context, self._router, self._changed = facts, context, router, changed
        self._kubelet: Kubelet | None = None
        self._registration: Registration | None = None
        self._heartbeat: asyncio.Task[None] | None = None

    async def switch_on(self) -> None:
        """Returns when the Node is registered, Ready, and its kubelet at work."""
        context, name = self._context, self._facts.name
        self._registration = Registration(context.client, self._facts, context.clock, context.runtime)
        await self._registration.register()
        self._kubelet = Kubelet(context)
        self._changed(name, self._kubelet)
        self._router.connect(name, self._kubelet.pod_event)
        await self._kubelet.start(self._router.pods_of(name))
        self._heartbeat = asyncio.ensure_future(self._registration.run())

    async def shut_down(self, seconds: float, critical: float) -> None:
        if self._registration is not None:
            with contextlib.suppress(StatusError):  # somebody has deleted the Node: there is nobody to tell
                self._registration.say_not_ready(NODE_MESSAGE)
        if self._kubelet is not None:
            await self._kubelet.shut_down(seconds, critical)
        await self.stop()

    async def pull_the_plug(self) -> None:
        ours = set(self._kubelet.workers) if self._kubelet else set()
        await self.stop()
        runtime = self._context.runtime
        sandboxes = {s.id for s in await runtime.list_pod_sandbox() if s.config.uid in ours}
        for status in await runtime.list_containers():
            if status.sandbox_id in sandboxes and status.state is ContainerState.RUNNING:
                try:
                    await runtime.stop_container(status.id, 0.0)
                except RuntimeError_ as error:  # it has ended by itself meanwhile
                    log.debug("pulling the plug of %s: %s", self._facts.name, error)

    async def stop(self) -> None:
        """The kubelet ends; what becomes of the containers is the runtime's affair."""
        name = self._facts.name
        self._router.disconnect(name)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
        if self._kubelet is not None:
            await self._kubelet.stop()
            self._changed(name, None)
        self._kubelet = self._registration = self._heartbeat = None
