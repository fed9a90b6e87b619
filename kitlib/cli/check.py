"""`kit check`: a lab's exercises against the cluster, as the learner left it.

    kit check lab09_replicaset_flow
    kit check lab09 --only self_healing --json
"""

from __future__ import annotations

import argparse
import os
import sys

from kitlib.checks.framework import NoSuchLab, Result, load
from kitlib.checks.run import run_lab, text
from kitlib.checks.world import World
from kitlib.cli.common import Commands, command, print_json
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import EXIT_FAILED, UsageError
from kitlib.cluster.find import find


def register(commands: Commands) -> None:
    check = command(commands, "check", run_check)
    check.add_argument("stem", metavar="LAB", help="such as lab09_replicaset_flow; lab09 is enough")
    check.add_argument("--only", action="append", default=[], metavar="EXERCISE", help="just this one (repeatable)")


def run_check(arguments: argparse.Namespace) -> int:
    try:
        lab = load(arguments.stem)
        for name in arguments.only:
            lab.exercise(name)
    except NoSuchLab as error:
        raise UsageError(str(error)) from None
    cluster = EmbeddedCluster(find(arguments.name))
    world = World(cluster.client("kit-check"), lab.namespace, backend=cluster.backend)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def show(result: Result) -> None:
        if not arguments.json:
            print(text(result, colour=colour), flush=True)

    results = run_lab(lab, world, only=arguments.only, progress=show)
    points, maximum = sum(r.points for r in results), sum(r.max_points for r in results)
    if arguments.json:
        print_json({"lab": lab.stem, "points": points, "max_points": maximum, "results": [r.json() for r in results]})
    else:
        passed = sum(r.passed is True for r in results)
        print(f"\n{passed} of {len(results)} exercises, {points} of {maximum} points")
    return 0 if all(r.passed for r in results) else EXIT_FAILED
