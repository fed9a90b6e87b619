"""JSON merge patch: the patch looks like the object, null removes, everything else replaces.

    object   {"data": {"a": "1", "b": "2"}}
    patch    {"data": {"a": null, "c": "3"}}
    result   {"data": {"b": "2", "c": "3"}}

Lists are replaced as a whole.  This is the only patch by example that custom resources have.

Source: RFC 7386; `application/merge-patch+json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.objects.errors import bad_request
from kitlib.objects.meta import clone


def apply(obj: Mapping[str, Any], patch: Any) -> dict[str, Any]:
    """The patched object; `obj` stays as it is, what did not change is shared with it."""
    if not isinstance(patch, dict):
        kind = "array" if isinstance(patch, list) else type(patch).__name__
        raise bad_request(f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
    return _merge(obj, patch)


def _merge(target: Any, patch: dict[str, Any]) -> dict[str, Any]:
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merge(result.get(key), value)
        else:
            result[key] = clone(value)
    return result


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest merge patch that makes `new` out of `old` ({} when they are equal)."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if key in old and before == value and type(before) is type(value):
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            patch[key] = diff(before, value)
        else:
            patch[key] = clone(value)
    return patch
