"""One Pod on one Node: a loop that compares what should be with what is, and takes the next steps.

    wake ──▶ status ──▶ plan (lifecycle.py) ──▶ kill, start ──▶ status ──▶ wait for the next wake
      ▲                                                                          │
      └──── Pod edited · container ended · probe changed its mind · time is up ──┘

The end, from whichever side it comes (deleted, deadline, all containers done):

    stop containers ──▶ stop sandbox ──▶ status with the terminal phase ──▶ (deleted?) DELETE with grace 0

Source: pkg/kubelet/pod_workers.go, pkg/kubelet/kubelet.go (SyncPod, SyncTerminatingPod, SyncTerminatedPod).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ..objects.errors import StatusError
from ..runtime.cri import ContainerStatus, PodSandboxStatus, RuntimeError_
from . import lifecycle
from .containers import ContainerView, grace_period, is_deleting, is_newer, pod_key
from .context import NodeContext
from .crashloop import CrashLoop
from .killing import Killer
from .pod_sandbox import PodSandbox, SandboxRefused
from .pod_status import TERMINAL, Surroundings, pod_status
from .probes import LIVENESS, STARTUP
from .runs import Runs, lost
from .starter import Starter, resize_text
from .status_writer import write_status
from .termination import message_file, termination_message

log = logging.getLogger("kit.kubelet")
TRY_AGAIN = 2.0


class PodGone(Exception):
    """The API server no longer knows this Pod."""


class Interrupted(Exception):
    """The Pod is to end, whatever was being done for it."""


class PodWorker:
    """Owns everything of one Pod.  `update`, `gone` and `container_event` come from outside; the rest is `run`."""

    def __init__(self, node: NodeContext, pod: dict[str, Any]) -> None:
        self.node, self.pod = node, pod
        self.uid: str = pod["metadata"]["uid"]
        self.runs = Runs(self._last_words)
        self.sandbox = PodSandbox(node, pod)
        self._killer = Killer(node.runtime, node.handlers, node.clock, self._say)
        self._wake = asyncio.Event()
        self._starter = Starter(node, self.sandbox, self.runs, self._killer, self._say, self._probe_changed,
                                lambda: self._ending is not None or is_deleting(self.pod))
        self._ending: lifecycle.Finish | None = None
        self._resizing = self._killing = False
        self._ended = False        # nothing of the Pod runs any more
        self._deleted = False      # the object is gone from the API
        self._delete_sent = False
        self._cut = False          # a step was interrupted halfway: the runtime knows more than we do
        self._crash_loop = CrashLoop(self._say)
        self._step: asyncio.Task[float | None] | None = None
        if (pod.get("status") or {}).get("phase") in TERMINAL:
            self._ending = lifecycle.Finish()

    # -- from outside -----------------------------------------------------------------------------------------

    def adopt(self, sandbox: PodSandboxStatus | None, containers: list[ContainerStatus]) -> None:
        """What ran already when this kubelet started."""
        if sandbox is not None:
            self.sandbox.adopt(sandbox)
        for status in sorted(containers, key=lambda s: s.config.attempt):
            self.runs.note(status)
        self.runs.recall(self.pod)
        known = {e.get("containerID", "").partition("://")[2]: e
                 for e in (self.pod.get("status") or {}).get("containerStatuses") or ()}
        for view in self.runs.views(self.pod):
            if view.running and view.latest is not None:
                entry = known.get(view.latest.id, {})
                self.runs.given[view.latest.id] = entry.get("resources", view.spec.get("resources") or {})
                self._starter.watch_over(view, view.latest, bool(entry.get("started")), bool(entry.get("ready")))

    def update(self, pod: dict[str, Any]) -> None:
        """The Pod as the API shows it now."""
        if not is_newer(pod, self.pod):
            return
        shorter = bool(self.pod["metadata"].get("deletionTimestamp")) and grace_period(pod) < grace_period(self.pod)
        ends = is_deleting(pod) and not is_deleting(self.pod)
        if pod["metadata"].get("generation") != self.pod["metadata"].get("generation") or ends or \
                pod.get("status") != self.pod.get("status"):
            self._wake.set()
        meta, before = pod["metadata"], self.pod["metadata"]
        self.pod = pod
        if any(meta.get(shown) != before.get(shown) for shown in ("labels", "annotations")):
            self.refresh_volumes()   # a downward API volume shows them
        if ends or shorter:
            self._interrupt()

    def gone(self, last: dict[str, Any]) -> None:
        """The object is gone (`last`: how it was): nobody is to be told any more, only to be cleaned up after."""
        self.pod = last
        self._deleted = True
        self._interrupt()

    def container_event(self, status: ContainerStatus) -> None:
        if self.runs.note(status):
            self._wake.set()

    def _probe_changed(self) -> None:
        """A verdict is another now.  While containers are being stopped nobody else would tell."""
        self._wake.set()
        if self._killing and not self._deleted:
            try:
                self._report()
            except (PodGone, Interrupted, StatusError) as error:
                log.debug("pod %s: %s", pod_key(self.pod), error)

    def end(self, how: lifecycle.Finish) -> None:
        """The kubelet ends the Pod: it used too much, or the node shuts down."""
        if self._ending is None and not self._ended:
            self._ending = how
            self._interrupt()

    @property
    def ended(self) -> bool:
        """Nothing of it runs any more."""
        return self._ended

    def sandbox_lost(self) -> None:
        """The runtime has forgotten the sandbox: a new one is made if a container is to run."""
        self.sandbox.lost()
        self._wake.set()

    def configuration_changed(self) -> None:
        """A ConfigMap or Secret of the Pod's namespace changed: new files, and another try for what failed."""
        self.refresh_volumes()
        self._starter.configuration_changed()
        self.sandbox.retry_at = 0.0
        self._wake.set()

    def refresh_volumes(self) -> None:
        if not self._ended:
            self.sandbox.refresh_volumes(self.pod)

    # -- the loop ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the Pod is gone and nothing is left of it."""
        try:
            while True:
                self._wake.clear()
                self._step = asyncio.ensure_future(self._next())
                await asyncio.wait({self._step})
                due = self._outcome(self._step)
                if self._deleted and self._ended:
                    break
                if due is None or due > self.node.clock.now():
                    await self._sleep_until(due)
        finally:
            if self._step is not None:
                self._step.cancel()
            self.runs.stop_probes()
        await self._clean_up()

    def _outcome(self, step: asyncio.Task[float | None]) -> float | None:
        """When to look again; an error is logged and means soon."""
        now = self.node.clock.now()
        if step.cancelled():
            self._cut = True
            return now
        error = step.exception()
        if error is None:
            return step.result()
        if isinstance(error, PodGone):
            self._deleted = True
            return now
        if isinstance(error, Interrupted):
            return now
        expected = isinstance(error, (StatusError, RuntimeError_, OSError))
        log.log(logging.WARNING if expected else logging.ERROR, "pod %s: %s", pod_key(self.pod), error,
                exc_info=None if expected else error)
        return now + TRY_AGAIN

    async def _sleep_until(self, due: float | None) -> None:
        timeout = None if due is None else max(0.0, due - self.node.clock.now())
        try:
            await asyncio.wait_for(self._wake.wait(), timeout)
        except (asyncio.TimeoutError, TimeoutError):
            return

    def _interrupt(self) -> None:
        self._wake.set()
        if self._step is not None and not self._step.done():
            self._step.cancel()

    async def _next(self) -> float | None:
        if self._deleted or self._ending is not None or is_deleting(self.pod):
            return await self._terminate()
        return await self._sync()

    # -- a Pod that is meant to run ---------------------------------------------------------------------------

    async def _sync(self) -> float | None:
        node, now = self.node, self.node.clock.now()
        self.runs.release()
        plan = lifecycle.plan(self.pod, self.runs.views(self.pod), node.restarts, now)
        wakes = [plan.wake]
        for action in plan.actions:
            if isinstance(action, lifecycle.WaitForBackOff):
                wakes.append(self._back_off(action, now))
        resized = self._starter.resized(self.pod)
        self._resizing = bool(resized)
        self._report()
        finish = next((a for a in plan.actions if isinstance(a, lifecycle.Finish)), None)
        if finish is not None:
            self._ending = finish
            return now
        if resized:
            await self._resize(resized)
        starts, held = self._due(plan, now)
        kills = [a for a in plan.actions if isinstance(a, lifecycle.Kill)]
        if not starts and not kills:
            return _earliest(*wakes, *held)
        if starts:
            try:
                fresh = await self.sandbox.ensure(self.pod, self._say)
            except SandboxRefused as refused:
                return _earliest(*wakes, refused.retry_at)
            if fresh:
                self._report(address=False)
        views = {v.name: v for v in self.runs.views(self.pod)}
        for kill in kills:
            await self._kill(views[kill.name], kill)
        for start in starts:
            if is_deleting(self.pod):
                raise Interrupted
            if not await self._starter.start(self.pod, views[start.name], start.attempt):
                break
        self._report()
        self.runs.release()
        return now   # look at what has become of it

    async def _resize(self, views: list[ContainerView]) -> None:
        """In-place resize; the condition says so while it is being done."""
        text = resize_text(self.pod, views)
        self._say("Normal", "ResizeStarted", f"Pod resize started: {text}")
        await self._starter.resize(views)
        self._resizing = False
        self._report()
        self._say("Normal", "ResizeCompleted", f"Pod resize completed: {text}")

    def _due(self, plan: lifecycle.Plan, now: float) -> tuple[list[lifecycle.Start], list[float]]:
        """Starts that may be tried now, and when the others may."""
        starts: list[lifecycle.Start] = []
        held: list[float] = []
        if self.sandbox.retry_at > now:
            return [], [self.sandbox.retry_at]
        views = {v.name: v for v in self.runs.views(self.pod)}
        for action in plan.actions:
            if isinstance(action, lifecycle.Start):
                at = self._starter.due(views[action.name], now)
                if at is None:
                    starts.append(action)
                else:
                    held.append(at)
        return starts, held

    def _back_off(self, action: lifecycle.WaitForBackOff, now: float) -> float | None:
        view = next(v for v in self.runs.views(self.pod) if v.name == action.name)
        waiting, again = self._crash_loop.tell(self.pod, view, action.delay, action.until, now)
        if waiting is not None:
            self.runs.waiting[action.name] = waiting
        return again

    async def _kill(self, view: ContainerView, kill: lifecycle.Kill) -> None:
        grace = grace_period(self.pod)
        if kill.probe:
            probe = view.spec.get(f"{kill.probe}Probe") or {}
            grace = float(probe.get("terminationGracePeriodSeconds") or grace)
        await self._killer.kill(view, grace, kill.message)

    # -- a Pod that is to end ---------------------------------------------------------------------------------

    async def _terminate(self) -> float | None:
        if self._ended:
            self._finish_up()
            return None
        ending = self._ending
        self.runs.release()
        if self._cut:
            await self.sandbox.recover(self.runs)
            self._cut = False
        for view in self.runs.views(self.pod):
            runner = self.runs.probes.get(view.latest.id) if view.latest else None
            if runner is not None:
                runner.stop(STARTUP, LIVENESS)
        if ending is not None and ending.reason and ending.event and not is_deleting(self.pod) and not self._deleted:
            self._say(ending.event, ending.reason, ending.message)
        if not self._deleted:
            self._report()
        grace = 0.0 if self._deleted and not is_deleting(self.pod) else grace_period(self.pod)
        if ending is not None and ending.grace is not None:
            grace = min(grace, ending.grace)
        views = self.runs.views(self.pod)
        running = [v.latest for v in views if v.running and v.latest is not None]
        self._killing = True
        await self._killer.kill_all(views, grace)
        self._killing = False
        self.runs.stop_probes()
        for status in running:
            self.runs.note(await self._final(status))
        await self.sandbox.stop()
        if running and ending is not None and not ending.reason and not self._deleted and not is_deleting(self.pod):
            self._report()
        self._ended = True
        self._finish_up()
        return None

    async def _final(self, status: ContainerStatus) -> ContainerStatus:
        try:
            return await self.node.runtime.container_status(status.id)
        except RuntimeError_ as error:
            if error.reason != "NotFound":
                raise
            return lost(status, self.node.clock.now())

    def _finish_up(self) -> None:
        """The last words: a terminal status, and for a deleted Pod the DELETE that removes the object."""
        if self._deleted:
            return
        self._report()
        if is_deleting(self.pod) and not self._delete_sent:
            meta = self.pod["metadata"]
            try:
                self.node.client.delete("pods", meta["namespace"], meta["name"], uid=self.uid, grace=0)
            except StatusError as error:
                if error.code != 404:
                    raise
            self.node.client.writes.clear()
            self._delete_sent = True

    async def _clean_up(self) -> None:
        for status in self.runs.every():
            try:
                await self.node.runtime.remove_container(status.id)
            except RuntimeError_ as error:
                log.debug("removing %s: %s", status.id, error)
        await self.sandbox.remove()
        self.node.images.forget(self.uid)
        self.node.restarts.forget_prefix(f"{self.uid}/")

    # -- telling ----------------------------------------------------------------------------------------------

    def _report(self, address: bool = True) -> None:
        """Write the status if it differs.  address False: the sandbox is new, its address is told with the next."""
        ending = self._ending

        def compute(live: dict[str, Any]) -> dict[str, Any]:
            around = Surroundings(
                host_ip=self.node.host_ip, pod_ip=self.sandbox.ip if address else "",
                sandbox_ready=self.sandbox.ready, finished=self._ended,
                reason=ending.reason if ending else "", message=ending.message if ending else "",
                disrupted=ending is not None and ending.disrupted, resizing=self._resizing)
            return pod_status(live, self.runs.views(live), around, self.node.clock.now())

        self.node.client.cause = int(self.pod["metadata"].get("resourceVersion") or 0)
        was_deleting = is_deleting(self.pod)
        after = write_status(self.node.client, self.pod, compute)
        if after is None:
            raise PodGone
        self.pod = after
        if is_deleting(after) and not was_deleting:
            self._wake.set()
            raise Interrupted

    def _say(self, kind: str, reason: str, message: str, field_path: str = "") -> None:
        about = {"kind": "Pod", "apiVersion": "v1", "metadata": self.pod["metadata"]}
        try:
            self.node.events.emit(about, reason, message, kind, field_path=field_path)
        except StatusError as error:
            log.debug("event %s: %s", reason, error)   # an Event is a courtesy, the Pod's life does not hang on it
        self.node.client.writes.clear()

    def _last_words(self, status: ContainerStatus) -> str:
        spec = next((v.spec for v in self.runs.views(self.pod) if v.name == status.config.name), {})
        file = message_file(self.node.pod_directory(self.uid), status.config.name, status.config.attempt)
        return termination_message(spec, file, self.sandbox.log_path(status), status.exit_code)


def _earliest(*times: float | None) -> float | None:
    known = [t for t in times if t is not None]
    return min(known) if known else None
