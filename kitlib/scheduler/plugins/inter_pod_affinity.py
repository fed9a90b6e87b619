"""InterPodAffinity: near these Pods, away from those.

"Near" means: in the same topology domain, that is, on a node with the same value of the label `topologyKey`.

    required affinity          a matching Pod must be in the domain (the first of a group may go anywhere)
    required anti-affinity     no matching Pod may be in the domain
    others' anti-affinity      counts as well: a Pod that wants to be alone stays alone
    preferred                  points for and against, from this Pod's wishes and from those of the Pods already there
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kitlib.objects.selectors import LabelSelector
from kitlib.scheduler.framework import MAX_SCORE, Plugin, Rejection, State
from kitlib.scheduler.nodeinfo import NodeInfo, PodSelector
from kitlib.scheduler.plugins.listers import Listers, with_label_keys
from kitlib.scheduler.podinfo import PodInfo

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
HARD_AFFINITY_WEIGHT = 1
Pair = tuple[str, str]


class Term:
    """One affinity term of a Pod: which Pods, in which kind of domain."""

    def __init__(self, term: Mapping[str, Any], owner: PodInfo, listers: Listers) -> None:
        self.key: str = term["topologyKey"]
        narrowed = with_label_keys(term.get("labelSelector"), term.get("matchLabelKeys"), owner.labels,
                                   term.get("mismatchLabelKeys"))
        self.selector = PodSelector(_namespaces(term, owner, listers), LabelSelector.of(narrowed))


def _namespaces(term: Mapping[str, Any], owner: PodInfo, listers: Listers) -> frozenset[str] | None:
    named = frozenset(term.get("namespaces") or ())
    selector = term.get("namespaceSelector")
    if selector is None:
        return named or frozenset({owner.namespace})
    parsed = LabelSelector.of(selector)
    return None if parsed.empty else named | listers.namespaces(parsed)


class InterPodAffinity(Plugin):
    name = "InterPodAffinity"
    weight = 2
    wakes = frozenset({"node-added", "node-labels", "pod-added", "pod-gone", "pod-labels", "pod-changed"})

    def __init__(self, listers: Listers) -> None:
        self._listers = listers

    # -- required ---------------------------------------------------------------------------------------------

    def pre_filter(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        near = self._terms(pod, "podAffinity")
        away = self._terms(pod, "podAntiAffinity")
        unwelcome = self._unwelcome(pod, nodes)
        if not near and not away and not unwelcome:
            return False
        selectors = [term.selector for term in near]
        companions = _pairs(near, nodes, lambda node, term: _all_match(node, selectors))
        enemies = _pairs(away, nodes, lambda node, term: node.count(term.selector))
        state[self.name] = (near, companions, away, enemies, unwelcome)
        return True

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        near, companions, away, enemies, unwelcome = state[self.name]
        if near and not self._is_near(pod, node, near, companions):
            return Rejection(("node(s) didn't match pod affinity rules",), unresolvable=True)
        if any(enemies[pair] for pair in _domains(away, node)):
            return Rejection(("node(s) didn't match pod anti-affinity rules",))
        if any(node.labels.get(key) == value for key, value in unwelcome):
            return Rejection(("node(s) didn't satisfy existing pods anti-affinity rules",))
        return None

    @staticmethod
    def _is_near(pod: PodInfo, node: NodeInfo, near: Sequence[Term], companions: Counter[Pair]) -> bool:
        domains = list(_domains(near, node))
        if len(domains) < len(near):
            return False   # the node lacks a topology label
        if all(companions[pair] for pair in domains):
            return True
        return not +companions and all(term.selector.matches(pod) for term in near)   # the first of its group

    def _unwelcome(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> set[Pair]:
        """The domains in which a Pod lives that does not want this one near."""
        return {(term.key, node.labels[term.key])
                for node in nodes if node.affine for other in node.affine.values()
                for term in self._terms(other, "podAntiAffinity")
                if term.key in node.labels and term.selector.matches(pod)}

    def _terms(self, pod: PodInfo, kind: str) -> list[Term]:
        return [Term(term, pod, self._listers) for term in pod.affinity(kind).get(REQUIRED) or ()]

    # -- preferred --------------------------------------------------------------------------------------------

    def pre_score(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        points: Counter[Pair] = Counter()
        for term, weight in self._wishes(pod):
            for node in nodes:
                if term.key in node.labels:
                    points[term.key, node.labels[term.key]] += weight * node.count(term.selector)
        for node in nodes:
            for other in node.affine.values():
                for term, weight in self._wishes(other, hard=True):
                    if term.key in node.labels and term.selector.matches(pod):
                        points[term.key, node.labels[term.key]] += weight
        state["InterPodAffinity/points"] = points
        return any(points.values())

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> int:
        return sum(value for (key, domain), value in state["InterPodAffinity/points"].items()
                   if node.labels.get(key) == domain)

    def normalize(self, state: State, scores: list[int]) -> list[int]:
        low, high = min(scores), max(scores)
        return [MAX_SCORE * (score - low) // (high - low) if high > low else 0 for score in scores]

    def _wishes(self, pod: PodInfo, hard: bool = False) -> Iterable[tuple[Term, int]]:
        for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
            for preferred in pod.affinity(kind).get(PREFERRED) or ():
                yield Term(preferred["podAffinityTerm"], pod, self._listers), sign * preferred["weight"]
        if hard:
            for term in self._terms(pod, "podAffinity"):
                yield term, HARD_AFFINITY_WEIGHT


def _pairs(terms: Sequence[Term], nodes: Sequence[NodeInfo], count: Callable[[NodeInfo, Term], int]) -> Counter[Pair]:
    pairs: Counter[Pair] = Counter()
    for term in terms:
        for node in nodes:
            if term.key in node.labels:
                pairs[term.key, node.labels[term.key]] += count(node, term)
    return pairs


def _all_match(node: NodeInfo, selectors: Sequence[PodSelector]) -> int:
    """Pods that meet all terms at once: only those count as companions."""
    if len(selectors) == 1:
        return node.count(selectors[0])
    return sum(all(selector.matches(info) for selector in selectors) for info in node.pods.values())


def _domains(terms: Sequence[Term], node: NodeInfo) -> Iterable[Pair]:
    return ((term.key, node.labels[term.key]) for term in terms if term.key in node.labels)
