"""ValidatingAdmissionPolicy: rules about any write, in CEL, stored as objects.

    ValidatingAdmissionPolicy          what to match, expressions that must hold
    ValidatingAdmissionPolicyBinding   where it applies, with which parameters, and what happens if not
                                       (Deny, Warn, Audit)

An expression sees `object`, `oldObject`, `request`, `params`, `namespaceObject` and the policy's own
`variables`.  A policy without a binding does nothing; one that cannot be evaluated denies, unless its
failurePolicy says Ignore.

Source: k8s.io/apiserver/pkg/admission/plugin/policy/validating; KEP-3488.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kitlib.api.admission.matching import Attributes, matches
from kitlib.api.auth.reviews import user_info
from kitlib.api.call import Call
from kitlib.objects.errors import StatusError
from kitlib.objects.selectors import LabelSelector

Obj = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
POLICIES, BINDINGS = f"validatingadmissionpolicies.{GROUP}", f"validatingadmissionpolicybindings.{GROUP}"
CODES = {"Invalid": 422, "Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}


def check(call: Call, obj: Obj | None, old: Obj | None) -> None:
    """Ask every policy that is bound and matches.  obj: None for a deletion."""
    store = call.api.store
    if not store.count(BINDINGS) or call.kind.group == GROUP:
        return
    about = Attributes.of(call, obj, old)
    for entry in store.list(BINDINGS):
        binding = entry.obj["spec"]
        found = store.get(POLICIES, "", binding.get("policyName", ""))
        if found is None:
            continue
        policy = found.obj["spec"]
        if not matches(policy.get("matchConstraints"), about) or not matches(binding.get("matchResources"), about):
            continue
        for failure in _failures(call, policy, binding, about):
            _act(call, found.key.name, entry.key.name, binding, failure, about)


class _Failure:
    """One expression that did not hold, or could not be evaluated."""

    def __init__(self, message: str, reason: str = "Invalid") -> None:
        self.message, self.reason = message, reason


def _failures(call: Call, policy: Obj, binding: Obj, about: Attributes) -> Iterator[_Failure]:
    from kitlib.api.cel import CelError

    ignore = policy.get("failurePolicy") == "Ignore"
    found, refused = params_of(call, policy, binding, about)
    if refused:
        if not ignore:
            yield _Failure(refused)
        return
    for params in found:
        try:
            yield from _evaluated(policy, variables_of(call, about, params))
        except CelError as error:
            if not ignore:
                yield _Failure(str(error))


def _evaluated(policy: Obj, variables: Obj) -> Iterator[_Failure]:
    from kitlib.api.cel import CelError, evaluate

    prepared_variables = prepared(policy, variables)
    if prepared_variables is None:
        return
    variables = prepared_variables
    for rule in policy.get("validations") or ():
        if evaluate(rule["expression"], variables):
            continue
        message = rule.get("message") or f"failed expression: {rule['expression']}"
        if rule.get("messageExpression"):
            try:
                message = evaluate(rule["messageExpression"], variables, want_bool=False) or message
            except CelError:
                pass  # the fixed message stands
        yield _Failure(message, rule.get("reason", "Invalid"))


def prepared(policy: Obj, variables: Obj) -> Obj | None:
    """The variables with the policy's own ones; None if its conditions do not hold.  Raises CelError."""
    from kitlib.api.cel import evaluate

    for condition in policy.get("matchConditions") or ():
        if not evaluate(condition["expression"], variables):
            return None
    own: Obj = {}
    for variable in policy.get("variables") or ():
        own[variable["name"]] = evaluate(variable["expression"], {**variables, "variables": own}, raw=True)
    return {**variables, "variables": own}


def variables_of(call: Call, about: Attributes, params: Obj | None) -> Obj:
    namespace = call.api.store.get("namespaces", "", about.namespace) if about.namespace else None
    resource = {"group": call.kind.group, "version": call.kind.version, "resource": call.kind.plural}
    kind = {"group": call.kind.group, "version": call.kind.version, "kind": call.kind.kind}
    request = {"kind": kind, "resource": resource, "subResource": about.subresource, "name": about.name,
               "namespace": about.namespace, "operation": about.operation, "userInfo": user_info(call.user),
               "dryRun": call.dry_run}
    return {"object": about.obj, "oldObject": about.old, "request": request, "params": params,
            "namespaceObject": namespace.obj if namespace else None}


def params_of(call: Call, policy: Obj, binding: Obj, about: Attributes) -> tuple[list[Obj | None], str]:
    """The parameter objects to evaluate with, or why there are none."""
    wanted, reference = policy.get("paramKind"), binding.get("paramRef")
    if not wanted or not reference:
        return [None], ""
    group, _, version = wanted["apiVersion"].rpartition("/")
    kind = call.api.registry.by_kind(group, version, wanted["kind"])
    if kind is None:
        return [], f"failed to find resource referenced by paramKind: '{wanted['apiVersion']}, Kind={wanted['kind']}'"
    namespace = (reference.get("namespace") or about.namespace) if kind.namespaced else ""
    store = call.api.store
    if reference.get("name"):
        found = store.get(kind.storage, namespace, reference["name"])
        params: list[Obj | None] = [found.obj] if found else []
    else:
        selector = LabelSelector.of(reference.get("selector"))
        params = [entry.obj for entry in store.list(kind.storage, namespace or None)
                  if selector.matches(entry.obj["metadata"].get("labels"))]
    if not params and reference.get("parameterNotFoundAction", "Deny") == "Deny":
        return [], "no params found for policy binding with `Deny` parameterNotFoundAction"
    return params, ""


def _act(call: Call, policy: str, binding_name: str, binding: Obj, failure: _Failure, about: Attributes) -> None:
    text = f"ValidatingAdmissionPolicy '{policy}' with binding '{binding_name}' denied request: {failure.message}"
    actions = binding.get("validationActions") or ["Deny"]
    if "Warn" in actions:
        call.warnings.append(f"Validation failed for {text}")
    if "Deny" in actions:
        kind = call.kind
        details = {"name": about.name, "group": kind.group, "kind": kind.plural, "causes": [{"message": text}]}
        shown = f"{kind.resource} \"{about.name}\" is forbidden: {text}"
        raise StatusError(CODES.get(failure.reason, 422), failure.reason, shown,
                          {key: value for key, value in details.items() if value})
