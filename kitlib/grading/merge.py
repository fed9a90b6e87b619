"""Answer cells, by their ids, into the instructor's notebook.

Everything else of a submission (metadata, outputs, points, extra cells, changed checks) is ignored: what
runs is the instructor's notebook with the learner's text in the places where answers belong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kitlib.book import files
from kitlib.book.generate import generate

MAX_SOURCE = 100_000  # characters of one answer


@dataclass(frozen=True)
class Cell:
    """One code cell to run.  role: "answer" (the learner's), "check" (ours, not run in the kernel) or "" (ours)."""

    id: str
    role: str
    exercise: str
    source: str


@dataclass(frozen=True)
class Merged:
    """The notebook to run, and what was noticed on the way (sentences for the report)."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...]


def merge(solution: Mapping[str, Any], submission: Mapping[str, Any]) -> Merged:
    """Put a submission's answers into the lab that the solution generates."""
    lab = generate(dict(solution))
    submitted: dict[str, str] = {}
    notes = []
    for cell in submission.get("cells", ()):
        if not isinstance(cell, dict) or not isinstance(cell.get("id"), str):
            continue
        text = cell.get("source", "")
        if isinstance(text, list):
            text = "".join(line for line in text if isinstance(line, str))
        if cell["id"] in submitted:
            notes.append(f"two cells have the id {cell['id']!r}; the first one counts")
        elif isinstance(text, str):
            submitted[cell["id"]] = text
    cells = []
    for cell in lab["cells"]:
        if cell["cell_type"] != "code":
            continue
        role, exercise = files.role(cell)
        text = files.source(cell)
        if role == "answer":
            given = submitted.get(cell["id"])
            if given is None:
                notes.append(f"the answer cell of {exercise} ({cell['id']}) is missing")
            elif len(given) > MAX_SOURCE:
                notes.append(f"the answer of {exercise} is longer than {MAX_SOURCE} characters and was not run")
                given = None
            text = given or ""
        cells.append(Cell(cell["id"], role, exercise, text))
    return Merged(tuple(cells), tuple(notes))
