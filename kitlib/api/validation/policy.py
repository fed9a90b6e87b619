"""PodDisruptionBudgets: one limit, not both.

Source: k8s.io/kubernetes/pkg/apis/policy/validation.
"""

from __future__ import annotations

from kitlib.api.validation.common import (
    Errors,
    Obj,
    at_most_100_percent,
    int_or_percent,
    label_selector,
    not_negative_fields,
    one_of,
)
from kitlib.objects import field


def create_poddisruptionbudget(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        errs.append(field.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        value = spec.get(name)
        if value is not None:
            int_or_percent(errs, f"spec.{name}", value)
            at_most_100_percent(errs, f"spec.{name}", value)
    label_selector(errs, "spec.selector", spec.get("selector"))
    one_of(errs, "spec.unhealthyPodEvictionPolicy", spec.get("unhealthyPodEvictionPolicy"),
           ("AlwaysAllow", "IfHealthyBudget"), False)


def status_poddisruptionbudget(errs: Errors, new: Obj, old: Obj) -> None:
    not_negative_fields(errs, "status", new.get("status") or {}, "disruptionsAllowed", "currentHealthy",
                        "desiredHealthy", "expectedPods")
