"""The runs of a Pod's containers: what the runtime has told about each attempt, and who watches over the current one.

Events of the runtime may come late or twice; an exited container never runs again, so the last word wins:
CREATED < RUNNING < EXITED.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..objects.clock import parse_time
from ..runtime.cri import ContainerConfig, ContainerState, ContainerStatus
from .container_status import LOST, LOST_MESSAGE
from .containers import LABEL_CONTAINER_NAME, ContainerView, Waiting, specs
from .probes import ProbeRunner

_ORDER = {ContainerState.UNKNOWN: 0, ContainerState.CREATED: 1, ContainerState.RUNNING: 2, ContainerState.EXITED: 3}
LastWords = Callable[[ContainerStatus], str]


class Runs:
    """Per container: all known attempts, the last refusal, the probes."""

    def __init__(self, last_words: LastWords) -> None:
        self._attempts: dict[str, dict[int, ContainerStatus]] = {}
        self._last_words = last_words
        self._starting = ""                             # the container whose end is not taken in yet
        self._held: list[ContainerStatus] = []
        self.waiting: dict[str, Waiting] = {}
        self.probes: dict[str, ProbeRunner] = {}   # container id → its probes
        self.given: dict[str, Mapping[str, Any]] = {}   # container id → the resources it was given last

    def hold(self, name: str) -> None:
        """A container is being started: however soon it ends, it shall first be seen running."""
        self.release()
        self._starting = name

    def release(self) -> bool:
        """Take in the end that was held back.  True if there was one."""
        held, self._starting, self._held = self._held, "", []
        news = [self.note(status) for status in held]
        return any(news)

    def note_running(self, status: ContainerStatus) -> None:
        """The start has succeeded; `status` may already tell of its end."""
        if status.state is ContainerState.EXITED:
            self.note(status)
        self.note(replace(status, state=ContainerState.RUNNING, finished_at=0.0, exit_code=0, reason="", message=""))

    def note(self, status: ContainerStatus) -> bool:
        """Take in a state.  True if it is news."""
        name = status.config.name
        if name == self._starting and status.state is ContainerState.EXITED:
            self._held.append(status)
            return False
        attempts = self._attempts.setdefault(name, {})
        known = attempts.get(status.config.attempt)
        if known is not None and known.id == status.id and _ORDER[known.state] >= _ORDER[status.state]:
            return False
        if status.state is ContainerState.EXITED:
            if not status.message:
                status = replace(status, message=self._last_words(status))
            self.stop_probes(status.id)
        attempts[status.config.attempt] = status
        return True

    def latest(self, name: str) -> ContainerStatus | None:
        attempts = self._attempts.get(name)
        return attempts[max(attempts)] if attempts else None

    def previous(self, name: str) -> ContainerStatus | None:
        attempts = self._attempts.get(name)
        if not attempts or len(attempts) < 2:
            return None
        return attempts[sorted(attempts)[-2]]

    def died(self, name: str) -> float | None:
        """When the last run that has ended ended; None if none has."""
        ended = [s.finished_at for s in self._attempts.get(name, {}).values() if s.state is ContainerState.EXITED]
        return max(ended) if ended else None

    def superseded(self, name: str) -> list[ContainerStatus]:
        """Runs older than the previous one: nobody can ask for their logs any more.  They are forgotten here."""
        attempts = self._attempts.get(name, {})
        return [attempts.pop(number) for number in sorted(attempts)[:-2]]

    def by_id(self, container_id: str) -> ContainerStatus | None:
        return next((s for runs in self._attempts.values() for s in runs.values() if s.id == container_id), None)

    def every(self) -> list[ContainerStatus]:
        return [s for runs in self._attempts.values() for s in runs.values()]

    def running(self) -> list[ContainerStatus]:
        return [s for s in self.every() if s.state is ContainerState.RUNNING]

    def views(self, pod: Mapping[str, Any]) -> list[ContainerView]:
        """The Pod's containers as they are now, in the order of its spec."""
        return [self._view(role, spec) for role, spec in specs(pod)]

    def _view(self, role: str, spec: Mapping[str, Any]) -> ContainerView:
        latest = self.latest(spec["name"])
        probes = self.probes.get(latest.id) if latest else None
        return ContainerView(spec, role, latest, self.previous(spec["name"]), self.waiting.get(spec["name"]),
                             started=probes.started if probes else False, ready=probes.ready if probes else False,
                             unhealthy=probes.unhealthy if probes else "",
                             resources=self.given.get(latest.id) if latest else None)

    def stop_probes(self, container_id: str | None = None) -> None:
        """Of one container, or of all.  The verdicts stay."""
        for known, runner in self.probes.items():
            if container_id in (None, known):
                runner.stop()

    def recall(self, pod: Mapping[str, Any]) -> None:
        """What the API still remembers of containers the runtime has lost (a reboot): they count as a failed run."""
        status = pod.get("status") or {}
        entries = [entry for role in ("init", "", "ephemeral") for entry in
                   status.get(f"{role}ContainerStatuses" if role else "containerStatuses") or ()]
        for entry in entries:
            if not entry.get("containerID") or self.latest(entry["name"]) is not None:
                continue
            self.note(_recalled(entry))


def lost(status: ContainerStatus, now: float) -> ContainerStatus:
    """A container that ran and that the runtime no longer knows."""
    return replace(status, state=ContainerState.EXITED, exit_code=137, reason=LOST, message=LOST_MESSAGE,
                   finished_at=now)


def _recalled(entry: Mapping[str, Any]) -> ContainerStatus:
    ended = (entry.get("state") or {}).get("terminated") or (entry.get("lastState") or {}).get("terminated") or {}
    running = (entry.get("state") or {}).get("running") or {}
    if running or not ended:
        ended = {"exitCode": 137, "reason": LOST, "message": LOST_MESSAGE}
    config = ContainerConfig(entry["name"], entry.get("image", ""), attempt=entry.get("restartCount", 0),
                             labels={LABEL_CONTAINER_NAME: entry["name"]})
    began, over = ended.get("startedAt") or running.get("startedAt"), ended.get("finishedAt")
    return ContainerStatus(
        entry["containerID"].partition("://")[2], "", config, ContainerState.EXITED, 0.0,
        started_at=parse_time(began) if began else 0.0, finished_at=parse_time(over) if over else 0.0,
        exit_code=ended.get("exitCode", 137), reason=ended.get("reason", LOST), message=ended.get("message", ""),
        image_ref=entry.get("imageID", ""))
