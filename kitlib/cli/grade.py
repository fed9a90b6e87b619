"""`kit grade DIR --lab STEM --out DIR`: a class's submissions, each in its own process and cluster.

    kit grade submissions/ --lab lab09_replicaset_flow --jobs 4 --out grades/

DIR has NAME.ipynb files, or a folder per learner with one notebook.  grades/ gets results.json, results.csv
(a row per submission), index.html and submissions/.  0: every submission was graded; 1: some could not be.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from kitlib.cli.common import Commands, command, note, print_json
from kitlib.cluster.errors import EXIT_FAILED, KitError, UsageError
from kitlib.grading.grade import CELL_SECONDS, TOTAL_SECONDS


def register(commands: Commands) -> None:
    parser = command(commands, "grade", run_grade, cluster=False, description=__doc__)
    parser.add_argument("directory", type=Path, help="the submissions")
    parser.add_argument("--lab", required=True, metavar="STEM", help="the chapter they belong to")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), metavar="N",
                        help="how many at a time (default: half the cores)")
    parser.add_argument("--cell-timeout", type=float, default=CELL_SECONDS, metavar="S", help="seconds for one cell")
    parser.add_argument("--timeout", type=float, default=TOTAL_SECONDS, metavar="S", help="seconds for a submission")
    parser.add_argument("--unconfined", action="store_true", help="grade even where learner code cannot be confined")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")


def _no_other_user() -> str:
    """Why submissions cannot be run as a user of their own, and what would help."""
    from kitlib.book import files

    if os.geteuid() != 0:
        return "you are not root. Grade as root"
    return (f"this checkout ({files.root()}) lies where other users may not read, so that nobody else can run it. "
            "Move it, to /opt or /srv say")


def run_grade(arguments: argparse.Namespace) -> int | None:
    from kitlib.cli.check import known_lab
    from kitlib.grading import confine, report
    from kitlib.grading.collect import collect
    from kitlib.grading.grade import grade

    if arguments.jobs < 1:
        raise UsageError("--jobs must be at least 1")
    lab = known_lab(arguments.lab)
    submissions = collect(arguments.directory)
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KitError(f"{arguments.out} cannot be written: {error.strerror}.") from error
    sandbox = confine.strongest()
    if sandbox.kind == "same-user" and not arguments.unconfined:
        raise KitError("learner code cannot be confined here: bubblewrap finds no user namespaces, and "
                       f"{_no_other_user()}, or grade on another machine, or say --unconfined if you trust every "
                       "submission.")
    note(f"{len(submissions)} submissions of {lab.stem}, {arguments.jobs} at a time; {sandbox.sentence}")
    hide = [arguments.directory.resolve(), arguments.out.resolve()]
    done = 0

    def tell(row: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        score = f"{row['score']} of {row['max_score']}" if row["score"] is not None else row["notes"][0]
        print(f"{done}/{len(submissions)} {row['submission']}: {row['status']}, {score} in {row['seconds']:.1f} s",
              file=sys.stderr, flush=True)

    rows = grade(submissions, lab, jobs=arguments.jobs, hide=hide, cell_seconds=arguments.cell_timeout,
                 total_seconds=arguments.timeout, progress=tell)
    written = report.write(rows, lab, arguments.out)
    if arguments.json:
        print_json(rows)
    else:
        for path in written[:3]:  # the rest is one file a submission
            print(path)
    return EXIT_FAILED if any(row["status"] == "failed" for row in rows) else 0

