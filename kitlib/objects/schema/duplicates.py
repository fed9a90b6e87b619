"""Fields that stand twice in one JSON object: legal JSON, the last one counts, and a client's mistake.

A fast JSON parser drops the first value silently, so the raw body is looked at once more, and only if
it could matter: a body that the encoder writes back byte for byte has nothing twice.

Source: sigs.k8s.io/json (`duplicate field "spec.replicas"`), KEP-2885 (server-side field validation).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import orjson


class _Twice(dict[str, Any]):
    """An object of which some keys came more than once."""

    keys_twice: list[str]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    counts = Counter(key for key, _ in pairs)
    twice = _Twice(made)
    twice.keys_twice = [key for key, count in counts.items() if count > 1]
    return twice


def find_duplicate_fields(raw: bytes, parsed: Any = None) -> list[str]:
    """Paths of the duplicates, such as "spec.ports[0].name", each once.  `parsed` saves work if at hand."""
    if parsed is not None and orjson.dumps(parsed) == raw.rstrip():
        return []
    try:
        tree = json.loads(raw, object_pairs_hook=_pairs)
        return list(dict.fromkeys(_collect(tree, "")))
    except (RecursionError, ValueError):  # too deep or not JSON: the decoder has its own answer to that
        return []


def _collect(value: Any, path: str) -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        if isinstance(value, _Twice):
            found += [prefix + key for key in value.keys_twice]
        for key, item in value.items():
            if isinstance(item, dict | list):
                found += _collect(item, prefix + key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                found += _collect(item, f"{path}[{index}]")
    return found
