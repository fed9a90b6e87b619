"""OpenAPI: the API's own description, which `kubectl apply`, `explain` and `diff` read before they act.

    /openapi/v3                    which documents there are, each with the hash of its content
    /openapi/v3/apis/apps/v1       one group version: its types and its paths
    /openapi/v2                    everything in one document, for older clients

A document is made when it is first asked for and kept compressed (some 300 KB for all); the decoded
form, fifty times as large, is dropped at once.  The hash in the index lets clients keep documents on
disk forever; it is made of what the document is made *from*, so the index costs nothing.

Source: k8s.io/kube-openapi/pkg/handler3 and handler; k8s.io/client-go/openapi3.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import zlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import orjson

from kitlib.api.kind import Kind, Registry
from kitlib.api.negotiate import not_acceptable, parse_accept
from kitlib.api.openapi_paths import Definitions, group_path, paths_of
from kitlib.api.request import Request, Response
from kitlib.objects.errors import StatusError

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

Json = dict[str, Any]

SECURITY = {"BearerToken": {"description": "A bearer token", "in": "header", "name": "authorization", "type": "apiKey"}}

# Per registry: document's key -> (hash of its sources, compressed bytes).
_documents: WeakKeyDictionary[Registry, dict[str, tuple[str, bytes]]] = WeakKeyDictionary()


def openapi(api: ApiServer, request: Request) -> Response | None:
    """The answer below /openapi, or None if there is no such document."""
    path = request.path.rstrip("/")
    if request.method != "GET":
        raise StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource",
                          {})
    registry = api.registry
    if path == "/openapi/v3":
        return Response(200, orjson.dumps(_index(registry, api.config.git_version)))
    if path == "/openapi/v2":
        from kitlib.api import openapi_pb
        from kitlib.api.openapi_v2 import document_v2

        source = ",".join(_source(registry, *gv) for gv in _group_versions(registry))
        protobuf = _media(request, ("application/json", *openapi_pb.ACCEPTED)) in openapi_pb.ACCEPTED
        # Clients ask for a type with an "@", but cannot read it in an answer.
        media = openapi_pb.MEDIA if protobuf else "application/json"
        return _serve(registry, request, f"v2 {protobuf}", _hash(f"{source}{protobuf}"), media,
                      lambda: document_v2(registry, api.config.git_version, protobuf=protobuf))
    found = next((gv for gv in _group_versions(registry) if path == f"/openapi/v3/{group_path(*gv)}"), None)
    if found is None:
        return None
    return _serve(registry, request, path, _hash(_source(registry, *found)), _media(request, ("application/json",)),
                  lambda: _compress(document_v3(registry, *found, api.config.git_version)))


def _group_versions(registry: Registry) -> list[tuple[str, str]]:
    return [(group.name, version) for group in registry.groups() for version in group.versions]


def _index(registry: Registry, git_version: str) -> Json:
    paths = {}
    for group, version in _group_versions(registry):
        path = group_path(group, version)
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(_source(registry, group, version))}"}
    return {"paths": paths}


@cache
def _release() -> str:
    """What else documents are made of: our own release and that of the client whose texts they quote."""
    versions = []
    for package in ("kitlib", "kubernetes"):
        try:
            versions.append(importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            versions.append("-")
    return "/".join(versions)


def _source(registry: Registry, group: str, version: str) -> str:
    """A text that is another one whenever the group version's document would be."""
    parts = [_release(), group, version]
    for kind in registry.kinds(group, version):
        parts.append(f"{kind.plural}:{kind.kind}:{','.join(s.name for s in kind.subresources)}")
        if kind.custom is not None:
            parts.append(hashlib.sha256(orjson.dumps(_schema_of(kind), option=orjson.OPT_SORT_KEYS)).hexdigest())
    return "|".join(parts)


def _hash(text: str) -> str:
    return hashlib.sha512(text.encode()).hexdigest().upper()


def _media(request: Request, served: tuple[str, ...]) -> str:
    """The first media type that the client takes.  Raises 406."""
    accept = request.headers.get("accept", "") or "*/*"
    for media, _ in parse_accept(accept):
        if media in ("application/*", "*/*"):
            return served[0]
        if media in served:
            return media
    raise not_acceptable()


def _serve(registry: Registry, request: Request, key: str, source: str, media: str,
           make: Callable[[], bytes]) -> Response:
    etag = f'"{source}"'
    headers = {"ETag": etag, "Vary": "Accept"}
    if request.param("hash") == source:
        headers["Cache-Control"] = "public, immutable"
    if etag in request.headers.get("if-none-match", ""):
        return Response(304, b"", headers=headers)
    kept = _documents.setdefault(registry, {})
    found = kept.get(key)
    if found is None or found[0] != source:
        found = kept[key] = (source, make())
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(200, found[1], headers={**headers, "Content-Encoding": "gzip"}, content_type=media)
    return Response(200, zlib.decompress(found[1], 31), headers=headers, content_type=media)


def _compress(document: Json) -> bytes:
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
    return squeeze.compress(orjson.dumps(document)) + squeeze.flush()


def document_v3(registry: Registry, group: str, version: str, git_version: str) -> Json:
    """The document of one group version."""
    kinds = registry.kinds(group, version)
    definitions = definitions_of(kinds, group, version)
    paths = paths_of(kinds, definitions)
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": git_version}, "paths": paths,
            "components": {"schemas": dict(sorted(definitions.schemas.items())), "securitySchemes": SECURITY}}


def definitions_of(kinds: list[Kind], group: str, version: str) -> Definitions:
    """The types of a group version: built-in ones out of the tables, custom ones out of their schema."""
    from kitlib.objects.schema.openapi import components, custom_components

    custom = [kind for kind in kinds if kind.custom is not None]
    schemas: Json = {}
    if len(custom) < len(kinds):
        schemas |= components(f"{group}/{version}" if group else version)
    for kind in custom:
        schemas |= custom_components(kind.group, kind.version, kind.kind, kind.list_kind, _schema_of(kind))
    return Definitions(schemas, components)


def _schema_of(kind: Kind) -> Json:
    """A custom kind's openAPIV3Schema; without one anything goes."""
    return getattr(kind.custom, "openapi", None) or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
