"""What a path means: `RequestInfo`, the value that authorisation and dispatch read.

    /api/v1/namespaces/NS/pods/NAME/log          core group
    /apis/GROUP/VERSION/namespaces/NS/...        every other group
    /apis/GROUP/VERSION/RESOURCE/NAME            cluster scoped
    /api/v1/watch/...                            the old way to watch
    /api/v1/namespaces/NS/{status,finalize}      subresources of the Namespace itself
    anything else                                a "non-resource" path (/version, /healthz, /metrics)

Nothing is looked up here: who may not do something is refused before it is known whether it exists.

Source: k8s.io/apiserver/pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from kitlib.api.request import Request

TRUE = ("true", "1", "t", "T", "TRUE", "True")
NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
_COLLECTION = {"POST": "create", "DELETE": "deletecollection", "GET": "list", "HEAD": "list"}
_ITEM = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}


@dataclass(slots=True)
class RequestInfo:
    """A parsed path.  resource "" and path set: a non-resource request."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""  # what follows proxy/
    is_resource: bool = False
    old_watch: bool = False
    trailing: bool = False  # more path segments than any resource has


def parse(request: Request) -> RequestInfo:
    """Parse method and path.  A path under /api or /apis that names no resource is non-resource (discovery)."""
    path = request.path
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(request.method.lower(), path)
    info = RequestInfo("", path, group, version, is_resource=True)
    if rest[0] == "watch" and len(rest) > 1:
        info.old_watch, rest = True, rest[1:]
    if rest[0] == "namespaces" and len(rest) > 1:
        # /namespaces/NS/pods is about pods; /namespaces/NS and /namespaces/NS/status about the namespace.
        info.namespace = rest[1]
        if len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    info.resource = rest[0]
    info.name = rest[1] if len(rest) > 1 else ""
    info.subresource = rest[2] if len(rest) > 2 else ""
    if len(rest) > 3:
        if info.subresource == "proxy":
            info.rest = "/".join(rest[3:]) + ("/" if path.endswith("/") else "")
        else:
            info.trailing = True
    info.verb = _verb(request, info)
    return info


def _verb(request: Request, info: RequestInfo) -> str:
    if not info.name or info.old_watch:
        verb = _COLLECTION.get(request.method, request.method.lower())
        if verb == "list":
            if info.old_watch or request.param("watch") in TRUE:
                verb = "watch"
            selector = request.param("fieldSelector")
            # `list --field-selector metadata.name=x` is about one object: a Role for that name allows it.
            if not info.name and selector.startswith("metadata.name=") and "," not in selector:
                info.name = selector[len("metadata.name="):].lstrip("=")
        return verb
    return _ITEM.get(request.method, request.method.lower())
