"""Discovery: what does this server serve?  The first thing every client asks.

    /api, /apis              one answer with everything (aggregated), or the older lists of names
    /apis/GROUP              the versions of one group
    /api/v1, /apis/G/V       the resources of one group version

A client that asks for `as=APIGroupDiscoveryList` must find that in the Content-Type of the answer;
without it, the answer counts as the older form.  Everything is computed from the registry, once per
change of it, so a CustomResourceDefinition appears here the moment it is served.

Source: k8s.io/apiserver/pkg/endpoints/discovery (and aggregated/).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import orjson

from kitlib.api.kind import Group, Kind, Registry, Subresource
from kitlib.api.kinds import GROUP_ORDER
from kitlib.api.negotiate import not_acceptable, parse_accept
from kitlib.api.request import Request, Response
from kitlib.objects.errors import StatusError

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

AGGREGATED = "apidiscovery.k8s.io"
AGGREGATED_VERSIONS = ("v2", "v2beta1")
# Custom resources list their verbs in an order of their own.
CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")

Json = dict[str, Any]

# Per registry: its number of changes when the documents were made, and path -> (body, ETag).
_caches: WeakKeyDictionary[Registry, tuple[int, dict[str, tuple[bytes, str]]]] = WeakKeyDictionary()


def discovery(api: ApiServer, request: Request) -> Response | None:
    """The answer to a discovery request, or None if the path is not one of them."""
    path = request.path.rstrip("/")
    if path.startswith("/openapi"):
        from kitlib.api.openapi import openapi  # big, and asked for by few

        return openapi(api, request)
    document = _document(path, api)
    if document is None:
        return None
    if request.method != "GET":
        raise StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource",
                          {})
    form = _form(request)
    if form and path in ("/api", "/apis"):
        return _cached(api, f"{path} {form}", request, lambda: _aggregated(api.registry, path == "/api", form),
                       f"application/json;g={AGGREGATED};v={form};as=APIGroupDiscoveryList")
    return _cached(api, path, request, document, "application/json")


def _document(path: str, api: ApiServer) -> Callable[[], Json] | None:
    """What makes the older form of a path's answer; None: no such path."""
    registry, parts = api.registry, path.split("/")[1:]
    if path == "":
        return lambda: {"paths": _paths(registry)}
    if path == "/api":
        return lambda: {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": f"{api.config.address}:{api.config.port}"}]}
    if path == "/apis":
        return lambda: {"kind": "APIGroupList", "apiVersion": "v1",
                        "groups": [_group(group) for group in ordered_groups(registry) if group.name]}
    if parts[0] == "api" and len(parts) == 2 and registry.has_version("", parts[1]):
        return lambda: resource_list(registry, "", parts[1])
    if parts[0] == "apis" and len(parts) == 2:
        found = next((group for group in registry.groups() if group.name == parts[1] and group.name), None)
        if found is not None:
            return lambda: {"kind": "APIGroup", "apiVersion": "v1", **_group(found)}
    if parts[0] == "apis" and len(parts) == 3 and parts[1] and registry.has_version(parts[1], parts[2]):
        return lambda: resource_list(registry, parts[1], parts[2])
    return None


def _form(request: Request) -> str:
    """The version of the aggregated form that the client prefers, "" for the older one.  Raises 406."""
    accept = request.headers.get("accept", "")
    if accept in ("", "*/*", "application/json"):
        return ""
    for media, options in parse_accept(accept):
        if media not in ("application/json", "application/*", "*/*"):
            continue
        wanted = options.get("as", "")
        if not wanted:
            return ""
        if wanted == "APIGroupDiscoveryList" and options.get("g") == AGGREGATED \
                and options.get("v") in AGGREGATED_VERSIONS:
            return options["v"]
    raise not_acceptable()


def _cached(api: ApiServer, key: str, request: Request, make: Callable[[], Json], content_type: str) -> Response:
    """Encode once per change of the registry.  Clients that have it already say so by its ETag."""
    changes, documents = _caches.get(api.registry, (-1, {}))
    if changes != api.registry.changes:
        documents = {}
        _caches[api.registry] = (api.registry.changes, documents)
    if key not in documents:
        body = orjson.dumps(make())
        documents[key] = (body, f'"{hashlib.sha512(body).hexdigest().upper()}"')
    body, etag = documents[key]
    headers = {"ETag": etag, "Vary": "Accept"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(304, b"", headers=headers)
    return Response(200, body, headers=headers, content_type=content_type)


def ordered_groups(registry: Registry) -> list[Group]:
    """The built-in groups in Kubernetes' order, then those of custom resources by name."""
    order = {name: index for index, name in enumerate(GROUP_ORDER)}
    return sorted(registry.groups(), key=lambda group: (order.get(group.name, len(order)), group.name))


def _paths(registry: Registry) -> list[str]:
    paths = ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz",
             "/version"]
    for group in registry.groups():
        if group.name:
            paths += [f"/apis/{group.name}", *(f"/apis/{group.name}/{version}" for version in group.versions)]
    return sorted(paths)


def _group(group: Group) -> Json:
    versions = [{"groupVersion": f"{group.name}/{version}", "version": version} for version in group.versions]
    return {"name": group.name, "versions": versions, "preferredVersion": versions[0]}


def _verbs(kind: Kind) -> list[str]:
    return [verb for verb in CUSTOM_VERBS if verb in kind.verbs] if kind.custom is not None else list(kind.verbs)


def _subresources(kind: Kind) -> Iterable[Subresource]:
    # By name, as everywhere; only custom resources have status before scale.
    return sorted(kind.subresources, key=lambda s: s.name, reverse=kind.custom is not None)


def resource_list(registry: Registry, group: str, version: str) -> Json:
    """The older form of one group version: resources and subresources in one flat list."""
    resources: list[Json] = []
    for kind in registry.kinds(group, version):
        entry: Json = {"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
                       "kind": kind.kind, "verbs": _verbs(kind)}
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        if not kind.virtual:
            entry["storageVersionHash"] = _storage_hash(kind)
        resources.append(entry)
        for sub in _subresources(kind):
            entry = {"name": f"{kind.plural}/{sub.name}", "singularName": "", "namespaced": kind.namespaced}
            if sub.kind and (sub.group, sub.version) != (group, version):
                if sub.group:
                    entry["group"] = sub.group
                entry["version"] = sub.version
            resources.append({**entry, "kind": sub.kind or kind.kind, "verbs": list(sub.verbs)})
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _storage_hash(kind: Kind) -> str:
    """Opaque to clients: it changes when objects are stored in another form."""
    text = f"{kind.storage}/{kind.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _aggregated(registry: Registry, core: bool, form: str) -> Json:
    """Everything in one answer: groups, their versions, their resources, their subresources."""
    groups = [{"metadata": {"name": group.name} if group.name else {},
               "versions": [{"version": version, "resources": [_resource(kind) for kind in
                                                               registry.kinds(group.name, version)],
                             "freshness": "Current"} for version in group.versions]}
              for group in ordered_groups(registry) if core == (group.name == "")]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": f"{AGGREGATED}/{form}", "metadata": {}, "items": groups}


def _resource(kind: Kind) -> Json:
    # Built-in resources leave group and version of their own kind empty; custom ones name them.
    own = (kind.group, kind.version) if kind.custom is not None else ("", "")
    entry: Json = {"resource": kind.plural, "responseKind": _kind(*own, kind.kind),
                   "scope": "Namespaced" if kind.namespaced else "Cluster", "singularResource": kind.singular,
                   "verbs": _verbs(kind)}
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    subresources = []
    for sub in _subresources(kind):
        elsewhere = sub.kind and (sub.group, sub.version) != (kind.group, kind.version)
        response = _kind(sub.group, sub.version, sub.kind) if elsewhere else _kind(*own, sub.kind or kind.kind)
        subresources.append({"subresource": sub.name, "responseKind": response, "verbs": list(sub.verbs)})
    if subresources:
        entry["subresources"] = subresources
    return entry


def _kind(group: str, version: str, kind: str) -> Json:
    return {"group": group, "version": version, "kind": kind}
