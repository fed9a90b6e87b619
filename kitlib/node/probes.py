"""Probes: is it up (startup), does it still work (liveness), may it get traffic (readiness)?

    startup    until it has passed, the other two do not run; failing too often kills the container
    liveness   failing too often kills the container; it is restarted
    readiness  decides `ready`, hence whether a Service sends traffic; never kills

A verdict changes only after `successThreshold` or `failureThreshold` equal answers in a row.  `Verdict` counts, and is
pure; `ProbeRunner` asks again every `periodSeconds`.

Source: pkg/kubelet/prober (worker.go, prober_manager.go).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..objects.clock import Clock

SEEN = 0.02   # so that `started` is reported before the probes that waited for it change anything else
STARTUP, LIVENESS, READINESS = "startup", "liveness", "readiness"
FIELDS = {STARTUP: "startupProbe", LIVENESS: "livenessProbe", READINESS: "readinessProbe"}


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """A probe with its defaults filled in."""

    kind: str
    handler: Mapping[str, Any]
    initial_delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    success_threshold: int = 1
    failure_threshold: int = 3

    @classmethod
    def of(cls, container: Mapping[str, Any], kind: str) -> ProbeSpec | None:
        raw = container.get(FIELDS[kind])
        if not raw:
            return None
        return cls(kind, raw, float(raw.get("initialDelaySeconds") or 0), float(raw.get("timeoutSeconds") or 1),
                   float(raw.get("periodSeconds") or 10), int(raw.get("successThreshold") or 1),
                   int(raw.get("failureThreshold") or 3))


class Verdict:
    """Counts answers.  `value` is None until the first verdict."""

    def __init__(self, spec: ProbeSpec, value: bool | None = None) -> None:
        self._spec = spec
        self.value = value
        self._last: bool | None = None
        self._run = 0

    def observe(self, success: bool) -> bool:
        """One answer.  True if the verdict changed."""
        self._run = self._run + 1 if success is self._last else 1
        self._last = success
        threshold = self._spec.success_threshold if success else self._spec.failure_threshold
        if self._run < threshold or self.value is success:
            return False
        self.value = success
        return True


Ask = Callable[[ProbeSpec], Awaitable[tuple[bool, str]]]  # run the probe once: (success, what it said)
Complain = Callable[[str, str], None]  # kind, message: the Unhealthy event
Changed = Callable[[], None]


class ProbeRunner:
    """All probes of one run of one container: one task each, until `stop`.

    started, ready: see `ContainerView`.  unhealthy: "liveness" or "startup" once that probe has given up.
    """

    def __init__(self, container: Mapping[str, Any], started_at: float, clock: Clock, ask: Ask, complain: Complain,
                 changed: Changed, *, was_started: bool = False, was_ready: bool = False) -> None:
        self._clock, self._ask, self._complain, self._changed = clock, ask, complain, changed
        self._started_at = started_at
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._started_event = asyncio.Event()
        specs = {kind: ProbeSpec.of(container, kind) for kind in FIELDS}
        self.started = specs[STARTUP] is None or was_started
        self.ready = specs[READINESS] is None or was_ready
        self.unhealthy = ""
        if self.started:
            self._started_event.set()
        for kind, spec in specs.items():
            if spec is not None and not (kind == STARTUP and self.started):
                initial = {STARTUP: None, LIVENESS: True, READINESS: self.ready}[kind]
                self._tasks[kind] = asyncio.ensure_future(self._work(spec, Verdict(spec, initial)))

    def stop(self, *kinds: str) -> None:
        """These probes, or all.  A Pod that ends is still asked whether it is ready, never again whether it lives."""
        for kind in kinds or tuple(self._tasks):
            if kind in self._tasks:
                self._tasks.pop(kind).cancel()

    async def _work(self, spec: ProbeSpec, verdict: Verdict) -> None:
        if spec.kind != STARTUP and not self._started_event.is_set():
            await self._started_event.wait()
            await asyncio.sleep(SEEN)
        wait = self._started_at + spec.initial_delay - self._clock.now()
        if wait > 0:
            await asyncio.sleep(wait)
        while True:
            success, output = await self._ask(spec)
            if not success:
                self._complain(spec.kind, f"{spec.kind.capitalize()} probe failed: {output}")
            if verdict.observe(success):
                self._apply(spec.kind, success)
                if spec.kind == STARTUP or self.unhealthy:
                    return
            await asyncio.sleep(spec.period)

    def _apply(self, kind: str, success: bool) -> None:
        if kind == READINESS:
            self.ready = success
        elif not success:
            self.unhealthy = kind
        elif kind == STARTUP:
            self.started = True
            self._started_event.set()
        self._changed()
