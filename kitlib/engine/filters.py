"""Filters as Docker's lists and prunes have them: `{"label": ["a=b"], "name": ["web"]}`.

Several values of one filter are alternatives, except labels: all of them have to be there.

Source: moby 20.10, api/types/filters (Match: a regular expression, else the beginning; MatchKVList).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from kitlib.engine.errors import bad_request


def name_fits(wanted: Sequence[str] | None, *names: str) -> bool:
    """A part of the name, or a regular expression."""
    if not wanted:
        return True
    for value in wanted:
        for name in names:
            if value == name:
                return True
            try:
                if re.search(value, name):
                    return True
            except re.error:
                if name.startswith(value):
                    return True
    return False


def label_fits(filters: Mapping[str, Sequence[str]], labels: Mapping[str, str]) -> bool:
    """label=a, label=a=b, and what must not be there: label!=a."""
    return all(_has(labels, one) for one in filters.get("label", ())) and not any(
        _has(labels, one) for one in filters.get("label!", ()))


def _has(labels: Mapping[str, str], wanted: str) -> bool:
    key, there, value = wanted.partition("=")
    return key in labels and (not there or labels[key] == value)


def moment(text: str) -> float:
    """until=10m, a time of the clock, or seconds since 1970 → seconds since 1970.  Raises EngineError(400)."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    if re.fullmatch(r"([\d.]+(ns|us|ms|h|m|s))+", text):
        units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
        return time.time() - sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(ns|us|ms|h|m|s)", text))
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"):
        try:
            import calendar

            return float(calendar.timegm(time.strptime(re.sub(r"\.\d+", "", text), form)))
        except ValueError:
            continue
    raise bad_request(f'invalid value for time filter: failed to parse value as time or duration: "{text}"')
