"""The whole class: several workers at a time, each with its own limits, none able to hurt another.

A worker that crashes or hangs costs its own submission a row "could not be graded", never a zero and never the
others' grades.  Rows are handed to `progress` as they come, and come back in the order of the names.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kitlib.checks.framework import Lab
from kitlib.grading.collect import Submission

CELL_SECONDS = 20.0
TOTAL_SECONDS = 240.0
START_SECONDS = 60.0  # cluster and kernel, on a busy machine

Row = dict[str, Any]


def grade(submissions: Sequence[Submission], lab: Lab, *, jobs: int, hide: Sequence[Path] = (),
          cell_seconds: float = CELL_SECONDS, total_seconds: float = TOTAL_SECONDS,
          progress: Callable[[Row], None] | None = None) -> list[Row]:
    """Grade submissions, `jobs` at a time.  Rows have the form that `worker.grade_one` returns, plus sha256."""

    def one(submission: Submission) -> Row:
        if submission.problem:
            row = failed(submission, lab, submission.problem)
        else:
            job = {"name": submission.name, "path": str(submission.path.resolve()), "lab": lab.stem,
                   "cell_seconds": cell_seconds, "total_seconds": total_seconds, "hide": [str(path) for path in hide]}
            row = _in_a_process(submission, lab, job)
        row["sha256"] = submission.sha256
        if progress:
            progress(row)
        return row

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        return list(pool.map(one, submissions))


def failed(submission: Submission, lab: Lab, why: str, seconds: float = 0.0) -> Row:
    """The row of a submission that could not be graded."""
    return {"submission": submission.name, "lab": lab.stem, "status": "failed", "score": None,
            "max_score": lab.max_points, "seconds": round(seconds, 2), "isolation": "", "notes": [why], "exercises": []}


def _in_a_process(submission: Submission, lab: Lab, job: dict[str, Any]) -> Row:
    started = time.monotonic()
    # A session of its own: if it must be ended, its kernel and cluster end with it.
    worker = subprocess.Popen([sys.executable, "-m", "kitlib.grading.worker"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = worker.communicate(json.dumps(job).encode(), timeout=job["total_seconds"] + START_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.communicate()
        return failed(submission, lab, "grading did not end in time", time.monotonic() - started)
    try:
        return json.loads(out)
    except ValueError:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        why = f"the grader's worker ended with {worker.returncode}: {last[0][:300]}"
        return failed(submission, lab, why, time.monotonic() - started)
