"""NodeName: a Pod that names its node runs there or nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from kitlib.scheduler.framework import Plugin, Rejection, State
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.podinfo import PodInfo


class NodeName(Plugin):
    name = "NodeName"
    wakes = frozenset({"node-added"})

    def pre_filter(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        return bool(pod.spec.get("nodeName"))

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        if pod.spec["nodeName"] == node.name:
            return None
        return Rejection(("node(s) didn't match the requested node name",), unresolvable=True)
