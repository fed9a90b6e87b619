"""A cron schedule: when is the next time?

    ┌ minute 0–59  ┌ hour 0–23  ┌ day 1–31  ┌ month 1–12 or JAN–DEC  ┌ weekday 0–6 or SUN–SAT
    */15           *            *           *                        MON-FRI

Lists (`1,5`), ranges (`1-5`), steps (`*/10`, `5-50/15`), `?` for `*`, and the names @hourly, @daily, @weekly, @monthly,
@yearly; `@every 1h30m` counts from the last run.  If both day and weekday are restricted, either will do: cron's own
odd rule.  Times are of the schedule's time zone; without one, UTC.

Source: github.com/robfig/cron/v3 (the parser Kubernetes uses).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo

NAMED = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
         "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS: tuple[tuple[int, int, Sequence[str]], ...] = (
    (0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, ("", *MONTHS)), (0, 6, DAYS))
DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|m|s)")
UNITS = {"h": 3600, "m": 60, "s": 1}
FAR = timedelta(days=366 * 5)


class Schedule:
    """Raises ValueError for a text that is no schedule."""

    def __init__(self, text: str, zone: tzinfo = timezone.utc) -> None:
        self._zone = zone
        self.every = 0.0
        text = text.strip()
        if text.startswith("@every "):
            parts = DURATION.findall(text[7:])
            self.every = sum(float(amount) * UNITS[unit] for amount, unit in parts)
            if not parts or self.every < 1:
                raise ValueError(f"not a duration: {text!r}")
            return
        fields = NAMED.get(text, text).split()
        if len(fields) != 5:
            raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {text!r}")
        self._sets = [_parse(field, *limits) for field, limits in zip(fields, FIELDS, strict=True)]
        self._any_day, self._any_weekday = (fields[place].startswith(("*", "?")) for place in (2, 4))

    def next(self, after: float) -> float | None:
        """The first time after `after` (seconds since 1970); None if there is none within five years."""
        if self.every:
            return float(int(after)) + self.every
        now = datetime.fromtimestamp(int(after), self._zone).replace(second=0) + timedelta(minutes=1)
        end = now + FAR
        while now < end:
            if now.month not in self._sets[3]:
                now = (now.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
            elif not self._day_matches(now):
                now = now.replace(hour=0, minute=0) + timedelta(days=1)
            elif now.hour not in self._sets[1]:
                now = now.replace(minute=0) + timedelta(hours=1)
            elif now.minute not in self._sets[0]:
                now += timedelta(minutes=1)
            elif now.timestamp() > after:
                return now.timestamp()
            else:
                now += timedelta(minutes=1)
        return None

    def _day_matches(self, now: datetime) -> bool:
        day, weekday = now.day in self._sets[2], now.isoweekday() % 7 in self._sets[4]
        return day and weekday if self._any_day or self._any_weekday else day or weekday


def _parse(field: str, low: int, high: int, names: Sequence[str]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, _, stop = span.partition("-")
            first = _number(start, names)
            last = _number(stop, names) if stop else (high if step else first)
        if step and (not step.isdigit() or int(step) < 1):
            raise ValueError(f"not a step: {part!r}")
        if not low <= first <= last <= high:
            raise ValueError(f"not in the range {low}-{high}: {part!r}")
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: Sequence[str]) -> int:
    if text.lower() in names and text:
        return names.index(text.lower())
    if not text.isdigit():
        raise ValueError(f"not a number: {text!r}")
    return int(text)
