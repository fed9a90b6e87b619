"""LimitRanges and ResourceQuotas: which resources they may speak of, and numbers that fit together.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateLimitRange, ValidateResourceQuota).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kitlib.api.validation.common import Errors, Obj, each
from kitlib.api.validation.resources import QUOTA, amount, container_resource_name, is_native, resource_name
from kitlib.objects import field, names, quantity

_PARTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_SCOPES = frozenset(("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass",
                     "CrossNamespacePodAffinity", "VolumeAttributesClass"))
_OF_PODS = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "pods")


def create_limitrange(errs: Errors, obj: Obj) -> None:
    seen = set()
    for index, limit in enumerate((obj.get("spec") or {}).get("limits") or ()):
        at = f"spec.limits[{index}]"
        kind = limit.get("type", "")
        if not names.is_qualified_name(kind):
            each(errs, f"{at}.type", kind, names.qualified_name(kind))
        elif "/" not in kind and kind not in ("Container", "PersistentVolumeClaim", "Pod"):
            errs.append(field.invalid(f"{at}.type", kind, "must be a standard limit type or fully qualified"))
        if kind in seen:
            errs.append(field.duplicate(f"{at}.type", kind))
        seen.add(kind)
        for part in _PARTS:
            found = limit.get(part) or {}
            if kind == "Pod" and found and part in ("default", "defaultRequest"):
                errs.append(field.forbidden(f"{at}.{part}", "may not be specified when `type` is 'Pod'"))
                continue
            for name in found:
                if kind in ("Container", "Pod"):
                    container_resource_name(errs, f"{at}.{part}[{name}]", name)
                else:
                    resource_name(errs, f"{at}.{part}[{name}]", name)
        bounded = {*(limit.get("min") or ()), *(limit.get("max") or ())}
        if kind == "PersistentVolumeClaim" and "storage" not in bounded:
            errs.append(field.required(f"{at}.limits", "either minimum or maximum storage value is required, but "
                                       "neither was provided"))
        for name in {name for part in _PARTS for name in limit.get(part) or ()}:
            _order(errs, at, name, limit)


def _order(errs: Errors, at: str, name: str, limit: Obj) -> None:
    """min ≤ defaultRequest ≤ default ≤ max, as far as they are given."""

    def value(part: str) -> Decimal | None:
        text = (limit.get(part) or {}).get(name)
        return None if text is None else quantity.parse(text)

    def check(small: str, large: str, blamed: str, words: str) -> None:
        low, high = value(small), value(large)
        if low is not None and high is not None and low > high:
            first, second = limit[small][name], limit[large][name]
            errs.append(field.invalid(f"{at}.{blamed}[{name}]", limit[blamed][name], words.format(first, second)))

    check("min", "max", "min", "min value {} is greater than max value {}")
    if limit.get("type") != "Pod":
        check("min", "defaultRequest", "defaultRequest", "min value {} is greater than default request value {}")
        check("defaultRequest", "max", "defaultRequest", "default request value {} is greater than max value {}")
        check("defaultRequest", "default", "defaultRequest",
              "default request value {} is greater than default limit value {}")
        check("min", "default", "default", "min value {} is greater than default value {}")
        check("default", "max", "default", "default value {} is greater than max value {}")
        exact = not is_native(name) or name.startswith("hugepages-")
        wanted, most = value("defaultRequest"), value("default")
        if exact and wanted is not None and most is not None and wanted != most:
            errs.append(field.invalid(f"{at}.defaultRequest[{name}]", limit["defaultRequest"][name], "default value "
                                      f"{limit['default'][name]} must equal to defaultRequest value "
                                      f"{limit['defaultRequest'][name]} in {name}"))
    ratio, low, high = value("maxLimitRequestRatio"), value("min"), value("max")
    if ratio is not None and ratio < 1:
        errs.append(field.invalid(f"{at}.maxLimitRequestRatio[{name}]", limit["maxLimitRequestRatio"][name],
                                  f"ratio {limit['maxLimitRequestRatio'][name]} is less than 1"))
    elif ratio is not None and low and high and ratio > high / low:
        text = limit["maxLimitRequestRatio"][name]
        errs.append(field.invalid(f"{at}.maxLimitRequestRatio[{name}]", text,
                                  f"ratio {text} is greater than max/min = {high / low}"))


def create_resourcequota(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    for name, value in (spec.get("hard") or {}).items():
        _quota_entry(errs, f"spec.hard[{name}]", name, value)
    scopes = spec.get("scopes") or []
    if scopes:
        _scopes(errs, scopes, spec.get("hard") or {})
    expressions = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    for expression in expressions:
        _scope_expression(errs, "spec.scopeSelector.matchExpressions", expression, spec.get("hard") or {})
    _conflicting(errs, "spec.scopeSelector.matchExpressions", [e.get("scopeName") for e in expressions])


def _quota_entry(errs: Errors, path: str, name: str, value: str) -> None:
    if not names.is_qualified_name(name):
        each(errs, path, name, names.qualified_name(name))
    elif "/" not in name and name not in QUOTA and not name.startswith(("hugepages-", "requests.hugepages-")):
        errs.append(field.invalid(path, name, "must be a standard resource for quota"))
    amount(errs, path, name, value)


def _fits(scope: str, resource: str) -> bool:
    """Whether a scope means anything for a resource that quotas know."""
    if resource not in QUOTA or scope not in _SCOPES or scope == "VolumeAttributesClass":
        return True
    return resource == "pods" if scope == "BestEffort" else resource in _OF_PODS


def _scopes(errs: Errors, scopes: list[str], hard: Obj) -> None:
    path = "spec.scopes"
    for scope in scopes:
        if scope not in _SCOPES:
            errs.append(field.invalid(path, scopes, "unsupported scope"))
        if not all(_fits(scope, resource) for resource in hard):
            errs.append(field.invalid(path, scopes, "unsupported scope applied to resource"))
    _conflicting(errs, path, scopes)


def _conflicting(errs: Errors, path: str, scopes: list[Any]) -> None:
    for one, other in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
        if one in scopes and other in scopes:
            errs.append(field.invalid(path, scopes, "conflicting scopes"))


def _scope_expression(errs: Errors, path: str, expression: Obj, hard: Obj) -> None:
    name, operator, values = expression.get("scopeName", ""), expression.get("operator"), expression.get("values")
    if name not in _SCOPES:
        errs.append(field.invalid(f"{path}.scopeName", name, "unsupported scope"))
    if not all(_fits(name, resource) for resource in hard):
        errs.append(field.invalid(path, name, "unsupported scope applied to resource"))
    if name in _SCOPES and name not in ("PriorityClass", "VolumeAttributesClass") and operator != "Exists":
        errs.append(field.invalid(f"{path}.operator", operator, f"must be 'Exist' when scope is {name}"))
    if operator in ("In", "NotIn"):
        if not values:
            errs.append(field.required(f"{path}.values",
                                       "must be at least one value when `operator` is 'In' or 'NotIn' for scope "
                                       "selector"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            errs.append(field.invalid(f"{path}.values", values, "must be no value when `operator` is 'Exist' or "
                                      "'DoesNotExist' for scope selector"))
    else:
        errs.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))


def update_resourcequota(errs: Errors, new: Obj, old: Obj) -> None:
    scopes = (new.get("spec") or {}).get("scopes") or []
    if sorted(scopes) != sorted((old.get("spec") or {}).get("scopes") or []):
        errs.append(field.invalid("spec.scopes", scopes, "field is immutable"))


def status_resourcequota(errs: Errors, new: Obj, old: Obj) -> None:
    status = new.get("status") or {}
    for part in ("hard", "used"):
        for name, value in (status.get(part) or {}).items():
            _quota_entry(errs, f"status.{part}[{name}]", name, value)
