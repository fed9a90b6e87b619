"""Decision: one Pod's scheduling, kept so that it can be explained and drawn.

For each node that was looked at: the filter that refused it and why, or its score from every plugin.  The refusals,
counted, are the sentence that people see in `kubectl describe pod`:

    0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s).

Source: k8s.io/kubernetes/pkg/scheduler/framework/types.go (Diagnosis, FitError).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SIMULATOR = "kube-scheduler-simulator.sigs.k8s.io/"


class ScoreColumn(NamedTuple):
    """One plugin's scores, in the order of the feasible nodes: as given, and normalised to 0…100."""

    plugin: str
    weight: int
    raw: list[int]
    normalized: list[int]


class Refusal(NamedTuple):
    plugin: str
    reasons: tuple[str, ...]
    unresolvable: bool


@dataclass
class Decision:
    pod: str
    nodes: int
    time: float = 0.0
    filters: list[str] = field(default_factory=list)
    refused: dict[str, Refusal] = field(default_factory=dict)
    feasible: list[str] = field(default_factory=list)
    scores: list[ScoreColumn] = field(default_factory=list)
    chosen: str = ""
    message: str = ""
    victims: list[str] = field(default_factory=list)
    nominated: str = ""
    blocked: str = ""   # why no node at all was looked at

    def reject(self, node: str, plugin: str, reasons: tuple[str, ...], unresolvable: bool = False) -> None:
        self.refused[node] = Refusal(plugin, reasons, unresolvable)

    def reject_all(self, nodes: Iterable[str], plugin: str, reasons: tuple[str, ...]) -> None:
        self.blocked = ", ".join(reasons)
        for node in nodes:
            self.reject(node, plugin, reasons, True)

    def totals(self) -> list[int]:
        """The weighted sum for each feasible node."""
        totals = [0] * len(self.feasible)
        for column in self.scores:
            for place, score in enumerate(column.normalized):
                totals[place] += column.weight * score
        return totals

    def plugins(self) -> set[str]:
        """The filters that refused a node: what would have to change."""
        return {refusal.plugin for refusal in self.refused.values()}

    def explain(self) -> str:
        """The sentence for the Event and the Pod's condition."""
        if not self.nodes:
            return "no nodes available to schedule pods"
        if self.blocked:
            return f"0/{self.nodes} nodes are available: {self.blocked}."
        return no_nodes(self.nodes, [reason for refusal in self.refused.values() for reason in refusal.reasons])

    def annotations(self) -> dict[str, str]:
        """The decision as kube-scheduler-simulator writes it on the Pod."""
        filters = {node: {refusal.plugin: ", ".join(refusal.reasons)} for node, refusal in self.refused.items()}
        filters |= {node: dict.fromkeys(self.filters, "passed") for node in self.feasible}
        scores, final = ({node: {c.plugin: str(value(c, place)) for c in self.scores}
                          for place, node in enumerate(self.feasible)}
                         for value in (lambda c, place: c.raw[place], lambda c, place: c.weight * c.normalized[place]))
        return {SIMULATOR + "filter-result": json.dumps(filters), SIMULATOR + "score-result": json.dumps(scores),
                SIMULATOR + "finalscore-result": json.dumps(final), SIMULATOR + "selected-node": self.chosen}

    def as_json(self) -> dict[str, Any]:
        totals = self.totals()
        return {
            "pod": self.pod, "time": self.time, "chosen": self.chosen, "message": self.message, "victims": self.victims,
            "nominated": self.nominated, "filters": self.filters, "lookedAt": len(self.refused) + len(self.feasible),
            "of": self.nodes,
            "nodes": {
                **{node: {"plugin": refusal.plugin, "reasons": list(refusal.reasons)}
                   for node, refusal in self.refused.items()},
                **{node: {"total": totals[place],
                          "scores": {c.plugin: {"raw": c.raw[place], "normalized": c.normalized[place],
                                                "weight": c.weight} for c in self.scores}}
                   for place, node in enumerate(self.feasible)},
            },
        }


def no_nodes(nodes: int, reasons: Sequence[str]) -> str:
    """`0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods.`"""
    counted = sorted(f"{count} {reason}" for reason, count in Counter(reasons).items())
    return f"0/{nodes} nodes are available: {', '.join(counted)}."
