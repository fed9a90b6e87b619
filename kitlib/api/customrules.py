"""x-kubernetes-validations: rules in CEL beside the schema's own.

    x-kubernetes-validations:
    - rule: self.min <= self.max                 about the value at this place
    - rule: self == oldSelf                      a transition rule: asked only where there was a value before

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go; KEP-2876.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kitlib.api.celcost import Account
from kitlib.objects import field as problems
from kitlib.objects.field import Cause

Schema = Mapping[str, Any]
MISSING = object()
OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


def check_rules(obj: dict[str, Any], schema: Schema, old: dict[str, Any] | None) -> list[Cause]:
    """What the rules refuse.  Costs nothing (not even the import of a CEL library) where there are no rules."""
    if not _has_rules(schema):
        return []
    return list(_walk(obj, MISSING if old is None else old, schema, "", Account()))


def _has_rules(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    if schema.get("x-kubernetes-validations"):
        return True
    below = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return any(_has_rules(part) for part in below)


def _walk(value: Any, old: Any, schema: Schema, path: str, account: Account) -> Iterator[Cause]:
    if account.exhausted:
        return
    rules = schema.get("x-kubernetes-validations") or ()
    if rules and value is not None:
        for rule in rules:
            yield from _ask(rule, value, old, schema, path, account)
            if account.exhausted:
                yield problems.invalid(path, value if not isinstance(value, (dict, list)) else "object", OUT_OF_BUDGET)
                return
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, item in value.items():
            below = properties.get(name) or (extra if isinstance(extra, Mapping) else None)
            if below:
                before = old.get(name, MISSING) if isinstance(old, dict) else MISSING
                yield from _walk(item, before, below, f"{path}.{name}" if path else name, account)
    elif isinstance(value, list) and schema.get("items"):
        for index, item in enumerate(value):
            yield from _walk(item, _counterpart(item, old, schema), schema["items"], f"{path}[{index}]",
                             account)


def _counterpart(item: Any, old: Any, schema: Schema) -> Any:
    """The old element that a list element was: found by its keys; elements of other lists have no past."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if schema.get("x-kubernetes-list-type") != "map" or not keys or not isinstance(old, list):
        return MISSING
    identity = [item.get(key) for key in keys] if isinstance(item, dict) else None
    return next((o for o in old if isinstance(o, dict) and [o.get(key) for key in keys] == identity), MISSING)


def _ask(rule: Mapping[str, Any], value: Any, old: Any, schema: Schema, path: str,
         account: Account) -> Iterator[Cause]:
    from kitlib.api.cel import CelError, evaluate

    text = rule["rule"]
    uses_old = "oldSelf" in text
    if uses_old and old is MISSING and not rule.get("optionalOldSelf"):
        return
    try:
        variables = {"self": value}
        if uses_old and old is not MISSING:
            variables["oldSelf"] = old
        if evaluate(text, variables, schema, account=account):
            return
        message = rule.get("message") or f"failed rule: {text}"
        expression = rule.get("messageExpression")
        if expression:
            try:
                message = str(evaluate(expression, variables, schema, want_bool=False, account=account)) or message
            except CelError:
                pass  # the rule's fixed message stands
    except CelError as error:
        yield problems.invalid(path, value if not isinstance(value, (dict, list)) else "object",
                               f"rule evaluation error: {error}: {text}")
        return
    place = path + rule.get("fieldPath", "") if path else rule.get("fieldPath", "").lstrip(".")
    yield _cause(rule.get("reason", "FieldValueInvalid"), place, value, message)


def _cause(reason: str, path: str, value: Any, message: str) -> Cause:
    if reason == "FieldValueForbidden":
        return problems.forbidden(path, message)
    if reason == "FieldValueRequired":
        return problems.required(path, message)
    if reason == "FieldValueDuplicate":
        return problems.duplicate(path, value)
    return problems.invalid(path, "object" if isinstance(value, (dict, list)) else value, message)
