"""Node lifecycle: what a node says about itself becomes taints; and a node that says nothing is presumed dead.

    kubelet ──renews every 10 s──▶ Lease kube-node-lease/NODE
                                     └─ silent for 50 s ─▶ Ready=Unknown ─▶ taints `unreachable` ─▶ its Pods are evicted

Conditions are facts, taints their consequences: the scheduler and the taint eviction controller look at taints only.

    Ready=False        not-ready:NoSchedule, :NoExecute          MemoryPressure  memory-pressure:NoSchedule
    Ready=Unknown      unreachable:NoSchedule, :NoExecute        DiskPressure    disk-pressure:NoSchedule
    spec.unschedulable unschedulable:NoSchedule                  PIDPressure     pid-pressure:NoSchedule

Whether a node is silent is measured by our own clock, from when we last saw its Lease change: two machines' clocks
cannot be compared.

Source: k8s.io/kubernetes/pkg/controller/nodelifecycle/node_lifecycle_controller.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kitlib.client.actions import Action, Emit, Patch, RequeueAfter
from kitlib.client.controller import Controller
from kitlib.controllers.pods import condition, is_finished
from kitlib.objects.clock import rfc3339

Object = dict[str, Any]

LEASES, LEASE_NAMESPACE = "leases.coordination.k8s.io", "kube-node-lease"
GRACE, STARTUP_GRACE, LISTEN_EVERY = 50.0, 60.0, 10.0
PREFIX = "node.kubernetes.io/"
BY_NODE = "node"

PRESSURES = {"MemoryPressure": "memory-pressure", "DiskPressure": "disk-pressure", "PIDPressure": "pid-pressure",
             "NetworkUnavailable": "network-unavailable"}
WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
OURS = frozenset(PREFIX + name for name in ("not-ready", "unreachable", "unschedulable", *PRESSURES.values()))


@dataclass(frozen=True)
class Observed:
    """silent_for: seconds since the node last gave a sign of life.  pods: those on it."""

    node: Object
    silent_for: float
    now: float
    pods: Sequence[Object] = field(default=(), repr=False)


class NodeLifecycle(Controller):
    name = "nodelifecycle"
    resource = "nodes"
    reads = (LEASES, "pods")
    component = "node-controller"

    def setup(self) -> None:
        self._signs: dict[str, tuple[Any, float]] = {}   # node → (its last sign of life, when we saw it)
        self.cache("pods").add_index(BY_NODE, lambda pod: filter(None, [pod["spec"].get("nodeName")]))

    def observe(self, key: str) -> Observed | None:
        node = self.get(key)
        if node is None:
            self._signs.pop(key, None)
            return None
        now = self.clock.monotonic()
        lease = self.cache(LEASES).get(f"{LEASE_NAMESPACE}/{key}")
        ready = condition(node, "Ready") or {}
        sign = ((lease or {}).get("spec", {}).get("renewTime"), ready.get("lastHeartbeatTime"))
        if key not in self._signs or self._signs[key][0] != sign:
            self._signs[key] = (sign, now)
        since = self._signs[key][1]
        return Observed(node, now - since, self.clock.now(), self.cache("pods").by_index(BY_NODE, key))

    def diff(self, observed: Observed) -> list[Action]:
        node = observed.node
        ready = condition(node, "Ready")
        grace = GRACE if ready else STARTUP_GRACE
        if observed.silent_for >= grace and (ready is None or ready["status"] != "Unknown"):
            return self._presume_dead(observed)
        left = grace - observed.silent_for
        return [*self._taint(observed), RequeueAfter(min(left, LISTEN_EVERY) if left > 0 else LISTEN_EVERY)]

    def _presume_dead(self, observed: Observed) -> list[Action]:
        """Every condition becomes Unknown: we do not know that it is dead, we only hear nothing."""
        node, stamp = observed.node, rfc3339(observed.now)
        name = node["metadata"]["name"]
        conditions = []
        for type in WATCHED:
            known = condition(node, type)
            if known is not None and known["status"] == "Unknown":
                continue
            reason, message = (("NodeStatusUnknown", "Kubelet stopped posting node status.") if known else
                               ("NodeStatusNeverUpdated", "Kubelet never posted node status."))
            conditions.append({"type": type, "status": "Unknown", "reason": reason, "message": message,
                               "lastHeartbeatTime": (known or {}).get("lastHeartbeatTime")
                               or node["metadata"]["creationTimestamp"], "lastTransitionTime": stamp})
        told = Emit(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        return [Patch("nodes", "", name, {"status": {"conditions": conditions}}, "strategic", "status", then=told),
                *_pods_not_ready(observed)]

    @staticmethod
    def _taint(observed: Observed) -> list[Action]:
        """The taints that follow from the conditions; those that others set stay."""
        node = observed.node
        known = (node.get("spec") or {}).get("taints") or []
        wanted = _wanted_taints(node)
        kept = [taint for taint in known
                if taint["key"] not in OURS or (taint["key"], taint["effect"]) in wanted]
        there = {(taint["key"], taint["effect"]) for taint in kept}
        stamp = rfc3339(observed.now)
        new = [{"key": key, "effect": effect} | ({"timeAdded": stamp} if effect == "NoExecute" else {})
               for key, effect in wanted if (key, effect) not in there]
        if kept == known and not new:
            return []
        meta = node["metadata"]
        return [Patch("nodes", "", meta["name"], {"spec": {"taints": [*kept, *new] or None},
                                                  "metadata": {"resourceVersion": meta["resourceVersion"]}})]


def _wanted_taints(node: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, effect) of the taints that the node's state asks for."""
    ready = condition(node, "Ready")
    wanted = []
    if ready is None or ready["status"] == "False":
        wanted.append(("not-ready", "NoSchedule"))
    elif ready["status"] == "Unknown":
        wanted.append(("unreachable", "NoSchedule"))
    if ready is not None and ready["status"] != "True":
        wanted.append(("not-ready" if ready["status"] == "False" else "unreachable", "NoExecute"))
    for type, taint in PRESSURES.items():
        if (condition(node, type) or {}).get("status") == "True":
            wanted.append((taint, "NoSchedule"))
    if (node.get("spec") or {}).get("unschedulable"):
        wanted.append(("unschedulable", "NoSchedule"))
    return [(PREFIX + name, effect) for name, effect in wanted]


def _pods_not_ready(observed: Observed) -> list[Action]:
    """Nobody answers on that node: its Pods are not Ready, so Services stop sending to them."""
    actions: list[Action] = []
    for pod in observed.pods:
        ready = condition(pod, "Ready")
        if ready is None or ready["status"] != "True" or is_finished(pod):
            continue
        fresh = dict(ready) | {"status": "False", "lastTransitionTime": rfc3339(observed.now)}
        meta = pod["metadata"]
        actions.append(Patch("pods", meta["namespace"], meta["name"], {"status": {"conditions": [fresh]}}, "strategic",
                             "status", then=Emit(pod, "NodeNotReady", "Node is not ready", "Warning")))
    return actions
