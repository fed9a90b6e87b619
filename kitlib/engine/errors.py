"""What the engine refuses: a status code and a sentence in Docker's own words."""

from __future__ import annotations


class EngineError(Exception):
    """Becomes `{"message": …}` with this status.  400 nonsense, 404 not there, 409 conflict, 501 not in this engine."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def bad_request(message: str) -> EngineError:
    return EngineError(400, message)


def not_found(message: str) -> EngineError:
    return EngineError(404, message)


def conflict(message: str) -> EngineError:
    return EngineError(409, message)


def not_here(what: str, instead: str) -> EngineError:
    """Something that only a real Docker Engine has."""
    return EngineError(501, f"the embedded engine has no {what}: {instead}")
