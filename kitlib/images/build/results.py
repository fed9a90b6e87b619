"""What goes into a build, what it tells while it goes on, and what comes of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kitlib.images.build.cache import Result
from kitlib.images.build.operations import Step
from kitlib.images.build.plan import Plan
from kitlib.images.descriptor import Descriptor
from kitlib.images.store import StoredImage


@dataclass(frozen=True)
class Settings:
    """What a build can be told.  secrets: id → content; no_cache: nothing is taken from the cache."""

    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    no_cache: bool = False
    file: str = "Dockerfile"
    platform: str = ""  # linux/arm64: what the image says it is for
    classic: bool = False  # as Docker's classic builder would (plan.py), with the images on the way
    network: str = "default"  # of all RUNs; none: they have no network, whatever the Dockerfile says
    key: str = ""  # what is compared with the last build of the same key; by default the context's and the file's place


@dataclass(frozen=True)
class Event:
    """What a build tells.  kind: started, output, cached, done, failed, and noted, of a step that only changes the
    configuration; seconds: how long a step took; image: (classic) the id of the image so far."""

    step: int
    kind: str
    text: str = ""
    seconds: float = 0.0
    image: str = ""


class BuildError(Exception):
    """A step that failed: its place in the file, what it was, and why.  code: a RUN's exit code, or 0."""

    def __init__(self, file: str, step: Step, why: str, code: int = 0) -> None:
        super().__init__(f"{file}:{step.line}:{step.column}: {step.title}: {why}")
        self.step, self.why, self.code = step, why, code


class Cancelled(Exception):
    """The build was to end, or another step has failed."""


class Cancel:
    """Set once; who waits for it is called at once, in the thread that sets it."""

    def __init__(self) -> None:
        self._lock, self._set = threading.Lock(), False
        self._calls: list[Callable[[], None]] = []

    def set(self) -> None:
        with self._lock:
            self._set, calls = True, list(self._calls)
        for call in calls:
            call()

    def is_set(self) -> bool:
        return self._set

    @contextlib.contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._calls.append(call)
            late = self._set
        try:
            if late:
                call()
            yield
        finally:
            with self._lock:
                self._calls.remove(call)


@dataclass(frozen=True)
class Layers:
    """An image's files after a step: descriptors and diff ids, the lowest first."""

    parts: tuple[tuple[Descriptor, str], ...] = ()

    def with_result(self, result: Result) -> Layers:
        return self if result.layer is None else Layers((*self.parts, (result.layer, result.diff_id)))


@dataclass
class Outcome:
    """What became of a step.  how: ran, cached, or noted (nothing to do); why: what made the cache miss."""

    layers: Layers
    result: Result
    how: str
    why: str = ""
    began: float = 0.0


@dataclass(frozen=True)
class Built:
    """image: what was made; plan and outcomes: for the picture of it; seconds: all of it."""

    image: StoredImage
    plan: Plan
    outcomes: Mapping[int, Outcome]
    seconds: float
