"""NodeAffinity: nodeSelector and node affinity, the labels a Pod wants its node to have.

Required: the nodeSelector and (if there are terms) any one of the terms must match.  Preferred: the weights of the
terms that match are added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.objects.selectors import LabelSelector, Requirement
from kitlib.scheduler.framework import Plugin, Rejection, State, scale
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.podinfo import PodInfo

OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}


class Term:
    """A nodeSelectorTerm: all expressions (labels) and fields (metadata.name) must match; an empty one never does."""

    def __init__(self, term: Mapping[str, Any]) -> None:
        self._labels = _requirements(term.get("matchExpressions"))
        self._fields = _requirements(term.get("matchFields"))

    def matches(self, node: NodeInfo) -> bool:
        if not self._labels and not self._fields:
            return False
        return (all(requirement.matches(node.labels) for requirement in self._labels)
                and all(requirement.matches({"metadata.name": node.name}) for requirement in self._fields))


def _requirements(expressions: Sequence[Mapping[str, Any]] | None) -> list[Requirement]:
    return [Requirement(e["key"], OPERATORS[e["operator"]], tuple(e.get("values") or ())) for e in expressions or ()]


class RequiredAffinity:
    """What a Pod insists on; also asked by PodTopologySpread and the DaemonSet controller."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
        required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
        self._selector = LabelSelector.of_labels(spec["nodeSelector"]) if spec.get("nodeSelector") else None
        self._terms = None if required is None else [Term(term) for term in required.get("nodeSelectorTerms") or ()]

    @property
    def empty(self) -> bool:
        return self._selector is None and self._terms is None

    def matches(self, node: NodeInfo) -> bool:
        if self._selector is not None and not self._selector.matches(node.labels):
            return False
        return self._terms is None or any(term.matches(node) for term in self._terms)


class NodeAffinity(Plugin):
    name = "NodeAffinity"
    weight = 2
    wakes = frozenset({"node-added", "node-labels", "pod-changed"})

    def pre_filter(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        required = RequiredAffinity(pod.spec)
        state[self.name] = required
        return not required.empty

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        if state[self.name].matches(node):
            return None
        return Rejection(("node(s) didn't match Pod's node affinity/selector",), unresolvable=True)

    def pre_score(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        preferred = pod.affinity("nodeAffinity").get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        state["NodeAffinity/preferred"] = [(Term(p["preference"]), p["weight"]) for p in preferred if p.get("weight")]
        return bool(preferred)

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> int:
        return sum(weight for term, weight in state["NodeAffinity/preferred"] if term.matches(node))

    def normalize(self, state: State, scores: list[int]) -> list[int]:
        return scale(scores)
