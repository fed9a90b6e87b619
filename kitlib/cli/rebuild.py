"""`kit build` once more, and nothing has changed: answered before anything else is imported."""

from __future__ import annotations

import sys

from kitlib.images.build import again


def unchanged(words: list[str]) -> bool:
    """Whether that was so; then the answer is printed."""
    answer = again.unchanged(words)
    if answer is None:
        return False
    for line in answer["steps"]:
        print(line, file=sys.stderr)
    print(answer["line"])
    return True
