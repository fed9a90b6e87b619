"""Field errors: what is wrong, with which value, at which path.

Every constructor gives one `StatusCause`.  Paths are plain strings, written as the API server
writes them: `spec.containers[0].name`, `data[a b]`.  Messages read

    spec.replicas: Invalid value: -1: must be greater than or equal to 0
    └── path ────┘ └── kind ────┘ value  └── detail ───────────────────┘

(the path is put in front where the causes are joined).

Source: k8s.io/apimachinery/pkg/util/validation/field/errors.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kitlib.objects.errors import cause

Cause = dict[str, str]


def _shown(value: Any) -> str:
    """A value as Go's printer shows it: text quoted, the rest as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=isinstance(value, dict))


def _with(body: str, detail: str) -> str:
    return f"{body}: {detail}" if detail else body


def invalid(path: str, value: Any, detail: str) -> Cause:
    return cause("FieldValueInvalid", path, _with(f"Invalid value: {_shown(value)}", detail))


def type_invalid(path: str, value: Any, detail: str) -> Cause:
    return cause("FieldValueTypeInvalid", path, _with(f"Invalid value: {_shown(value)}", detail))


def required(path: str, detail: str = "") -> Cause:
    return cause("FieldValueRequired", path, _with("Required value", detail))


def duplicate(path: str, value: Any) -> Cause:
    return cause("FieldValueDuplicate", path, f"Duplicate value: {_shown(value)}")


def forbidden(path: str, detail: str) -> Cause:
    return cause("FieldValueForbidden", path, _with("Forbidden", detail))


def not_found(path: str, value: Any) -> Cause:
    return cause("FieldValueNotFound", path, f"Not found: {_shown(value)}")


def not_supported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    listed = ", ".join(_shown(text) for text in supported)
    return cause("FieldValueNotSupported", path,
                 _with(f"Unsupported value: {_shown(value)}", f"supported values: {listed}" if listed else ""))


def too_long(path: str, limit: int) -> Cause:
    return cause("FieldValueTooLong", path, f"Too long: may not be more than {limit} bytes")


def too_many(path: str, found: int, limit: int) -> Cause:
    return cause("FieldValueTooMany", path, f"Too many: {found}: must have at most {limit} items")
