"""LimitRanges and ResourceQuotas: which resources they may speak of, and numbers that fit together.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateLimitRange, ValidateResourceQuota).
"""

from __future__ import annotations

from decimal import Decimal

from kitlib.api.validation.common import Errors, Obj, each
from kitlib.api.validation.resources import QUOTA, STANDARD, amount
from kitlib.objects import field, names, quantity

_PARTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_SCOPES = frozenset(("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass",
                     "CrossNamespacePodAffinity", "VolumeAttributesClass"))
_OF_COMPUTE = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "pods")


def create_limitrange(errs: Errors, obj: Obj) -> None:
    seen = set()
    for index, limit in enumerate((obj.get("spec") or {}).get("limits") or ()):
        at = f"spec.limits[{index}]"
        kind = limit.get("type", "")
        if not names.is_qualified_name(kind):
            each(errs, f"{at}.type", kind, names.qualified_name(kind))
        if kind in seen:
            errs.append(field.duplicate(f"{at}.type", kind))
        seen.add(kind)
        for part in _PARTS:
            found = limit.get(part) or {}
            if kind == "Pod" and found and part in ("default", "defaultRequest"):
                errs.append(field.forbidden(f"{at}.{part}", "may not be specified when `type` is 'Pod'"))
                continue
            for name in found:
                _limited_name(errs, f"{at}.{part}[{name}]", name)
        bounded = {*(limit.get("min") or ()), *(limit.get("max") or ())}
        if kind == "PersistentVolumeClaim" and "storage" not in bounded:
            errs.append(field.required(f"{at}.limits", "either minimum or maximum storage value is required, but "
                                       "neither was provided"))
        for name in {name for part in _PARTS for name in limit.get(part) or ()}:
            _order(errs, at, name, limit)


def _limited_name(errs: Errors, path: str, name: str) -> None:
    if not names.is_qualified_name(name):
        each(errs, path, name, names.qualified_name(name))
    elif "/" not in name and name not in STANDARD and not name.startswith("hugepages-"):
        errs.append(field.invalid(path, name, "must be a standard limit type or fully qualified"))


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
    for index, expression in enumerate((spec.get("scopeSelector") or {}).get("matchExpressions") or ()):
        _scope_expression(errs, f"spec.scopeSelector.matchExpressions[{index}]", expression)


def _quota_entry(errs: Errors, path: str, name: str, value: str) -> None:
    if not names.is_qualified_name(name):
        each(errs, path, name, names.qualified_name(name))
    elif "/" not in name and name not in QUOTA and not name.startswith(("hugepages-", "requests.hugepages-")):
        errs.append(field.invalid(path, name, "must be a standard resource for quota"))
    amount(errs, path, name, value)


def _scopes(errs: Errors, scopes: list[str], hard: Obj) -> None:
    path = "spec.scopes"
    for scope in scopes:
        if scope not in _SCOPES:
            errs.append(field.invalid(path, scopes, "unsupported scope"))
        elif scope == "BestEffort" and any(name in _OF_COMPUTE[:-1] for name in hard):
            errs.append(field.invalid(path, scopes, "unsupported scope applied to resource"))
    for one, other in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
        if one in scopes and other in scopes:
            errs.append(field.invalid(path, scopes, "conflicting scopes"))


def _scope_expression(errs: Errors, path: str, expression: Obj) -> None:
    name, operator, values = expression.get("scopeName"), expression.get("operator"), expression.get("values")
    if name not in _SCOPES:
        errs.append(field.invalid(f"{path}.scopeName", name, "unsupported scope"))
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
