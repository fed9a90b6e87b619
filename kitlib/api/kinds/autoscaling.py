"""autoscaling: one HorizontalPodAutoscaler, two ways to write it.

v1 knows CPU utilisation only.  Objects are stored as v2; read as v1, whatever v1 has no field for is
carried in annotations, so that a v1 client that writes back what it has read loses nothing.

Source: pkg/registry/autoscaling/rest/storage_autoscaling.go; pkg/apis/autoscaling/v1/conversion.go.
"""

from __future__ import annotations

from typing import Any

import orjson

from kitlib.api.kind import STATUS, Kind

PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, BEHAVIOR = PREFIX + "metrics", PREFIX + "behavior"
CURRENT, CONDITIONS = PREFIX + "current-metrics", PREFIX + "conditions"


def _cpu(metrics: list[dict[str, Any]], part: str) -> tuple[int | None, list[dict[str, Any]]]:
    """The CPU utilisation among metrics (part: target or current), and the metrics that are not it."""
    found, others = None, []
    for metric in metrics:
        resource = metric.get("resource") or {}
        value = (resource.get(part) or {}).get("averageUtilization")
        if metric.get("type") == "Resource" and resource.get("name") == "cpu" and value is not None and found is None:
            found = value
        else:
            others.append(metric)
    return found, others


def to_v1(obj: dict[str, Any]) -> dict[str, Any]:
    """autoscaling/v2 as autoscaling/v1."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = dict(obj["metadata"].get("annotations") or {})
    target, metrics = _cpu(spec.pop("metrics", None) or [], "target")
    if target is not None:
        spec["targetCPUUtilizationPercentage"] = target
    current, current_metrics = _cpu(status.pop("currentMetrics", None) or [], "current")
    if current is not None:
        status["currentCPUUtilizationPercentage"] = current
    carried = {METRICS: metrics, BEHAVIOR: spec.pop("behavior", None), CURRENT: current_metrics,
               CONDITIONS: status.pop("conditions", None)}
    for name, value in carried.items():
        if value:
            annotations[name] = orjson.dumps(value).decode()
    status.setdefault("currentReplicas", 0)
    status.setdefault("desiredReplicas", 0)
    return _put(obj, annotations, spec, status)


def to_v2(obj: dict[str, Any]) -> dict[str, Any]:
    """autoscaling/v1 as autoscaling/v2."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = dict(obj["metadata"].get("annotations") or {})
    metrics = _carried(annotations, METRICS, list) or []
    target = spec.pop("targetCPUUtilizationPercentage", None)
    if target is not None:
        metrics.insert(0, {"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}})
    current_metrics = _carried(annotations, CURRENT, list) or []
    current = status.pop("currentCPUUtilizationPercentage", None)
    if current is not None:
        current_metrics.insert(0, {"type": "Resource", "resource": {
            "name": "cpu", "current": {"averageUtilization": current}}})
    behavior, conditions = _carried(annotations, BEHAVIOR, dict), _carried(annotations, CONDITIONS, list)
    for part, name, value in ((spec, "metrics", metrics), (spec, "behavior", behavior),
                              (status, "currentMetrics", current_metrics), (status, "conditions", conditions)):
        if value:
            part[name] = value
    return _put(obj, annotations, spec, status)


def _carried(annotations: dict[str, str], name: str, kind: type) -> Any:
    """The value out of an annotation; one that a person has broken counts as missing, as in the original."""
    text = annotations.pop(name, None)
    if text is None:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, kind) else None


def _put(obj: dict[str, Any], annotations: dict[str, str], spec: dict[str, Any],
         status: dict[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    converted = {**obj, "metadata": metadata, "spec": spec}
    if status:
        converted["status"] = status
    return converted


def _kind(version: str, **how: Any) -> Kind:
    return Kind("autoscaling", version, "HorizontalPodAutoscaler", "horizontalpodautoscalers", short_names=("hpa",),
                categories=("all",), subresources=(STATUS,), **how)


KINDS = (
    _kind("v2"),
    _kind("v1", storage_version=False, to_storage=to_v2, from_storage=to_v1),
)
