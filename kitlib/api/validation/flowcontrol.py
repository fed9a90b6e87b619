"""Priority and fairness: FlowSchemas and PriorityLevelConfigurations.

Source: k8s.io/kubernetes/pkg/apis/flowcontrol/validation.
"""

from __future__ import annotations

from kitlib.api.validation.common import Errors, Obj, in_range, named, not_negative_fields, one_of, positive
from kitlib.objects import field, names

_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}


def create_flowschema(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    in_range(errs, "spec.matchingPrecedence", spec.get("matchingPrecedence"), 1, 10000)
    method = spec.get("distinguisherMethod")
    if method is not None:
        one_of(errs, "spec.distinguisherMethod.type", method.get("type"), ("ByNamespace", "ByUser"))
    named(errs, "spec.priorityLevelConfiguration.name", (spec.get("priorityLevelConfiguration") or {}).get("name"),
          names.dns_subdomain)
    for index, rule in enumerate(spec.get("rules") or ()):
        at = f"spec.rules[{index}]"
        if not rule.get("subjects"):
            errs.append(field.required(f"{at}.subjects", "subjects must contain at least one value"))
        for number, subject in enumerate(rule.get("subjects") or ()):
            _subject(errs, f"{at}.subjects[{number}]", subject)
        if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
            errs.append(field.required(at, "at least one of resourceRules and nonResourceRules has to be non-empty"))
        for number, resource in enumerate(rule.get("resourceRules") or ()):
            _needed(errs, f"{at}.resourceRules[{number}]", resource, ("verbs", "apiGroups", "resources"))
            if not resource.get("namespaces") and not resource.get("clusterScope"):
                errs.append(field.required(f"{at}.resourceRules[{number}].namespaces", "resource rules that are not "
                                           "cluster scoped must supply at least one namespace"))
        for number, other in enumerate(rule.get("nonResourceRules") or ()):
            _needed(errs, f"{at}.nonResourceRules[{number}]", other, ("verbs", "nonResourceURLs"))


def _needed(errs: Errors, path: str, rule: Obj, parts: tuple[str, ...]) -> None:
    for name in parts:
        if not rule.get(name):
            errs.append(field.required(f"{path}.{name}"))


def _subject(errs: Errors, path: str, subject: Obj) -> None:
    kind = subject.get("kind", "")
    one_of(errs, f"{path}.kind", kind, tuple(_SUBJECTS))
    for name, part in _SUBJECTS.items():
        value = subject.get(part)
        if name == kind:
            if not (value or {}).get("name"):
                errs.append(field.required(f"{path}.{part}", f"{part} is required when subject kind is '{name}'"))
        elif value is not None:
            errs.append(field.forbidden(f"{path}.{part}", f"{part} is forbidden when subject kind is not '{name}'"))


def create_prioritylevelconfiguration(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    kind, limited, exempt = spec.get("type"), spec.get("limited"), spec.get("exempt")
    one_of(errs, "spec.type", kind, ("Exempt", "Limited"))
    if kind == "Exempt" and limited is not None:
        errs.append(field.forbidden("spec.limited", "must be nil if the type is Exempt"))
    if kind == "Limited":
        if exempt is not None:
            errs.append(field.forbidden("spec.exempt", "must be nil if the type is Limited"))
        if limited is None:
            errs.append(field.required("spec.limited", "must not be empty when type is Limited"))
        else:
            _limited(errs, "spec.limited", limited)
    if exempt is not None:
        not_negative_fields(errs, "spec.exempt", exempt, "nominalConcurrencyShares")
        in_range(errs, "spec.exempt.lendablePercent", exempt.get("lendablePercent"), 0, 100)


def _limited(errs: Errors, path: str, limited: Obj) -> None:
    not_negative_fields(errs, path, limited, "nominalConcurrencyShares", "borrowingLimitPercent")
    in_range(errs, f"{path}.lendablePercent", limited.get("lendablePercent"), 0, 100)
    response = limited.get("limitResponse") or {}
    kind, queuing = response.get("type"), response.get("queuing")
    one_of(errs, f"{path}.limitResponse.type", kind, ("Queue", "Reject"))
    if kind == "Reject" and queuing is not None:
        errs.append(field.forbidden(f"{path}.limitResponse.queuing", "must be nil if limited.limitResponse.type is not "
                                    "Limited"))
    elif kind == "Queue":
        if queuing is None:
            errs.append(field.required(f"{path}.limitResponse.queuing", "must not be empty if "
                                       "limited.limitResponse.type is Limited"))
            return
        for name in ("queueLengthLimit", "queues", "handSize"):
            positive(errs, f"{path}.limitResponse.queuing.{name}", queuing.get(name, 0))
        if queuing.get("handSize", 0) > queuing.get("queues", 0):
            errs.append(field.invalid(f"{path}.limitResponse.queuing.handSize", queuing["handSize"],
                                      f"should not be greater than queues ({queuing.get('queues', 0)})"))
