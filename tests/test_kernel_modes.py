"""Which of kube-proxy's modes a machine can apply, and how it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitlib.cli import doctor
from kitlib.network.kernel import modes


def programs(directory: Path, **scripts: str) -> str:
    """A PATH with these programs and no others."""
    for name, script in scripts.items():
        file = directory / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    return str(directory)


def test_a_program_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path))
    assert modes.why_not("nftables") == "nft is not installed"
    assert modes.why_not("iptables") == "iptables-restore is not installed"
    assert modes.best() == "userspace"


def test_what_the_kernel_says_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses = "echo 'Error: Could not process rule: Operation not supported' >&2; exit 1"
    unshare = 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"'
    monkeypatch.setenv("PATH", programs(tmp_path, nft=refuses, unshare=unshare, **{
        "iptables-restore": "exit 0", "iptables": "echo iptables v9.9"}))
    assert modes.why_not("nftables") == "Error: Could not process rule: Operation not supported"
    assert modes.why_not("iptables") == ""
    assert modes.best() == "iptables"


def test_the_doctor_has_a_line_for_every_mode_and_says_what_is_read_only() -> None:
    found = {finding.name: finding for finding in doctor._proxy_modes()}
    assert set(found) == {"kube-proxy nftables", "kube-proxy iptables", "kube-proxy userspace", "kube-proxy ipvs",
                          "conntrack"}
    assert found["kube-proxy userspace"].ok
    assert not found["kube-proxy ipvs"].ok
    assert "kit only reads and walks this mode" in found["kube-proxy ipvs"].detail
    assert "kit walk --mode ipvs" in found["kube-proxy ipvs"].cost


@pytest.mark.needs("netfilter")
def test_a_kernel_with_netfilter_can_do_both(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {mode.name for mode in modes.modes() if mode.applied} == {"nftables", "iptables", "userspace"}
    assert modes.best() == "nftables"
