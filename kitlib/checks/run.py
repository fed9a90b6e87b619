"""Run a lab's checks in order, and turn whatever happens into results.

A prerequisite that has not passed makes a check undecided (null), not wrong: one early mistake should
read as one mistake.  A check that breaks is undecided too, and its log says so.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping

from kitlib.checks.framework import Exercise, Lab, Result, Wrong
from kitlib.checks.world import World
from kitlib.objects.errors import StatusError


def run_exercise(exercise: Exercise, world: World, earlier: Mapping[str, Result]) -> Result:
    """Run one check.  earlier: results so far, to see whether its prerequisite passed."""
    result = Result(exercise.name, exercise.title, None, 0, exercise.points, dependency=exercise.after,
                    visible=exercise.visible)
    before = earlier.get(exercise.after) if exercise.after else None
    if before is not None and not before.passed:
        result.log.append(f"waits for {before.name!r} ({before.description})")
        return result
    world.log, world.evidence = [], {}
    started = time.perf_counter()
    try:
        exercise.function(world)
        result.passed, result.points = True, exercise.points
    except Wrong as wrong:
        result.passed = False
        result.cause = {"rationale": wrong.rationale, "help": wrong.help, "expected": wrong.expected,
                        "actual": wrong.actual}
    except (StatusError, OSError) as error:
        result.log.append(f"could not be checked: {error}")
    except Exception:  # a bug of ours must not read as the learner's mistake
        result.log.append("could not be checked: the check itself failed\n" + traceback.format_exc(limit=3))
    result.duration = round(time.perf_counter() - started, 4)
    result.log += world.log
    result.evidence = dict(world.evidence)
    return result


def run_lab(lab: Lab, world: World, *, only: Iterable[str] = (), earlier: Iterable[Result] = (),
            progress: Callable[[Result], None] | None = None) -> list[Result]:
    """Run all checks of a lab, or those named in `only` and what they need that is not in `earlier`.

    Returns results in the lab's order.  Raises NoSuchLab for a name that is not an exercise.
    """
    results = {result.name: result for result in earlier}
    wanted = {lab.exercise(name).name for name in only} or {e.name for e in lab.exercises}
    needed = set(wanted)
    while True:  # prerequisites of prerequisites
        more = {e.after for e in lab.exercises if e.name in needed and e.after} - needed - results.keys()
        if not more:
            break
        needed |= more
    for exercise in lab.exercises:
        if exercise.name in needed:
            results[exercise.name] = run_exercise(exercise, world, results)
            if progress and exercise.name in wanted:
                progress(results[exercise.name])
    return [results[e.name] for e in lab.exercises if e.name in wanted]


def text(result: Result, *, colour: bool = False) -> str:
    """A result as a learner reads it in a terminal or below a cell."""
    mark = {True: "✔", False: "✘", None: "…"}[result.passed]
    paint = {True: "32", False: "31", None: "33"}[result.passed]
    head = f"{mark} {result.description}"
    lines = [f"\x1b[{paint}m{head}\x1b[0m" if colour else head]
    if result.cause:
        lines.append(f"    {result.cause['rationale']}.")
        if result.cause["expected"] is not None:
            lines.append(f"    expected: {result.cause['expected']}")
        if result.cause["actual"] is not None:
            lines.append(f"    actual:   {result.cause['actual']}")
        lines.append(f"    hint: {result.cause['help']}")
    elif result.passed is None:
        lines += [f"    {line}" for line in result.log]
    return "\n".join(lines)
