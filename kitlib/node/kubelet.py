"""The kubelet of one Node: a worker per Pod, and what they have in common.

    Pods of this Node (informer) ──▶ Kubelet.pod_event ──▶ PodWorker.update ─┐
    container events (runtime)   ──▶ by the Pod's uid  ──▶ .container_event ─┴─▶ PodWorker.run

All kubelets of a cluster live in one event loop.  After a restart of the process the containers still run: `start`
finds them by their labels, gives them back to their Pods, and ends those whose Pod is gone.

Source: pkg/kubelet/kubelet.go (syncLoop, HandlePodCleanups).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterable
from typing import Any

from ..runtime.cri import ContainerStatus, PodSandboxStatus, RuntimeError_
from . import eviction, shutdown
from .containers import LABEL_NODE, LABEL_POD_UID
from .context import NodeContext
from .lifecycle import Finish
from .pod_status import TERMINAL
from .runs import lost
from .worker import PodWorker

log = logging.getLogger("kit.kubelet")
Object = dict[str, Any]
RELIST = 5.0
REFRESH = 60.0   # tokens grow old without anybody changing anything


class Kubelet:
    """Feed it with `pod_event`; it does the rest.  `start` before the first event, `stop` leaves containers running."""

    def __init__(self, node: NodeContext) -> None:
        self.node = node
        self.workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._found: dict[str, tuple[PodSandboxStatus | None, list[ContainerStatus]]] = {}
        self._cleaning: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self.stopped = False
        self.shutting_down = False
        node.runtime.on_container_event(self.container_event)

    async def start(self, pods: Iterable[Object] = ()) -> None:
        """Look for containers of an earlier life, take in the Pods that are there, end what belongs to none."""
        self._found = await self._inventory()
        for pod in pods:
            self.pod_event("ADDED", None, pod)
        orphans = self._found
        self._found = {}
        for uid, (sandbox, containers) in orphans.items():
            log.info("pod %s is gone: ending what is left of it", uid)
            self._later(self._end_orphan(uid, sandbox, containers))
        self.node.memory_volumes.sweep(set(self.workers))
        self._sweep(set(orphans))
        self._loops = [asyncio.ensure_future(loop) for loop in
                       (self._keep_relisting(), self._keep_refreshing(), self._keep_measuring())]

    async def stop(self) -> None:
        """The kubelet ends; its Pods do not."""
        self.stopped = True
        tasks = [*self._tasks.values(), *self._cleaning, *self._loops]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def pod_event(self, kind: str, old: Object | None, new: Object | None) -> None:
        """An informer's handler, for the Pods of this Node."""
        pod = new or old
        if pod is None:
            return
        uid = pod["metadata"]["uid"]
        worker = self.workers.get(uid)
        if kind == "DELETED":
            if worker is not None:
                worker.gone(pod)
        elif worker is not None:
            worker.update(pod)
        else:
            self._begin(uid, pod)

    def container_event(self, status: ContainerStatus) -> None:
        if self.stopped:
            return
        worker = self.workers.get(status.config.labels.get(LABEL_POD_UID, ""))
        if worker is not None:
            worker.container_event(status)

    def configuration_changed(self, namespace: str) -> None:
        """Some ConfigMap or Secret of the namespace is another now."""
        for worker in self.workers.values():
            if worker.pod["metadata"].get("namespace") == namespace:
                worker.configuration_changed()

    def _begin(self, uid: str, pod: Object) -> None:
        status = pod.get("status") or {}
        if status.get("podIP") and status.get("phase") not in TERMINAL and not pod["spec"].get("hostNetwork"):
            self.node.pool.reserve(status["podIP"], uid)   # a Pod whose sandbox is lost gets its old address again
        worker = PodWorker(self.node, pod)
        worker.adopt(*self._found.pop(uid, (None, [])))
        if self.shutting_down:
            worker.end(shutdown.REJECTED)
        self.workers[uid] = worker
        task = asyncio.ensure_future(worker.run())
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._over(uid, done))

    def _over(self, uid: str, task: asyncio.Task[None]) -> None:
        self.workers.pop(uid, None)
        self._tasks.pop(uid, None)
        self.node.pool.release(uid)
        if not task.cancelled() and task.exception() is not None:
            log.error("the worker of pod %s has failed", uid, exc_info=task.exception())

    async def _keep_relisting(self) -> None:
        """The pod lifecycle event generator: events can be lost, and with a dying runtime all containers are."""
        while True:
            await asyncio.sleep(RELIST)
            try:
                await self.relist()
            except RuntimeError_ as error:
                log.warning("node %s: %s", self.node.name, error)

    async def _keep_refreshing(self) -> None:
        """Now, for the Pods that were taken over, and then from time to time."""
        while True:
            for worker in self.workers.values():
                worker.refresh_volumes()
            await asyncio.sleep(REFRESH)

    async def _keep_measuring(self) -> None:
        """Local storage: a Pod over its limit is evicted."""
        while True:
            await asyncio.sleep(eviction.PERIOD)
            for worker in [w for w in self.workers.values() if not w.ended and eviction.is_limited(w.pod)]:
                message = eviction.too_much(worker.pod, await worker.sandbox.usage(worker.pod))
                if message:
                    worker.end(Finish("Evicted", message, event="Warning", disrupted=True, grace=eviction.GRACE))

    async def shut_down(self, seconds: float = shutdown.SECONDS, critical: float = shutdown.CRITICAL) -> None:
        """A graceful shutdown of the node: new Pods are refused, ordinary ones ended, then the critical ones.

        seconds: for all of it; critical: how much of that is kept for the critical Pods.
        """
        self.shutting_down = True
        for batch, grace in shutdown.order([w.pod for w in self.workers.values()], seconds, critical):
            ending = [self.workers[uid] for uid in batch if uid in self.workers]
            for worker in ending:
                worker.end(shutdown.terminated(grace))
            limit = self.node.clock.now() + grace + shutdown.SLACK
            while any(not w.ended for w in ending) and self.node.clock.now() < limit:
                await asyncio.sleep(0.05)

    async def relist(self) -> None:
        """Compare what the workers believe with what the runtime has."""
        believed = {uid: worker.runs.running() for uid, worker in self.workers.items() if worker.sandbox.ready}
        if not believed:
            return
        containers = {status.id: status for status in await self.node.runtime.list_containers()}
        sandboxes = {status.id for status in await self.node.runtime.list_pod_sandbox() if status.ready}
        for uid, running in believed.items():
            worker = self.workers.get(uid)
            if worker is None:
                continue
            for status in running:
                worker.container_event(containers.get(status.id) or lost(status, self.node.clock.now()))
            if worker.sandbox.ready and worker.sandbox.id not in sandboxes:
                worker.sandbox_lost()

    async def _inventory(self) -> dict[str, tuple[PodSandboxStatus | None, list[ContainerStatus]]]:
        """uid → what the runtime has of that Pod, of those that this Node started."""
        result: dict[str, tuple[PodSandboxStatus | None, list[ContainerStatus]]] = {}
        for sandbox in await self.node.runtime.list_pod_sandbox():
            if sandbox.config.labels.get(LABEL_NODE) == self.node.name:
                known = result.get(sandbox.config.uid)
                if known is None or known[0] is None or sandbox.config.attempt > known[0].config.attempt:
                    result[sandbox.config.uid] = (sandbox, [])
        for container in await self.node.runtime.list_containers():
            labels = container.config.labels
            if labels.get(LABEL_NODE) == self.node.name and labels.get(LABEL_POD_UID) in result:
                result[labels[LABEL_POD_UID]][1].append(container)
        return result

    async def _end_orphan(self, uid: str, sandbox: PodSandboxStatus | None, containers: list[ContainerStatus]) -> None:
        try:
            for container in containers:
                await self.node.runtime.stop_container(container.id, 2.0)
                await self.node.runtime.remove_container(container.id)
            if sandbox is not None:
                await self.node.runtime.stop_pod_sandbox(sandbox.id)
                await self.node.runtime.remove_pod_sandbox(sandbox.id)
        except RuntimeError_ as error:
            log.warning("orphaned pod %s: %s", uid, error)
        self._sweep(set())

    def _sweep(self, busy: set[str]) -> None:
        """Directories and logs of Pods that were deleted while nobody was here to clean up."""
        keep = busy | set(self.workers)
        for root in (self.node.directory / "pods", self.node.logs):
            for entry in root.iterdir() if root.is_dir() else ():
                if entry.name.rpartition("_")[2] not in keep:
                    shutil.rmtree(entry, ignore_errors=True)

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)
