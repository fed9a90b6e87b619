"""The graded graders: every check is failed by the untouched lab, passed by the solution, and gives each named
mistake its own hint.  All of it the way a learner's work is graded: as cells, in a kernel of its own, on a fresh
cluster, and never by calling the check.
"""

from __future__ import annotations

import copy
import importlib
import json

import needs
import pytest

from kitlib.book import files
from kitlib.checks.framework import load, stems
from kitlib.grading.worker import grade_one

LIMITS = {"cell_seconds": 25.0, "total_seconds": 240.0, "hide": []}


def wrong_answers(stem):
    return importlib.import_module(f"wrong_answers.{stem}").WRONG


def submit(tmp_path, stem, answers, base="solution"):
    """Grade a submission: the solution (or the untouched lab) with some answer cells replaced; results by name."""
    notebook = copy.deepcopy(files.read(files.solution(stem) if base == "solution" else files.lab(stem)))
    for cell in notebook["cells"]:
        role, name = files.role(cell)
        if role == "answer" and name in answers:
            cell["source"] = answers[name]
    path = tmp_path / "learner.ipynb"
    path.write_text(json.dumps(notebook))
    row = grade_one({"name": "learner", "path": str(path), "lab": stem, **LIMITS})
    return row, {result["name"]: result for result in row["exercises"]}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("stem", needs.chapters(stems()))
def test_the_solution_gets_full_marks(tmp_path, stem):
    row, results = submit(tmp_path, stem, {})
    assert {name: r["cause"] or r["log"] for name, r in results.items() if not r["passed"]} == {}
    assert (row["status"], row["score"]) == ("graded", load(stem).max_points)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("stem", needs.chapters(stems()))
def test_the_untouched_lab_gets_nothing_and_nothing_crashes(tmp_path, stem):
    row, results = submit(tmp_path, stem, {}, base="lab")
    assert (row["status"], row["score"], len(results)) == ("graded", 0, len(load(stem).exercises))
    # not passed, or waiting for one that was not passed: never "could not be checked"
    assert [r for r in results.values() if r["passed"] or (r["passed"] is None and not r["dependency"])] == []


def rounds(stem):
    """Mistakes in as few submissions as possible: those in exercises that others build on go alone."""
    lab, wrong = load(stem), wrong_answers(stem)
    bases = {exercise.after for exercise in lab.exercises} - {None}
    alone = [{name: mistake} for name in bases for mistake in wrong[name]]
    most = max(len(mistakes) for name, mistakes in wrong.items() if name not in bases)
    together = [{name: list(mistakes)[number] for name, mistakes in wrong.items()
                 if name not in bases and number < len(mistakes)} for number in range(most)]
    return [pytest.param(stem, chosen, id=f"{stem}-{i}", marks=needs.chapter(stem))
            for i, chosen in enumerate(alone + together)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("stem", "chosen"), [case for stem in stems() for case in rounds(stem)])
def test_each_mistake_gets_its_own_hint(tmp_path, stem, chosen):
    wrong = wrong_answers(stem)
    _, results = submit(tmp_path, stem, {name: wrong[name][mistake][0] for name, mistake in chosen.items()})
    for name, mistake in chosen.items():
        assert results[name]["passed"] is False, (name, mistake, json.dumps(results[name]))
        said = json.dumps(results[name]["cause"], ensure_ascii=False)
        assert wrong[name][mistake][1] in said, (name, mistake, said)


def test_every_check_has_at_least_three_named_mistakes():
    assert len(stems()) >= 2
    counted = 0
    for stem in stems():
        lab, wrong = load(stem), wrong_answers(stem)
        assert set(wrong) == {exercise.name for exercise in lab.exercises}
        for name, mistakes in wrong.items():
            assert len(mistakes) >= 3, (stem, name)
            hints = [hint for _, hint in mistakes.values()]
            counted += len(hints)
    assert counted >= 40
