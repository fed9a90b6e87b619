"""Quantities, times and bytes have one spelling each."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitlib.objects.schema import scalars


@pytest.mark.parametrize(("sent", "kept"), [
    ("1000m", "1"), ("0.5", "500m"), ("1.5", "1500m"), ("100000", "100k"), ("1024", "1024"), ("1000k", "1M"),
    ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000Mi", "1000Mi"), ("0.3Ki", "307200m"), ("0.5Gi", "512Mi"),
    ("512", "512"), ("1e3", "1e3"), ("12e6", "12e6"), ("1E", "1E"), ("0Mi", "0"), ("0", "0"), ("-1", "-1"), ("+2", "2"),
    (".5", "500m"), ("5.", "5"), ("0.1n", "1n"), ("1e99", "9223372036854775807"), ("0.0001", "100u"), (" 1 ", "1"),
])
def test_quantities_are_written_with_the_largest_suffix_that_stays_exact(sent: str, kept: str) -> None:
    assert scalars.canonical_quantity(sent) == kept
    assert scalars.canonical_quantity(kept) == kept


@pytest.mark.parametrize("text", ["", "m", "1x", "1 Gi", "1ki", "--1", "1Mi2", "0x1", "1,5", "NaN", "1ee3"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        scalars.canonical_quantity(text)


@given(st.decimals(min_value=0, max_value=10**12, places=3), st.sampled_from(["", "m", "k", "M", "Ki", "Mi"]))
def test_canonical_quantities_keep_their_value(number: Decimal, suffix: str) -> None:
    factor = {"": 1, "m": Decimal("0.001"), "k": 1000, "M": 10**6, "Ki": 1024, "Mi": 2**20}
    suffixes = {**{s: Decimal(10) ** e for s, e in scalars.DECIMAL_SUFFIXES.items()},
                **{s: Decimal(1024) ** p for p, s in enumerate(scalars.BINARY_SUFFIXES) if s}}
    kept = scalars.canonical_quantity(f"{number}{suffix}")
    digits = kept.rstrip("numkKMGTPEi")
    value, wanted = Decimal(digits) * suffixes[kept[len(digits):]], number * factor[suffix]
    rounding = 1 if suffix.endswith("i") else Decimal("1e-9")  # binary quantities above 1Ki are whole
    assert wanted <= value < wanted + rounding


def test_quantities_add_up_in_the_firsts_notation() -> None:
    assert scalars.sum_of_quantities(["500m", "1", "0.25"]) == "1750m"
    assert scalars.sum_of_quantities(["512Mi", "512Mi"]) == "1Gi"
    assert scalars.largest_quantity(["1G", "1Gi", "1000"]) == "1Gi"


@pytest.mark.parametrize(("sent", "kept"), [
    ("2020-02-29T12:00:00Z", "2020-02-29T12:00:00Z"), ("2020-01-01T00:30:00+01:00", "2019-12-31T23:30:00Z"),
    ("2020-01-01T00:00:00.999Z", "2020-01-01T00:00:00Z"), ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
])
def test_times_are_kept_in_utc_and_whole_seconds(sent: str, kept: str) -> None:
    assert scalars.canonical_time(sent) == kept


@pytest.mark.parametrize(("text", "why"), [
    ("2020-13-01T00:00:00Z", 'parsing time "2020-13-01T00:00:00Z": month out of range'),
    ("2021-02-29T00:00:00Z", 'parsing time "2021-02-29T00:00:00Z": day out of range'),
    ("2020-01-01", 'parsing time "2020-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"'),
    ("2020-01-01T00:00:00", 'parsing time "2020-01-01T00:00:00" as "2006-01-02T15:04:05Z07:00": '
                            'cannot parse "" as "Z07:00"'),
    ("2020-01-01T00:00:00Zx", 'parsing time "2020-01-01T00:00:00Zx": extra text: "x"'),
])
def test_what_is_no_time_is_refused_in_gos_words(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="parsing time") as caught:
        scalars.canonical_time(text)
    assert str(caught.value) == why


def test_micro_times_need_exactly_six_decimals() -> None:
    assert scalars.canonical_microtime("2020-01-01T01:00:00.000001+01:00") == "2020-01-01T00:00:00.000001Z"
    for text in ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.123Z", "2020-01-01T00:00:00.1234567Z"):
        with pytest.raises(ValueError, match="cannot parse"):
            scalars.canonical_microtime(text)


def test_base64_text() -> None:
    assert scalars.base64_text("aG\nk=") == "aGk="
    assert scalars.base64_text("aGl=") == "aGk=", "stray bits in the last character"
    assert scalars.base64_text("") == ""
    for text, offset in [("a", 1), ("a b=", 1), ("====", 0), ("aGk", 3)]:
        with pytest.raises(ValueError, match=f"input byte {offset}$"):
            scalars.base64_text(text)
