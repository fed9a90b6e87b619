"""A packet's walk through iptables rules: which rule took it where, step by step.

    for step in walk(rules(...), Packet("10.244.0.7", "10.96.50.1", 80)).steps: print(step)

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
from functools import lru_cache

from ..iptables import Tables
from .packet import ENDS, Chooser, Packet, Step, Trace, at_random

MARKED = 0x4000
Clients = Mapping[str, Sequence[str]]
# Whether the packet is in a set of this name, by these of its fields ("dst,dst"); for rules that use ipset.
InSet = Callable[[str, str, Packet], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """A line after `-A CHAIN`: (option, value, inverted) in order, and what to do."""

    text: str
    options: tuple[tuple[str, str, bool], ...]
    target: str
    target_value: str = ""

    def value(self, name: str) -> str:
        return next((value for option, value, _ in self.options if option == name), "")


@lru_cache(maxsize=32768)
def parse(text: str) -> Rule:
    words = shlex.split(text)
    options: list[tuple[str, str, bool]] = []
    target = value = ""
    inverted = False
    at = 0
    while at < len(words):
        word, end = words[at], at + 1
        if word == "!":
            inverted, at = True, end
            continue
        while end < len(words) and not words[end].startswith("-") and words[end] != "!":
            end += 1
        following = " ".join(words[at + 1:end])
        if word == "-j":
            target = following
        elif word in ("--to-destination", "--set-xmark", "--reject-with"):
            value = following
        elif not word.startswith("--random"):
            options.append((word, following, inverted))
        inverted, at = False, end
    return Rule(text, tuple(options), target, value)


def walk(tables: Tables, packet: Packet, choose: Chooser = at_random, clients: Clients | None = None) -> Trace:
    """Every rule that matched, in order: nat (destination), filter, nat (source).

    clients: endpoint chain → sources it has seen (session affinity).
    """
    walker = Walker(tables, packet, choose, clients or {})
    first = "OUTPUT" if packet.from_node else "PREROUTING"
    walker.run("nat", first)
    way = "OUTPUT" if packet.from_node else "INPUT" if walker.trace.packet.is_for_node else "FORWARD"
    if walker.run("filter", way) not in ("DROP", "REJECT"):
        walker.run("nat", "POSTROUTING")
    return walker.trace


def _is_for_another(text: str, destination: str) -> bool:
    """As nearly all rules of a big cluster are: then there is no need to read on."""
    return text.startswith("-d ") and "/32 " in text[:22] and not text.startswith(f"-d {destination}/32 ")


class Walker:
    """Runs hooks of tables one after the other; `trace` is what has happened so far."""

    def __init__(self, tables: Tables, packet: Packet, choose: Chooser, clients: Clients,
                 in_set: InSet | None = None) -> None:
        self.tables, self.trace = tables, Trace(packet)
        self._choose, self._clients, self._in_set = choose, clients, in_set
        self._hook = ""

    def run(self, table: str, hook: str) -> str:
        """One built-in chain of one table; the verdict, ACCEPT if no rule gave one."""
        self._hook = hook.lower()
        verdict = next(self._run(table, hook), "ACCEPT")
        if verdict in ("DROP", "REJECT"):
            self.trace.refused = verdict
        return verdict

    def _run(self, table: str, chain: str) -> Iterator[str]:
        """Yields the verdict if one was reached in this chain (or one it jumped to)."""
        trace = self.trace
        for text in getattr(self.tables, table).get(chain, ()):
            if _is_for_another(text, trace.packet.destination):
                continue
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
                marked = not rule.target_value.endswith("/0x0")
                trace.packet = replace(trace.packet, mark=MARKED if marked else 0)
                self._note(table, chain, rule, "marks it" if marked else "takes the mark off")
            elif rule.target == "DNAT":
                address, _, port = rule.target_value.partition(":")
                trace.packet = replace(trace.packet, destination=address, port=int(port), translated=True)
                self._note(table, chain, rule, f"DNAT to {rule.target_value}")
                yield "DNAT"
                return
            elif rule.target == "MASQUERADE":
                trace.masqueraded = True
                self._note(table, chain, rule, "leaves with the node's address")
                yield "MASQUERADE"
                return
            elif rule.target in ENDS:
                self._note(table, chain, rule, rule.target)
                yield rule.target
                return
            else:
                self._note(table, chain, rule, f"→ {rule.target}")
                for verdict in self._run(table, rule.target):
                    yield verdict
                    return

    def _note(self, table: str, chain: str, rule: Rule, verdict: str) -> None:
        self.trace.steps.append(Step(self._hook, table, chain, rule.value("--comment"), verdict, rule.text,
                                     rule.value("--match-set").partition(" ")[0]))

    def _matches(self, rule: Rule) -> bool:
        return all(self._holds(name, value, rule) != inverted for name, value, inverted in rule.options
                   if name not in ("-m", "--comment", "--mode", "--seconds", "--name", "--mask", "--nfacct-name"))

    def _holds(self, name: str, value: str, rule: Rule) -> bool:
        packet = self.trace.packet
        if name in ("-s", "-d"):
            address = packet.source if name == "-s" else packet.destination
            return ipaddress.ip_address(address) in ipaddress.ip_network(value, strict=False)
        if name == "-p":
            return packet.protocol == value
        if name == "--dport":
            return packet.port == int(value)
        if name == "--mark":
            return bool(packet.mark & MARKED)
        if name == "--dst-type":
            return packet.is_for_node
        if name == "--src-type":
            return packet.source in packet.local or packet.from_node
        if name == "--probability":
            return self._choose((float(value), 1 - float(value))) == 0
        if name == "--ctstate":
            states = value.split(",")
            return "NEW" in states or (packet.translated and "DNAT" in states)
        if name == "--rcheck":
            return packet.source in self._clients.get(rule.value("--name"), ())
        if name == "--match-set" and self._in_set is not None:
            asked, _, fields = value.partition(" ")
            return self._in_set(asked, fields, packet)
        if name == "--physdev-is-in":
            return packet.from_pod   # came in through a port of a bridge, as Pods' packets do
        return name in ("--set", "--reap", "--rsource")
