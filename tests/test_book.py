"""The book's files: labs come out of solutions, learners' copies are never overwritten, slides work offline."""

from __future__ import annotations

import json
import re

import pytest

from kitlib.book import execute, files, generate, slides
from kitlib.checks.framework import load
from kitlib.cluster.errors import KitError


def cell(source, id="c", kind="code", **kit):
    return {"cell_type": kind, "id": id, "metadata": {"kit": kit} if kit else {}, "source": source,
            **({"outputs": [1], "execution_count": 3} if kind == "code" else {})}


def test_a_solution_becomes_a_stub_that_keeps_its_place():
    text = "def f():\n    # BEGIN SOLUTION\n    return 3\n    # END SOLUTION\nprint(f())"
    assert generate.stubbed(text) == "def f():\n    ...\nprint(f())"


def test_a_stub_line_is_what_the_learner_sees_instead():
    text = "# BEGIN SOLUTION\n# STUB: x = ...   # a number\nx = 3\n# END SOLUTION"
    assert generate.stubbed(text) == "x = ...   # a number"


def test_a_stub_keeps_the_nesting_that_its_author_wrote():
    text = "  # BEGIN SOLUTION\n  # STUB: spec:\n  # STUB:   volumes: ...\n  x\n  # END SOLUTION"
    assert generate.stubbed(text) == "  spec:\n    volumes: ..."


@pytest.mark.parametrize(("text", "part"), [("# BEGIN SOLUTION\nx", "without its"), ("# END SOLUTION", "without a"),
                                            ("# BEGIN SOLUTION\n# BEGIN SOLUTION", "inside another")])
def test_markers_that_do_not_match_name_the_cell(text, part):
    with pytest.raises(KitError, match=f"cell 7.*{part}"):
        generate.stubbed(text, "cell 7")


def test_a_lab_has_no_outputs_and_keeps_ids():
    lab = generate.generate({"cells": [cell("# BEGIN SOLUTION\n1\n# END SOLUTION", "a", exercise="e", role="answer")],
                             "metadata": {"kernelspec": {}, "widgets": {}}, "nbformat": 4, "nbformat_minor": 5})
    assert lab["cells"] == [{"cell_type": "code", "id": "a", "metadata": {"kit": {"exercise": "e", "role": "answer"}},
                             "source": "...", "outputs": [], "execution_count": None}]
    assert "widgets" not in lab["metadata"]


def test_the_labs_are_what_their_solutions_generate():
    assert files.stems()
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("stem", files.stems())
def test_a_chapter_is_whole(stem):
    """Four places, one stem; every exercise has its text, its answer cell and its check cell, in this order."""
    lab, solution = load(stem), files.read(files.solution(stem))
    assert files.deck(stem).exists()
    assert files.deck(stem).with_name(f"{stem}.run-sheet.md").exists()
    roles = [files.role(c) for c in solution["cells"] if files.role(c)[0]]
    expected = [(role, e.name) for e in lab.exercises for role in ("answer", "check")]
    assert roles == expected
    ids = [c["id"] for c in solution["cells"]]
    assert len(ids) == len(set(ids))
    text = "\n".join(files.source(c) for c in solution["cells"])
    for part in (f"{lab.minutes} minutes", "## Questions", "## Words", "must always hold"):
        assert part in text


@pytest.mark.parametrize("stem", files.stems())
def test_a_deck_is_one_page_that_needs_no_network(stem):
    page = slides.build(files.deck(stem))
    assert not re.search(r"(src|href)\s*=|url\((?!#)|@import", page)
    assert page.count("<section>") >= 4


def test_code_on_a_slide_is_the_code():
    shown = slides.symbol_source("kitlib.book.slides:symbol_source")
    assert shown.startswith("def symbol_source(")
    with pytest.raises(KitError, match="has no Nothing"):
        slides.symbol_source("kitlib.book.slides:Nothing")


@pytest.mark.parametrize(("line", "part"), [("!figure nonsense", "no figure 'nonsense'"),
                                            ("!figure flow x", "does not"),
                                            ("!code kitlib.nothing:x", "no module"), ("!code json:nothing", "has no")])
def test_a_bad_directive_names_file_and_line(tmp_path, line, part):
    deck = tmp_path / "deck.md"
    deck.write_text(f"# One\n\n---\n## Two\n\n{line}\n")
    with pytest.raises(KitError, match=rf"deck\.md, line 6: .*{part}"):
        slides.build(deck)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_WORK", str(tmp_path))
    return tmp_path


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KIT_WORK", str(tmp_path / "file"))
    with pytest.raises(KitError, match=r"file.* cannot be written \(Not a directory\); set KIT_WORK to a directory"):
        files.learner_copy("lab00_welcome")


def test_a_learners_copy_is_made_once_and_never_overwritten(desk):
    path = files.learner_copy("lab00_welcome")
    assert path == desk / "lab00_welcome" / "lab00_welcome.ipynb"
    path.write_text(json.dumps({"cells": [], "mine": True}))
    assert files.read(files.learner_copy("lab00_welcome"))["mine"] is True


def test_starting_over_keeps_the_old_copy(desk):
    files.learner_copy("lab00_welcome").write_text("mine")
    kept = files.start_over("lab00_welcome")
    assert kept.read_text() == "mine"
    assert files.read(files.learner_copy("lab00_welcome")) == files.read(files.lab("lab00_welcome"))


def test_catching_up_fills_in_the_exercises_before_and_leaves_the_rest(desk):
    path = execute.catch_up("lab09_replicaset_flow", 3)
    solution = {c["id"]: files.source(c) for c in files.read(files.solution("lab09_replicaset_flow"))["cells"]}
    lab = {c["id"]: files.source(c) for c in files.read(files.lab("lab09_replicaset_flow"))["cells"]}
    mine = {c["id"]: files.source(c) for c in files.read(path)["cells"]}
    for name in ("answer-predict-writers", "answer-apply-replicaset"):
        assert mine[name] == solution[name] != lab[name]
    assert mine["answer-follow-the-flow"] == lab["answer-follow-the-flow"]
    ids = [c["id"] for c in files.read(execute.up_to(path, 3))["cells"]]
    assert "check-apply-replicaset" in ids
    assert "answer-follow-the-flow" not in ids
    with pytest.raises(KitError, match="exercises 1 to 10"):
        execute.catch_up("lab09_replicaset_flow", 11)


def test_an_unknown_lab_names_those_there_are():
    with pytest.raises(KitError, match="lab00_welcome"):
        files.find("lab77")


def test_a_file_that_is_no_notebook_is_named(tmp_path):
    bad = tmp_path / "bad.ipynb"
    bad.write_text("{}")
    with pytest.raises(KitError, match=r"bad\.ipynb is not a notebook"):
        files.read(bad)
