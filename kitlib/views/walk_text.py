"""A packet's walk for a terminal: what it met, rule by rule, and where it ended.

The data is that of `kit walk --json` (kitlib.network.walk.walk.Walk.json).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Data = Mapping[str, Any]

# What each hook of the kernel decides, in words; iptables' tables and nft's base chains alike.
QUESTIONS = {
    ("prerouting", "nat"): "where to?", ("output", "nat"): "where to?", ("input", "filter"): "may it in?",
    ("forward", "filter"): "may it pass?", ("output", "filter"): "may it out?",
    ("postrouting", "nat"): "whose address?",
    ("routing", "route"): "for this machine?", ("input", "ipvs"): "which real server?",
    ("output", "ipvs"): "which real server?", ("process", "proxy"): "which endpoint?",
    ("prerouting", "ip kube-proxy"): "where to?", ("output", "ip kube-proxy"): "where to?",
    ("input", "ip kube-proxy"): "may it in?", ("forward", "ip kube-proxy"): "may it pass?",
    ("postrouting", "ip kube-proxy"): "whose address?", ("policy", "network policy"): "may these two talk?"}


def stages(walk: Data) -> list[tuple[str, str, list[Data]]]:
    """The steps by place in the kernel, in order: (place, what is decided there, steps)."""
    found: list[tuple[str, str, list[Data]]] = []
    for step in walk["steps"]:
        place = f"{step['hook']} · {step['table'].removeprefix('ip ')}"
        if not found or found[-1][0] != place:
            found.append((place, QUESTIONS.get((step["hook"], step["table"]), ""), []))
        found[-1][2].append(step)
    return found


def heading(walk: Data) -> str:
    packet, service = walk["packet"], walk["service"]
    to = f"{packet['destination']}:{packet['port']}" + (f" (Service {service})" if service else "")
    source = packet["source"] + (f" ({packet['source_name']})" if packet["source_name"] else "")
    by = f"the proxy on {walk['node']}" if walk["mode"] == "userspace" else f"{walk['mode']} rules of {walk['node']}"
    return f"{packet['protocol']} {source} → {to}, {by}"


def ending(walk: Data) -> str:
    """The last word: who gets the packet, or who does not."""
    if walk["outcome"] == "REJECT":
        return "Refused: the sender is told at once."
    if walk["outcome"] == "DROP":
        return "Dropped: the sender hears nothing and waits."
    if walk["outcome"] == "passes":
        return "No Service's rule is about it: it goes its own way."
    chosen = next((choice for choice in walk["choices"] if choice["chosen"]), None)
    seen = walk["source_after"] or f"an address of {walk['node']}"
    if walk["masqueraded"] and walk["source_after"]:
        seen += f" ({walk['node']})"
    who = _who(chosen) if chosen else walk["endpoint"]
    return f"It reaches {who}, which sees {seen} as its source."


def _who(choice: Data) -> str:
    named = f"Pod {choice['pod']} ({choice['address']})" if choice["pod"] else choice["address"]
    return named + (f" on {choice['node']}" if choice["node"] else "")


def percent(probability: float) -> str:
    return f"{100 * probability:.0f} %" if probability >= 0.01 else f"{100 * probability:.2g} %"


def source_note(walk: Data) -> str:
    return ("computed from the API's Services and EndpointSlices" if walk["computed"]
            else "read from the node's kernel")


def _odds(choices: Sequence[Data]) -> list[str]:
    if len(choices) < 2:
        return []
    return ["", "Chance could have led to:",
            *(f"  {percent(c['probability']):>6}  {_who(c)}{'   ← this time' if c['chosen'] else ''}" for c in choices)]


def render(walk: Data) -> str:
    lines = [heading(walk), f"({source_note(walk)})"]
    for place, question, steps in stages(walk):
        lines += ["", f"{place}   {question}".rstrip()]
        for step in steps:
            lines.append(f"{step['number']:>3}  {step['chain']}  {step['verdict']}")
            lines.append(f"       {step['rule']}")
    return "\n".join([*lines, "", ending(walk), *_odds(walk["choices"])])
