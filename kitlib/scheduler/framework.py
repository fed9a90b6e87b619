"""The scheduling framework: filters say where a Pod *can* run, scores say where it runs *best*.

    all nodes ──filter──▶ feasible nodes ──score──▶ 0…100 per plugin ──normalise, weigh, add──▶ the best

A plugin is a small class.  `pre_filter` and `pre_score` are called once per Pod; they may put what they worked out
into `state`, and return False if the plugin has nothing to say about this Pod, which saves it from being asked for
every node.  The first filter that says no decides about a node, with a reason that people can read.

In a large cluster not every node is looked at: once enough feasible nodes are found (half of them at 100 nodes, 5 % at
5,000, never fewer than 100) the search ends, and the next Pod's search starts where this one ended.

Source: k8s.io/kubernetes/pkg/scheduler/framework (interface.go), schedule_one.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

from kitlib.scheduler.decision import Decision, ScoreColumn
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.podinfo import PodInfo

MAX_SCORE = 100
ENOUGH_NODES = 100
State = dict[str, Any]


class Rejection(NamedTuple):
    """Why not on this node.  unresolvable: not even if all its Pods were gone."""

    reasons: tuple[str, ...]
    unresolvable: bool = False


class Plugin:
    """Base of all plugins.  A filter overrides `filter`, a score overrides `score`; one plugin may be both.

    wakes: what can make a Pod that this plugin rejected schedulable: see `events.py`.
    """

    name = ""
    weight = 0
    wakes: frozenset[str] = frozenset()

    def pre_filter(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool | Rejection:
        """False: no need to ask `filter` about this Pod.  A Rejection: no node will do."""
        return True

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        raise NotImplementedError

    def pre_score(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        return True

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> int:
        raise NotImplementedError

    def normalize(self, state: State, scores: list[int]) -> list[int]:
        """Bring the scores of all nodes to 0…100."""
        return scores


class Framework:
    """The plugins of one profile, in their order."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self.plugins = list(plugins)
        self.filters = [p for p in plugins if type(p).filter is not Plugin.filter]
        self.scorers = [p for p in plugins if type(p).score is not Plugin.score]
        self._start = 0

    def decide(self, pod: PodInfo, nodes: Sequence[NodeInfo],
               nominated: dict[str, list[PodInfo]] | None = None) -> Decision:
        """Where the Pod should go, and why.  nominated: Pods that will come to a node, by its name."""
        decision = Decision(pod.key, len(nodes))
        state: State = {}
        feasible = self.find_feasible(state, pod, nodes, decision, nominated or {})
        if len(feasible) > 1:
            decision.scores = self.rate(state, pod, feasible)
        if feasible:
            decision.chosen = self._best(decision, pod)
        return decision

    def find_feasible(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo], decision: Decision,
                      nominated: dict[str, list[PodInfo]]) -> list[NodeInfo]:
        active = []
        for plugin in self.filters:
            needed = plugin.pre_filter(state, pod, nodes)
            if isinstance(needed, Rejection):
                decision.reject_all([node.name for node in nodes], plugin.name, needed.reasons)
                return []
            if needed:
                active.append(plugin)
        decision.filters = [plugin.name for plugin in active]
        wanted = enough(len(nodes))
        feasible: list[NodeInfo] = []
        looked_at = 0
        for offset in range(len(nodes)):
            node = nodes[(self._start + offset) % len(nodes)]
            looked_at += 1
            if self._passes(active, state, pod, node, decision, nominated):
                feasible.append(node)
                if len(feasible) >= wanted:
                    break
        self._start = (self._start + looked_at) % max(1, len(nodes))
        decision.feasible = [node.name for node in feasible]
        return feasible

    def fits(self, pod: PodInfo, node: NodeInfo, nodes: Sequence[NodeInfo]) -> bool:
        """Whether the Pod could run on `node`, a what-if copy of the one in `nodes` that has its name."""
        state: State = {}
        instead = [node if other.name == node.name else other for other in nodes]
        for plugin in self.filters:
            needed = plugin.pre_filter(state, pod, instead)
            if isinstance(needed, Rejection) or (needed and plugin.filter(state, pod, node)):
                return False
        return True

    def rate(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[ScoreColumn]:
        columns = []
        for plugin in self.scorers:
            if plugin.pre_score(state, pod, nodes):
                score = plugin.score
                raw = [score(state, pod, node) for node in nodes]
                columns.append(ScoreColumn(plugin.name, plugin.weight, raw, plugin.normalize(state, raw)))
        return columns

    def _passes(self, active: Sequence[Plugin], state: State, pod: PodInfo, node: NodeInfo, decision: Decision,
                nominated: dict[str, list[PodInfo]]) -> bool:
        coming = [p for p in nominated.get(node.name, ()) if p.key != pod.key and p.priority >= pod.priority]
        for candidate in ([node.with_pods(coming, set()), node] if coming else [node]):
            for plugin in active:
                rejection = plugin.filter(state, pod, candidate)
                if rejection is not None:
                    decision.reject(node.name, plugin.name, rejection.reasons, rejection.unresolvable)
                    return False
        return True

    @staticmethod
    def _best(decision: Decision, pod: PodInfo) -> str:
        """The highest total; among equals, one by the Pod's uid: spread like chance, but the same every time."""
        totals = decision.totals()
        best = max(totals)
        equals = [name for name, total in zip(decision.feasible, totals, strict=True) if total == best]
        return equals[crc32(pod.pod["metadata"].get("uid", pod.key).encode()) % len(equals)]


def enough(nodes: int) -> int:
    """How many feasible nodes are enough: all up to 100, then a share that falls from 50 % to 5 %."""
    if nodes <= ENOUGH_NODES:
        return nodes
    return max(ENOUGH_NODES, nodes * max(5, 50 - nodes // 125) // 100)


def scale(scores: list[int], *, reverse: bool = False) -> list[int]:
    """The usual normalisation: the highest becomes 100, the others in proportion; reverse: the lowest is best."""
    highest = max(scores, default=0)
    if highest == 0:
        return [MAX_SCORE] * len(scores) if reverse else scores
    scaled = [MAX_SCORE * score // highest for score in scores]
    return [MAX_SCORE - score for score in scaled] if reverse else scaled
