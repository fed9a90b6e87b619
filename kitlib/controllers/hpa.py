"""HorizontalPodAutoscaler: as many replicas as the load needs, between a least and a most.

Every 15 seconds: read the scale of the target, ask metrics.k8s.io what its Pods use, take the largest proposal of all
metrics (`hpa_metrics.py`), and be careful:

    up      at once, but at most 4 Pods or a doubling per 15 s, whichever is more
    down    to the highest proposal of the last 5 minutes: a short lull must not tear down what is needed again

It writes the target's `scale` and nothing else; whether that is a Deployment, a StatefulSet or a kind of somebody's
CustomResourceDefinition makes no difference.

Source: k8s.io/kubernetes/pkg/controller/podautoscaler/horizontal.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kitlib.client.actions import Action, Emit, Patch, RequeueAfter, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.client.discovery import discover
from kitlib.controllers import hpa_metrics as metrics_
from kitlib.controllers.pods import condition
from kitlib.objects.clock import rfc3339
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import object_key
from kitlib.objects.selectors import LabelSelector

Object = dict[str, Any]

EVERY, WINDOW_MOST = 15.0, 3600.0
UP = {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
    {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]}
DOWN = {"stabilizationWindowSeconds": 300, "selectPolicy": "Max",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


@dataclass(frozen=True)
class Observed:
    """scale, usage: None if they cannot be had; then `problem` says why.  proposals, changes: (when, replicas)."""

    hpa: Object
    resource: str
    scale: Object | None
    pods: list[Object]
    usage: Mapping[str, Object] | None
    problem: str
    now: float
    proposals: Sequence[tuple[float, int]] = field(default=(), repr=False)
    changes: Sequence[tuple[float, int]] = field(default=(), repr=False)


class HorizontalPodAutoscaler(Controller):
    name = "horizontalpodautoscaler"
    resource = "horizontalpodautoscalers.autoscaling"
    reads = ("pods",)
    component = "horizontal-pod-autoscaler"

    def setup(self) -> None:
        self._seen: dict[str, float] = {}
        self._proposals: dict[str, list[tuple[float, int]]] = {}
        self._changes: dict[str, list[tuple[float, int]]] = {}

    def observe(self, key: str) -> Observed | None:
        hpa = self.get(key)
        now = self.clock.now()
        if hpa is None:
            for memory in (self._seen, self._proposals, self._changes):
                memory.pop(key, None)
            return None
        due = self._seen.setdefault(key, now) + EVERY
        if now < due:
            self.queue.add_after(key, due - now)   # it looks every 15 s, not whenever somebody writes to it
            return None
        self._seen[key] = now
        return self._look(hpa, key, now)

    def _look(self, hpa: Object, key: str, now: float) -> Observed:
        namespace, target = hpa["metadata"]["namespace"], hpa["spec"]["scaleTargetRef"]
        resource = self._resource_of(target)
        memory = (self._proposals.setdefault(key, []), self._changes.setdefault(key, []))
        try:
            scale = self.client.get(resource, namespace, target["name"], "scale")
        except StatusError as error:
            return Observed(hpa, resource, None, [], None, error.message, now, *memory)
        text = scale["status"].get("selector") or ""
        selector = LabelSelector.parse(text)
        pods = [pod for pod in self.cache("pods").by_index("namespace", namespace)
                if text and selector.matches(pod["metadata"].get("labels"))]
        try:
            found = self.client.list("pods.metrics.k8s.io", namespace, label_selector=text)["items"]
        except StatusError as error:
            return Observed(hpa, resource, scale, pods, None, error.message, now, *memory)
        usage = {item["metadata"]["name"]: item["containers"] for item in found}
        return Observed(hpa, resource, scale, pods, usage, "", now, *memory)

    def _resource_of(self, target: Mapping[str, str]) -> str:
        group = target.get("apiVersion", "").rpartition("/")[0]
        for found in discover(self.client):
            if (found.group, found.kind) == (group, target["kind"]):
                return found.resource
        plural = target["kind"].lower() + "s"
        return f"{plural}.{group}" if group else plural

    def diff(self, observed: Observed) -> list[Action]:
        """Pure but for its diary: proposals are remembered for as long as the longest window may be."""
        turn = Turn(observed)
        actions = turn.actions()
        if turn.proposed is not None:
            kept = [(when, n) for when, n in observed.proposals if when > observed.now - WINDOW_MOST]
            self._proposals[object_key(observed.hpa)] = [*kept, (observed.now, turn.proposed)]
        return [*actions, RequeueAfter(EVERY)]

    def act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self.perform(action)
            if isinstance(action, Patch) and action.then is not None:   # it was rescaled: limits look back at this
                before = action.then.about["status"].get("currentReplicas") or 0
                change = action.patch["spec"]["replicas"] - before
                self._changes.setdefault(object_key(action.then.about), []).append((self.clock.now(), change))


class Turn:
    """One look."""

    def __init__(self, observed: Observed) -> None:
        self.observed, self.hpa, self.spec, self.now = observed, observed.hpa, observed.hpa["spec"], observed.now
        self.known: Object = self.hpa.get("status") or {}
        self.conditions = {c["type"]: c for c in self.known.get("conditions") or ()}
        self.events: list[Action] = []
        self.proposed: int | None = None
        self.current_metrics = self.known.get("currentMetrics")
        self.least = self.spec["minReplicas"] if self.spec.get("minReplicas") is not None else 1

    def actions(self) -> list[Action]:
        if self.observed.scale is None:
            self._condition("AbleToScale", False, "FailedGetScale",
                            f"the HPA controller was unable to get the target's current scale: {self.observed.problem}")
            self._warn("FailedGetScale", self.observed.problem)
            return self._finish(None, self.known.get("desiredReplicas", 0), None)
        current = self.observed.scale["spec"].get("replicas") or 0
        self._condition("AbleToScale", True, "SucceededGetScale",
                        "the HPA controller was able to get the target's current scale")
        wanted, why = current, ""
        if current == 0 and self.least != 0:
            self._condition("ScalingActive", False, "ScalingDisabled",
                            "scaling is disabled since the replica count of the target is zero")
            return self._finish(current, 0, None)
        if current > self.spec["maxReplicas"]:
            wanted, why = self.spec["maxReplicas"], "Current number of replicas above Spec.MaxReplicas"
        elif current < self.least:
            wanted, why = self.least, "Current number of replicas below Spec.MinReplicas"
        else:
            proposal = self._proposal(current)
            if proposal is None:
                return self._finish(current, self.known.get("desiredReplicas", 0), None)
            wanted, why = self._limited(current, *proposal)
        return self._finish(current, wanted, why if wanted != current else None)

    # -- what the metrics say ---------------------------------------------------------------------------------

    def _proposal(self, current: int) -> tuple[int, str] | None:
        """The largest proposal and the metric it comes from; None if there is none to be had."""
        best, failures, shown = None, [], []
        for metric in self.spec.get("metrics") or ():
            try:
                if self.observed.usage is None:
                    raise metrics_.NoMetric("FailedGetResourceMetric", "failed to get the resource metric: unable to "
                                            f"fetch metrics from resource metrics API: {self.observed.problem}")
                found = metrics_.propose(metric, self.observed.pods, self.observed.usage, current, self.now)
            except metrics_.NoMetric as error:
                failures.append(error)
                self._warn(error.reason, str(error))
                continue
            shown.append(found.current)
            name = (metric.get("resource") or metric.get("containerResource") or {}).get("name", "")
            if best is None or found.replicas > best[0]:
                best = (found.replicas, f"{name} resource utilization (percentage of request)")
        self.current_metrics = shown or [{"type": ""}]
        if best is None or (failures and best[0] < current):   # never down on half the evidence
            first = failures[0] if failures else metrics_.NoMetric("InvalidMetric", "the HPA has no metrics")
            self._condition("ScalingActive", False, first.reason,
                            f"the HPA was unable to compute the replica count: {first}")
            self._warn("FailedComputeMetricsReplicas", f"invalid metrics ({len(failures)} invalid out of "
                       f"{len(self.spec.get('metrics') or ())}), first error is: {first}")
            return None
        self._condition("ScalingActive", True, "ValidMetricFound",
                        f"the HPA was able to successfully calculate a replica count from {best[1]}")
        return best

    # -- caution ----------------------------------------------------------------------------------------------

    def _limited(self, current: int, proposed: int, metric: str) -> tuple[int, str]:
        behavior = self.spec.get("behavior") or {}
        up, down = UP | (behavior.get("scaleUp") or {}), DOWN | (behavior.get("scaleDown") or {})
        steady = self._stabilized(current, proposed, up, down)
        if steady != proposed:
            direction = "ScaleDownStabilized" if proposed < steady else "ScaleUpStabilized"
            self._condition("AbleToScale", True, direction, "recent recommendations were different from current one, "
                            "applying the most careful of them")
        else:
            self._condition("AbleToScale", True, "ReadyForNewScale", "recommended size matches current size")
        ceiling = self.spec["maxReplicas"]
        most = min(ceiling, self._rate(current, up, +1)) if steady > current else ceiling
        least = max(self.least, self._rate(current, down, -1)) if steady < current else self.least
        wanted = min(max(steady, least), most)
        if wanted == steady:
            self._condition("ScalingLimited", False, "DesiredWithinRange", "the desired count is within the acceptable "
                            "range")
        elif wanted < steady:
            reason = "TooManyReplicas" if most == ceiling else "ScaleUpLimit"
            self._condition("ScalingLimited", True, reason, "the desired replica count is more than the maximum")
        else:
            reason = "TooFewReplicas" if least == self.least else "ScaleDownLimit"
            self._condition("ScalingLimited", True, reason, "the desired replica count is less than the minimum")
        return wanted, f"{metric} above target" if wanted > current else "All metrics below target"

    def _stabilized(self, current: int, proposed: int, up: Object, down: Object) -> int:
        """The lowest recent proposal on the way up, the highest on the way down."""
        memory = self.observed.proposals
        lowest, highest = proposed, proposed
        for when, replicas in memory:
            if when > self.now - (up.get("stabilizationWindowSeconds") or 0):
                lowest = min(lowest, replicas)
            if when > self.now - down.get("stabilizationWindowSeconds", 300):
                highest = max(highest, replicas)
        self.proposed = proposed
        return max(current, lowest) if proposed > current else min(current, highest)

    def _rate(self, current: int, rules: Object, sign: int) -> int:
        """How far the policies allow to go from here, given what was changed in their periods."""
        if rules.get("selectPolicy") == "Disabled":
            return current
        limits = []
        for policy in rules["policies"]:
            since = self.now - policy["periodSeconds"]
            done = sum(change for when, change in self.observed.changes if when > since and change * sign > 0)
            start = current - done
            change = policy["value"] if policy["type"] == "Pods" else -(-start * policy["value"] // 100)
            limits.append(start + sign * change)
        return (max if (rules.get("selectPolicy") == "Min") != (sign > 0) else min)(limits)

    # -- result -----------------------------------------------------------------------------------------------

    def _finish(self, current: int | None, wanted: int, why: str | None) -> list[Action]:
        rescale: list[Action] = []
        status: Object = {}
        scaled = why is not None and current is not None
        if scaled and current is not None:
            target = self.spec["scaleTargetRef"]["name"]
            about = self.hpa | {"status": self.known | {"currentReplicas": current}}
            told = Emit(about, "SuccessfulRescale", f"New size: {wanted}; reason: {why}")
            failed = Emit(self.hpa, "FailedRescale", f"New size: {wanted}; reason: {why}; error: {{error}}", "Warning")
            rescale.append(Patch(self.observed.resource, self.hpa["metadata"]["namespace"], target,
                                 {"spec": {"replicas": wanted}}, subresource="scale",
                                 then=told, failed=failed))
            self._condition("AbleToScale", True, "SucceededRescale",
                            f"the HPA controller was able to update the target scale to {wanted}")
            status["lastScaleTime"] = rfc3339(self.now)
        elif self.known.get("lastScaleTime"):
            status["lastScaleTime"] = self.known["lastScaleTime"]
        if self.hpa["metadata"].get("generation"):
            status["observedGeneration"] = self.hpa["metadata"]["generation"]
        if current is not None:
            status["currentReplicas"] = current
        status |= {"desiredReplicas": wanted, "currentMetrics": self.current_metrics,
                   "conditions": list(self.conditions.values())}
        actions = [*rescale, *self.events]
        if status != self.known:
            actions.append(UpdateStatus(HorizontalPodAutoscaler.resource, self.hpa | {"status": status}))
        return actions

    def _condition(self, type: str, status: bool, reason: str, message: str) -> None:
        known = condition(self.hpa, type)
        text = "True" if status else "False"
        since = known["lastTransitionTime"] if known and known["status"] == text else rfc3339(self.now)
        self.conditions[type] = {"type": type, "status": text, "lastTransitionTime": since, "reason": reason,
                                 "message": message}

    def _warn(self, reason: str, message: str) -> None:
        self.events.append(Emit(self.hpa, reason, message, "Warning"))

