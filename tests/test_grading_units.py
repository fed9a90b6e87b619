"""What a submission may say, and what is believed of it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from kitlib.checks.framework import load
from kitlib.cluster.errors import UsageError
from kitlib.grading.collect import collect
from kitlib.grading.grade import failed, grade
from kitlib.grading.merge import merge
from kitlib.grading.report import csv_text, html, write


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def code(id, source, role="", exercise=""):
    return {"cell_type": "code", "id": id, "metadata": {"kit": {"role": role, "exercise": exercise}} if role else {},
            "source": source, "outputs": [], "execution_count": None}


SOLUTION = notebook(code("setup", "import kitlib"), code("a1", "# BEGIN SOLUTION\n1\n# END SOLUTION", "answer", "one"),
                    code("c1", "lab.check('one')", "check", "one"))


def test_only_answer_cells_are_taken_and_only_their_text():
    merged = merge(SOLUTION, notebook(code("setup", "evil()"), code("c1", "evil()"), code("x", "evil()"),
                                      {**code("a1", ["mine", "()"]), "metadata": {"kit": {"points": 100}}}))
    assert [(c.id, c.role, c.source) for c in merged.cells] == [
        ("setup", "", "import kitlib"), ("a1", "answer", "mine()"), ("c1", "check", "lab.check('one')")]
    assert merged.notes == ()


@pytest.mark.parametrize(("cells", "part"), [
    ([], "is missing"), ([code("a1", "1"), code("a1", "2")], "two cells"), ([code("a1", "x" * 200_000)], "longer"),
    ([{"id": "a1", "source": 7}], "is missing"), (["text", 3, None], "is missing")])
def test_what_is_odd_about_a_submission_is_noted(cells, part):
    merged = merge(SOLUTION, {"cells": cells})
    assert part in merged.notes[0]
    assert len(merged.cells) == 3


def test_submissions_are_notebooks_or_folders_with_one(tmp_path):
    (tmp_path / "anna.ipynb").write_text(json.dumps(notebook()))
    (tmp_path / "ben").mkdir()
    (tmp_path / "ben" / "work.ipynb").write_text(json.dumps(notebook()))
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage.ipynb").write_bytes(b"\xff\xfe not json")
    (tmp_path / "deep.ipynb").write_text("[" * 100_000)
    (tmp_path / "list.ipynb").write_text("[]")
    (tmp_path / "readme.txt").write_text("not a submission")
    found = {s.name: s.problem for s in collect(tmp_path)}
    assert {name for name, problem in found.items() if not problem} == {"anna", "ben"}
    assert set(found) == {"anna", "ben", "empty", "garbage", "deep", "list"}
    assert "0 notebooks" in found["empty"]
    with pytest.raises(UsageError, match="no submissions"):
        collect(tmp_path / "empty")


def test_what_cannot_be_read_gets_a_row_and_no_zero(tmp_path):
    (tmp_path / "garbage.ipynb").write_text("nothing")
    lab, seen = load("lab00"), []
    (row,) = grade(collect(tmp_path), lab, jobs=2, progress=seen.append)
    assert (row["status"], row["score"], row["max_score"]) == ("failed", None, lab.max_points)
    assert "not a notebook" in row["notes"][0]
    assert seen == [row]


def rows():
    lab = load("lab00")
    lab = replace(lab, exercises=tuple(lab.exercise(name) for name in ("count_nodes", "first_object", "first_pod")))
    result = {"name": "count_nodes", "description": "You counted <them>", "passed": True, "points": 1, "max_points": 1,
              "log": [], "cause": None}
    wrong = {**result, "name": "first_object", "passed": False, "points": 0, "cause": {
        "rationale": "no <b>", "help": "look", "expected": None, "actual": ["x"]}}
    undecided = {**result, "name": "first_pod", "passed": None, "points": 0, "log": ["waits"]}
    row = {"submission": "=cmd|'x'", "lab": lab.stem, "status": "graded", "score": 1, "max_score": 3, "seconds": 4.5,
           "isolation": "bubblewrap", "notes": ["<script>"], "exercises": [result, wrong, undecided], "sha256": ""}
    from kitlib.grading.collect import Submission

    return lab, [row, failed(Submission("ben", None), lab, "broken")]


def test_the_table_has_points_and_leaves_empty_what_was_not_decided():
    lab, class_ = rows()
    table = list(csv.DictReader(io.StringIO(csv_text(class_, lab))))
    assert list(table[0]) == ["submission", "score", "max_score", "status", "seconds", "count_nodes", "first_object",
                              "first_pod"]
    assert [table[0][k] for k in ("score", "count_nodes", "first_object", "first_pod")] == ["1", "1", "0", ""]
    assert (table[1]["score"], table[1]["status"]) == ("", "failed")


def test_a_spreadsheet_finds_no_formula_in_a_name():
    lab, class_ = rows()
    assert next(csv.DictReader(io.StringIO(csv_text(class_, lab))))["submission"].startswith("'=")


def test_the_page_escapes_what_comes_from_learners_and_needs_no_network():
    lab, class_ = rows()
    page = html(class_, lab)
    assert "<script>" not in page
    assert "<b>" not in page
    assert "http" not in page
    assert "hint: look" in page


def test_results_are_written_for_programs_and_for_people(tmp_path):
    lab, class_ = rows()
    written = {path.relative_to(tmp_path).as_posix() for path in write(class_, lab, tmp_path)}
    assert {"results.json", "results.csv", "index.html"} < written
    assert len(json.loads((tmp_path / "results.json").read_text())) == 2
    assert len(list((tmp_path / "submissions").iterdir())) == 2
