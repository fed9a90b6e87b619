"""kit bench rules: what is measured is written, and is what it says."""

from __future__ import annotations

import pytest

from kitlib.bench import rules


def test_computing_is_measured_everywhere() -> None:
    names = [figure.name for figure in rules.measure(1, services=5, seconds=0.1)]
    assert names[:3] == [f"{mode} rules of 5 Services computed" for mode in ("nftables", "iptables", "ipvs")]


@pytest.mark.needs("netfilter")
def test_one_service_more_is_a_small_text_for_nftables_and_every_write_succeeds() -> None:
    figures = rules.measure(1, services=20, seconds=0.2)
    notes = {figure.name: figure.note for figure in figures}
    assert len(notes) == 9
    rates = [figure.value for figure in figures if figure.name.startswith("connections to the last of 20 Services")]
    assert len(rates) == 2
    assert min(rates) > 10
    more = {mode: int(notes[f"{mode} rules of one Service more written"].split()[0])
            for mode in ("nftables", "iptables")}
    assert more["nftables"] < 10 < more["iptables"]   # iptables lists every Service in one chain
