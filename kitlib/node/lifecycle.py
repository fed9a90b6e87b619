"""What should happen next to a Pod?  A pure function: the Pod and its containers in, actions out.

The kubelet calls it after every change (a container died, a probe changed its mind, the Pod was edited) and does
what it says.  Nothing here waits or starts anything, so a ten-minute crash loop is a table of inputs and outputs.

    init ──▶ init ──▶ sidecar ─┬─▶ main  main  main        one init at a time, each must exit 0;
                (stays up) ────┴──────────────────▶        a sidecar must have *started*; then all main ones

An ephemeral container (`kubectl debug`) waits for nobody, is started once, and decides nothing about the Pod.

Source: pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions, computeInitContainerActions),
pkg/kubelet/container/helpers.go (ShouldContainerBeRestarted).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..objects.clock import parse_time
from ..runtime.cri import ContainerState
from .backoff import Backoff
from .containers import ANNOTATION_HASH, EPHEMERAL, INIT, MAIN, SIDECAR, ContainerView, spec_hash


@dataclass(frozen=True, slots=True)
class Start:
    """Pull if needed, create and start this attempt of a container."""

    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop a container that has to be replaced; message is what the Killing event says."""

    name: str
    message: str
    probe: str = ""  # liveness or startup: the probe may bring a grace period of its own


@dataclass(frozen=True, slots=True)
class WaitForBackOff:
    """Do not restart yet: CrashLoopBackOff until that time."""

    name: str
    until: float
    delay: float


@dataclass(frozen=True, slots=True)
class Finish:
    """The Pod has run its course: stop what still runs (sidecars), then the phase becomes terminal.

    With a reason it is the kubelet that ends it, and the Pod has failed.  event: the type of the Event that says so,
    or "" for none.  disrupted: it was not the Pod's fault (condition DisruptionTarget).  grace: seconds, at most.
    """

    reason: str = ""
    message: str = ""
    event: str = "Normal"
    disrupted: bool = False
    grace: float | None = None


Action = Start | Kill | WaitForBackOff | Finish


@dataclass(frozen=True, slots=True)
class Plan:
    """wake: when to ask again even if nothing happens (None: not needed)."""

    actions: tuple[Action, ...] = ()
    wake: float | None = None


DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def should_restart(pod: Mapping[str, Any], view: ContainerView) -> bool:
    """Does the restart policy want another run of a container that has exited?"""
    if view.role == SIDECAR:
        return True
    code = view.latest.exit_code if view.latest else 0
    for rule in view.spec.get("restartPolicyRules") or ():
        on_exit = rule.get("exitCodes") or {}
        listed = code in (on_exit.get("values") or ())
        if rule.get("action") == "Restart" and listed == (on_exit.get("operator") == "In"):
            return True
    policy = view.spec.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")
    if view.role == INIT and policy == "Always":
        policy = "OnFailure"  # an init container that succeeded is done, whatever the Pod's policy
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def deadline(pod: Mapping[str, Any]) -> float | None:
    """When activeDeadlineSeconds runs out, or None."""
    seconds, started = pod["spec"].get("activeDeadlineSeconds"), pod.get("status", {}).get("startTime")
    return parse_time(started) + seconds if seconds is not None and started else None


def plan(pod: Mapping[str, Any], views: Sequence[ContainerView], backoff: Backoff, now: float) -> Plan:
    """The next steps for a Pod that is meant to run.  (Deletion is the worker's: it stops everything.)"""
    limit = deadline(pod)
    if limit is not None and now >= limit:
        return Plan((Finish("DeadlineExceeded", DEADLINE_MESSAGE),))
    planner = _Planner(pod, views, backoff, now)
    result = planner.run()
    if limit is not None and not any(isinstance(a, Finish) for a in result.actions):
        return Plan(result.actions, limit if result.wake is None else min(limit, result.wake))
    return result


class _Planner:
    """Collects the actions of one pass over the containers."""

    def __init__(self, pod: Mapping[str, Any], views: Sequence[ContainerView], backoff: Backoff, now: float) -> None:
        self.pod, self.views, self.backoff, self.now = pod, views, backoff, now
        self.actions: list[Action] = []
        self.wake: float | None = None

    def run(self) -> Plan:
        mains = [v for v in self.views if v.role == MAIN]
        if mains and all(v.exited and not should_restart(self.pod, v) for v in mains):
            return Plan((Finish(),))
        for view in self.views:
            if view.role == EPHEMERAL and (view.latest is None or view.latest.state is ContainerState.CREATED):
                self._start(view, 0)
        begun = any(v.latest is not None for v in mains)
        if not self._init(begun):
            return self._result()
        for view in mains:
            self._container(view)
        return self._result()

    def _result(self) -> Plan:
        return Plan(tuple(self.actions), self.wake)

    def _init(self, begun: bool) -> bool:
        """Bring up init containers and sidecars.  True once the main containers may start."""
        for view in self.views:
            if view.role == SIDECAR:
                self._container(view)
                if not begun and not (view.running and view.started):
                    return False
            elif view.role == INIT and not begun:
                if view.succeeded:
                    continue
                if view.exited and not should_restart(self.pod, view):
                    self.actions.append(Finish())
                    return False
                self._container(view)
                return False
        return True

    def _container(self, view: ContainerView) -> None:
        latest = view.latest
        if latest is None:
            self._start(view, 0)
        elif view.running:
            self._running(view)
        elif latest.state is ContainerState.CREATED:
            self._start(view, latest.config.attempt)
        elif should_restart(self.pod, view):
            self._restart(view)

    def _running(self, view: ContainerView) -> None:
        latest = view.latest
        if latest is None:
            return
        known = latest.config.annotations.get(ANNOTATION_HASH)
        if known and known != spec_hash(view.spec):
            self.actions.append(Kill(view.name, f"Container {view.name} definition changed, will be restarted"))
        elif view.unhealthy:
            again = should_restart_after_probe(self.pod, view)
            tail = ", will be restarted" if again else ""
            self.actions.append(Kill(view.name, f"Container {view.name} failed {view.unhealthy} probe{tail}",
                                     view.unhealthy))
            if not again:
                return
        else:
            return
        died = view.previous.finished_at if view.previous else None
        if died is not None and (left := self._left(view, died)) > 0:
            self._wait(view, left)
        else:
            self._start(view, latest.config.attempt + 1)

    def _restart(self, view: ContainerView) -> None:
        latest = view.latest
        if latest is None:
            return
        left = self._left(view, latest.finished_at)
        if left > 0:
            self._wait(view, left)
        else:
            self._start(view, latest.config.attempt + 1)

    def _left(self, view: ContainerView, died: float) -> float:
        return self.backoff.remaining(backoff_key(self.pod, view.spec), died, self.now)

    def _wait(self, view: ContainerView, left: float) -> None:
        until = self.now + left
        self.actions.append(WaitForBackOff(view.name, until, self.backoff.delay(backoff_key(self.pod, view.spec))))
        self.wake = until if self.wake is None else min(self.wake, until)

    def _start(self, view: ContainerView, attempt: int) -> None:
        self.actions.append(Start(view.name, attempt))


def should_restart_after_probe(pod: Mapping[str, Any], view: ContainerView) -> bool:
    """A container killed by a probe failed: only restartPolicy Never leaves it dead."""
    if view.role == SIDECAR:
        return True
    return (view.spec.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")) != "Never"


def backoff_key(pod: Mapping[str, Any], container: Mapping[str, Any]) -> str:
    """Another image is another chance, so it is part of the key."""
    return f"{pod['metadata'].get('uid', '')}/{container['name']}/{container.get('image', '')}"
