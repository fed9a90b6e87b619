"""HorizontalPodAutoscaler: arithmetic, caution, and what it writes."""

from __future__ import annotations

from typing import Any

import pytest
from controller_world import World, deployment, template

from kitlib.controllers import hpa_metrics
from kitlib.controllers.deployment import Deployment
from kitlib.controllers.hpa import HorizontalPodAutoscaler
from kitlib.controllers.replicaset import ReplicaSet
from kitlib.objects.clock import rfc3339

NOW = 1_700_000_000.0
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


def ready(name: str, cpu: str = "100m", *, is_ready: bool = True, age: float = 3600.0) -> dict[str, Any]:
    since = rfc3339(NOW - age)
    condition = {"type": "Ready", "status": "True" if is_ready else "False", "lastTransitionTime": since}
    return {"metadata": {"name": name}, "status": {"phase": "Running", "startTime": since, "conditions": [condition]},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}


def using(**millis: int) -> dict[str, Any]:
    return {name: [{"name": "c", "usage": {"cpu": f"{value}m"}}] for name, value in millis.items()}


def propose(pods: list[dict[str, Any]], usage: dict[str, Any], metric: dict[str, Any] = CPU) -> int:
    return hpa_metrics.propose(metric, pods, usage, len(pods), NOW).replicas


def test_twice_the_load_needs_twice_the_pods():
    pods = [ready("a"), ready("b")]
    assert propose(pods, using(a=100, b=100)) == 4
    assert propose(pods, using(a=25, b=25)) == 1
    assert propose(pods, using(a=60, b=60)) == 3, "rounded up"


def test_within_ten_percent_nothing_happens():
    pods = [ready("a"), ready("b")]
    assert propose(pods, using(a=54, b=54)) == 2
    assert propose(pods, using(a=46, b=46)) == 2


def test_a_pod_without_metrics_counts_as_idle_going_up_and_as_busy_going_down():
    pods = [ready("a"), ready("b"), ready("silent")]
    assert propose(pods, using(a=100, b=100)) == 4, "not 6: the silent one may be idle"
    assert propose(pods, using(a=10, b=10)) == 3, "not 1: the silent one may be busy"


def test_a_pod_that_is_just_starting_does_not_drive_it_up():
    starting = ready("new", is_ready=False, age=20)
    assert propose([ready("a"), starting], using(a=100, new=1000)) == 2


def test_an_average_value_needs_no_requests():
    metric = {"type": "Resource", "resource": {"name": "memory", "target": {
        "type": "AverageValue", "averageValue": "100Mi"}}}
    usage = {"a": [{"name": "c", "usage": {"memory": "250Mi"}}]}
    found = hpa_metrics.propose(metric, [ready("a")], usage, 1, NOW)
    assert found.replicas == 3
    assert found.current == {"type": "Resource", "resource": {"name": "memory", "current": {
        "averageValue": str(250 * 1024 * 1024)}}}


def test_without_a_request_a_percentage_has_no_meaning():
    naked = ready("a")
    naked["spec"]["containers"][0]["resources"] = {}
    with pytest.raises(hpa_metrics.NoMetric, match="missing request for cpu in container c of Pod a"):
        propose([naked], using(a=100))


# -- in a cluster ---------------------------------------------------------------------------------------------


class Loaded(World):
    """Every Pod uses `load` millicores; None: nobody measures."""

    load: int | None = 50

    def __init__(self) -> None:
        super().__init__(Deployment(), ReplicaSet(), HorizontalPodAutoscaler(), nodes=3)
        self.api.metrics_provider = self.measure
        self.settle(1)

    def measure(self, plural: str, namespace: str) -> list[dict[str, object]]:
        if plural != "pods" or self.load is None:
            return []
        return [{"metadata": {"name": p["metadata"]["name"], "namespace": "default", "labels": p["metadata"]["labels"]},
                 "timestamp": rfc3339(self.clock.now()), "window": "15s",
                 "containers": [{"name": "c", "usage": {"cpu": f"{self.load}m", "memory": "1Mi"}}]}
                for p in self.list("pods") if p["status"].get("phase") == "Running"]

    def start(self, replicas: int = 2, **spec: Any) -> None:
        asked = template()
        asked["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
        self.create("deployments.apps", deployment("web", replicas, template=asked))
        self.create("horizontalpodautoscalers.autoscaling", {
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "hpa"}, "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 10,
                "metrics": [CPU], **spec}})

    @property
    def replicas(self) -> int:
        return self.get("deployments.apps", "web")["spec"]["replicas"]

    @property
    def conditions(self) -> dict[str, tuple[str, str]]:
        status = self.get("horizontalpodautoscalers.autoscaling", "hpa")["status"]
        return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


def test_at_the_wanted_load_it_changes_nothing():
    w = Loaded()
    w.start()
    w.settle(120)
    assert w.replicas == 2
    assert w.conditions == {"AbleToScale": ("True", "ReadyForNewScale"), "ScalingActive": ("True", "ValidMetricFound"),
                            "ScalingLimited": ("False", "DesiredWithinRange")}
    before = w.store.revision
    w.settle(300)
    assert w.store.revision == before


def test_it_first_acts_after_15_seconds_and_goes_up_by_at_most_4_or_double():
    w = Loaded()
    w.start()
    w.settle(10)
    w.load = 500
    assert w.replicas == 2
    w.settle(8)
    assert w.replicas == 6, "four more, which is more than double"
    w.settle(16)
    assert w.replicas == 10
    assert ("Normal", "SuccessfulRescale") in [event[:2] for event in w.events("hpa")]


def test_it_goes_down_only_after_five_calm_minutes():
    w = Loaded()
    w.start(4)
    w.settle(60)
    w.load = 5
    w.settle(200)
    assert w.replicas == 4
    assert w.conditions["AbleToScale"] == ("True", "ScaleDownStabilized")
    w.settle(200)
    assert w.replicas == 1
    assert w.conditions["ScalingLimited"][1] in ("DesiredWithinRange", "TooFewReplicas")


def test_below_the_minimum_it_rescales_without_any_metric():
    w = Loaded()
    w.load = None
    w.start(1, minReplicas=2)
    w.settle(16)
    assert w.replicas == 2
    assert w.conditions == {"AbleToScale": ("True", "SucceededRescale")}
    assert w.events("hpa")[0][2] == "New size: 2; reason: Current number of replicas below Spec.MinReplicas"


def test_without_metrics_it_says_so_and_leaves_the_target_alone():
    w = Loaded()
    w.load = None
    w.start()
    w.settle(20)
    assert w.replicas == 2
    assert w.conditions == {"AbleToScale": ("True", "SucceededGetScale"),
                            "ScalingActive": ("False", "FailedGetResourceMetric")}
    assert [event[1] for event in w.events("hpa")] == ["FailedGetResourceMetric", "FailedComputeMetricsReplicas"]


def test_a_target_that_does_not_exist():
    w = Loaded()
    w.start(scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "nothing"})
    w.settle(20)
    assert w.conditions == {"AbleToScale": ("False", "FailedGetScale")}
