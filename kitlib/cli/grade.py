"""`kit grade`: a directory of submissions, each in its own process against its own fresh cluster.

    kit grade submissions/ --lab lab09_replicaset_flow --jobs 2 --out grades/

Exit code 0: every submission was graded; 1: at least one could not be (its row says why).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from kitlib.checks.framework import NoSuchLab, load
from kitlib.cli.common import Commands, command, note, print_json
from kitlib.cluster.errors import EXIT_FAILED, KitError, UsageError
from kitlib.grading import confine
from kitlib.grading.collect import collect
from kitlib.grading.grade import CELL_SECONDS, TOTAL_SECONDS, Row, grade
from kitlib.grading.report import write


def register(commands: Commands) -> None:
    parser = command(commands, "grade", run_grade, cluster=False)
    parser.add_argument("directory", type=Path, metavar="DIR", help="NAME.ipynb files, or a folder per learner")
    parser.add_argument("--lab", required=True, metavar="LAB", help="such as lab09_replicaset_flow")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), metavar="N",
                        help="how many at a time (default: half the processors)")
    parser.add_argument("--cell-timeout", type=float, default=CELL_SECONDS, metavar="S", help="seconds for one cell")
    parser.add_argument("--timeout", type=float, default=TOTAL_SECONDS, metavar="S", help="seconds for a submission")


def run_grade(arguments: argparse.Namespace) -> int:
    try:
        lab = load(arguments.lab)
    except NoSuchLab as error:
        raise UsageError(str(error)) from None
    if arguments.jobs < 1:
        raise UsageError("--jobs must be at least 1")
    submissions = collect(arguments.directory)
    sandbox = confine.strongest()
    note(f"{len(submissions)} submissions, {arguments.jobs} at a time; {sandbox.sentence}")
    done = 0

    def progress(row: Row) -> None:
        nonlocal done
        done += 1
        score = "could not be graded" if row["score"] is None else f"{row['score']} of {row['max_score']}"
        print(f"kit: {done}/{len(submissions)} {row['submission']}: {score} ({row['seconds']:.1f} s)", file=sys.stderr,
              flush=True)

    rows = grade(submissions, lab, jobs=arguments.jobs, hide=[arguments.directory, arguments.out],
                 cell_seconds=arguments.cell_timeout, total_seconds=arguments.timeout, progress=progress)
    try:
        write(rows, lab, arguments.out)
    except OSError as error:
        raise KitError(f"cannot write the results to {arguments.out}: {error.strerror}") from None
    if arguments.json:
        print_json(rows)
    else:
        print(f"{arguments.out}/results.csv, results.json, index.html")
    return EXIT_FAILED if any(row["status"] == "failed" for row in rows) else 0
