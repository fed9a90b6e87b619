"""`kit grade DIR --lab STEM --out DIR`: a class's submissions, each in its own process and cluster.

    kit grade submissions/ --lab lab09_replicaset_flow --jobs 4 --out grades/

DIR has NAME.ipynb files, or a folder per learner with one notebook.  grades/ gets results.json, grades.csv
(a row per submission) and report.html.  0: every submission was looked at; 1: some could not be graded.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from kitlib.cli.common import Commands, command, note, print_json
from kitlib.cluster.errors import EXIT_FAILED, KitError


def register(commands: Commands) -> None:
    parser = command(commands, "grade", run_grade, cluster=False, description=__doc__)
    parser.add_argument("directory", type=Path, help="the submissions")
    parser.add_argument("--lab", required=True, metavar="STEM", help="the chapter they belong to")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), metavar="N",
                        help="how many at a time (default: half the cores)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")


def run_grade(arguments: argparse.Namespace) -> int | None:
    from kitlib.cli.check import known_lab
    from kitlib.grading import report
    from kitlib.grading.collect import collect
    from kitlib.grading.grade import grade

    lab = known_lab(arguments.lab)
    submissions = collect(arguments.directory)
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KitError(f"{arguments.out} cannot be written: {error.strerror}.") from error
    note(f"grading {len(submissions)} submissions of {lab.stem}, {arguments.jobs} at a time")
    hide = [arguments.directory.resolve(), arguments.out.resolve()]
    rows = grade(submissions, lab, jobs=arguments.jobs, hide=hide, progress=_tell)
    written = report.write(rows, lab, arguments.out)
    if arguments.json:
        print_json(rows)
    else:
        for path in written:
            print(f"wrote {path}")
    return EXIT_FAILED if any(row["status"] == "failed" for row in rows) else 0


def _tell(row: dict[str, Any]) -> None:
    score = "-" if row["score"] is None else row["score"]
    print(f"{row['submission']}: {row['status']}, {score} of {row['max_score']} in {row['seconds']:.1f} s",
          file=sys.stderr, flush=True)
