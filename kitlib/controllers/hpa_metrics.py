"""From measurements to a number of replicas: the arithmetic of the HorizontalPodAutoscaler.

    desired = ceil(current × measured / wanted)         unless the ratio is within 10 % of 1

The honest part is about Pods of which nothing is known.  When scaling down, a Pod without metrics is taken to use all
it asked for; when scaling up, a Pod that has just started or has no metrics is taken to use nothing.  If that turns
the direction around, nothing is done.

Source: k8s.io/kubernetes/pkg/controller/podautoscaler/replica_calculator.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from kitlib.controllers import pods as pods_
from kitlib.objects.clock import parse_time
from kitlib.objects.quantity import cpu_millis, memory_bytes

Object = dict[str, Any]

TOLERANCE = 0.1
START_UP, FIRST_SAMPLE = 300.0, 30.0


@dataclass(frozen=True)
class Proposal:
    """What one metric asks for.  current: the `currentMetrics` entry of the status."""

    replicas: int
    current: Object


class NoMetric(Exception):
    """A metric cannot be had: reason and message go into the condition and the Event."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def propose(metric: Mapping[str, Any], pods: Sequence[Object], usage: Mapping[str, Object], current: int,
            now: float) -> Proposal:
    """usage: by Pod name, the `containers` of metrics.k8s.io.  Raises NoMetric."""
    kind = metric["type"]
    if kind not in ("Resource", "ContainerResource"):
        raise NoMetric(f"FailedGet{kind}Metric", f"metrics of type {kind} need an adapter, which this cluster has not")
    source = metric["resource" if kind == "Resource" else "containerResource"]
    name, container, target = source["name"], source.get("container"), source["target"]
    measured = {pod: _measured(containers, name, container) for pod, containers in usage.items()}
    counted = [pod for pod in pods if pods_.is_active(pod)]
    ready, unready, missing = _groups(counted, measured, name, now)
    if not ready:
        raise NoMetric("FailedGetResourceMetric", f"failed to get {name} utilization: did not receive metrics for "
                       "targeted pods (pods might be unready)")
    if target["type"] == "Utilization":
        asked = {pod["metadata"]["name"]: _asked(pod, name, container) for pod in counted}
        wanted = target["averageUtilization"]
        total = sum(asked[pod] for pod in ready)
        percent = 100 * sum(measured[pod] for pod in ready) // total
        proposal = _utilization(ready, unready, missing, measured, asked, wanted, current)
        average = _show(name, sum(measured[pod] for pod in ready) // len(ready))
        value = {"averageUtilization": percent, "averageValue": average}
    else:
        goal = amount(name, target.get("averageValue") or target["value"])
        proposal = _average(ready, unready, missing, measured, goal, current)
        value = {"averageValue": _show(name, sum(measured[pod] for pod in ready) // len(ready))}
    field = "resource" if kind == "Resource" else "containerResource"
    shown = {"name": name, "current": value} | ({"container": container} if container else {})
    return Proposal(proposal, {"type": kind, field: shown})


def _groups(pods: Sequence[Object], measured: Mapping[str, int], name: str,
            now: float) -> tuple[list[str], list[str], list[str]]:
    """(ready, unready, without metrics).  A Pod that is starting burns cpu: it does not count as ready for that."""
    ready, unready, missing = [], [], []
    for pod in pods:
        key = pod["metadata"]["name"]
        if pods_.phase(pod) == "Pending" or (name == "cpu" and _is_starting(pod, now)):
            unready.append(key)
        elif key not in measured:
            missing.append(key)
        else:
            ready.append(key)
    return ready, unready, missing


def _is_starting(pod: Object, now: float) -> bool:
    condition, started = pods_.condition(pod, "Ready"), (pod.get("status") or {}).get("startTime")
    if condition is None or not started or not condition.get("lastTransitionTime"):
        return True
    begun, changed = parse_time(started), parse_time(condition["lastTransitionTime"])
    if now < begun + START_UP:
        return condition["status"] != "True" and now < changed + FIRST_SAMPLE
    return condition["status"] != "True" and changed < begun + FIRST_SAMPLE


def _utilization(ready: list[str], unready: list[str], missing: list[str], measured: Mapping[str, int],
                 asked: Mapping[str, int], wanted: int, current: int) -> int:
    def ratio(used: Mapping[str, int]) -> float:
        return 100 * sum(used.values()) / sum(asked[pod] for pod in used) / wanted

    return _rebalanced(ready, unready, missing, {pod: measured[pod] for pod in ready}, ratio,
                       lambda pod: asked[pod] * max(100, wanted) // 100, current)


def _average(ready: list[str], unready: list[str], missing: list[str], measured: Mapping[str, int], goal: int,
             current: int) -> int:
    def ratio(used: Mapping[str, int]) -> float:
        return sum(used.values()) / len(used) / goal

    return _rebalanced(ready, unready, missing, {pod: measured[pod] for pod in ready}, ratio, lambda pod: goal, current)


def _rebalanced(ready: list[str], unready: list[str], missing: list[str], used: dict[str, int], ratio: Any,
                full: Any, current: int) -> int:
    """The proposal, with the cautious assumptions about Pods of which nothing is known."""
    first = ratio(used)
    rebalance_unready = bool(unready) and first > 1
    if not missing and not rebalance_unready:
        return current if abs(first - 1) <= TOLERANCE else ceil(first * len(ready))
    if first < 1:
        used |= {pod: full(pod) for pod in missing}
    elif first > 1:
        used |= dict.fromkeys(missing, 0)
    if rebalance_unready:
        used |= dict.fromkeys(unready, 0)
    second = ratio(used)
    turned = (first < 1 < second) or (second < 1 < first)
    if abs(second - 1) <= TOLERANCE or turned:
        return current
    proposed = ceil(second * len(used))
    if (second < 1 and proposed > current) or (second > 1 and proposed < current):
        return current
    return proposed


def _measured(containers: Any, name: str, container: str | None) -> int:
    return sum(amount(name, c["usage"].get(name, "0")) for c in containers if container in (None, c["name"]))


def _asked(pod: Object, name: str, container: str | None) -> int:
    total = 0
    for spec in pod["spec"]["containers"]:
        if container in (None, spec["name"]):
            request = ((spec.get("resources") or {}).get("requests") or {}).get(name)
            if request is None:
                raise NoMetric("FailedGetResourceMetric", f"failed to get {name} utilization: missing request for "
                               f"{name} in container {spec['name']} of Pod {pod['metadata']['name']}")
            total += amount(name, request)
    return total


def amount(name: str, text: Any) -> int:
    return cpu_millis(text) if name == "cpu" else memory_bytes(text)


def _show(name: str, value: int) -> str:
    return f"{value}m" if name == "cpu" else str(value)
