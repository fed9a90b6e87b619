"""A packet's walk through a table of nft, as kube-proxy (and our NetworkPolicy) writes them.

A rule is a row of statements.  They are worked through from left to right; the first that is not true ends the rule,
a verdict ends more:

    ip daddr . meta l4proto . th dport vmap @service-ips
    └─ a key made of three fields ───┘ └─ is it in the map? then the map says where to go on ─┘

Base chains hang on hooks of the kernel and run in the order of their priority: firewall-check before nat
(dstnat - 10), the checks for Services without endpoints after it.

Source: nft(8).  Statements that nobody here writes raise ValueError instead of being passed over in silence.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..nftables import Block, Table
from .packet import Chooser, Packet, Step, Trace, at_random

MARKED = 0x4000
_PRIORITY = {"dstnat": -100, "srcnat": 100, "filter": 0}
_HOOK = re.compile(r"type (\w+) hook (\w+) priority ([^;]+);")
_FIELDS = {
    "ip saddr": lambda p: p.source, "ip daddr": lambda p: p.destination, "meta l4proto": lambda p: p.protocol,
    "th dport": lambda p: str(p.port), "tcp dport": lambda p: str(p.port), "udp dport": lambda p: str(p.port)}
_FIELD = "|".join(_FIELDS)
Clients = Mapping[str, Sequence[str]]


def walk(table: Table | Ruleset, packet: Packet, choose: Chooser = at_random, clients: Clients | None = None) -> Trace:
    """Every rule that matched, hook after hook.  clients: affinity set → sources it has seen."""
    walker = _Walker(Ruleset(table) if isinstance(table, Table) else table, packet, choose, clients or {})
    walker.hook("output" if packet.from_node else "prerouting")
    if not packet.from_node:
        walker.hook("input" if walker.trace.packet.is_for_node else "forward")
    walker.hook("postrouting")
    return walker.trace


def _priority(text: str) -> int:
    base, sign, offset = text.partition(" - ")
    return (_PRIORITY[base] if base in _PRIORITY else int(base)) - (int(offset) if sign else 0)


class Ruleset:
    """A table made ready for many walks."""

    def __init__(self, table: Table) -> None:
        self.chains = {block.name: block for block in table.chains}
        self.sets = {name: _keys(block) for name, block in table.sets.items()}
        self.affinity = {block.name for block in table.affinity}
        hooked = [(found[2], _priority(found[3]), name) for name, block in self.chains.items()
                  if (found := _HOOK.match(block.lines[0] if block.lines else ""))]
        self._hooked = sorted(hooked, key=lambda hook: hook[1])

    def bases(self, hook: str) -> list[str]:
        """The base chains on a hook, by priority."""
        return [name for where, _, name in self._hooked if where == hook]


class _Walker:
    def __init__(self, ruleset: Ruleset, packet: Packet, choose: Chooser, clients: Clients) -> None:
        self.trace = Trace(packet)
        self._choose, self._clients, self._ruleset = choose, clients, ruleset
        self._at, self._hook, self._looked_up = "", "", ""
        self._rules = [(re.compile(pattern), work) for pattern, work in self._statements()]

    def hook(self, hook: str) -> None:
        """Run the base chains of one hook, unless the packet is refused already."""
        self._hook = hook
        for name in self._ruleset.bases(hook):
            if self.trace.refused:
                return
            self._run(name)

    def _run(self, chain: str) -> bool:
        """Work through a chain.  True if a verdict ended the whole base chain."""
        block = self._ruleset.chains[chain]
        for line in block.lines:
            if _HOOK.match(line) or line.startswith("comment "):
                continue
            self._at, self._looked_up = chain, ""
            verdict = self._rule(line)
            if verdict in ("", "continue"):
                continue
            word, _, target = verdict.partition(" ")
            if word == "return":
                return False
            if word not in ("jump", "goto"):
                return True
            if self._run(target):
                return True
            if word == "goto":   # it does not come back here, but to whoever jumped
                return False
        return False

    def _rule(self, line: str) -> str:
        """One rule: its verdict, "continue" if it only did something, "" if it did not match."""
        rest, _, comment = line.partition(' comment "')
        verdict = ""
        while rest := rest.strip():
            found, answer = self._statement(rest)
            if answer is False:
                return ""
            rest = rest[found.end():]
            verdict = answer if isinstance(answer, str) else verdict
        if verdict:
            self._note(line, comment.rstrip('"'), verdict)
        return verdict

    def _statement(self, text: str) -> tuple[re.Match[str], str | bool | None]:
        for pattern, work in self._rules:
            found = pattern.match(text)
            if found:
                return found, work(found)
        raise ValueError(f"the walk does not know this statement of nft: {text}")

    def _note(self, line: str, comment: str, verdict: str) -> None:
        trace, word = self.trace, verdict.partition(" ")[0]
        if word in ("jump", "goto"):
            verdict = f"→ {verdict.partition(' ')[2]}"
        elif word in ("drop", "reject"):
            verdict = trace.refused = word.upper()
        elif word == "dnat":
            verdict = f"DNAT to {trace.packet.to}"
        elif word == "masquerade":
            verdict = "leaves with the node's address"
        elif word == "continue":
            verdict = {True: "marks it", False: "remembers the client"}["meta mark set" in line]
        trace.steps.append(Step(self._hook, "ip kube-proxy", self._at, comment, verdict, line, self._looked_up))

    # -- statements: False ends the rule, a string is a verdict, None goes on ----------------------------

    def _statements(self) -> list[tuple[str, Callable[[re.Match[str]], str | bool | None]]]:
        return [
            (r"ct state new\b", lambda m: None),
            (r"ct state [\w,]+", lambda m: False),   # a walk's packet is always the first of its connection
            (r"ct status dnat\b", lambda m: None if self.trace.packet.translated else False),
            (rf"(({_FIELD})( \. ({_FIELD}))*) vmap @([\w-]+)", self._map),
            (rf"(({_FIELD})( \. ({_FIELD}))*) @(\S+)", self._in_set),
            (rf"({_FIELD}) (!= )?\{{([^}}]*)\}}", self._among),
            (rf"({_FIELD}) (!= )?([\w./]+)", self._among),
            (r"fib (saddr|daddr) type local\b", self._is_local),
            (r"meta mark & \S+ != \S+", lambda m: None if self.trace.packet.mark else False),
            (r"meta mark set meta mark ([|^]) \S+", self._mark),
            (r"update @(\S+) \{ ip saddr \}", lambda m: "continue"),
            (r"dnat ip to numgen random mod (\d+) map \{([^}]*)\}", self._dnat_by_chance),
            (r"dnat to (\S+):(\d+)", lambda m: self._dnat(m[1], m[2])),
            (r"numgen random mod (\d+) vmap \{([^}]*)\}", self._by_chance),
            (r"masquerade\b( fully-random)?", self._masquerade),
            (r"(?:jump|goto) \S+", lambda m: m[0]),
            (r"(?:accept|drop|return)\b", lambda m: m[0]),
            (r"reject\b.*", lambda m: "reject"),
        ]

    def _key(self, fields: str) -> str:
        return " . ".join(_FIELDS[field](self.trace.packet) for field in fields.split(" . "))

    def _map(self, match: re.Match[str]) -> str | bool:
        self._looked_up = match[5]
        return self._ruleset.sets[match[5]].get(self._key(match[1]), "") or False

    def _in_set(self, match: re.Match[str]) -> bool | None:
        name, key = match[5], self._key(match[1])
        self._looked_up = name
        if name in self._ruleset.affinity:
            return None if key in self._clients.get(name, ()) else False
        return None if key in self._ruleset.sets[name] else False

    def _among(self, match: re.Match[str]) -> bool | None:
        value = self._key(match[1])
        found = any(_equal(value, wanted.strip()) for wanted in match[3].split(","))
        return None if found != bool(match[2]) else False

    def _is_local(self, match: re.Match[str]) -> bool | None:
        packet = self.trace.packet
        here = packet.from_node or packet.source in packet.local if match[1] == "saddr" else packet.is_for_node
        return None if here else False

    def _mark(self, match: re.Match[str]) -> str:
        self.trace.packet = replace(self.trace.packet, mark=MARKED if match[1] == "|" else 0)
        return "continue"

    def _masquerade(self, match: re.Match[str]) -> str:
        self.trace.masqueraded = True
        return "masquerade"

    def _dnat(self, address: str, port: str) -> str:
        self.trace.packet = replace(self.trace.packet, destination=address, port=int(port), translated=True)
        return "dnat"

    def _choice(self, match: re.Match[str]) -> str:
        count = int(match[1])
        choices = dict(part.strip().split(" : ", 1) for part in match[2].split(","))
        return choices[str(self._choose([1 / count] * count))]

    def _dnat_by_chance(self, match: re.Match[str]) -> str:
        return self._dnat(*self._choice(match).split(" . "))

    def _by_chance(self, match: re.Match[str]) -> str:
        return self._choice(match)


def _equal(value: str, wanted: str) -> bool:
    if "/" in wanted:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    return value == wanted


def _keys(block: Block) -> dict[str, str]:
    """The elements of a set or map: key → verdict ("" in a set)."""
    return {key.partition(' comment "')[0]: value for key, _, value in
            (element.partition(" : ") for element in block.elements)}
