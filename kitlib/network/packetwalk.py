"""A packet's walk through kube-proxy's iptables rules: which rule took it where, step by step.

    for step in walk(rules(...), Packet("10.244.0.7", "10.96.50.1", 80)): print(step)

    nat PREROUTING      kubernetes service portals                → KUBE-SERVICES
    nat KUBE-SERVICES   proxy/web cluster IP                      → KUBE-SVC-HYZAVZ3O2MWWAV4H
    nat KUBE-SVC-…      proxy/web -> 10.244.0.202:8080 (1/2)      → KUBE-SEP-WFR5ROU7ZWJMN6C6
    nat KUBE-SEP-…      proxy/web                                 DNAT to 10.244.0.202:8080

It reads the rules as text, as a person would, so it works on any machine, also on rules copied from a real node.
Source: iptables(8), iptables-extensions(8) for what each match means.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .iptables import Tables

MARKED = 0x4000
Chooser = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection.  local: addresses of the node; from_node: sent by the node itself."""

    source: str
    destination: str
    port: int
    protocol: str = "tcp"
    mark: int = 0
    from_node: bool = False
    local: tuple[str, ...] = ()
    translated: bool = False   # DNAT has changed its destination


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that matched.  verdict: the chain it jumped to, or what became of the packet."""

    table: str
    chain: str
    comment: str
    verdict: str
    rule: str

    def __str__(self) -> str:
        return f"{self.table:<6} {self.chain:<26} {self.comment:<58} {self.verdict}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A line after `-A CHAIN`: (option, value, inverted) in order, and what to do."""

    text: str
    options: tuple[tuple[str, str, bool], ...]
    target: str
    target_value: str = ""

    def value(self, name: str) -> str:
        return next((value for option, value, _ in self.options if option == name), "")


_ENDS = ("ACCEPT", "DROP", "REJECT")


def parse(text: str) -> Rule:
    words = shlex.split(text)
    options: list[tuple[str, str, bool]] = []
    target = value = ""
    inverted = False
    at = 0
    while at < len(words):
        word = words[at]
        if word == "!":
            inverted, at = True, at + 1
            continue
        following = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("-") \
            and words[at + 1] != "!" else ""
        if word == "-j":
            target = following
        elif word in ("--to-destination", "--set-xmark", "--reject-with"):
            value = following
        elif word == "--mark" or not word.startswith("--random"):
            options.append((word, following, inverted))
            if word == "-m":
                inverted = False   # `-m mark ! --mark` and `! -s`: the sign belongs to what follows it
        inverted = False
        at += 2 if following else 1
    return Rule(text, tuple(options), target, value)


def walk(tables: Tables, packet: Packet, choose: Chooser,
         clients: Mapping[str, Sequence[str]] | None = None) -> list[Step]:
    """Every rule that matched, in order: nat (destination), filter, nat (source).

    choose: a number from 0 to 1 for each coin.  clients: endpoint chain → sources it has seen (session affinity).
    """
    walker = _Walker(tables, packet, choose, clients or {})
    list(walker.run("nat", "OUTPUT" if packet.from_node else "PREROUTING"))
    way = "OUTPUT" if packet.from_node else \
        "INPUT" if walker.packet.destination in packet.local else "FORWARD"
    if next(walker.run("filter", way), "ACCEPT") == "ACCEPT":
        list(walker.run("nat", "POSTROUTING"))
    return walker.steps


class _Walker:
    def __init__(self, tables: Tables, packet: Packet, choose: Chooser, clients: Mapping[str, Sequence[str]]) -> None:
        self.tables, self.packet, self.choose, self.clients = tables, packet, choose, clients
        self.steps: list[Step] = []

    def run(self, table: str, chain: str) -> Iterator[str]:
        """Yields the verdict if one was reached in this chain (or one it jumped to)."""
        for text in getattr(self.tables, table).get(chain, ()):
            rule = parse(text)
            if not self._matches(rule):
                continue
            if not rule.target:
                self._note(table, chain, rule, "goes on")
                continue
            if rule.target == "RETURN":
                self._note(table, chain, rule, "returns")
                return
            if rule.target == "MARK":
                self.packet = replace(self.packet, mark=0 if rule.target_value.endswith("/0x0") else MARKED)
                self._note(table, chain, rule, "marks it" if self.packet.mark else "takes the mark off")
            elif rule.target == "DNAT":
                address, _, port = rule.target_value.partition(":")
                self.packet = replace(self.packet, destination=address, port=int(port), translated=True)
                self._note(table, chain, rule, f"DNAT to {rule.target_value}")
                yield "DNAT"
                return
            elif rule.target == "MASQUERADE":
                self._note(table, chain, rule, "leaves with the node's address")
                yield "MASQUERADE"
                return
            elif rule.target in _ENDS:
                self._note(table, chain, rule, rule.target)
                yield rule.target
                return
            else:
                self._note(table, chain, rule, f"→ {rule.target}")
                for verdict in self.run(table, rule.target):
                    yield verdict
                    return

    def _note(self, table: str, chain: str, rule: Rule, verdict: str) -> None:
        self.steps.append(Step(table, chain, rule.value("--comment"), verdict, rule.text))

    def _matches(self, rule: Rule) -> bool:
        return all(self._holds(name, value, rule) != inverted for name, value, inverted in rule.options
                   if name not in ("-m", "--comment", "--mode", "--seconds", "--name", "--mask", "--nfacct-name"))

    def _holds(self, name: str, value: str, rule: Rule) -> bool:
        packet = self.packet
        if name == "-s":
            return ipaddress.ip_address(packet.source) in ipaddress.ip_network(value)
        if name == "-d":
            return ipaddress.ip_address(packet.destination) in ipaddress.ip_network(value)
        if name == "-p":
            return packet.protocol == value
        if name == "--dport":
            return packet.port == int(value)
        if name == "--mark":
            return bool(packet.mark & MARKED)
        if name == "--dst-type":
            return packet.destination in packet.local
        if name == "--src-type":
            return packet.source in packet.local or packet.from_node
        if name == "--probability":
            return self.choose() < float(value)
        if name == "--ctstate":
            states = value.split(",")
            return "NEW" in states or (packet.translated and "DNAT" in states)
        if name == "--rcheck":
            return packet.source in self.clients.get(rule.value("--name"), ())
        return name in ("--set", "--reap", "--rsource")
