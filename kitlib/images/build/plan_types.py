"""How flags of instructions are written: yes and no, sizes, modes."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+)([kmgt]?)i?b?", re.IGNORECASE)


def boolean(text: str) -> bool:
    """true, 1, yes or nothing after the name; everything else is no."""
    return text.lower() in ("true", "1", "t", "yes", "")


def size_of(text: str) -> int:
    """Bytes of 64m, 1GiB, 4096.  Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no size")
    return int(match[1]) << (10 * " kmgt".index(match[2].lower() or " "))
