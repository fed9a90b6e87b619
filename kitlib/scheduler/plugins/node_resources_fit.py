"""NodeResourcesFit: is there room, and where is the most of it?

The filter compares requests with what is allocatable and not yet requested; what Pods really use plays no part.  The
score is LeastAllocated: the share of cpu and memory that would still be free, so Pods spread out.
"""

from __future__ import annotations

from kitlib.scheduler.framework import MAX_SCORE, Plugin, Rejection, State
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.podinfo import PodInfo


class NodeResourcesFit(Plugin):
    name = "NodeResourcesFit"
    weight = 1
    wakes = frozenset({"node-added", "node-allocatable", "pod-gone", "pod-changed"})

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        allocatable, requested = node.allocatable, node.requested
        reasons, hopeless = [], False
        if len(node.pods) + 1 > allocatable.get("pods", 110):
            reasons.append("Too many pods")
        for name, amount in pod.requests.items():
            have = allocatable.get(name, 0)
            if amount and amount > have - requested.get(name, 0):
                reasons.append(f"Insufficient {name}")
                hopeless = hopeless or amount > have   # not even on an empty node
        return Rejection(tuple(reasons), unresolvable=hopeless) if reasons else None

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> int:
        cpu, memory = pod.usual
        have_cpu, have_memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
        total = weights = 0
        if have_cpu:
            total, weights = total + _free(have_cpu, node.usual_cpu + cpu), weights + 1
        if have_memory:
            total, weights = total + _free(have_memory, node.usual_memory + memory), weights + 1
        return total // weights if weights else 0


def _free(have: int, used: int) -> int:
    return (have - used) * MAX_SCORE // have if used <= have else 0
