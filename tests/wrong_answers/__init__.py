"""Mistakes that beginners make, by exercise: name → (what they put into the answer cell, part of their hint).

`tests/test_labs.py` submits each of them as a learner would, and expects that very hint.
"""

from __future__ import annotations

from kitlib.book import files


class Answers:
    """The solution's answer cells of a chapter, and the same with something wrong in them."""

    def __init__(self, stem: str) -> None:
        cells = files.read(files.solution(stem))["cells"]
        self.sources = {name: files.source(cell) for cell in cells for role, name in [files.role(cell)]
                        if role == "answer"}

    def but(self, exercise: str, *changes: tuple[str, str]) -> str:
        """The solution's answer with other words in some places (each has to be there)."""
        text = self.sources[exercise]
        for old, new in changes:
            assert old in text, (exercise, old)
            text = text.replace(old, new)
        return text
