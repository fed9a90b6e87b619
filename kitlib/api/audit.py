"""The audit log: every request, who made it and what came of it, as audit.k8s.io/v1 Events.

One level is offered, Metadata (no bodies), at one stage, ResponseComplete; a watch is told when it
begins.  `ApiConfig.audit` receives the events; where they go is the cluster's business.

Source: k8s.io/apiserver/pkg/apis/audit/v1, pkg/endpoints/filters/audit.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from kitlib.api.auth.reviews import user_info
from kitlib.api.request import ANONYMOUS, Answer, Request, Response, User
from kitlib.api.routing import RequestInfo
from kitlib.objects.clock import rfc3339_micro
from kitlib.objects.meta import new_uid

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer


def event(api: ApiServer, request: Request, info: RequestInfo, users: list[User], answer: Answer,
          received: float) -> dict[str, Any]:
    """What to log about one request.  users: who authenticated and, if impersonating, as whom."""
    query = urlencode(request.query, doseq=True)
    told: dict[str, Any] = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": new_uid(),
        "stage": "ResponseComplete", "requestURI": quote(request.path) + (f"?{query}" if query else ""),
        "verb": info.verb, "user": user_info(users[0] if users else ANONYMOUS)}
    if len(users) > 1:
        told["impersonatedUser"] = user_info(users[1])
    told["sourceIPs"] = [request.remote]
    told["userAgent"] = request.headers.get("user-agent", "")
    if info.is_resource:
        told["objectRef"] = _reference(info, answer)
    told["responseStatus"] = _status(answer)
    told["requestReceivedTimestamp"] = rfc3339_micro(received)
    told["stageTimestamp"] = rfc3339_micro(api.clock.now())
    code = told["responseStatus"]["code"]
    told["annotations"] = {"authorization.k8s.io/decision": "forbid" if code in (401, 403) else "allow",
                           "authorization.k8s.io/reason": ""}
    return told


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
