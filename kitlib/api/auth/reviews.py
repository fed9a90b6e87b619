"""Reviews about identity: who am I, and whose token is this?

Source: k8s.io/kubernetes/pkg/registry/authentication/{selfsubjectreview,tokenreview}.
"""

from __future__ import annotations

from typing import Any

from kitlib.api import decode, respond
from kitlib.api.auth.tokens import TokenInvalid
from kitlib.api.call import Call
from kitlib.api.request import Response, User
from kitlib.objects.clock import rfc3339
from kitlib.objects.errors import bad_request


def user_info(user: User) -> dict[str, Any]:
    """authentication/v1 UserInfo; what is empty stays out."""
    info: dict[str, Any] = {"username": user.name, "uid": user.uid, "groups": list(user.groups),
                            "extra": {key: list(values) for key, values in user.extra.items()}}
    return {key: value for key, value in info.items() if value}


def self_subject_review(call: Call) -> Response:
    review = decode.body(call)
    review["metadata"]["creationTimestamp"] = rfc3339(call.api.clock.now())
    review["status"] = {"userInfo": user_info(call.user)}
    return respond.obj(call, review, 201)


def token_review(call: Call) -> Response:
    review = decode.body(call)
    spec = review.get("spec", {})
    token, audiences = spec.get("token", ""), tuple(spec.get("audiences") or ())
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    try:
        user, found = call.api.authenticator.review(token, audiences)
    except TokenInvalid as error:
        review["status"] = {"user": {}, "error": f"[invalid bearer token, {error}]"}
    else:
        review["status"] = {"authenticated": True, "user": user_info(user), "audiences": list(found)}
    return respond.obj(call, review, 201)
