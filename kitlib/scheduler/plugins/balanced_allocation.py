"""NodeResourcesBalancedAllocation: prefer nodes whose cpu and memory would be used to the same degree.

A node with all its memory taken and half of its cores idle is of no use to anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import pstdev

from kitlib.scheduler.framework import MAX_SCORE, Plugin, State
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.podinfo import PodInfo


class BalancedAllocation(Plugin):
    name = "NodeResourcesBalancedAllocation"
    weight = 1

    def pre_score(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        return any(pod.requests.values())   # a Pod that asks for nothing changes no balance

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> int:
        shares = [min(1.0, (node.requested.get(name, 0) + pod.requests.get(name, 0)) / have)
                  for name in ("cpu", "memory") if (have := node.allocatable.get(name, 0))]
        if len(shares) == 2:
            spread = abs(shares[0] - shares[1]) / 2
        else:
            spread = pstdev(shares) if shares else 0.0
        return int((1 - spread) * MAX_SCORE)
