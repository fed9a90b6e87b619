"""Replays what was done to a real cluster, and writes down what our controllers make of it in the same form.

A recording says what was done (`actions`, seconds apart) and every distinct state that each object went through
(`states`, from a watch).  Generated names differ, so histories are matched by kind and content.  Times do not count,
order and content do.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from controller_world import World

from kitlib.client.manager import Manager
from kitlib.cluster.loops import control_loops

Object = dict[str, Any]
History = list[Object]

RESOURCES = {"Deployment": "deployments.apps", "ReplicaSet": "replicasets.apps", "StatefulSet": "statefulsets.apps",
             "DaemonSet": "daemonsets.apps", "Pod": "pods", "Service": "services", "Node": "nodes",
             "PodDisruptionBudget": "poddisruptionbudgets.policy"}
COUNTS = {"replicas": "replicas", "updatedReplicas": "updated", "readyReplicas": "ready",
          "availableReplicas": "available", "unavailableReplicas": "unavailable", "terminatingReplicas": "terminating",
          "fullyLabeledReplicas": "labeled", "currentReplicas": "current"}
DAEMON_COUNTS = {"desiredNumberScheduled": "desired", "currentNumberScheduled": "current", "numberReady": "ready",
                 "numberMisscheduled": "misscheduled", "numberAvailable": "available",
                 "numberUnavailable": "unavailable", "updatedNumberScheduled": "updated"}
BUDGET_COUNTS = {"expectedPods": "expected", "currentHealthy": "healthy", "desiredHealthy": "desired",
                 "disruptionsAllowed": "allowed"}
PREFIX = "deployment.kubernetes.io/"


class Replay:
    def __init__(self, path: Path) -> None:
        self.recording = json.loads(path.read_text())
        self.kinds: list[str] = self.recording["kinds"]
        self.order: dict[str, int] = {}
        self.world = world = World(nodes=1, ready_after=lambda pod: 1.0 + 0.13 * self._place(pod))
        world.kubelet.leave_after = lambda pod: 0.8 + 0.13 * self._place(pod)
        world.manager = Manager(world.client, world.clock)
        for controller, _ in control_loops("PEM"):
            if controller.name not in ("scheduler", "nodelifecycle"):   # the fake node sends no heartbeats
                world.manager.add(controller)
        world.settle(1)
        self._watches = {kind: world.store.watch(RESOURCES[kind], "default", after=world.store.revision)
                         for kind in self.kinds}
        self._histories: dict[tuple[str, str], History] = {}

    def _place(self, pod: Object) -> int:
        """Pods get Ready, and go, one after the other: what the recording shows apart stays apart."""
        return self.order.setdefault(pod["metadata"]["uid"], len(self.order)) % 7

    def run(self) -> None:
        begun = self.world.clock.now()
        for action in self.recording["actions"]:
            while self.world.clock.now() < begun + action["at_s"]:
                self.world.settle(min(0.5, max(0.05, begun + action["at_s"] - self.world.clock.now())))
            self._do(action)
            self._take_down()
        self.world.settle(20)
        self._take_down()

    def _do(self, action: Object) -> None:
        target, user = action["object"], self.world.user
        resource, namespace = RESOURCES[target["kind"]], "" if target["kind"] == "Node" else "default"
        name = self._name(target.get("metadata", target)["name"])
        if action["do"] == "apply":
            user.create(resource, namespace, target)
        elif action["do"] == "patch":
            user.patch(resource, namespace, name, action["patch"], kind=action.get("type", "merge"))
        elif action["do"] == "scale":
            user.patch(resource, namespace, name, {"spec": {"replicas": action["replicas"]}}, subresource="scale")
        elif action["do"] == "delete":
            user.delete(resource, namespace, name, propagation=action.get("propagationPolicy", ""))
        elif action["do"] != "exec":   # what runs inside a container is the kubelet's tests' affair
            raise ValueError(f"unknown action {action['do']}")

    def _name(self, recorded: str) -> str:
        """<node>, web-<pod1>…: the first of ours that fits."""
        if recorded.startswith("<node"):
            return "node-0"
        if "<pod" not in recorded:
            return recorded
        alive = [p for p in self.world.list("pods") if "deletionTimestamp" not in p["metadata"]]
        return min(alive, key=lambda p: self.order.get(p["metadata"]["uid"], 99))["metadata"]["name"]

    def _take_down(self) -> None:
        for kind, watch in self._watches.items():
            for event in watch.poll():
                obj = event.entry.obj
                state = {"gone": True} if event.type == "DELETED" else describe(kind, obj)
                history = self._histories.setdefault((kind, obj["metadata"]["uid"]), [])
                if not history or history[-1] != state:
                    history.append(state)

    def histories(self, kind: str) -> list[History]:
        return [history for (found, _), history in self._histories.items() if found == kind]

    def events(self) -> list[list[Any]]:
        """[kind, reason] or [kind, reason, direction, from, to]."""
        found = []
        for event in self.world.list("events"):
            about = event["involvedObject"]["kind"]
            if about in self.kinds:
                scaled = re.match(r"Scaled (\w+) replica set \S+ from (\d+) to (\d+)", event["message"])
                numbers = [scaled[1], int(scaled[2]), int(scaled[3])] if scaled else []
                found.append([about, event["reason"], *numbers])
        return found


def describe(kind: str, obj: Object) -> Object:
    """One state in the recordings' form."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    state: Object = {}
    if "deletionTimestamp" in meta:
        state["deleting"] = True
    if meta.get("finalizers"):
        state["finalizers"] = meta["finalizers"]
    state["gen"] = meta["generation"]
    if status.get("observedGeneration"):
        state["obsGen"] = status["observedGeneration"]
    if kind in ("Deployment", "ReplicaSet", "StatefulSet"):
        state["spec"] = spec.get("replicas")
    if spec.get("paused"):
        state["paused"] = True
    counts = {"DaemonSet": DAEMON_COUNTS, "PodDisruptionBudget": BUDGET_COUNTS}.get(kind, COUNTS)
    state |= {short: status[name] for name, short in counts.items() if name in status}
    if kind != "DaemonSet":
        conditions = status.get("conditions") or ()
        state["conditions"] = sorted(f"{c['type']}={c['status']}({c['reason']})" for c in conditions)
    annotations = meta.get("annotations") or {}
    return state | {name: annotations[PREFIX + name] for name in ("revision", "desired-replicas", "max-replicas")
                    if PREFIX + name in annotations}
