"""What the registry refuses, in the distribution spec's form: {"errors": [{"code": …, "message": …, "detail": …}]}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class RegistryError(Exception):
    """code: one of the distribution spec's, such as BLOB_UNKNOWN."""

    def __init__(self, status: int, code: str, message: str, detail: Any = None, *, details: Sequence[Any] = (),
                 headers: Mapping[str, str] | None = None) -> None:
        """details: the same for several things, each of which is an error of its own."""
        super().__init__(message)
        self.status, self.code, self.message, self.detail, self.details = status, code, message, detail, details
        self.headers = headers or {}
