"""`kit grade` on four sample submissions gives the grades that a teacher expects."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import kitlib
from kitlib.checks.framework import load

SUBMISSIONS = Path(__file__).parent / "submissions"
LAB = load("lab09")

pytestmark = pytest.mark.needs("confinement")


def source_digest():
    """Of what a cheat would want to change."""
    package = Path(kitlib.__file__).parent
    return {path: hashlib.sha256(path.read_bytes()).hexdigest()
            for part in ("checks", "grading") for path in sorted((package / part).rglob("*.py"))}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    out = tmp_path_factory.mktemp("grades")
    before = source_digest()
    done = subprocess.run([sys.executable, "-m", "kitlib", "grade", str(SUBMISSIONS), "--lab", LAB.stem, "--jobs", "2",
                           "--cell-timeout", "25", "--out", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert source_digest() == before, "a submission changed the grader's own code"
    with (out / "results.csv").open() as table:
        rows = {row["submission"]: row for row in csv.DictReader(table)}
    results = {row["submission"]: row for row in json.loads((out / "results.json").read_text())}
    return rows, results, (out / "index.html").read_text(), done.stderr


@pytest.mark.timeout(600)
def test_everybody_has_a_row_with_a_column_for_each_exercise(graded):
    rows, _, page, progress = graded
    assert set(rows) == {"full_marks", "partly_wrong", "never_ends", "overwrites_checks"}
    assert list(rows["full_marks"])[5:] == [exercise.name for exercise in LAB.exercises]
    assert "4/4" in progress
    assert all(name in page for name in rows)


def test_a_right_submission_has_full_marks(graded):
    assert (graded[0]["full_marks"]["score"], graded[0]["full_marks"]["status"]) == (str(LAB.max_points), "graded")


def test_each_mistake_costs_its_own_points_and_no_others(graded):
    row = graded[0]["partly_wrong"]
    wrong = {name for name in (e.name for e in LAB.exercises) if row[name] == "0"}
    assert wrong == {"predict_writers", "orphan", "victims", "own_controller"}
    lost = sum(LAB.exercise(name).points for name in wrong)
    assert int(row["score"]) == LAB.max_points - lost


def test_a_cell_that_never_ends_is_stopped_and_the_rest_is_graded(graded):
    row, result = graded[0]["never_ends"], graded[1]["never_ends"]
    assert row["status"] == "incomplete"
    assert row["adopt"] == "0"
    assert int(row["score"]) == LAB.max_points - LAB.exercise("adopt").points
    assert any("did not end" in note for note in result["notes"])


def test_who_overwrites_the_checks_gets_what_the_work_is_worth(graded):
    row, result = graded[0]["overwrites_checks"], graded[1]["overwrites_checks"]
    assert (row["score"], row["max_score"]) == ("0", str(LAB.max_points))
    assert result["status"] == "graded"
    assert not any(exercise["passed"] for exercise in result["exercises"])
