"""The audit log: who asked what of the API and what came of it, as audit.k8s.io/v1 Events.

How much is told of a request, its level, follows a policy of a few rules, the first that fits:

    None              probes of health, and the leases with which the system's own parts say that they live
    Metadata          whatever carries credentials (Secrets, tokens), Events, and everything that only reads
    RequestResponse   writes: also the bodies that went in and came out, without managedFields

There is one Event a request, at the stage ResponseComplete; of what goes on for long (watch, exec, logs) it
is told when it begins, ResponseStarted.  `ApiConfig.audit` receives the Events; where they go is the
cluster's business.

Source: k8s.io/apiserver/pkg/apis/audit/v1, pkg/endpoints/filters/audit.go, pkg/audit/policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson

from kitlib.api.auth.reviews import user_info
from kitlib.api.request import ANONYMOUS, Answer, Request, Response, User
from kitlib.api.routing import RequestInfo
from kitlib.objects.clock import rfc3339_micro
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import new_uid

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

METADATA, REQUEST_RESPONSE = "Metadata", "RequestResponse"
PROBES = ("/healthz", "/livez", "/readyz", "/metrics")
READS = frozenset({"get", "list", "watch", "head", "options"})
# (group, resource) or (group, resource/subresource) whose bodies nobody should find in a log, or would look for
NO_BODIES = frozenset({("", "secrets"), ("", "serviceaccounts/token"), ("authentication.k8s.io", "tokenreviews"),
                       ("", "events"), ("events.k8s.io", "events"),
                       ("", "pods/exec"), ("", "pods/attach"), ("", "pods/portforward")})


def level(info: RequestInfo, user: User) -> str:
    """How much to tell about a request; "" for nothing."""
    if not info.is_resource:
        return "" if info.path.startswith(PROBES) else METADATA
    if info.resource == "leases" and user.name.startswith("system:"):
        return ""
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    if info.verb in READS or {(info.group, resource), (info.group, info.resource)} & NO_BODIES:
        return METADATA
    return REQUEST_RESPONSE


def event(api: ApiServer, request: Request, info: RequestInfo, users: list[User], answer: Answer,
          seconds: float) -> dict[str, Any] | None:
    """What to log about one request, if anything.

    users: who authenticated and, if impersonating, as whom.  seconds: how long it has taken.
    """
    user = users[-1] if users else ANONYMOUS
    told_level = level(info, user)
    if not told_level:
        return None
    now, query = api.clock.now(), urlencode(request.query, doseq=True)
    told: dict[str, Any] = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": told_level, "auditID": new_uid(),
        "stage": "ResponseComplete" if isinstance(answer, Response) else "ResponseStarted",
        "requestURI": quote(request.path) + (f"?{query}" if query else ""), "verb": info.verb,
        "user": user_info(users[0] if users else ANONYMOUS)}
    if len(users) > 1:
        told["impersonatedUser"] = user_info(users[1])
    told["sourceIPs"] = [request.remote]
    told["userAgent"] = request.headers.get("user-agent", "")
    if info.is_resource:
        told["objectRef"] = _reference(info, answer)
    told["responseStatus"] = _status(answer)
    if told_level == REQUEST_RESPONSE:
        told.update(_bodies(request, answer))
    told["requestReceivedTimestamp"] = rfc3339_micro(now - seconds)
    told["stageTimestamp"] = rfc3339_micro(now)
    if users:
        told["annotations"] = _decision(api, user, info)
    return told


def _decision(api: ApiServer, user: User, info: RequestInfo) -> dict[str, str]:
    reason = api.authorizer.reason(user, info)
    return {"authorization.k8s.io/decision": "forbid" if reason is None else "allow",
            "authorization.k8s.io/reason": reason or ""}


def _reference(info: RequestInfo, answer: Answer) -> dict[str, str]:
    reference = {"resource": info.resource, "namespace": info.namespace, "name": info.name, "apiGroup": info.group,
                 "apiVersion": info.version, "subresource": info.subresource}
    obj = answer.obj if isinstance(answer, Response) else None
    if isinstance(obj, dict) and obj.get("kind") != "Status":
        meta = obj.get("metadata") or {}
        for name in ("name", "uid", "resourceVersion"):
            if isinstance(meta.get(name), str) and not reference.get(name):
                reference[name] = meta[name]
    return {key: value for key, value in reference.items() if value}


def _status(answer: Answer) -> dict[str, Any]:
    if not isinstance(answer, Response):
        return {"metadata": {}, "code": 200}
    status: dict[str, Any] = {"metadata": {}}
    if answer.code >= 400 and isinstance(answer.obj, dict):
        status.update({key: answer.obj[key] for key in ("status", "message", "reason", "details") if key in answer.obj})
    status["code"] = answer.code
    return status


def _bodies(request: Request, answer: Answer) -> dict[str, Any]:
    bodies = {"requestObject": _sent(request), "responseObject": answer.obj if isinstance(answer, Response) else None}
    return {name: _without_managers(body) for name, body in bodies.items() if body is not None}


def _sent(request: Request) -> Any:
    """The request's body as data; None if there is none, or none that could be read."""
    if request.obj is not None or not request.body:
        return request.obj
    from kitlib.api import decode
    from kitlib.objects.schema.protobuf import ProtobufError
    from kitlib.objects.schema.protobuf import decode as read_protobuf

    media = request.headers.get("content-type", decode.JSON).split(";", 1)[0]
    try:
        if media == decode.PROTOBUF:
            return read_protobuf(request.body)
        return decode.read_yaml(request.body)[0] if media.endswith("yaml") else orjson.loads(request.body)
    except (StatusError, ProtobufError, ValueError):
        return None


def _without_managers(body: Any) -> Any:
    """The body as people want to read it (omitManagedFields of a policy)."""
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("items"), list):
        body = {**body, "items": [_without_managers(item) for item in body["items"]]}
    meta = body.get("metadata")
    if not isinstance(meta, dict) or "managedFields" not in meta:
        return body
    return {**body, "metadata": {name: value for name, value in meta.items() if name != "managedFields"}}
