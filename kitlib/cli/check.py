"""`kit check STEM`: are the chapter's exercises solved on this cluster?  0: all of them, 1: not all."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from kitlib.cli.common import Commands, command, print_json
from kitlib.cluster.errors import EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from kitlib.checks.framework import Lab, Result
    from kitlib.cluster.interface import Cluster


def register(commands: Commands) -> None:
    parser = command(commands, "check", run_check)
    parser.add_argument("stem", help="the chapter, such as lab09_replicaset_flow; lab09 is enough")
    parser.add_argument("exercise", nargs="*", help="only these exercises (default: all)")


def run_check(arguments: argparse.Namespace) -> int | None:
    from kitlib.cluster.embedded import EmbeddedCluster
    from kitlib.cluster.find import find

    lab = known_lab(arguments.stem)
    unknown = [name for name in arguments.exercise if name not in [e.name for e in lab.exercises]]
    if unknown:
        raise UsageError(f"{lab.stem} has no exercise {', '.join(unknown)}. There are: "
                         f"{', '.join(e.name for e in lab.exercises)}.")
    results = check(lab, EmbeddedCluster(find(arguments.name)), arguments.exercise)
    report(lab, results, as_json=arguments.json)
    return 0 if all(result.passed for result in results) else EXIT_FAILED


def known_lab(stem: str) -> Lab:
    from kitlib.checks.framework import NoSuchLab, load

    try:
        return load(stem)
    except NoSuchLab as error:
        raise UsageError(str(error)) from error


def check(lab: Lab, cluster: Cluster, only: list[str] | None = None) -> list[Result]:
    from kitlib.book.engine import engine_for
    from kitlib.checks.run import run_lab
    from kitlib.checks.world import World

    engine = engine_for(lab)
    world = World(cluster.client("kit-check"), lab.namespace, backend=cluster.backend,
                  engine=engine.host if engine else "")
    return run_lab(lab, world, only=only or ())


def report(lab: Lab, results: list[Result], *, as_json: bool) -> None:
    """Print the results as a learner reads them, or as a program does."""
    from kitlib.checks.run import text

    points, most = sum(r.points for r in results), sum(r.max_points for r in results)
    if as_json:
        summary: dict[str, Any] = {"lab": lab.stem, "score": points, "max_score": most,
                                   "results": [result.json() for result in results]}
        print_json(summary)
        return
    for result in results:
        print(text(result, colour=sys.stdout.isatty()))
    passed = sum(result.passed is True for result in results)
    print(f"{lab.stem}: {points} of {most} points, {passed} of {len(results)} exercises")
