"""NodeInfo and NodeCache: who is where and what is left, kept up to date instead of computed.

Scheduling one Pod looks at every node.  Adding up the Pods of 200 nodes each time would cost far more than the
decision itself, so each node keeps running totals, and a Pod that comes or goes changes one of them.

A Pod that was just bound is *assumed* on its node: the cache hears of the binding a moment later, and the next Pod
must not be given the same room in between.

Source: k8s.io/kubernetes/pkg/scheduler/framework/types.go (NodeInfo), backend/cache/cache.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.objects.selectors import LabelSelector
from kitlib.scheduler.podinfo import Amounts, PodInfo, amounts

Object = dict[str, Any]

REMEMBERED_COUNTS = 64


class PodSelector:
    """Pods of some namespaces (None: all) with matching labels; those on their way out do not count."""

    __slots__ = ("_namespaces", "_selector", "id")

    def __init__(self, namespaces: frozenset[str] | None, selector: LabelSelector) -> None:
        self._namespaces, self._selector = namespaces, selector
        self.id = f"{'*' if namespaces is None else ','.join(sorted(namespaces))}|{selector}|{selector.nothing}"

    def matches(self, info: PodInfo) -> bool:
        if info.terminating or (self._namespaces is not None and info.namespace not in self._namespaces):
            return False
        return self._selector.matches(info.labels)


class NodeInfo:
    """A node, the Pods on it, and the sums over them."""

    __slots__ = ("_counted", "affine", "allocatable", "images", "labels", "name", "node", "pods", "ports", "requested",
                 "taints", "unschedulable", "usual_cpu", "usual_memory")

    def __init__(self, name: str) -> None:
        self.name = name
        self.node: Object | None = None   # None: Pods are known to be here, the Node object is not (yet, or any more)
        self.pods: dict[str, PodInfo] = {}
        self.affine: dict[str, PodInfo] = {}   # those of them with affinity or anti-affinity to other Pods
        self.requested: Amounts = {}
        self.usual_cpu = self.usual_memory = 0
        self.ports: set[tuple[str, str, int]] = set()
        self._counted: dict[str, tuple[PodSelector, int]] = {}
        self._unset()

    def _unset(self) -> None:
        self.labels: Mapping[str, str] = {}
        self.taints: list[Mapping[str, Any]] = []
        self.unschedulable = False
        self.allocatable: Amounts = {}
        self.images: dict[str, int] = {}

    def set_node(self, node: Object | None) -> None:
        self.node = node
        self._unset()
        if node is None:
            return
        spec, status = node.get("spec") or {}, node.get("status") or {}
        self.labels = node["metadata"].get("labels") or {}
        self.taints = spec.get("taints") or []
        self.unschedulable = bool(spec.get("unschedulable"))
        self.allocatable = amounts(status.get("allocatable") or status.get("capacity"))
        self.images = {name: image.get("sizeBytes") or 0 for image in status.get("images") or ()
                       for name in image.get("names") or ()}

    def add(self, info: PodInfo) -> None:
        self.pods[info.key] = info
        self._count(info, +1)
        self.ports.update(info.host_ports)
        if info.affinity("podAffinity") or info.affinity("podAntiAffinity"):
            self.affine[info.key] = info

    def remove(self, key: str) -> PodInfo | None:
        info = self.pods.pop(key, None)
        if info is not None:
            self._count(info, -1)
            self.affine.pop(key, None)
            if info.host_ports:
                self.ports = {port for other in self.pods.values() for port in other.host_ports}
        return info

    def count(self, selector: PodSelector) -> int:
        """How many Pods here the selector matches.  Answers are kept, and corrected when a Pod comes or goes."""
        known = self._counted.get(selector.id)
        if known is None:
            if len(self._counted) >= REMEMBERED_COUNTS:
                self._counted.clear()
            known = (selector, sum(selector.matches(info) for info in self.pods.values()))
            self._counted[selector.id] = known
        return known[1]

    def _count(self, info: PodInfo, sign: int) -> None:
        for name, (selector, number) in self._counted.items():
            if selector.matches(info):
                self._counted[name] = (selector, number + sign)
        for name, amount in info.requests.items():
            self.requested[name] = self.requested.get(name, 0) + sign * amount
        cpu, memory = info.usual
        self.usual_cpu += sign * cpu
        self.usual_memory += sign * memory

    def with_pods(self, add: list[PodInfo], without: set[str]) -> NodeInfo:
        """A copy with other Pods on it: what if?"""
        copy = NodeInfo(self.name)
        for slot in ("node", "labels", "taints", "unschedulable", "allocatable", "images"):
            setattr(copy, slot, getattr(self, slot))
        for info in [*(info for key, info in self.pods.items() if key not in without), *add]:
            copy.add(info)
        return copy


class NodeCache:
    """All nodes.  `nodes` are those that have a Node object, in order of appearance."""

    def __init__(self) -> None:
        self._infos: dict[str, NodeInfo] = {}
        self._where: dict[str, str] = {}   # Pod key → node name
        self._list: list[NodeInfo] | None = None

    @property
    def nodes(self) -> list[NodeInfo]:
        if self._list is None:
            self._list = [info for info in self._infos.values() if info.node is not None]
        return self._list

    def get(self, name: str) -> NodeInfo | None:
        return self._infos.get(name)

    def set_node(self, node: Object) -> None:
        self._info(node["metadata"]["name"]).set_node(node)

    def remove_node(self, name: str) -> None:
        info = self._infos.get(name)
        if info is not None:
            info.set_node(None)
            self._list = None
            if not info.pods:
                del self._infos[name]

    def add_pod(self, pod: Object, node: str) -> None:
        """Count the Pod on the node; what was counted (or assumed) under its key before no longer is."""
        info = PodInfo(pod)
        self.remove_pod(info.key)
        self._info(node).add(info)
        self._where[info.key] = node

    def remove_pod(self, key: str) -> bool:
        node = self._where.pop(key, None)
        return node is not None and self._infos[node].remove(key) is not None

    def node_of(self, key: str) -> str:
        return self._where.get(key, "")

    def _info(self, name: str) -> NodeInfo:
        if name not in self._infos:
            self._infos[name] = NodeInfo(name)
        self._list = None if self._infos[name].node is None else self._list
        return self._infos[name]
