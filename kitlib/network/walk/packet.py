"""A packet, the steps of its way, and chance.

A rule that leaves something to chance asks the chooser: here are the odds, which one?  So a walk can be taken once at
random, or once for every outcome (`outcomes`), which gives each endpoint's exact probability.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

# The odds of the alternatives (they add up to 1) → the index of the one that comes true.
Chooser = Callable[[Sequence[float]], int]

ENDS = ("ACCEPT", "DROP", "REJECT")


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection.

    local: addresses of the node.  from_node: sent by the node itself.  from_pod: by a Pod of this node.
    """

    source: str
    destination: str
    port: int
    protocol: str = "tcp"
    mark: int = 0
    from_node: bool = False
    local: tuple[str, ...] = ()
    translated: bool = False   # DNAT has changed its destination
    from_pod: bool = False

    @property
    def to(self) -> str:
        return f"{self.destination}:{self.port}"

    @property
    def is_for_node(self) -> bool:
        return self.destination in self.local


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that matched.  verdict: the chain it jumped to, or what became of the packet.

    hook: where in the kernel.  looks_up: the set, map or virtual server that was asked.
    """

    hook: str
    table: str
    chain: str
    comment: str
    verdict: str
    rule: str
    looks_up: str = ""

    def __str__(self) -> str:
        return f"{self.table:<6} {self.chain:<26} {self.comment:<58} {self.verdict}"


@dataclass(slots=True)
class Trace:
    """A whole way: its steps, the packet as it leaves, and REJECT or DROP if it does not.

    masqueraded: it leaves with the node's address; source: with this one, where that is known.
    """

    packet: Packet
    steps: list[Step] = field(default_factory=list)
    refused: str = ""
    masqueraded: bool = False
    source: str = ""

    @property
    def endpoint(self) -> str:
        """Where DNAT sent it, "" if nowhere or if it is refused."""
        return self.packet.to if self.packet.translated and not self.refused else ""


def at_random(odds: Sequence[float]) -> int:
    return random.choices(range(len(odds)), weights=odds)[0]


def outcomes(walk: Callable[[Chooser], Trace]) -> Iterator[tuple[float, Trace]]:
    """Every way that chance allows, with its probability: the walk is taken again with the next choices."""
    script: list[int] | None = []
    while script is not None:
        taken: list[tuple[int, Sequence[float]]] = []

        def choose(odds: Sequence[float], script: list[int] = script,
                   taken: list[tuple[int, Sequence[float]]] = taken) -> int:
            index = script[len(taken)] if len(taken) < len(script) else 0
            taken.append((index, odds))
            return index

        trace, probability = walk(choose), 1.0
        for index, odds in taken:
            probability *= odds[index]
        if probability:
            yield probability, trace
        script = None
        for place in reversed(range(len(taken))):
            if taken[place][0] + 1 < len(taken[place][1]):
                script = [index for index, _ in taken[:place]] + [taken[place][0] + 1]
                break
