"""Cron schedules: `*/5 9-17 * * mon-fri`, `@daily`, `@every 90s`.

    minute   hour   day of month   month   day of week (0 and 7 are Sunday)

A field is a list of `*`, `N`, `A-B`, each perhaps with `/STEP`.  If both days are restricted, a day
that fits either is enough; that is cron's old rule, and Kubernetes keeps it.

Source: github.com/robfig/cron/v3 (parser.go, spec.go), which CronJobs are read with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10,
           "nov": 11, "dec": 12}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = ((0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS),
                                                         (0, 6, _DAYS))
_DESCRIPTORS = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
                "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:h|ms|m|s|us|µs|ns))+")
_YEARS_AHEAD = 5


class CronError(ValueError):
    """The text is not a schedule; the sentence is the parser's."""


@dataclass(frozen=True)
class Schedule:
    """The times at which a CronJob runs."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = False  # the day of month, or of week, is "*": then both must fit
    every: float = 0.0  # @every: seconds

    def next(self, after: float, zone: tzinfo) -> float | None:
        """The first time (seconds since 1970) later than `after`; None if there is none within five years."""
        if self.every:
            return float(int(after + self.every))
        moment = datetime.fromtimestamp(after, zone).replace(second=0, microsecond=0) + timedelta(minutes=1)
        last = moment.year + _YEARS_AHEAD
        while moment.year <= last:
            if moment.month not in self.months:
                first = moment.replace(day=1, hour=0, minute=0)
                moment = (first + timedelta(days=32)).replace(day=1)
            elif not self._fits_day(moment):
                moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
            elif moment.hour not in self.hours:
                moment = moment.replace(minute=0) + timedelta(hours=1)
            elif moment.minute not in self.minutes or moment.timestamp() <= after:
                moment += timedelta(minutes=1)
            else:
                return moment.timestamp()
        return None

    def _fits_day(self, moment: datetime) -> bool:
        of_month, of_week = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return of_month and of_week if self.any_day else of_month or of_week


def parse(text: str) -> Schedule:
    """Read a schedule.  Raises CronError."""
    if not text:
        raise CronError("empty spec string")
    if text.startswith("@every "):
        return Schedule(every=_duration(text[len("@every "):]))
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise CronError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != 5:
        raise CronError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    minutes, hours, days, months, weekdays = map(_field, parts, _FIELDS)
    return Schedule(minutes, hours, days, months, weekdays,
                    any(part.split("/")[0] in ("*", "?") for part in (parts[2], parts[4])))


def _duration(text: str) -> float:
    if not _DURATION.fullmatch(text):
        raise CronError(f'failed to parse duration @every {text}: time: invalid duration "{text}"')
    seconds = sum(float(number) * _UNITS[unit]
                  for number, unit in re.findall(r"(\d+(?:\.\d*)?)(h|ms|m|s|us|µs|ns)", text))
    return max(1.0, float(int(seconds)))


def _field(text: str, limits: tuple[int, int, dict[str, int]]) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        values.update(_range(part, *limits))
    return frozenset(values)


def _range(text: str, low: int, high: int, names: dict[str, int]) -> range:
    span, slash, step_text = text.partition("/")
    first_text, dash, last_text = span.partition("-")
    if "/" in step_text:
        raise CronError(f"too many slashes: {text}")
    if "-" in last_text:
        raise CronError(f"too many hyphens: {text}")
    if span in ("*", "?"):
        first, last = low, high
    else:
        first = _number(first_text, names)
        last = _number(last_text, names) if dash else first
        if slash and not dash:
            last = high  # "N/STEP" means from N to the end
    step = _number(step_text, {}) if slash else 1
    if names is _DAYS and last == 7 and not dash:
        first = last = 0  # the other name of Sunday
    if first < low:
        raise CronError(f"beginning of range ({first}) below minimum ({low}): {text}")
    if last > high:
        raise CronError(f"end of range ({last}) above maximum ({high}): {text}")
    if first > last:
        raise CronError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if not step:
        raise CronError(f"step of range should be a positive number: {text}")
    return range(first, last + 1, step)


def _number(text: str, names: dict[str, int]) -> int:
    found = names.get(text.lower())
    if found is not None:
        return found
    if not text.isascii() or not text.isdigit():
        raise CronError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)
