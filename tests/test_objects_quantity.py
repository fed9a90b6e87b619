"""Quantities: amounts and canonical forms."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitlib.objects import quantity


@pytest.mark.parametrize(("text", "canonical"), [
    ("0.5", "500m"), ("1000m", "1"), ("1500m", "1500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000Ki", "1000Ki"),
    ("0.1Gi", "107374182400m"), ("512", "512"), ("1000000", "1M"), ("1e3", "1e3"), ("12E6", "12e6"), ("1E", "1E"),
    ("0", "0"), ("-1", "-1"), ("+1", "1"), (".5", "500m"), ("5.", "5"), ("0.0000000001", "1n"), ("0.5Ki", "512"),
])
def test_the_canonical_form_is_an_integer_with_the_largest_suffix(text: str, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize("text", ["", "a", "1x", "--1", "1.2.3", "1ki", "1ee3", "1 Gi", "one", "1KI", "0x10"])
def test_what_is_no_quantity_is_refused_with_the_servers_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.parse(text)


def test_amounts_are_exact_and_rounded_up_where_asked() -> None:
    assert quantity.parse("0.1") + quantity.parse("0.2") == Decimal("0.3")
    assert quantity.cpu_millis("0.1") == 100
    assert quantity.cpu_millis("1u") == 1
    assert quantity.memory_bytes("1Ki") == 1024
    assert quantity.memory_bytes("1500m") == 2


def test_numbers_of_json_are_quantities_too() -> None:
    assert (quantity.canonical(3), quantity.canonical(0.25)) == ("3", "250m")


def test_amounts_are_formatted_canonically() -> None:
    assert (quantity.format_cpu(250), quantity.format_cpu(2000)) == ("250m", "2")
    assert (quantity.format_memory(1536 * 2**20), quantity.format_memory(1000)) == ("1536Mi", "1000")
    assert quantity.format_decimal(Decimal("0.1")) == "100m"


suffixes = st.sampled_from(["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E-2"])
texts = st.builds(lambda whole, fraction, suffix: f"{whole}.{fraction}{suffix}" if fraction else f"{whole}{suffix}",
                  st.integers(-10**6, 10**6), st.text("0123456789", max_size=4), suffixes)


@given(texts)
def test_the_canonical_form_means_the_same_and_is_its_own_canonical_form(text: str) -> None:
    canonical = quantity.canonical(text)
    assert quantity.parse(canonical) == quantity.parse(text)
    assert quantity.canonical(canonical) == canonical
