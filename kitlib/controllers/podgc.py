"""Pod garbage collection: a Pod whose node no longer exists has no kubelet that could end it.

After 40 seconds (the node may come back) it is marked Failed, with the reason as a condition, and removed.

Source: k8s.io/kubernetes/pkg/controller/podgc/gc_controller.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Delete, Patch, RequeueAfter
from kitlib.client.controller import Controller
from kitlib.controllers.nodelifecycle import BY_NODE
from kitlib.controllers.pods import is_finished
from kitlib.objects.clock import rfc3339
from kitlib.objects.meta import object_key

Object = dict[str, Any]

QUARANTINE = 40.0


@dataclass(frozen=True)
class Observed:
    """missing_for: seconds since its node was found missing."""

    pod: Object
    missing_for: float
    now: float


class PodGC(Controller):
    name = "podgc"
    resource = "pods"
    reads = ("nodes",)
    component = "pod-garbage-collector-controller"

    def watch_own(self) -> None:
        self._missing: dict[str, float] = {}   # node → since when
        self.cache("pods").add_index(BY_NODE, lambda pod: filter(None, [pod["spec"].get("nodeName")]))
        self.cache("nodes").add_handler(self._node_changed)
        self.cache("pods").add_handler(self._pod_changed)

    def _node_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        if new is not None:
            self._missing.pop(name, None)
            return
        self._missing[name] = self.clock.monotonic()
        for pod in self.cache("pods").by_index(BY_NODE, name):
            self._wake(object_key(pod), kind, "nodes", old or {})

    def _pod_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        node = (new or {}).get("spec", {}).get("nodeName")
        if node and old is None and new is not None and self.cache("nodes").get(node) is None:
            self._wake(object_key(new), kind, "pods", new)

    def observe(self, key: str) -> Observed | None:
        pod = self.get(key)
        node = pod["spec"].get("nodeName") if pod else None
        if pod is None or not node or self.cache("nodes").get(node) is not None:
            return None
        now = self.clock.monotonic()
        return Observed(pod, now - self._missing.setdefault(node, now), self.clock.now())

    def diff(self, observed: Observed) -> list[Action]:
        if observed.missing_for < QUARANTINE:
            return [RequeueAfter(QUARANTINE - observed.missing_for)]
        meta = observed.pod["metadata"]
        removal = Delete("pods", meta["namespace"], meta["name"], uid=meta["uid"], grace=0)
        if is_finished(observed.pod):
            return [removal]
        why = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
               "message": "PodGC: node no longer exists", "lastProbeTime": None,
               "lastTransitionTime": rfc3339(observed.now), "observedGeneration": meta.get("generation", 1)}
        failed = {"status": {"phase": "Failed", "conditions": [why]}}
        return [Patch("pods", meta["namespace"], meta["name"], failed, "strategic", "status"), removal]
