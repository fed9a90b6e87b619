"""kube-scheduler's role: give each Pod that has no node a node.

    observe   a Pod without spec.nodeName whose schedulerName is ours, and what is known of all nodes
    diff      filter, score, pick one (`framework.py`); if none is left, say why, and whether others should make room
    act       POST pods/NAME/binding: the API writes spec.nodeName, and the kubelet of that node sees it

It starts no containers and talks to no kubelet.  Deciding is all it does, and binding is the only thing it writes
about a Pod it could place; about one it could not, it writes the condition PodScheduled=False and an Event.

The Pod that was just bound is assumed on its node until the cache shows it, so that the next one sees what is left.

Source: k8s.io/kubernetes/pkg/scheduler (schedule_one.go, eventhandlers.go).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Emit, Patch
from kitlib.client.controller import Controller
from kitlib.objects.clock import Clock, rfc3339
from kitlib.objects.meta import object_key
from kitlib.scheduler.cluster_events import node_changes, pod_changes
from kitlib.scheduler.decision import Decision
from kitlib.scheduler.framework import Framework, Plugin
from kitlib.scheduler.lookups import CacheListers
from kitlib.scheduler.nodeinfo import NodeCache, NodeInfo
from kitlib.scheduler.plugins import default_plugins
from kitlib.scheduler.plugins.volume_binding import unbound
from kitlib.scheduler.podinfo import PodInfo
from kitlib.scheduler.preemption import Outcome, preempt
from kitlib.scheduler.queue import SchedulingQueue

Object = dict[str, Any]

BUDGETS = "poddisruptionbudgets.policy"
STORAGE = ("persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io")
SELECTED_NODE = "volume.kubernetes.io/selected-node"
NO_CLAIMS = "no new claims to deallocate, "
DECISIONS = 200


@dataclass(frozen=True)
class Observed:
    pod: PodInfo
    nodes: Sequence[NodeInfo] = field(repr=False)
    now: float = 0.0


class Scheduler(Controller):
    """One profile: the Pods whose schedulerName it is, and the plugins that decide about them.

    A scheduler of one's own is another profile with further plugins, run beside the built-in one:

        run_controller(Scheduler("mine", [MyFilter()]))       and in the Pod: schedulerName: mine
    """

    name = "scheduler"
    resource = "pods"
    reads = ("nodes", "namespaces", "services", "replicasets.apps", BUDGETS, *STORAGE)
    user_agent = "kube-scheduler"

    def __init__(self, scheduler_name: str = "default-scheduler", extra_plugins: Sequence[Plugin] = ()) -> None:
        self.component = self._profile = scheduler_name
        self._extra = list(extra_plugins)
        self.nodes = NodeCache()
        self.decisions: deque[Decision] = deque(maxlen=DECISIONS)
        self._nominated: dict[str, tuple[str, PodInfo]] = {}   # Pod key → (node, Pod)

    def make_queue(self, clock: Clock) -> SchedulingQueue:
        self._waiting = SchedulingQueue(clock)
        return self._waiting

    def watch_own(self) -> None:
        self.cache("pods").add_handler(self._pod_changed)
        self.cache("nodes").add_handler(self._node_changed)

    def setup(self) -> None:
        self._listers = CacheListers(self.cache)
        self.framework = Framework([*default_plugins(self._listers), *self._extra])
        for resource in STORAGE:
            self.cache(resource).add_handler(self._storage_changed)
        self._wakes = {plugin.name: plugin.wakes for plugin in self.framework.plugins}

    # -- keeping the node cache ---------------------------------------------------------------------------------

    def _pod_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        key, node = object_key(pod), pod["spec"].get("nodeName") or ""
        counts = new is not None and (new.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        if node and counts:
            self.nodes.add_pod(pod, node)
            self._forget(key)
        elif new is None or node:
            self.nodes.remove_pod(key)
            self._forget(key)
        for event in pod_changes(old, new if counts else None):
            self._waiting.happened(event)
        if not node and counts and self._is_ours(pod) and (old is None or _asks_otherwise(old, pod)):
            self._waiting.priority[key] = pod["spec"].get("priority") or 0
            self._wake(key, kind, "pods", pod)

    def _node_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            self.nodes.remove_node((old or {})["metadata"]["name"])
        else:
            self.nodes.set_node(new)
        for event in node_changes(old if kind == "MODIFIED" else None, new):
            self._waiting.happened(event)

    def _storage_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        self._waiting.happened("volume-changed")

    def _is_ours(self, pod: Object) -> bool:
        return (pod["spec"].get("schedulerName") or "default-scheduler") == self._profile

    def _forget(self, key: str) -> None:
        self._waiting.drop(key)
        self._nominated.pop(key, None)

    # -- observe, diff, act -------------------------------------------------------------------------------------

    def observe(self, key: str) -> Observed | None:
        pod = self.get(key)
        if pod is None or pod["spec"].get("nodeName") or self.nodes.node_of(key):
            return None
        if "deletionTimestamp" in pod["metadata"] or pod["spec"].get("schedulingGates"):
            return None
        return Observed(PodInfo(pod), self.nodes.nodes, self.clock.now())

    def diff(self, observed: Observed) -> list[Action]:
        """Pure but for its diary: the decision is kept, so that it can be explained."""
        pod = observed.pod
        decision = self.framework.decide(pod, observed.nodes, self._nominations())
        decision.time = observed.now
        self.decisions.append(decision)
        if decision.chosen:
            claims = unbound(pod, self._listers)
            if not claims:
                return [bind(pod, decision.chosen)]
            decision.message = f"waiting for volumes to be bound on {decision.chosen}"
            return [choose_node(claim, decision.chosen) for claim in claims]
        outcome = Outcome("")
        if observed.nodes:
            outcome = preempt(self.framework, pod, observed.nodes, decision, self.cache(BUDGETS).list())
        decision.message = explain(decision, outcome)
        decision.victims, decision.nominated = [victim.key for victim in outcome.victims], outcome.node
        actions: list[Action] = []
        for victim in outcome.victims:
            actions += evict(victim, pod, outcome.node, observed.now)
        return [*actions, *unschedulable(pod, decision.message, outcome.node, observed.now)]

    def act(self, actions: Sequence[Action]) -> None:
        decision = self.decisions[-1] if actions else None
        if decision is not None and not decision.chosen:
            self._set_aside(decision)
        elif decision is not None and decision.message:
            self._waiting.wait(decision.pod, frozenset({"volume-changed"}), soon=True)
        for action in actions:
            self.perform(action)
            if isinstance(action, Create):
                self._assume(action)

    def _assume(self, binding: Create) -> None:
        key = object_key(binding.obj)
        pod = self.get(key)
        if pod is not None:
            self.nodes.add_pod(pod, binding.obj["target"]["name"])
        self._forget(key)

    def _set_aside(self, decision: Decision) -> None:
        """It waits for what the plugins that said no care about; who was nominated waits for its victims to go."""
        wakes = frozenset().union(*(self._wakes.get(name, frozenset()) for name in decision.plugins()))
        pod = self.get(decision.pod)
        if decision.nominated and pod is not None:
            wakes |= {"pod-gone"}
            self._nominated[decision.pod] = (decision.nominated, PodInfo(pod))
        self._waiting.wait(decision.pod, wakes | {"node-added"})

    def _nominations(self) -> dict[str, list[PodInfo]]:
        by_node: dict[str, list[PodInfo]] = {}
        for node, pod in self._nominated.values():
            by_node.setdefault(node, []).append(pod)
        return by_node


def bind(pod: PodInfo, node: str) -> Create:
    meta = pod.pod["metadata"]
    binding = {"kind": "Binding", "apiVersion": "v1", "target": {"kind": "Node", "name": node},
               "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}}
    return Create("pods", binding, subresource="binding",
                  then=Emit(pod.pod, "Scheduled", f"Successfully assigned {pod.key} to {node}", action="Binding"))


def choose_node(claim: Mapping[str, Any], node: str) -> Patch:
    """Tell the volume binder (or the provisioner) where the first Pod of this claim will run."""
    meta = claim["metadata"]
    return Patch("persistentvolumeclaims", meta["namespace"], meta["name"],
                 {"metadata": {"annotations": {SELECTED_NODE: node}, "uid": meta["uid"]}})


def explain(decision: Decision, outcome: Outcome) -> str:
    text = decision.explain()
    return f"{text} {NO_CLAIMS}{outcome.message}" if outcome.message else text


def unschedulable(pod: PodInfo, message: str, nominated: str, now: float) -> list[Action]:
    """The Event, and the condition (and nomination) if it is news."""
    meta = pod.pod["metadata"]
    actions: list[Action] = [Emit(pod.pod, "FailedScheduling", message, "Warning", action="Scheduling")]
    conditions = (pod.pod.get("status") or {}).get("conditions") or ()
    known: Object = next((c for c in conditions if c["type"] == "PodScheduled"), {})
    status: Object = {}
    if (known.get("status"), known.get("reason"), known.get("message")) != ("False", "Unschedulable", message):
        since = known["lastTransitionTime"] if known.get("status") == "False" else rfc3339(now)
        status["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                                 "message": message, "lastProbeTime": None, "lastTransitionTime": since,
                                 "observedGeneration": meta.get("generation", 1)}]
    if nominated:
        status["nominatedNodeName"] = nominated
    if status:
        actions.append(Patch("pods", meta["namespace"], meta["name"], {"status": status}, "strategic", "status"))
    return actions


def evict(victim: PodInfo, preemptor: PodInfo, node: str, now: float) -> list[Action]:
    """Say why (a condition), then ask it to leave; one that is leaving already is let be."""
    meta = victim.pod["metadata"]
    if victim.terminating:
        return []
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                 "message": f"{preemptor.spec.get('schedulerName', 'default-scheduler')}: preempting to accommodate "
                            "a higher priority pod",
                 "lastProbeTime": None, "lastTransitionTime": rfc3339(now),
                 "observedGeneration": meta.get("generation", 1)}
    told = Emit(victim.pod, "Preempted", f"Preempted by pod {preemptor.pod['metadata']['uid']} on node {node}",
                action="Preempting")
    why = {"status": {"conditions": [disrupted]}}
    return [Patch("pods", meta["namespace"], meta["name"], why, "strategic", "status"),
            Delete("pods", meta["namespace"], meta["name"], uid=meta["uid"], then=told)]


def _asks_otherwise(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a Pod changed in what matters here; its status is written by ourselves."""
    return (old["spec"] != new["spec"]
            or any(old["metadata"].get(name) != new["metadata"].get(name) for name in ("labels", "annotations", "uid")))
