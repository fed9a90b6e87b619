"""From one state of iptables to another: the input of `iptables-restore --noflush`.

    *nat
    :KUBE-SVC-A - [0:0]      a chain that is new, changed or superfluous: made, or emptied if it is there
    -A KUBE-SVC-A …          its rules
    -X KUBE-SVC-B            a superfluous chain, empty by now and no longer jumped to
    COMMIT                   all of it happens at once, or nothing

What did not change is not mentioned, so a Service more costs its own chains and the chain that lists all.
Source: iptables-restore(8); pkg/proxy/iptables/proxier.go does the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..iptables import BUILT_IN, Tables

Chains = Mapping[str, Sequence[str]]


def restore_input(before: Tables, after: Tables) -> str:
    """The text; "" if nothing is different.  The filter table first: nothing is let through that should not be."""
    return _table("filter", before.filter, after.filter) + _table("nat", before.nat, after.nat)


def _table(name: str, before: Chains, after: Chains) -> str:
    ours = [chain for chain in {**before, **after} if chain not in BUILT_IN]
    stale = [chain for chain in ours if chain not in after]
    changed = [chain for chain in ours if chain in after and list(before.get(chain, ("?",))) != list(after[chain])]
    jumps = [line for chain in BUILT_IN for line in _built_in(chain, before.get(chain, ()), after.get(chain, ()))]
    if not stale and not changed and not jumps:
        return ""
    lines = [f":{chain} - [0:0]" for chain in (*changed, *stale)]
    lines += [f"-A {chain} {rule}" for chain in changed for rule in after[chain]]
    lines += [*jumps, *(f"-X {chain}" for chain in stale)]
    return f"*{name}\n" + "".join(f"{line}\n" for line in lines) + "COMMIT\n"


def _built_in(chain: str, before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Others have rules in the built-in chains, too: ours are taken out one by one, and put in front."""
    if list(before) == list(after):
        return []
    return [*(f"-D {chain} {rule}" for rule in before), *(f"-I {chain} {rule}" for rule in reversed(after))]
