"""Admission policies, validating and mutating, and their bindings.

Source: k8s.io/kubernetes/pkg/apis/admissionregistration/validation (validateValidatingAdmissionPolicy...).
"""

from __future__ import annotations

from kitlib.api.validation.common import Errors, Obj, each, expression, label_selector, one_of
from kitlib.api.validation.webhooks import match_conditions, resource_rule
from kitlib.objects import field, names

_ACTIONS = ("Audit", "Deny", "Warn")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")


def _policy(errs: Errors, spec: Obj) -> None:
    """What both kinds of policies have."""
    one_of(errs, "spec.failurePolicy", spec.get("failurePolicy"), ("Fail", "Ignore"))
    kind = spec.get("paramKind")
    if kind is not None:
        for name in ("apiVersion", "kind"):
            if not kind.get(name):
                errs.append(field.required(f"spec.paramKind.{name}"))
    constraints = spec.get("matchConstraints")
    if constraints is None:
        errs.append(field.required("spec.matchConstraints"))
    else:
        _match(errs, "spec.matchConstraints", constraints, needs_rules=True)
    match_conditions(errs, "spec", spec)
    for index, variable in enumerate(spec.get("variables") or ()):
        at = f"spec.variables[{index}]"
        if not variable.get("name"):
            errs.append(field.required(f"{at}.name", "name is not specified"))
        else:
            each(errs, f"{at}.name", variable["name"], names.c_identifier(variable["name"]))
        expression(errs, f"{at}.expression", variable.get("expression"))


def create_mutatingadmissionpolicy(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    _policy(errs, spec)
    one_of(errs, "spec.reinvocationPolicy", spec.get("reinvocationPolicy"), ("IfNeeded", "Never"))
    mutations = spec.get("mutations") or []
    if not mutations:
        errs.append(field.required("spec.mutations", "mutations must contain at least one item"))
    for index, mutation in enumerate(mutations):
        at = f"spec.mutations[{index}]"
        kind = mutation.get("patchType", "")
        one_of(errs, f"{at}.patchType", kind, ("ApplyConfiguration", "JSONPatch"))
        for name, part in (("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")):
            value = mutation.get(part)
            if name == kind and not (value or {}).get("expression", "").strip():
                errs.append(field.required(f"{at}.{part}" if value is None else f"{at}.{part}.expression"))
            elif name != kind and value is not None:
                errs.append(field.invalid(f"{at}.{part}", value, f"{part} must not be specified when patchType is "
                                          f"{kind}"))


def create_validatingadmissionpolicy(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    _policy(errs, spec)
    validations, audits = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not validations and not audits:
        text = "validations or auditAnnotations must contain at least one item"
        errs.append(field.required("spec.validations", text))
        errs.append(field.required("spec.auditAnnotations", text))
    for index, validation in enumerate(validations):
        at = f"spec.validations[{index}]"
        expression(errs, f"{at}.expression", validation.get("expression"))
        message = validation.get("message", "")
        if message and not message.strip():
            errs.append(field.invalid(f"{at}.message", message, "message must be non-empty if specified"))
        if "\n" in message.strip():
            errs.append(field.invalid(f"{at}.message", message, "message must not contain line breaks"))
        one_of(errs, f"{at}.reason", validation.get("reason"), _REASONS, False)
    for index, audit in enumerate(audits):
        at = f"spec.auditAnnotations[{index}]"
        key = audit.get("key", "")
        if not key:
            errs.append(field.required(f"{at}.key", "key is not specified"))
        elif "/" in key:
            errs.append(field.invalid(f"{at}.key", key, "the key must not include a '/'"))
        else:
            each(errs, f"{at}.key", key, names.qualified_name(key))
        expression(errs, f"{at}.valueExpression", audit.get("valueExpression"), "valueExpression")


def _match(errs: Errors, path: str, match: Obj, *, needs_rules: bool) -> None:
    for name in ("namespaceSelector", "objectSelector"):
        label_selector(errs, f"{path}.{name}", match.get(name))
    one_of(errs, f"{path}.matchPolicy", match.get("matchPolicy"), ("Equivalent", "Exact"), needs_rules)
    rules = match.get("resourceRules") or []
    if needs_rules and not rules:
        errs.append(field.required(f"{path}.resourceRules"))
    for part in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(part) or ()):
            resource_rule(errs, f"{path}.{part}[{index}]", rule)


def create_mutatingadmissionpolicybinding(errs: Errors, obj: Obj) -> None:
    _binding(errs, obj.get("spec") or {})


def _binding(errs: Errors, spec: Obj) -> None:
    policy = spec.get("policyName", "")
    if not policy:
        errs.append(field.required("spec.policyName"))
    else:
        each(errs, "spec.policyName", policy, names.dns_subdomain(policy))
    reference = spec.get("paramRef")
    if reference is not None:
        if bool(reference.get("name")) == (reference.get("selector") is not None):
            errs.append(field.required("spec.paramRef", "one of name or selector must be specified"))
        one_of(errs, "spec.paramRef.parameterNotFoundAction", reference.get("parameterNotFoundAction"),
               ("Allow", "Deny"))
    if spec.get("matchResources") is not None:
        _match(errs, "spec.matchResources", spec["matchResources"], needs_rules=False)


def create_validatingadmissionpolicybinding(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    _binding(errs, spec)
    actions = spec.get("validationActions") or []
    if not actions:
        errs.append(field.required("spec.validationActions", "at least one validation action is required"))
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            errs.append(field.not_supported(f"spec.validationActions[{index}]", action, _ACTIONS))
        if action in actions[:index]:
            errs.append(field.duplicate(f"spec.validationActions[{index}]", action))
    if "Deny" in actions and "Warn" in actions:
        errs.append(field.invalid("spec.validationActions", actions, "must not contain both Deny and Warn (repeating "
                                  "the same validation failure information in the API response and headers serves no "
                                  "purpose)"))
