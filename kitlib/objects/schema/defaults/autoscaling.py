"""HorizontalPodAutoscalers, in both versions.

Source: pkg/apis/autoscaling/v2/defaults.go, pkg/apis/autoscaling/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
CPU_TARGET = 80  # percent


def autoscaler_v1(obj: Obj) -> None:
    obj.setdefault("minReplicas", 1)


def autoscaler_v2(obj: Obj) -> None:
    obj.setdefault("minReplicas", 1)
    if not obj.get("metrics"):
        obj["metrics"] = [{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": CPU_TARGET}}}]


def behavior(obj: Obj) -> None:
    """Once anything is said about behaviour, all of it is shown."""
    obj["scaleUp"] = _rules(obj.get("scaleUp"), {
        "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15},
                     {"type": "Percent", "value": 100, "periodSeconds": 15}]})
    obj["scaleDown"] = _rules(obj.get("scaleDown"), {
        "selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]})


def _rules(given: Obj | None, defaults: Obj) -> Obj:
    return {**defaults, **(given or {})}


HOOKS = {
    "autoscaling/v1.HorizontalPodAutoscalerSpec": autoscaler_v1,
    "autoscaling/v2.HorizontalPodAutoscalerSpec": autoscaler_v2,
    "autoscaling/v2.HorizontalPodAutoscalerBehavior": behavior,
}
