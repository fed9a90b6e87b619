"""A mode's rules as text: all of a node, or only what one Service adds to them.

    rules_text("iptables", ports, context)             everything, as iptables-save prints it
    rules_text("nftables", ports of web, context, added_only=True)    what is there because of Service web

What a Service adds is the difference between the rules with it and the rules without any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import iptables, ipvs, nftables
from .iptables import RuleContext, Tables
from .nftables import Block, Table
from .service_ports import ServicePort
from .userspace import ProxyNode, desired_state

MODES = ("iptables", "ipvs", "nftables", "userspace")


def rules_text(mode: str, ports: Sequence[ServicePort], context: RuleContext, *, nodes: Sequence[ProxyNode] = (),
               added_only: bool = False) -> str:
    """The text, in the form of the mode's own tools.  nodes: all that the userspace proxy listens for."""
    if mode == "iptables":
        tables = iptables.rules(ports, context)
        if added_only:
            tables = _added(tables, iptables.rules([], context))
        return _tables_text(tables)
    if mode == "ipvs":
        state = ipvs.rules(ports, context)
        if added_only:
            state.sets = {name: entries for name, entries in state.sets.items() if entries}
            state.tables = _added(state.tables, ipvs.rules([], context).tables)
        return state.text()
    if mode == "nftables":
        table = nftables.table(ports, context)
        return (_added_blocks(table, nftables.table([], context)) if added_only else table).text()
    if mode == "userspace":
        return "".join(_listener(entry) for entry in desired_state(ports, nodes, nowhere=None))
    raise ValueError(f'"{mode}" is no mode of kube-proxy; there is {", ".join(MODES)}')


def _tables_text(tables: Tables) -> str:
    return f"*nat\n{tables.text('nat')}COMMIT\n*filter\n{tables.text('filter')}COMMIT\n"


def _added(tables: Tables, base: Tables) -> Tables:
    def added(chains: dict[str, list[str]], before: dict[str, list[str]]) -> dict[str, list[str]]:
        left = {name: [rule for rule in rules if rule not in before.get(name, ())] for name, rules in chains.items()}
        return {name: rules for name, rules in left.items() if rules}

    return Tables(added(tables.nat, base.nat), added(tables.filter, base.filter))


def _added_blocks(table: Table, base: Table) -> Table:
    before = {name: block.elements for name, block in base.sets.items()}
    sets = {name: replace(block, elements=[e for e in block.elements if e not in before[name]])
            for name, block in table.sets.items()}
    known: list[Block] = base.chains
    return Table({name: block for name, block in sets.items() if block.elements}, table.affinity,
                 [chain for chain in table.chains if chain not in known])


def _listener(entry: Mapping[str, Any]) -> str:
    """One address in words; indented, what differs for callers from some networks."""
    if "health" in entry:
        count = entry["health"]["localEndpoints"]
        return f"listen {entry['ip']}:{entry['port']}/TCP -> tells a load balancer: {count} endpoints on this node\n"
    sticky = f", a client keeps its own for {entry['session_affinity']} s" if entry["session_affinity"] else ""

    def leads(endpoints: Sequence[str]) -> str:
        return f"{' | '.join(endpoints)}  (each in turn{sticky})" if endpoints else "(no endpoint: closes)"

    allowed = f" only from {', '.join(entry['allow'])}" if "allow" in entry else ""
    lines = [f"listen {entry['ip']}:{entry['port']}/{entry['protocol']}{allowed} -> {leads(entry['endpoints'])}"]
    for route in entry.get("routes", ()):
        named = f", in the name of {route['as']}" if "as" in route else ""
        lines.append(f"    from {', '.join(route['from'])} -> {leads(route['endpoints'])}{named}")
    return "".join(f"{line}\n" for line in lines)
