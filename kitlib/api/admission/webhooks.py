"""Admission webhooks: somebody else's server looks at a write, and changes or refuses it.

    MutatingWebhookConfiguration      asked one after the other; each may send back a JSON patch
    ValidatingWebhookConfiguration    asked about the result; each may refuse

The question is an AdmissionReview, the answer the same object with a `response`.  How a function
without sockets asks is in `api/callouts.py`.

Source: k8s.io/apiserver/pkg/admission/plugin/webhook; k8s.io/api/admission/v1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import orjson

from kitlib.api.admission.matching import Attributes, matches, rule_matches
from kitlib.api.auth.reviews import user_info
from kitlib.api.call import Call
from kitlib.api.callouts import Unreachable, callout_to, key_of
from kitlib.api.request import Outcome
from kitlib.api.shapes import shape_of
from kitlib.objects import jsonpatch
from kitlib.objects.errors import StatusError, bad_request, internal
from kitlib.objects.meta import new_uid

Obj = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
MUTATING, VALIDATING = f"mutatingwebhookconfigurations.{GROUP}", f"validatingwebhookconfigurations.{GROUP}"
VERSION = "admission.k8s.io/v1"
HARMLESS = ("None", "NoneOnDryRun")


def mutate(call: Call, obj: Obj, old: Obj | None) -> None:
    """Let the mutating webhooks change `obj`."""
    for webhook in _matching(call, MUTATING, obj, old):
        response = _ask(call, webhook, obj, old)
        patch = response.get("patch") if response else None
        if patch:
            _patch(call, webhook, obj, patch)


def validate(call: Call, obj: Obj | None, old: Obj | None) -> None:
    """Let the validating webhooks refuse.  obj: None for a deletion."""
    for webhook in _matching(call, VALIDATING, obj, old):
        _ask(call, webhook, obj, old)


def _matching(call: Call, configurations: str, obj: Obj | None, old: Obj | None) -> Iterator[Obj]:
    store = call.api.store
    # A configuration that could block its own removal would be there for ever.
    if not store.count(configurations) or call.kind.group == GROUP:
        return
    for entry in store.list(configurations):
        for webhook in entry.obj.get("webhooks") or ():
            about = Attributes.of(call, obj, old)
            selectors = {name: webhook.get(name) for name in ("namespaceSelector", "objectSelector")}
            if any(rule_matches(rule, about) for rule in webhook.get("rules") or ()) and matches(selectors, about) and (
                    _conditions_hold(call, webhook, about)):
                yield webhook


def _conditions_hold(call: Call, webhook: Obj, about: Attributes) -> bool:
    conditions = webhook.get("matchConditions") or ()
    if not conditions:
        return True
    from kitlib.api.admission.policies import variables_of
    from kitlib.api.cel import CelError, evaluate

    try:
        return all(evaluate(c["expression"], variables_of(call, about, None)) for c in conditions)
    except CelError as error:
        if webhook.get("failurePolicy") == "Ignore":
            return False
        raise _failed(webhook, str(error)) from None


def _ask(call: Call, webhook: Obj, obj: Obj | None, old: Obj | None) -> Obj | None:
    """The webhook's response, None if it failed and that is to be ignored.  Raises its refusal."""
    name = webhook["name"]
    if call.dry_run and webhook.get("sideEffects") not in HARMLESS:
        raise bad_request(f'admission webhook "{name}" does not support dry run')
    about = Attributes.of(call, obj, old)
    outcome = _outcome(call, webhook, about, key_of(name, about.operation, about.subresource, obj, old))
    response = outcome.body.get("response") if isinstance(outcome.body, dict) else None
    if outcome.error or not isinstance(response, dict):
        if webhook.get("failurePolicy") == "Ignore":
            return None
        raise _failed(webhook, outcome.error or "expected response, got none")
    call.warnings.extend(str(text) for text in response.get("warnings") or ())
    if not response.get("allowed"):
        raise _denied(name, response.get("status") or {})
    return response


def _failed(webhook: Obj, why: str) -> StatusError:
    return internal(f'failed calling webhook "{webhook["name"]}": failed to call webhook: {why}')


def _denied(name: str, status: Obj) -> StatusError:
    message = f'admission webhook "{name}" denied the request'
    said = status.get("message") or status.get("reason")
    message += f": {said}" if said else " without explanation"
    code = status.get("code")
    code = code if isinstance(code, int) and 400 <= code < 600 else 400
    return StatusError(code, status.get("reason") or ("Forbidden" if code == 403 else "BadRequest"), message,
                       status.get("details"))


def _review(call: Call, about: Attributes) -> Obj:
    kind = call.kind
    gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    gvr = {"group": kind.group, "version": kind.version, "resource": kind.plural}
    request: Obj = {"uid": new_uid(), "kind": gvk, "resource": gvr, "requestKind": gvk, "requestResource": gvr,
                    "name": about.name, "namespace": about.namespace, "operation": about.operation,
                    "userInfo": user_info(call.user), "object": about.obj, "oldObject": about.old,
                    "dryRun": call.dry_run, "options": None}
    if about.subresource:
        request["subResource"] = request["requestSubResource"] = about.subresource
    return {"kind": "AdmissionReview", "apiVersion": VERSION, "request": request}


def _outcome(call: Call, webhook: Obj, about: Attributes, key: str) -> Outcome:
    """What the webhook has answered.  Raises Needed if it has not been asked yet."""
    seconds = webhook.get("timeoutSeconds") or 10
    try:
        callout = callout_to(call.api.store, webhook.get("clientConfig") or {}, key,
                             orjson.dumps(_review(call, about)), float(seconds), f"timeout={seconds}s")
    except Unreachable as error:
        return Outcome(error=str(error))
    return call.api.callouts.ask(callout, call.answers_used)


def _patch(call: Call, webhook: Obj, obj: Obj, patch: str) -> None:
    """Apply a webhook's JSON patch, and default what it has added."""
    try:
        operations = orjson.loads(base64.b64decode(patch, validate=True))
        patched = jsonpatch.apply(obj, operations)
    except (ValueError, binascii.Error, StatusError) as error:
        raise _failed(webhook, f"the patch cannot be applied: {error}") from None
    made, wrong, _ = shape_of(call.kind).decode(patched)
    if wrong:
        raise _failed(webhook, wrong)
    obj.clear()
    obj.update(made)
