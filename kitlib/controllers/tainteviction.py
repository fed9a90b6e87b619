"""Taint eviction: a NoExecute taint sends away the Pods that do not tolerate it, some of them later.

    not tolerated                        goes now
    tolerated with tolerationSeconds N   goes N seconds after the taint came (the smallest N of all its taints counts)
    tolerated                            stays

Every Pod tolerates `not-ready` and `unreachable` for 300 seconds, because admission says so: that is why Pods of a dead
node are replaced after five minutes.  If the taint goes away in time, nothing happens.

Source: k8s.io/kubernetes/pkg/controller/tainteviction/taint_eviction.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Delete, Emit, Patch, RequeueAfter
from kitlib.client.controller import Controller
from kitlib.controllers.nodelifecycle import BY_NODE
from kitlib.controllers.pods import condition
from kitlib.objects.clock import parse_time, rfc3339
from kitlib.objects.meta import object_key

Object = dict[str, Any]


@dataclass(frozen=True)
class Observed:
    """taints: the node's NoExecute taints.  since: when we first saw them against this Pod."""

    pod: Object
    taints: list[Mapping[str, Any]]
    since: float
    now: float


class TaintEviction(Controller):
    name = "tainteviction"
    resource = "pods"
    reads = ("nodes",)
    component = "taint-eviction-controller"

    def watch_own(self) -> None:
        """Only a Pod that comes to a node with such a taint, and a node whose taints change, are of interest."""
        self._since: dict[str, float] = {}   # Pod uid → since when its eviction is pending
        self.cache("pods").add_index(BY_NODE, lambda pod: filter(None, [pod["spec"].get("nodeName")]))
        self.cache("pods").add_handler(self._pod_changed)
        self.cache("nodes").add_handler(self._node_changed)

    def _pod_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        if new is None or "deletionTimestamp" in new["metadata"]:
            self._since.pop((new or old or {})["metadata"]["uid"], None)
            return
        moved = old is None or any(old["spec"].get(f) != new["spec"].get(f) for f in ("nodeName", "tolerations"))
        if moved and self._taints(new):
            self._wake(object_key(new), kind, "pods", new)

    def _node_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        if new is None or no_execute(old) == no_execute(new):
            return
        for pod in self.cache("pods").by_index(BY_NODE, new["metadata"]["name"]):
            self._wake(object_key(pod), kind, "nodes", new)

    def observe(self, key: str) -> Observed | None:
        pod = self.get(key)
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return None
        taints = self._taints(pod)
        uid, now = pod["metadata"]["uid"], self.clock.now()
        if not taints:
            self._since.pop(uid, None)
            return None
        return Observed(pod, taints, self._since.setdefault(uid, now), now)

    def _taints(self, pod: Object) -> list[Mapping[str, Any]]:
        node = self.cache("nodes").get(pod["spec"].get("nodeName") or "")
        return no_execute(node)

    def diff(self, observed: Observed) -> list[Action]:
        pod, meta = observed.pod, observed.pod["metadata"]
        patience = tolerated_for(pod["spec"].get("tolerations") or [], observed.taints)
        if patience is None:
            return []
        begun = [parse_time(t["timeAdded"]) for t in observed.taints if t.get("timeAdded")] or [observed.since]
        left = max(*begun, observed.since) + patience - observed.now
        if left > 0:
            return [RequeueAfter(left)]
        disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
                     "message": "Taint manager: deleting due to NoExecute taint", "lastProbeTime": None,
                     "lastTransitionTime": rfc3339(observed.now), "observedGeneration": meta.get("generation", 1)}
        known = condition(pod, "DisruptionTarget")
        mark: list[Action] = [] if known and known["status"] == "True" else [
            Patch("pods", meta["namespace"], meta["name"], {"status": {"conditions": [disrupted]}}, "strategic",
                  "status")]
        return [Emit(pod, "TaintManagerEviction", f"Marking for deletion Pod {object_key(pod)}"), *mark,
                Delete("pods", meta["namespace"], meta["name"], uid=meta["uid"])]


def no_execute(node: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return [t for t in ((node or {}).get("spec") or {}).get("taints") or () if t.get("effect") == "NoExecute"]


def tolerated_for(tolerations: Sequence[Mapping[str, Any]], taints: Sequence[Mapping[str, Any]]) -> float | None:
    """How long the Pod may stay: 0 not at all, None for ever."""
    used = []
    for taint in taints:
        covering = [t for t in tolerations if tolerates(t, taint)]
        if not covering:
            return 0.0
        used += covering
    limits = [float(max(0, t["tolerationSeconds"])) for t in used if t.get("tolerationSeconds") is not None]
    return min(limits, default=None)


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")
