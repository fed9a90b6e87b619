"""Webhook configurations and admission policies.

Source: pkg/apis/admissionregistration/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def _matching(obj: Obj) -> None:
    obj.setdefault("matchPolicy", "Equivalent")
    obj.setdefault("namespaceSelector", {})
    obj.setdefault("objectSelector", {})


def validating_webhook(obj: Obj) -> None:
    obj.setdefault("failurePolicy", "Fail")
    _matching(obj)
    obj.setdefault("timeoutSeconds", 10)


def mutating_webhook(obj: Obj) -> None:
    validating_webhook(obj)
    obj.setdefault("reinvocationPolicy", "Never")


def rule(obj: Obj) -> None:
    obj.setdefault("scope", "*")


def service_reference(obj: Obj) -> None:
    obj.setdefault("port", 443)


def policy_spec(obj: Obj) -> None:
    obj.setdefault("failurePolicy", "Fail")


HOOKS = {
    "admissionregistration/v1.ValidatingWebhook": validating_webhook,
    "admissionregistration/v1.MutatingWebhook": mutating_webhook,
    "admissionregistration/v1.RuleWithOperations": rule, "admissionregistration/v1.NamedRuleWithOperations": rule,
    "admissionregistration/v1.ServiceReference": service_reference,
    "admissionregistration/v1.ValidatingAdmissionPolicySpec": policy_spec,
    "admissionregistration/v1.MutatingAdmissionPolicySpec": policy_spec,
    "admissionregistration/v1.MatchResources": _matching,
}
