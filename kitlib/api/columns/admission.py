"""What extends and guards the API: webhooks, policies, other API servers, fairness.

Source: pkg/printers/internalversion/printers.go; k8s.io/kube-aggregator/pkg/registry/apiservice/etcd.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.columns.printer import AGE, NAME, Column, Obj, number, prints
from kitlib.api.columns.text import NONE, UNSET, age, condition, name, part

GROUP = "admissionregistration.k8s.io"


def _webhooks(obj: Obj, now: float) -> list[Any]:
    return [name(obj), len(obj.get("webhooks") or ()), age(obj, now)]


for _kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
    prints(GROUP, _kind, NAME, number("Webhooks"), AGE)(_webhooks)


def _param_kind(obj: Obj) -> str:
    kind = part(obj, "spec", "paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET


@prints(GROUP, "ValidatingAdmissionPolicy", NAME, number("Validations"), Column("ParamKind"), AGE)
def validating_policy(obj: Obj, now: float) -> list[Any]:
    return [name(obj), len(part(obj, "spec", "validations") or ()), _param_kind(obj), age(obj, now)]


@prints(GROUP, "MutatingAdmissionPolicy", NAME, number("Mutations"), Column("ParamKind"), AGE)
def mutating_policy(obj: Obj, now: float) -> list[Any]:
    return [name(obj), len(part(obj, "spec", "mutations") or ()), _param_kind(obj), age(obj, now)]


def _policy_binding(obj: Obj, now: float) -> list[Any]:
    reference = part(obj, "spec", "paramRef")
    shown = UNSET
    if reference:
        shown = "/".join(filter(None, (reference.get("namespace", ""), reference.get("name", "")))) or "*"
    return [name(obj), part(obj, "spec", "policyName") or "", shown, age(obj, now)]


for _kind in ("ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicyBinding"):
    prints(GROUP, _kind, NAME, Column("PolicyName"), Column("ParamRef"), AGE)(_policy_binding)


@prints("apiregistration.k8s.io", "APIService", NAME, Column("Service"), Column("Available"), AGE)
def api_service(obj: Obj, now: float) -> list[Any]:
    service, available = part(obj, "spec", "service"), condition(obj, "Available")
    shown = "Unknown"
    if available:
        shown = available.get("status", "")
        if shown != "True" and available.get("reason"):
            shown += f" ({available['reason']})"
    where = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    return [name(obj), where, shown, age(obj, now)]


@prints("flowcontrol.apiserver.k8s.io", "FlowSchema", NAME, Column("PriorityLevel"), number("MatchingPrecedence"),
        Column("DistinguisherMethod"), AGE, Column("MissingPL"))
def flow_schema(obj: Obj, now: float) -> list[Any]:
    spec, dangling = obj.get("spec") or {}, condition(obj, "Dangling")
    return [name(obj), part(spec, "priorityLevelConfiguration", "name") or "", spec.get("matchingPrecedence", 0),
            part(spec, "distinguisherMethod", "type") or NONE, age(obj, now),
            dangling.get("status", "?") if dangling else "?"]


@prints("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", NAME, Column("Type"),
        Column("NominalConcurrencyShares"), Column("Queues"), Column("HandSize"), Column("QueueLengthLimit"), AGE)
def priority_level(obj: Obj, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    limited = spec.get("limited") or spec.get("exempt") or {}
    queuing = part(limited, "limitResponse", "queuing") or {}
    shares = limited.get("nominalConcurrencyShares")
    return [name(obj), spec.get("type", ""), NONE if shares is None else shares,
            *(queuing.get(field, NONE) for field in ("queues", "handSize", "queueLengthLimit")), age(obj, now)]
