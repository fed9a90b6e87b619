"""PodTopologySpread: spread Pods evenly over zones, hosts, or whatever a node label names.

    skew of a domain = (matching Pods in it, this one included) − (matching Pods in the emptiest domain)

DoNotSchedule filters: the skew may not exceed maxSkew.  ScheduleAnyway scores: emptier domains are better.  A Pod
without constraints of its own whose Service or owner selects siblings gets two soft ones from the cluster: over hosts
(maxSkew 3) and over zones (maxSkew 5).  That is why the Pods of a ReplicaSet end up on different nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log
from typing import NamedTuple

from kitlib.objects.selectors import LabelSelector
from kitlib.scheduler.framework import MAX_SCORE, Plugin, Rejection, State
from kitlib.scheduler.nodeinfo import NodeInfo, PodSelector
from kitlib.scheduler.plugins.listers import Listers, with_label_keys
from kitlib.scheduler.plugins.node_affinity import RequiredAffinity
from kitlib.scheduler.plugins.taints import untolerated
from kitlib.scheduler.podinfo import PodInfo

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
REASON = "node(s) didn't match pod topology spread constraints"
IGNORED = -1


class Constraint(NamedTuple):
    key: str
    max_skew: int
    selector: PodSelector
    min_domains: int
    honor_affinity: bool
    honor_taints: bool


class PodTopologySpread(Plugin):
    name = "PodTopologySpread"
    weight = 2
    wakes = frozenset({"node-added", "node-labels", "node-taints", "pod-added", "pod-gone", "pod-labels",
                       "pod-changed"})

    def __init__(self, listers: Listers) -> None:
        self._listers = listers

    # -- DoNotSchedule ----------------------------------------------------------------------------------------

    def pre_filter(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        constraints = _constraints(pod, "DoNotSchedule")
        if not constraints:
            return False
        counts: list[Counter[str]] = [Counter() for _ in constraints]
        affinity = RequiredAffinity(pod.spec)
        for node in nodes:
            if all(c.key in node.labels for c in constraints):
                for constraint, count in zip(constraints, counts, strict=True):
                    if _counts_in(constraint, pod, affinity, node):
                        count[node.labels[constraint.key]] += node.count(constraint.selector)
        state[self.name] = list(zip(constraints, counts, strict=True))
        return True

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        for constraint, counts in state[self.name]:
            domain = node.labels.get(constraint.key)
            if domain is None:
                return Rejection((f"{REASON} (missing required label)",), unresolvable=True)
            least = min(counts.values(), default=0) if len(counts) >= constraint.min_domains else 0
            if counts[domain] + constraint.selector.matches(pod) - least > constraint.max_skew:
                return Rejection((REASON,))
        return None

    # -- ScheduleAnyway ---------------------------------------------------------------------------------------

    def pre_score(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        constraints = _constraints(pod, "ScheduleAnyway")
        own = bool(constraints)
        if not pod.spec.get("topologySpreadConstraints"):
            constraints = self._defaults(pod)
        if not constraints:
            return False
        asked = [(c, self._domains(c, nodes), self._weight(c, nodes)) for c in constraints]
        state["PodTopologySpread/score"] = (asked, own)
        return True

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> int:
        asked, own = state["PodTopologySpread/score"]
        if own and any(c.key not in node.labels for c, _, _ in asked):
            return IGNORED
        total = 0.0
        for constraint, domains, weight in asked:
            domain = node.labels.get(constraint.key)
            if domain is not None:
                count = node.count(constraint.selector) if constraint.key == HOSTNAME else domains[domain]
                total += count * weight + constraint.max_skew - 1
        return round(total)

    def normalize(self, state: State, scores: list[int]) -> list[int]:
        counted = [score for score in scores if score != IGNORED]
        most, least = max(counted, default=0), min(counted, default=0)
        if most == 0:
            return [0 if score == IGNORED else MAX_SCORE for score in scores]
        return [0 if score == IGNORED else MAX_SCORE * (most + least - score) // most for score in scores]

    def _defaults(self, pod: PodInfo) -> list[Constraint]:
        siblings = self._listers.siblings(pod)
        if siblings is None:
            return []
        selector = PodSelector(frozenset({pod.namespace}), siblings)
        return [Constraint(HOSTNAME, 3, selector, 1, True, False), Constraint(ZONE, 5, selector, 1, True, False)]

    @staticmethod
    def _domains(constraint: Constraint, nodes: Sequence[NodeInfo]) -> Counter[str]:
        domains: Counter[str] = Counter()
        if constraint.key != HOSTNAME:
            for node in nodes:
                domain = node.labels.get(constraint.key)
                if domain is not None:
                    domains[domain] += node.count(constraint.selector)
        return domains

    @staticmethod
    def _weight(constraint: Constraint, nodes: Sequence[NodeInfo]) -> float:
        """Many domains: each of them holds few Pods, so a Pod more in one means more."""
        if constraint.key == HOSTNAME:
            return log(len(nodes) + 2)
        return log(len({node.labels[constraint.key] for node in nodes if constraint.key in node.labels}) + 2)


def _constraints(pod: PodInfo, when: str) -> list[Constraint]:
    return [Constraint(c["topologyKey"], c["maxSkew"], _selector(pod, c), c.get("minDomains") or 1,
                       c.get("nodeAffinityPolicy", "Honor") == "Honor", c.get("nodeTaintsPolicy") == "Honor")
            for c in pod.spec.get("topologySpreadConstraints") or () if c["whenUnsatisfiable"] == when]


def _selector(pod: PodInfo, constraint: dict) -> PodSelector:
    narrowed = with_label_keys(constraint.get("labelSelector"), constraint.get("matchLabelKeys"), pod.labels)
    return PodSelector(frozenset({pod.namespace}), LabelSelector.of(narrowed))


def _counts_in(constraint: Constraint, pod: PodInfo, affinity: RequiredAffinity, node: NodeInfo) -> bool:
    """Whether the node is one this Pod could be spread over at all."""
    if constraint.honor_affinity and not affinity.matches(node):
        return False
    return not (constraint.honor_taints and untolerated(node.taints, pod.tolerations, ("NoSchedule", "NoExecute")))
