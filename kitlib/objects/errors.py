"""`Status`: how a Kubernetes API says no.

Every refusal anywhere in kitlib is a `StatusError` that carries the `Status` object a real API
server would send (code, reason, details, causes), so the same sentence reaches kubectl, the Python
client and a controller's `except`.

Source: k8s.io/apimachinery/pkg/api/errors and pkg/apis/meta/v1 (StatusReason, CauseType).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class StatusError(Exception):
    """A refusal.  `status` is the complete `Status` object; `code` its HTTP code."""

    def __init__(self, code: int, reason: str | None, message: str, details: Mapping[str, Any] | None = None,
                 headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.headers = dict(headers or {})
        self.status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                       "message": message}
        if reason:
            self.status["reason"] = reason
        if details is not None:
            self.status["details"] = dict(details)
        self.status["code"] = code


def cause(reason: str, field: str, message: str) -> dict[str, str]:
    """One `StatusCause`: reason such as FieldValueInvalid, the field's path, a sentence."""
    return {"reason": reason, "message": message, "field": field}


def _details(group: str, kind: str, name: str, causes: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    if causes:
        details["causes"] = [dict(c) for c in causes]
    return details


def _qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> StatusError:
    """404; kind in the details is the plural, as the real server has it."""
    return StatusError(404, "NotFound", f'{_qualified(plural, group)} "{name}" not found',
                       _details(group, plural, name))


def no_such_path() -> StatusError:
    """404 for a resource or version that does not exist in a known group."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, plural: str, name: str) -> StatusError:
    return StatusError(409, "AlreadyExists", f'{_qualified(plural, group)} "{name}" already exists',
                       _details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str, causes: Sequence[Mapping[str, str]] = ()) -> StatusError:
    return StatusError(409, "Conflict", f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}',
                       _details(group, plural, name, causes))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(group: str, kind: str, name: str, causes: Sequence[Mapping[str, str]]) -> StatusError:
    """422; here the details name the Kind, not the plural.  The message joins all causes."""
    texts = [f"{c['field']}: {c['message']}" if c.get("field") else c["message"] for c in causes]
    text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    shown = f"{kind}.{group}" if group else kind
    return StatusError(422, "Invalid", f'{shown} "{name}" is invalid: {text}', _details(group, kind, name, causes))


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(group: str, plural: str, name: str, why: str) -> StatusError:
    shown = f'{_qualified(plural, group)} "{name}"' if name else f"{_qualified(plural, group)}"
    return StatusError(403, "Forbidden", f"{shown} is forbidden: {why}", _details(group, plural, name))


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def internal(message: str) -> StatusError:
    return StatusError(500, "InternalError", f"Internal error occurred: {message}",
                       {"causes": [{"message": message}]})
