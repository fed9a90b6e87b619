"""Access reviews: may I, may they, what may I at all?  (`kubectl auth can-i`)

Source: k8s.io/kubernetes/pkg/registry/authorization, pkg/apis/authorization/validation.
"""

from __future__ import annotations

from typing import Any

from kitlib.api import decode, respond
from kitlib.api.auth.rbac import MASTERS
from kitlib.api.call import Call
from kitlib.api.request import Response, User
from kitlib.objects import field as problems
from kitlib.objects.errors import StatusError, bad_request


def self_subject_access_review(call: Call) -> Response:
    review = decode.body(call)
    _check_attributes(review)
    return _answered(call, review, call.user)


def subject_access_review(call: Call) -> Response:
    review = decode.body(call)
    _check_attributes(review, subject=True)
    return _answered(call, review, _subject(review["spec"]))


def local_subject_access_review(call: Call) -> Response:
    review = decode.body(call)
    _check_attributes(review, subject=True)
    attributes = review["spec"].get("resourceAttributes")
    if attributes is None:
        raise _invalid(problems.invalid("spec.nonResourceAttributes", None, "disallowed on this kind of request"))
    if attributes.get("namespace") != call.namespace:
        raise bad_request(f"spec.resourceAttributes.namespace must match namespace: {call.namespace}")
    return _answered(call, review, _subject(review["spec"]))


def _subject(spec: dict[str, Any]) -> User:
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)


def _check_attributes(review: dict[str, Any], subject: bool = False) -> None:
    spec = review.setdefault("spec", {})
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if about is not None and path is not None:
        raise _invalid(problems.invalid("spec.nonResourceAttributes", path,
                                        "cannot be specified in combination with resourceAttributes"))
    if about is None and path is None:
        raise _invalid(problems.invalid("spec.resourceAttributes", about,
                                        "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
    if subject and not spec.get("user") and not spec.get("groups"):
        raise _invalid(problems.invalid("spec.user", "", "at least one of user or group must be specified"))


def _invalid(cause: dict[str, str]) -> StatusError:
    # The real server gives these errors a group but no kind.
    return StatusError(422, "Invalid", f'.authorization.k8s.io "" is invalid: {cause["field"]}: {cause["message"]}',
                       {"group": "authorization.k8s.io", "causes": [cause]})


def _answered(call: Call, review: dict[str, Any], user: User) -> Response:
    authorizer, spec = call.api.authorizer, review["spec"]
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if about is not None:
        allowed = authorizer.may(user, about.get("verb", ""), about.get("group", ""), about.get("resource", ""),
                                 about.get("subresource", ""), about.get("namespace", ""), about.get("name", ""))
    else:
        allowed = authorizer.may_path(user, path.get("verb", ""), path.get("path", ""))
    review["status"] = {"allowed": allowed}
    return respond.obj(call, review, 201)


def self_subject_rules_review(call: Call) -> Response:
    review = decode.body(call)
    namespace = review.get("spec", {}).get("namespace", "")
    if not namespace:
        raise bad_request("no namespace on request")
    resource_rules, path_rules = [], []
    if MASTERS in call.user.groups:
        resource_rules.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
        path_rules.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
    for rule in call.api.authorizer.rules(call.user, namespace):
        if rule.get("resources"):
            resource_rules.append({key: list(rule[key]) for key in ("verbs", "apiGroups", "resources", "resourceNames")
                                   if rule.get(key)})
        if rule.get("nonResourceURLs"):
            path_rules.append({"verbs": list(rule["verbs"]), "nonResourceURLs": list(rule["nonResourceURLs"])})
    review["status"] = {"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": False}
    return respond.obj(call, review, 201)
