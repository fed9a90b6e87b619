"""The ipvs mode's sets and rules are put into a kernel and read back: they are the kernel's own words.

All but the balancer's table itself, and one match, which a kernel without IP_VS does not have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from kernel_net import Net
from proxy_objects import CONTEXT, recorded

from kitlib.network import ipvs
from kitlib.network.iptables import Tables
from kitlib.network.kernel.restore import restore_input

pytestmark = pytest.mark.needs("netfilter", "ipset")


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    made = Net()
    yield made
    made.close()


def plain(saved: str) -> list[str]:
    """Without what newer kernels tell of a set's inside; the entries of a set have no order."""
    return sorted(re.sub(r" (bucketsize \d+|initval \S+)", "", line) for line in saved.splitlines())


NAMES = ["affinity", "nodeport", "loadbalancer", "external-ip", "internal-local", "no-endpoints"]


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_prints_the_sets_and_rules_as_they_were_computed(net: Net, name: str) -> None:
    state = ipvs.rules(recorded(name), CONTEXT)
    out = state.tables.filter["KUBE-IPVS-OUT-FILTER"]
    out[:] = [rule for rule in out if "-m ipvs" not in rule]
    net.run("node1", "ipset", "restore", text=state.sets_text())
    net.run("node1", "iptables-restore", "--noflush", text=restore_input(Tables(), state.tables))
    try:
        assert Tables.parse(net.run("node1", "iptables-save")) == state.tables
        assert plain(net.run("node1", "ipset", "save")) == plain(state.sets_text())
    finally:
        net.run("node1", "iptables-restore", "--noflush", text=restore_input(state.tables, Tables()))
        net.run("node1", "ipset", "destroy")
