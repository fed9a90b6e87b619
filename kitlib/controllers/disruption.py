"""Disruption: how many Pods of a PodDisruptionBudget may be taken away right now.

    disruptionsAllowed = currentHealthy − desiredHealthy      (never below 0)

`desiredHealthy` is minAvailable, or what is expected less maxUnavailable; a percentage is of the expected number, which
is the sum of the replicas of the Pods' controllers.  The API's eviction subresource asks this number, lowers it and
notes the Pod in `disruptedPods`; until the Pod is really on its way that note keeps it from being counted twice.

Source: k8s.io/kubernetes/pkg/controller/disruption/disruption.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kitlib.client.actions import Action, Emit, RequeueAfter, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.controllers import pods as pods_
from kitlib.controllers.rollout import share_of
from kitlib.objects.clock import parse_time, rfc3339
from kitlib.objects.meta import controller_of, object_key
from kitlib.objects.selectors import LabelSelector

Object = dict[str, Any]

SCALED = {"ReplicaSet": "replicasets.apps", "StatefulSet": "statefulsets.apps",
          "ReplicationController": "replicationcontrollers", "Deployment": "deployments.apps"}
FORGET_AFTER = 120.0


@dataclass(frozen=True)
class Observed:
    """expected: the sum of the replicas of the Pods' controllers; None if a Pod has none that can be scaled."""

    pdb: Object
    pods: list[Object]
    expected: int | None
    now: float = field(default=0.0)


class Disruption(Controller):
    name = "disruption"
    resource = "poddisruptionbudgets.policy"
    reads = ("pods", *SCALED.values())
    component = "controllermanager"

    def setup(self) -> None:
        self.watch("pods", self._budgets_of)
        for resource in SCALED.values():
            self.cache(resource).add_handler(self._owner_changed)

    def _budgets_of(self, pod: Object) -> list[str]:
        budgets = self.cache(self.resource).by_index("namespace", pod["metadata"]["namespace"])
        return [object_key(pdb) for pdb in budgets if _selector(pdb).matches(pod["metadata"].get("labels"))]

    def _owner_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and old["spec"].get("replicas") != new["spec"].get("replicas"):
            for pdb in self.cache(self.resource).by_index("namespace", new["metadata"]["namespace"]):
                self._wake(object_key(pdb), kind, "", new)

    def observe(self, key: str) -> Observed | None:
        pdb = self.get(key)
        if pdb is None:
            return None
        selector = _selector(pdb)
        pods = [pod for pod in self.cache("pods").by_index("namespace", pdb["metadata"]["namespace"])
                if selector.matches(pod["metadata"].get("labels"))]
        pods = [pod for pod in pods if not pods_.is_finished(pod)]
        return Observed(pdb, pods, self._expected(pods), self.clock.now())

    def _expected(self, pods: list[Object]) -> int | None:
        """Follow each Pod to the top of what scales it, and add up each of those once."""
        sizes: dict[str, int] = {}
        for pod in pods:
            found = self._scaled_by(pod)
            if found is None:
                return None
            sizes[found["metadata"]["uid"]] = found["spec"].get("replicas") or 0
        return sum(sizes.values())

    def _scaled_by(self, obj: Object) -> Object | None:
        owner = controller_of(obj)
        if owner is None or owner["kind"] not in SCALED:
            return None
        found = self.cache(SCALED[owner["kind"]]).get(f"{obj['metadata']['namespace']}/{owner['name']}")
        if found is None or found["metadata"]["uid"] != owner["uid"]:
            return None
        return self._scaled_by(found) or found

    def diff(self, observed: Observed) -> list[Action]:
        pdb, spec = observed.pdb, observed.pdb["spec"]
        expected, desired, problem = _desired(spec, observed)
        disrupted = self._still_disrupted(observed)
        healthy = sum(pods_.is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
                      and pod["metadata"]["name"] not in disrupted for pod in observed.pods)
        allowed = max(0, healthy - desired) if expected > 0 and not problem else 0
        status: Object = {"observedGeneration": pdb["metadata"].get("generation", 1)}
        status |= {"disruptedPods": disrupted} if disrupted else {}
        status |= {"disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired,
                   "expectedPods": expected}
        verdict = ("SyncFailed", problem) if problem else ("SufficientPods" if allowed else "InsufficientPods", "")
        status["conditions"] = [self._condition(pdb, allowed > 0, *verdict, observed.now)]
        actions: list[Action] = []
        if not observed.pods:
            actions.append(Emit(pdb, "NoPods", "No matching pods found"))
        if problem:
            actions.append(Emit(pdb, "CalculateExpectedPodCountFailed", problem, "Warning"))
        if status != pdb.get("status"):
            actions.append(UpdateStatus(self.resource, pdb | {"status": status}))
        elif not problem:
            actions = []   # nothing new to say
        if disrupted:
            actions.append(RequeueAfter(FORGET_AFTER))
        return actions

    @staticmethod
    def _still_disrupted(observed: Observed) -> Object:
        """Evicted Pods that are not seen to go yet; after two minutes the eviction is taken to have failed."""
        noted = (observed.pdb.get("status") or {}).get("disruptedPods") or {}
        staying = {pod["metadata"]["name"] for pod in observed.pods if "deletionTimestamp" not in pod["metadata"]}
        return {name: when for name, when in noted.items()
                if name in staying and parse_time(when) + FORGET_AFTER > observed.now}

    @staticmethod
    def _condition(pdb: Object, allowed: bool, reason: str, message: str, now: float) -> Object:
        known: Mapping[str, Any] = pods_.condition(pdb, "DisruptionAllowed") or {}
        status = "True" if allowed else "False"
        since = known["lastTransitionTime"] if known.get("status") == status else rfc3339(now)
        return {"type": "DisruptionAllowed", "status": status, "reason": reason, "message": message,
                "observedGeneration": pdb["metadata"].get("generation", 1), "lastTransitionTime": since}


def _desired(spec: Mapping[str, Any], observed: Observed) -> tuple[int, int, str]:
    """(expected, desired healthy, problem)."""
    limit = spec.get("maxUnavailable")
    least = spec.get("minAvailable")
    if limit is None and (least is None or not str(least).endswith("%")):
        return len(observed.pods), int(least or 0), ""
    if observed.expected is None:
        return 0, 0, "found no controllers for some of the pods, so that a percentage or maxUnavailable has no meaning"
    expected = observed.expected
    if limit is not None:
        return expected, max(0, expected - share_of(limit, expected, up=True)), ""
    return expected, share_of(least, expected, up=True), ""


def _selector(pdb: Mapping[str, Any]) -> LabelSelector:
    """In policy/v1 an empty selector means all Pods of the namespace, a missing one means none."""
    return LabelSelector.of(pdb["spec"].get("selector"))

