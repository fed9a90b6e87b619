"""Where a Pod may run: affinity, tolerations, topology spread.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateNodeSelector, ValidateTolerations...).
"""

from __future__ import annotations

from typing import Any

from kitlib.api.validation.common import Errors, Obj, each, label_name, label_selector, one_of, positive
from kitlib.objects import field, names

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_WEIGHT = "must be in the range 1-100"


def affinity(errs: Errors, path: str, value: Obj) -> None:
    node = value.get("nodeAffinity")
    if node:
        if node.get(REQUIRED) is not None:
            node_selector(errs, f"{path}.nodeAffinity.{REQUIRED}", node[REQUIRED])
        for index, term in enumerate(node.get(PREFERRED) or ()):
            at = f"{path}.nodeAffinity.{PREFERRED}[{index}]"
            _weight(errs, at, term)
            node_selector_term(errs, f"{at}.preference", term.get("preference") or {})
    for name in ("podAffinity", "podAntiAffinity"):
        rules = value.get(name)
        if not rules:
            continue
        for index, term in enumerate(rules.get(REQUIRED) or ()):
            _pod_term(errs, f"{path}.{name}.{REQUIRED}[{index}]", term)
        for index, term in enumerate(rules.get(PREFERRED) or ()):
            at = f"{path}.{name}.{PREFERRED}[{index}]"
            _weight(errs, at, term)
            _pod_term(errs, f"{at}.podAffinityTerm", term.get("podAffinityTerm") or {})


def _weight(errs: Errors, path: str, term: Obj) -> None:
    weight = term.get("weight", 0)
    if not 1 <= weight <= 100:
        errs.append(field.invalid(f"{path}.weight", weight, _WEIGHT))


def node_selector(errs: Errors, path: str, selector: Obj) -> None:
    terms = selector.get("nodeSelectorTerms")
    if not terms:
        errs.append(field.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term"))
    for index, term in enumerate(terms or ()):
        node_selector_term(errs, f"{path}.nodeSelectorTerms[{index}]", term)


def node_selector_term(errs: Errors, path: str, term: Obj) -> None:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{index}]"
        _node_requirement(errs, at, expression)
        label_name(errs, f"{at}.key", expression.get("key", ""))
    for index, expression in enumerate(term.get("matchFields") or ()):
        at = f"{path}.matchFields[{index}]"
        values = expression.get("values") or ()
        if expression.get("operator") in ("In", "NotIn"):
            if len(values) != 1:
                errs.append(field.required(f"{at}.values", "must be only one value when `operator` is 'In' or 'NotIn' "
                                           "for node field selector"))
        else:
            errs.append(field.invalid(f"{at}.operator", expression.get("operator", ""),
                                      "not a valid selector operator"))
        if expression.get("key") != "metadata.name":
            errs.append(field.invalid(f"{at}.key", expression.get("key", ""), "not a valid field selector key"))
        else:
            for number, value in enumerate(values):
                each(errs, f"{at}.values[{number}]", value, names.dns_subdomain(value))


def _node_requirement(errs: Errors, path: str, expression: Obj) -> None:
    operator, values = expression.get("operator", ""), expression.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            errs.append(field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            errs.append(field.forbidden(f"{path}.values",
                                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            errs.append(field.required(f"{path}.values",
                                       "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    else:
        errs.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))


def _pod_term(errs: Errors, path: str, term: Obj) -> None:
    label_selector(errs, f"{path}.labelSelector", term.get("labelSelector"))
    label_selector(errs, f"{path}.namespaceSelector", term.get("namespaceSelector"))
    for name in term.get("namespaces") or ():
        each(errs, f"{path}.namespace", name, names.dns_label(name))
    key = term.get("topologyKey", "")
    if not key:
        errs.append(field.required(f"{path}.topologyKey", "can not be empty"))
    label_name(errs, f"{path}.topologyKey", key)
    _label_keys(errs, path, term, "matchLabelKeys")
    _label_keys(errs, path, term, "mismatchLabelKeys")
    for index, name in enumerate(term.get("matchLabelKeys") or ()):
        if name in (term.get("mismatchLabelKeys") or ()):
            errs.append(field.invalid(f"{path}.matchLabelKeys[{index}]", name,
                                      "exists in both matchLabelKeys and mismatchLabelKeys"))


def _selector_keys(selector: Obj | None) -> set[str]:
    """The label keys that a selector speaks of."""
    if selector is None:
        return set()
    return {*(selector.get("matchLabels") or ()), *(e.get("key", "") for e in selector.get("matchExpressions") or ())}


def _label_keys(errs: Errors, path: str, term: Obj, name: str) -> None:
    """Label keys whose values are taken from the Pod itself; they need a selector to be added to."""
    keys = term.get(name) or ()
    if keys and term.get("labelSelector") is None:
        errs.append(field.forbidden(f"{path}.{name}", "must not be specified when labelSelector is not set"))
        return
    for index, key in enumerate(keys):
        label_name(errs, f"{path}.{name}[{index}]", key)


def tolerations(errs: Errors, path: str, found: list[dict[str, Any]]) -> None:
    for index, toleration in enumerate(found):
        at = f"{path}[{index}]"
        key, operator, value = toleration.get("key"), toleration.get("operator"), toleration.get("value", "")
        effect = toleration.get("effect")
        if key:
            label_name(errs, f"{at}.key", key)
        elif operator != "Exists":
            errs.append(field.invalid(f"{at}.operator", operator or "", "operator must be Exists when `key` is empty, "
                                      'which means "match all values and all keys"'))
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            errs.append(field.invalid(f"{at}.effect", effect or "",
                                      "effect must be 'NoExecute' when `tolerationSeconds` is set"))
        if operator in (None, "", "Equal"):
            problems = names.label_value(value)
            if problems:
                errs.append(field.invalid(f"{at}.operator", value, ";".join(problems)))
        elif operator == "Exists":
            if value:
                errs.append(field.invalid(f"{at}.operator", toleration,
                                          "value must be empty when `operator` is 'Exists'"))
        elif operator not in ("Gt", "Lt"):
            errs.append(field.not_supported(f"{at}.operator", operator, ("Equal", "Exists", "Gt", "Lt")))
        one_of(errs, f"{at}.effect", effect, EFFECTS, False)


def spread(errs: Errors, path: str, found: list[dict[str, Any]]) -> None:
    pairs = [(constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", "")) for constraint in found]
    for index, constraint in enumerate(found):
        at = f"{path}[{index}]"
        key, action = pairs[index]
        if constraint.get("maxSkew", 0) <= 0:
            errs.append(field.invalid(f"{at}.maxSkew", constraint.get("maxSkew", 0), "must be greater than zero"))
        if not key:
            errs.append(field.required(f"{at}.topologyKey", "can not be empty"))
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            errs.append(field.not_supported(f"{at}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway")))
        if (key, action) in pairs[index + 1:]:
            errs.append(field.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
        domains = constraint.get("minDomains")
        positive(errs, f"{at}.minDomains", domains)
        if domains is not None and action != "DoNotSchedule":
            errs.append(field.invalid(f"{at}.minDomains", domains,
                                      "can only use minDomains if whenUnsatisfiable=DoNotSchedule, "
                                      f"not {action}"))
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            one_of(errs, f"{at}.{name}", constraint.get(name), ("Honor", "Ignore"), False)
        label_selector(errs, f"{at}.labelSelector", constraint.get("labelSelector"))
        if constraint.get("matchLabelKeys") and constraint.get("labelSelector") is None:
            errs.append(field.forbidden(f"{at}.matchLabelKeys", "must not be specified when labelSelector is not set"))
        selected = _selector_keys(constraint.get("labelSelector"))
        for number, name in enumerate(constraint.get("matchLabelKeys") or ()):
            label_name(errs, f"{at}.matchLabelKeys[{number}]", name)
            if name in selected:
                errs.append(field.invalid(f"{at}.matchLabelKeys[{number}]", name,
                                          "exists in both matchLabelKeys and labelSelector"))
