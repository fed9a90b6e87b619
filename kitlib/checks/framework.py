"""The vocabulary of checks: an exercise, a wrong answer, a result.

    @exercise(points=2, after=apply_replicaset)
    def self_healing(world):
        '''The ReplicaSet replaces a Pod that you deleted'''
        pods = world.pods("app=web")
        if len(pods) < 3:
            raise Wrong("there are fewer Pods than the ReplicaSet wants",
                        help="Look at `kubectl get rs web`: which number differs?", expected=3, actual=len(pods))

The docstring is the title a learner sees, so it is required.  A check that returns has passed.  A
`Wrong` is the learner's mistake and comes with a hint.  Anything else that is raised is *ours*:
"could not be graded" is not zero.

The result's form follows check50 (https://cs50.readthedocs.io/projects/check50): passed is true,
false or null; null means it was not decided, because a prerequisite failed or the check broke.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any

from kitlib.checks.world import World
from kitlib.checks.wrong import Wrong

__all__ = ["Exercise", "Lab", "NoSuchLab", "Result", "Wrong", "exercise", "from_module", "load", "stems"]

CheckFunction = Callable[[World], None]


@dataclass(frozen=True)
class Exercise:
    """One check: its name is the function's, its title the docstring's first line."""

    name: str
    title: str
    function: CheckFunction
    points: int = 1
    after: str | None = None  # the exercise that must have passed before this one makes sense
    visible: bool = True  # invisible ones run for the instructor only


@dataclass
class Result:
    """What came of one check.  duration in seconds; cause: rationale, help, expected, actual, or None."""

    name: str
    description: str
    passed: bool | None
    points: int
    max_points: int
    log: list[str] = field(default_factory=list)
    cause: dict[str, Any] | None = None
    dependency: str | None = None
    visible: bool = True
    duration: float = 0.0
    evidence: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Lab:
    """A lab as its module of checks declares it: STEM is the module's name, TITLE, MINUTES, NAMESPACE its constants.

    engine: whether it needs a container engine, too (ENGINE = True).
    """

    stem: str
    title: str
    minutes: int
    namespace: str
    exercises: tuple[Exercise, ...]
    engine: bool = False

    def exercise(self, name: str) -> Exercise:
        for exercise in self.exercises:
            if exercise.name == name:
                return exercise
        known = ", ".join(e.name for e in self.exercises)
        raise NoSuchLab(f"{self.stem} has no exercise {name!r}. There are: {known}.")

    @property
    def max_points(self) -> int:
        return sum(exercise.points for exercise in self.exercises)


class NoSuchLab(Exception):
    """There is no lab, or no exercise, of that name.  The message lists those there are."""


_ATTRIBUTE = "__kit_exercise__"


def exercise(*, points: int = 1, after: CheckFunction | None = None,
             visible: bool = True) -> Callable[[CheckFunction], CheckFunction]:
    """Make a function a check.  after: the check (the function itself) that has to pass first."""

    def decorate(function: CheckFunction) -> CheckFunction:
        title = (inspect.getdoc(function) or "").split("\n")[0].strip()
        if not title:
            raise TypeError(f"the check {function.__name__} needs a docstring: its first line is what learners see")
        if after is not None and not hasattr(after, _ATTRIBUTE):
            raise TypeError(f"the check {function.__name__} comes after {after.__name__}, which is not a check")
        name = function.__name__
        setattr(function, _ATTRIBUTE, Exercise(name, title, function, points, after.__name__ if after else None,
                                               visible))
        return function

    return decorate


STEM = re.compile(r"lab\d\d_[a-z0-9_]+")


def stems() -> list[str]:
    """The labs that have checks, in the order of the book."""
    from pathlib import Path

    return sorted(path.stem for path in Path(__file__).parent.glob("lab*.py") if STEM.fullmatch(path.stem))


def load(stem: str) -> Lab:
    """A lab's checks.  Raises NoSuchLab with the list of those there are; a unique prefix ("lab09") is enough."""
    known = stems()
    found = [s for s in known if s == stem] or [s for s in known if s.startswith(stem + "_")]
    if len(found) != 1:
        raise NoSuchLab(f"there is no lab {stem!r}. There are: {', '.join(known)}.")
    return from_module(importlib.import_module(f"kitlib.checks.{found[0]}"))


def from_module(module: ModuleType) -> Lab:
    """The exercises a module defines, in the order of their definition.  A module without any is an error."""
    exercises = tuple(vars(value)[_ATTRIBUTE] for value in vars(module).values()
                      if inspect.isfunction(value) and _ATTRIBUTE in vars(value)
                      and value.__module__ == module.__name__)
    if not exercises:
        raise TypeError(f"{module.__name__} defines no checks")
    return Lab(module.__name__.rpartition(".")[2], module.TITLE, module.MINUTES, module.NAMESPACE, exercises,
               getattr(module, "ENGINE", False))
