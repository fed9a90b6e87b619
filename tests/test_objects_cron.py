"""Cron schedules: what they mean and what is refused."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from kitlib.objects import cron
from kitlib.objects.clock import parse_time, rfc3339

START = parse_time("2026-11-22T10:07:30Z")  # a Sunday


def following(schedule: str, times: int = 1, after: float = START) -> list[str]:
    parsed, found = cron.parse(schedule), []
    for _ in range(times):
        moment = parsed.next(after, timezone.utc)
        assert moment is not None
        found.append(rfc3339(moment))
        after = moment
    return found


@pytest.mark.parametrize(("schedule", "expected"), [
    ("*/5 * * * *", ["2026-11-22T10:10:00Z", "2026-11-22T10:15:00Z"]),
    ("7,8 * * * *", ["2026-11-22T10:08:00Z", "2026-11-22T11:07:00Z"]),
    ("0 9-11/2 * * *", ["2026-11-22T11:00:00Z", "2026-11-23T09:00:00Z"]),
    ("0 0 1 jan *", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
    ("0 12 * * mon-fri", ["2026-11-23T12:00:00Z", "2026-11-24T12:00:00Z"]),
    ("0 12 * * 7", ["2026-11-22T12:00:00Z", "2026-11-29T12:00:00Z"]),
    ("0 0 13 * fri", ["2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z"]),
    ("@hourly", ["2026-11-22T11:00:00Z", "2026-11-22T12:00:00Z"]),
    ("@monthly", ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
    ("0 0 29 2 *", ["2028-02-29T00:00:00Z"]),
    ("@every 90s", ["2026-11-22T10:09:00Z", "2026-11-22T10:10:30Z"]),
])
def test_the_next_times_of_a_schedule(schedule: str, expected: list[str]) -> None:
    assert following(schedule, len(expected)) == expected


def test_a_schedule_that_never_comes_has_no_next_time() -> None:
    assert cron.parse("0 0 31 2 *").next(START, timezone.utc) is None


def test_a_schedule_is_read_in_its_time_zone() -> None:
    moment = cron.parse("0 3 * * *").next(START, ZoneInfo("Asia/Tokyo"))
    assert moment == datetime(2026, 11, 22, 18, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(("schedule", "sentence"), [
    ("", "empty spec string"), ("61 * * * *", "end of range"), ("* * * *", "expected exactly 5 fields, found 4"),
    ("a * * * *", "failed to parse int from a"), ("*/0 * * * *", "step of range should be a positive number"),
    ("5-1 * * * *", "beyond end of range"), ("@fortnightly", "unrecognized descriptor"), ("1-2-3 * * * *", "hyphens"),
    ("@every soon", "failed to parse duration"), ("* * 0 * *", "below minimum"), ("1/2/3 * * * *", "slashes"),
])
def test_what_cannot_be_read_is_refused_with_the_parsers_sentence(schedule: str, sentence: str) -> None:
    with pytest.raises(cron.CronError, match=sentence):
        cron.parse(schedule)
