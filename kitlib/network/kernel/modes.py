"""Which of kube-proxy's modes this machine can apply for real, found out by applying them in a namespace that ends.

    nftables    one table with look-ups
    iptables    chains, with the matches comment, statistic, recent, addrtype, mark, conntrack
    userspace   a process
    ipvs        never: it is read and walked only
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NamedTuple

from .. import iptables, nftables
from ..iptables import RuleContext, Tables
from ..service_ports import ProxyEndpoint, ServicePort
from .restore import restore_input
from .transaction import NOTHING, transaction

_SECONDS = 10.0


class Mode(NamedTuple):
    """A mode, whether its rules can be applied here, and with what, or why not."""

    name: str
    applied: bool
    detail: str


def modes() -> list[Mode]:
    """All four, best first."""
    return [trial() for trial in _TRIALS.values()]


def best() -> str:
    """The mode for nodes whose kernels are ours."""
    return next(name for name, trial in _TRIALS.items() if trial().applied)


def why_not(name: str) -> str:
    """Why this mode cannot be applied here, in a sentence; "" if it can."""
    mode = _TRIALS[name]()
    return "" if mode.applied else mode.detail


def _tried(name: str, command: list[str], text: str, version: list[str]) -> Mode:
    if not shutil.which(command[0]):
        return Mode(name, False, f"{command[0]} is not installed")
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    try:
        done = subprocess.run([*alone, *command], input=text, capture_output=True, text=True, check=False,
                              timeout=_SECONDS)
        told = subprocess.run(version, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Mode(name, False, str(error))
    if done.returncode:
        return Mode(name, False, done.stderr.strip().splitlines()[0] if done.stderr.strip() else "it is refused")
    return Mode(name, True, f"in network namespaces, by {told.stdout.strip()}")


def _ipvs() -> Mode:
    """No address of a Service can be bound to IPVS by kit; where the kernel has none, nobody could."""
    there = os.path.exists("/proc/net/ip_vs")
    why = "" if there else "this kernel is built or loaded without IP_VS, and "
    return Mode("ipvs", False, f"{why}kit only reads and walks this mode (`kit rules --mode ipvs`, `kit walk --mode "
                               f"ipvs`)")


def _sample() -> tuple[list[ServicePort], RuleContext]:
    """Something of everything: sticky clients, a choice by chance, all ways in from outside, a refusal."""
    endpoints = tuple(ProxyEndpoint(f"10.244.0.{i}", 8080, node="probe") for i in (2, 3))
    web = ServicePort("probe", "web", "", "TCP", ("10.96.0.2",), 80, 30080, ("198.51.100.1",), ("198.51.100.2",),
                      ("203.0.113.0/24",), 600, endpoints=endpoints)
    free = ServicePort("probe", "free", "", "UDP", ("10.96.0.3",), 53, external_local=True, endpoints=endpoints)
    none = ServicePort("probe", "none", "", "TCP", ("10.96.0.4",), 80)
    return [web, free, none], RuleContext("probe", node_addresses=["192.0.2.1"], nfacct=False)


def _nftables() -> Mode:
    text = transaction(NOTHING, nftables.table(*_sample()))
    return _tried("nftables", ["nft", "-f", "-"], text, ["nft", "--version"])


def _iptables() -> Mode:
    text = restore_input(Tables(), iptables.rules(*_sample()))
    return _tried("iptables", ["iptables-restore", "--noflush"], text, ["iptables", "--version"])


def _userspace() -> Mode:
    return Mode("userspace", True, "a process copies bytes")


_TRIALS = {"nftables": _nftables, "iptables": _iptables, "userspace": _userspace, "ipvs": _ipvs}
