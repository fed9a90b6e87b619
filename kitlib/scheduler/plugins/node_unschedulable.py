"""NodeUnschedulable: `kubectl cordon` keeps new Pods away, but for those that tolerate it (DaemonSets' do)."""

from __future__ import annotations

from kitlib.scheduler.framework import Plugin, Rejection, State
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.plugins.taints import tolerates
from kitlib.scheduler.podinfo import PodInfo

CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class NodeUnschedulable(Plugin):
    name = "NodeUnschedulable"
    wakes = frozenset({"node-added", "node-cordon", "node-taints", "pod-changed"})

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        if not node.unschedulable or any(tolerates(toleration, CORDONED) for toleration in pod.tolerations):
            return None
        return Rejection(("node(s) were unschedulable",), unresolvable=True)
