"""What became of a build, as plain data: for pictures, for checks, and to compare two builds.

    plan + events (+ outcomes) ──▶ Report: steps with how, why, when, how long, how much

    how      noted     nothing to do: FROM, and instructions that change the configuration only
             cached    known from an earlier build; seconds: what it took then
             ran       seconds: what it took; why: what made the cache miss
             failed    why: what went wrong
             skipped   the image does not stand on it, so nobody ran it
             waiting, running, stopped     of a build that goes on, or was broken off

Source: moby/buildkit, client/graph.go (a vertex: inputs, started, completed, cached, error).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from kitlib.images.build.operations import From, Mkdir, Note, Run
from kitlib.images.build.plan import Plan

if TYPE_CHECKING:
    from kitlib.images.build.build import Built, Event
    from kitlib.images.build.operations import Step

INHERITED = "a step that it stands on is another"  # as cache.compare words it
_OUTPUT = 20_000  # characters of a step's output that are kept: its end


@dataclass(frozen=True)
class StepReport:
    """One step.  began: seconds since the build's begin; bytes, digest: of its layer ("" and 0: it made none)."""

    number: int
    stage: str
    line: int
    title: str
    kind: str  # from, run, copy, mkdir, note
    needs: tuple[int, ...]
    how: str = "waiting"
    why: str = ""
    began: float = 0.0
    seconds: float = 0.0
    bytes: int = 0
    digest: str = ""
    output: str = ""

    @property
    def ended(self) -> float:
        return self.began + self.seconds

    @property
    def worked(self) -> bool:
        """Whether time was spent on it in this build."""
        return self.how in ("ran", "running", "failed", "stopped")


@dataclass(frozen=True)
class Report:
    """A whole build.  stages: their names in the order of the file; image: its id, or "" if there is none (yet)."""

    steps: tuple[StepReport, ...]
    stages: tuple[str, ...]
    target: int
    seconds: float = 0.0
    image: str = ""
    digest: str = ""
    bytes: int = 0
    isolation: str = ""

    def step(self, text: str) -> StepReport:
        """The first step with this text in its instruction.  Raises KeyError."""
        for each in self.steps:
            if text in each.title:
                return each
        raise KeyError(f"no instruction of the Dockerfile has {text!r} in it")

    def ran(self) -> list[StepReport]:
        return [each for each in self.steps if each.how == "ran"]

    def cached(self) -> list[StepReport]:
        return [each for each in self.steps if each.how == "cached"]

    def blame(self, number: int) -> int:
        """Because of which step this one could not be taken from the cache: itself, or one that it stands on."""
        by_number = {each.number: each for each in self.steps}
        waiting = [number]
        while waiting:
            at = by_number[waiting.pop()]
            if at.how == "ran" and at.why != INHERITED:
                return at.number
            if at.how in ("ran", "noted"):  # what is noted hands on what it stands on
                waiting += reversed(at.needs)
        return number

    def stands_on(self, number: int) -> set[int]:
        """All steps before it in the graph, itself not."""
        by_number = {each.number: each for each in self.steps}
        found: set[int] = set()
        waiting = list(by_number[number].needs)
        while waiting:
            if (at := waiting.pop()) not in found:
                found.add(at)
                waiting += by_number[at].needs
        return found

    def independent(self, one: int, other: int) -> bool:
        """Whether the graph allows two steps to run at the same time."""
        return one != other and one not in self.stands_on(other) and other not in self.stands_on(one)

    def overlap(self, one: int, other: int) -> float:
        """Seconds in which both really ran."""
        by_number = {each.number: each for each in self.steps}
        first, second = by_number[one], by_number[other]
        if not (first.worked and second.worked):
            return 0.0
        return max(0.0, min(first.ended, second.ended) - max(first.began, second.began))

    @property
    def saved(self) -> float:
        """Seconds that the cache saved."""
        return sum(each.seconds for each in self.steps if each.how == "cached")

    @property
    def work(self) -> float:
        """Seconds of all steps that ran; more than `seconds`, where steps ran side by side."""
        return sum(each.seconds for each in self.steps if each.worked)

    def json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Report:
        """From `json()`."""
        steps = tuple(StepReport(**{**each, "needs": tuple(each["needs"])}) for each in document["steps"])
        return cls(**{**document, "steps": steps, "stages": tuple(document["stages"])})


def planned(plan: Plan) -> Report:
    """Before anything has run."""
    needed = {step.number for step in plan.needed()}
    steps = tuple(StepReport(step.number, plan.stages[step.stage] if step.stage >= 0 else step.title, step.line,
                             step.title, _kind(step), step.needs(), _at_first(step, needed)) for step in plan.steps)
    return Report(steps, plan.stages, plan.target)


def _at_first(step: Step, needed: set[int]) -> str:
    if step.number not in needed:
        return "skipped"
    return "noted" if isinstance(step.operation, (From, Note)) else "waiting"


def _kind(step: Step) -> str:
    operation = step.operation
    return {From: "from", Run: "run", Mkdir: "mkdir", Note: "note"}.get(type(operation), "copy")


class Watch:
    """A build's report while it goes on: give `tell` to the builder, ask `report` at any time and from any thread."""

    def __init__(self, plan: Plan) -> None:
        self._lock, self._began = threading.Lock(), time.time()
        self._report = planned(plan)
        self._steps = {step.number: step for step in self._report.steps}

    def tell(self, event: Event) -> None:
        now = time.time() - self._began
        with self._lock:
            step = self._steps[event.step]
            if event.kind == "started":
                step = replace(step, how="running", began=now)
            elif event.kind == "output":
                step = replace(step, output=(step.output + event.text)[-_OUTPUT:])
            elif event.kind == "cached":
                step = replace(step, how="cached", began=now)
            elif event.kind == "done":
                step = replace(step, how="ran", seconds=event.seconds)
            elif event.kind == "failed":
                began = step.began or now
                step = replace(step, how="failed", why=event.text, began=began, seconds=now - began)
            self._steps[event.step] = step

    def report(self) -> Report:
        now = time.time() - self._began
        with self._lock:
            steps = tuple(replace(s, seconds=now - s.began) if s.how == "running" else s for s in self._steps.values())
        return replace(self._report, steps=steps, seconds=now)

    def broken(self) -> Report:
        """Of a build that has failed: what ran beside the step that failed was stopped."""
        report = self.report()
        return replace(report, steps=tuple(replace(s, how="stopped") if s.how == "running" else s
                                           for s in report.steps))

    def finished(self, built: Built, isolation: str = "") -> Report:
        """With what the builder knows at the end."""
        with self._lock:
            steps = tuple(self._final(step, built) for step in self._steps.values())
        return replace(self._report, steps=steps, seconds=built.seconds, image=built.image.id,
                       digest=built.image.digest, bytes=built.image.size, isolation=isolation)

    def _final(self, step: StepReport, built: Built) -> StepReport:
        outcome = built.outcomes.get(step.number)
        if outcome is None:
            return step
        layer = outcome.result.layer
        return replace(step, how=outcome.how, why=outcome.why, began=max(0.0, outcome.began - self._began),
                       seconds=outcome.result.seconds, bytes=layer.size if layer else 0,
                       digest=layer.digest if layer else "")


@dataclass(frozen=True)
class Change:
    """One instruction in two builds.  before or after is None where it stands in one of the files only.

    verdict: broke (here the cache was lost, and why says it), follows (it stands on one that broke), kept, new, gone,
    noted, failed.
    """

    before: StepReport | None
    after: StepReport | None
    verdict: str
    why: str = ""


def compare(before: Report, after: Report) -> tuple[Change, ...]:
    """Which instruction broke the cache, and why; instructions of the same stage are matched by their text."""
    return tuple(_changes(before, after))


def _changes(before: Report, after: Report) -> Iterator[Change]:
    from difflib import SequenceMatcher

    for stage in dict.fromkeys((*before.stages, *after.stages)):
        old, new = ([s for s in r.steps if s.stage == stage] for r in (before, after))
        matcher = SequenceMatcher(None, [s.title for s in old], [s.title for s in new], autojunk=False)
        for _, i1, i2, j1, j2 in matcher.get_opcodes():
            if i2 - i1 == j2 - j1:  # equal, or the same place, worded differently
                for one, other in zip(old[i1:i2], new[j1:j2], strict=True):
                    yield _verdict(after, one, other)
            else:
                for one in old[i1:i2]:
                    yield Change(one, None, "gone", "it is no longer in the file")
                for other in new[j1:j2]:
                    yield Change(None, other, "new" if other.how == "ran" else other.how, other.why)


def _verdict(after: Report, one: StepReport, other: StepReport) -> Change:
    if other.how == "ran":
        blamed = after.blame(other.number)
        if blamed != other.number:
            return Change(one, other, "follows", f"stands on #{blamed}")
        return Change(one, other, "broke", other.why)
    return Change(one, other, "kept" if other.how == "cached" else other.how, other.why)
