"""Which function answers which request: a mark on the function, and a table made of the marks.

    @route("GET", "/images/{name:path}/json")     name may have slashes in it, as names of images do

HEAD goes where GET goes if it has no route of its own; the server leaves the body out.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from kitlib.engine.call import Call, Result

if TYPE_CHECKING:
    from kitlib.engine.engine import Engine

Handler = Callable[["Engine", Call], Awaitable[Result]]
H = TypeVar("H", bound=Handler)
_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")
_routes: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, pattern: str) -> Callable[[H], H]:
    """Several marks on one function are several ways to it."""
    expression = _PARAMETER.sub(lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", pattern)

    def mark(handler: H) -> H:
        _routes.append((method, re.compile(expression), handler))
        return handler

    return mark


def find(method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
    """The handler and what the pattern found; the first that was written wins."""
    for wanted in (method, "GET") if method == "HEAD" else (method,):
        for verb, pattern, handler in _routes:
            if verb == wanted and (match := pattern.fullmatch(path)):
                return handler, match.groupdict()
    return None
