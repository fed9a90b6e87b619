"""MutatingAdmissionPolicy: changes of any write, in CEL, stored as objects.

    patchType ApplyConfiguration   Object{spec: Object.spec{replicas: 3}}       laid over the object, as apply does
    patchType JSONPatch            [JSONPatch{op: "add", path: "/spec/…", …}]   operations, in order

Policies go before the mutating webhooks, in the order of their bindings' names, each seeing what the ones
before it have done.  Matching, parameters, conditions and variables are those of validating policies.

Source: k8s.io/apiserver/pkg/admission/plugin/policy/mutating; KEP-3962.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.admission.matching import Attributes, matches
from kitlib.api.admission.policies import GROUP, params_of, prepared, variables_of
from kitlib.api.call import Call
from kitlib.api.shapes import shape_of
from kitlib.objects import jsonpatch, typed
from kitlib.objects.errors import StatusError

Obj = dict[str, Any]
POLICIES, BINDINGS = f"mutatingadmissionpolicies.{GROUP}", f"mutatingadmissionpolicybindings.{GROUP}"
UNCHANGEABLE = ("name", "namespace", "uid", "generateName", "resourceVersion", "creationTimestamp", "managedFields")


class Failed(Exception):
    """A mutation that cannot be made."""


def mutate(call: Call, obj: Obj, old: Obj | None) -> None:
    """Let every policy that is bound and matches change `obj`.  Raises 422 for one that fails."""
    store = call.api.store
    if not store.count(BINDINGS) or call.kind.group == GROUP:
        return
    for entry in store.list(BINDINGS):
        binding = entry.obj["spec"]
        found = store.get(POLICIES, "", binding.get("policyName", ""))
        if found is None:
            continue
        policy, about = found.obj["spec"], Attributes.of(call, obj, old)
        if not matches(policy.get("matchConstraints"), about) or not matches(binding.get("matchResources"), about):
            continue
        try:
            _apply(call, policy, binding, about, obj)
        except Failed as error:
            if policy.get("failurePolicy") != "Ignore":
                raise _refusal(call, found.key.name, entry.key.name, str(error), about) from None


def _apply(call: Call, policy: Obj, binding: Obj, about: Attributes, obj: Obj) -> None:
    from kitlib.api.cel import CelError

    found, refused = params_of(call, policy, binding, about)
    if refused:
        raise Failed(refused)
    for params in found:
        try:
            for mutation in policy.get("mutations") or ():
                variables = prepared(policy, variables_of(call, about, params))
                if variables is None:
                    break
                _finish(call, obj, _mutated(call, mutation, variables, obj))
        except (CelError, StatusError) as error:
            raise Failed(str(error)) from None


def _mutated(call: Call, mutation: Obj, variables: Obj, obj: Obj) -> Obj:
    """The object after one mutation."""
    from kitlib.api.cel import evaluate
    from kitlib.api.celobjects import constructors, to_json

    part = "jsonPatch" if mutation["patchType"] == "JSONPatch" else "applyConfiguration"
    value = evaluate(mutation[part]["expression"], {**variables, **constructors()}, raw=True)
    change = to_json(value)
    if part == "jsonPatch":
        if not isinstance(change, list):
            raise Failed("the expression does not give a list of JSONPatch")
        patched: Obj = jsonpatch.apply(obj, change)
        return patched
    if not isinstance(change, dict):
        raise Failed("the expression does not give an Object")
    merged: Obj = typed.without_nulls(typed.merge(obj, change, shape_of(call.kind).node))
    return merged


def _finish(call: Call, obj: Obj, changed: Any) -> None:
    """Put the changed object, defaulted, in the place of `obj`."""
    if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
        raise Failed("the mutation leaves no object")
    made, wrong, unknown = shape_of(call.kind).decode(changed)
    if wrong or unknown:
        raise Failed(wrong or f"field not declared in schema: {', '.join(unknown)}")
    for name in UNCHANGEABLE:
        if made["metadata"].get(name) != obj["metadata"].get(name):
            raise Failed(f"must not change metadata.{name}")
    obj.clear()
    obj.update(made)


def _refusal(call: Call, policy: str, binding: str, why: str, about: Attributes) -> StatusError:
    kind, text = call.kind, f"policy '{policy}' with binding '{binding}' denied request: {why}"
    details = {"name": about.name, "group": kind.group, "kind": kind.plural, "causes": [{"message": text}]}
    return StatusError(422, "Invalid", f'{kind.resource} "{about.name}" is forbidden: {text}',
                       {key: value for key, value in details.items() if value})
