"""NodePorts: a hostPort can be had once per node, address and protocol; 0.0.0.0 collides with every address."""

from __future__ import annotations

from collections.abc import Sequence

from kitlib.scheduler.framework import Plugin, Rejection, State
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.podinfo import PodInfo

ANY = "0.0.0.0"


class NodePorts(Plugin):
    name = "NodePorts"
    wakes = frozenset({"node-added", "pod-gone"})

    def pre_filter(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        return bool(pod.host_ports)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        for address, protocol, port in pod.host_ports:
            for used_address, used_protocol, used_port in node.ports:
                same = (protocol, port) == (used_protocol, used_port)
                if same and (address == used_address or ANY in (address, used_address)):
                    return Rejection(("node(s) didn't have free ports for the requested pod ports",))
        return None
