"""Regular expressions as Go's: RE2, the library behind both.

Patterns come from clients (in CRDs, in CEL), and one process serves everybody: a pattern must not be able to
take exponential time, as `^(a+)+$` can in Python's `re`.  RE2's time grows with the text and nothing else, and
its syntax is the one that a real server accepts: no look-around, no back-references.

Source: https://github.com/google/re2/wiki/Syntax; Go's regexp/syntax.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=512)
def compile_(pattern: str) -> Any:
    """A compiled pattern, with `search` and `finditer` like Python's.  Raises ValueError saying what is wrong."""
    import re2  # with the first pattern: most clusters have none

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"error parsing regexp: {text}") from None
