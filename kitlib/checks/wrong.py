"""A wrong answer: what a check raises to say so, with the hint that belongs to it."""

from __future__ import annotations

from typing import Any


class Wrong(Exception):
    """A wrong answer.

    rationale: what is wrong, a sentence without a full stop.  help: the hint: where to look or what
    to try, never the solution.  expected, actual: JSON values, shown side by side.
    """

    def __init__(self, rationale: str, help: str, *, expected: Any = None, actual: Any = None) -> None:
        super().__init__(rationale)
        self.rationale, self.help, self.expected, self.actual = rationale, help, expected, actual
