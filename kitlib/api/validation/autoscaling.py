"""HorizontalPodAutoscalers (both versions) and Scale.

Source: k8s.io/kubernetes/pkg/apis/autoscaling/validation.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.validation.common import Errors, Obj, label_selector, named, not_negative, one_of
from kitlib.objects import field, names, quantity

_SOURCES = {"ContainerResource": "containerResource", "External": "external", "Object": "object", "Pods": "pods",
            "Resource": "resource"}
_POLICIES = ("Max", "Min", "Disabled")
_HOUR = 3600
_MAX_PERIOD = 1800


def create_horizontalpodautoscaler(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    low, high = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if low is not None and low < 1:
        errs.append(field.invalid("spec.minReplicas", low, "must be greater than or equal to 1"))
    if high < 1:
        errs.append(field.invalid("spec.maxReplicas", high, "must be greater than 0"))
    if low is not None and high < low:
        errs.append(field.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    _target_ref(errs, "spec.scaleTargetRef", spec.get("scaleTargetRef") or {})
    percent = spec.get("targetCPUUtilizationPercentage")  # autoscaling/v1
    if percent is not None and percent < 1:
        errs.append(field.invalid("spec.metrics[0].resource.target.averageUtilization", percent,
                                  "must be greater than 0"))
    for index, metric in enumerate(spec.get("metrics") or ()):
        _metric(errs, f"spec.metrics[{index}]", metric)
    for name in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(name)
        if rules is not None:
            _rules(errs, f"spec.behavior.{name}", rules)


def _target_ref(errs: Errors, path: str, reference: Obj) -> None:
    named(errs, f"{path}.kind", reference.get("kind"), names.path_segment)
    named(errs, f"{path}.name", reference.get("name"), names.path_segment)


def _metric(errs: Errors, path: str, metric: Obj) -> None:
    kind = metric.get("type", "")
    if not kind:
        errs.append(field.required(f"{path}.type", "must specify a metric source type"))
    if kind not in _SOURCES:
        errs.append(field.not_supported(f"{path}.type", kind, sorted(_SOURCES)))
    found = [name for name in ("object", "external", "pods", "resource", "containerResource")
             if metric.get(name) is not None]
    if found:
        _source(errs, f"{path}.{found[0]}", found[0], metric[found[0]])
    expected = _SOURCES.get(kind, "")
    if expected and expected not in found:
        errs.append(field.required(f"{path}.{expected}", "must populate information for the given metric source"))
    if len(found) > 1:
        for name in found:
            if name != expected:
                errs.append(field.forbidden(f"{path}.{name}", "must populate the given metric source only"))


def _source(errs: Errors, path: str, name: str, source: Obj) -> None:
    target = source.get("target") or {}
    if name in ("resource", "containerResource"):
        if not source.get("name"):
            errs.append(field.required(f"{path}.name", "must specify a resource name"))
        if name == "containerResource":
            named(errs, f"{path}.container", source.get("container"), names.dns_label, "must specify a container")
        _one_target(errs, f"{path}.target", target, "averageUtilization", "averageValue", needed="averageUtilization",
                    both="averageValue")
    else:
        metric = source.get("metric") or {}
        named(errs, f"{path}.metric.name", metric.get("name"), names.path_segment, "must specify a metric name")
        label_selector(errs, f"{path}.metric.selector", metric.get("selector"))
        kinds = ("averageValue",) if name == "pods" else ("value", "averageValue")
        _one_target(errs, f"{path}.target", target, *kinds, needed="averageValue",
                    both="value" if name == "external" else "")
    if name == "object":
        _target_ref(errs, f"{path}.describedObject", source.get("describedObject") or {})
    kind = target.get("type", "")
    if not kind:
        errs.append(field.required(f"{path}.target.type", "must specify a metric target type"))
    if kind not in ("AverageValue", "Utilization", "Value"):
        errs.append(field.invalid(f"{path}.target.type", kind, "must be either Utilization, Value, or AverageValue"))
    for key in ("value", "averageValue"):
        if target.get(key) is not None and quantity.parse(target[key]) <= 0:
            errs.append(field.invalid(f"{path}.target.{key}", target[key], "must be positive"))
    if target.get("averageUtilization") is not None and target["averageUtilization"] < 1:
        errs.append(field.invalid(f"{path}.target.averageUtilization", target["averageUtilization"],
                                  "must be greater than 0"))


def _one_target(errs: Errors, path: str, target: Obj, *fields: str, needed: str, both: str) -> None:
    given = [name for name in fields if target.get(name) is not None]
    if not given:
        errs.append(field.required(f"{path}.{needed}", "must set a target value"))
    elif len(given) > 1 and both:
        errs.append(field.forbidden(f"{path}.{both}", "may not set two target values"))


def _rules(errs: Errors, path: str, rules: Obj) -> None:
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and not 0 <= window <= _HOUR:
        text = "must be greater than or equal to zero" if window < 0 else f"must be less than or equal to {_HOUR}"
        errs.append(field.invalid(f"{path}.stabilizationWindowSeconds", window, text))
    one_of(errs, f"{path}.selectPolicy", rules.get("selectPolicy"), _POLICIES, False)
    policies: list[Any] = rules.get("policies") or []
    if not policies:
        errs.append(field.required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        at = f"{path}.policies[{index}]"
        if policy.get("type") not in ("Percent", "Pods"):
            errs.append(field.not_supported(f"{at}.type", policy.get("type", ""), ("Percent", "Pods")))
        if policy.get("value", 0) <= 0:
            errs.append(field.invalid(f"{at}.value", policy.get("value", 0), "must be greater than zero"))
        seconds = policy.get("periodSeconds", 0)
        if not 0 < seconds <= _MAX_PERIOD:
            errs.append(field.invalid(f"{at}.periodSeconds", seconds, "must be greater than zero" if seconds <= 0 else
                                      f"must be less than or equal to {_MAX_PERIOD}"))


def create_scale(errs: Errors, obj: Obj) -> None:
    not_negative(errs, "spec.replicas", (obj.get("spec") or {}).get("replicas"))


def status_horizontalpodautoscaler(errs: Errors, new: Obj, old: Obj) -> None:
    status = new.get("status") or {}
    not_negative(errs, "status.currentReplicas", status.get("currentReplicas"))
    not_negative(errs, "status.desiredReplicas", status.get("desiredReplicas"))
