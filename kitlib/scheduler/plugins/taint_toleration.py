"""TaintToleration: keep Pods off nodes whose taints they do not tolerate.

NoSchedule and NoExecute filter; PreferNoSchedule only costs points, one per taint.
"""

from __future__ import annotations

from collections.abc import Sequence

from kitlib.scheduler.framework import Plugin, Rejection, State, scale
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.plugins.taints import untolerated
from kitlib.scheduler.podinfo import PodInfo

HARD, SOFT = ("NoSchedule", "NoExecute"), ("PreferNoSchedule",)


class TaintToleration(Plugin):
    name = "TaintToleration"
    weight = 3
    wakes = frozenset({"node-added", "node-taints", "pod-changed"})

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        if not node.taints or not untolerated(node.taints, pod.tolerations, HARD):
            return None
        return Rejection(("node(s) had untolerated taint(s)",), unresolvable=True)

    def pre_score(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        state[self.name] = [t for t in pod.tolerations if t.get("effect") in (None, "", *SOFT)]
        return True

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> int:
        return len(untolerated(node.taints, state[self.name], SOFT)) if node.taints else 0

    def normalize(self, state: State, scores: list[int]) -> list[int]:
        return scale(scores, reverse=True)
