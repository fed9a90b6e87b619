"""The paths of a group version, as OpenAPI operations.

Clients look for three things here: `x-kubernetes-group-version-kind` (which operation is about my
object?), `x-kubernetes-action`, and the parameter `fieldValidation` on PATCH, which tells kubectl that
the server checks unknown fields itself.  Everything is derived from the `Kind` declarations.

Source: k8s.io/apiserver/pkg/endpoints/installer.go; k8s.io/kubectl/pkg/util/openapi (query parameters).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kitlib.api.kind import Kind, Subresource

Json = dict[str, Any]

MACHINERY = "io.k8s.apimachinery.pkg.apis.meta.v1"
REF = "#/components/schemas/"
PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json",
               "application/strategic-merge-patch+json", "application/apply-patch+yaml")

_TEXT, _FLAG, _NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}


def _parameter(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": {**schema, "uniqueItems": True}}


_DRY_RUN = _parameter("dryRun", _TEXT, "All: do everything but store the result.")
_MANAGER = _parameter("fieldManager", _TEXT, "Who owns the fields that this request sets.")
_VALIDATION = _parameter("fieldValidation", _TEXT, "What to do about unknown fields: Ignore, Warn or Strict.")
_FORCE = _parameter("force", _FLAG, "Take over fields that others own (apply only).")
_PRETTY = _parameter("pretty", _TEXT, "If true, the answer is indented.")
_LIST = [
    _parameter("allowWatchBookmarks", _FLAG, "Send BOOKMARK events."),
    _parameter("continue", _TEXT, "Where the last answer ended."),
    _parameter("fieldSelector", _TEXT, "Only objects whose fields match."),
    _parameter("labelSelector", _TEXT, "Only objects whose labels match."),
    _parameter("limit", _NUMBER, "At most so many objects."),
    _parameter("resourceVersion", _TEXT, "How old the answer may be."),
    _parameter("resourceVersionMatch", _TEXT, "How resourceVersion is meant: Exact or NotOlderThan."),
    _parameter("sendInitialEvents", _FLAG, "Begin the watch with the objects that are there."),
    _parameter("timeoutSeconds", _NUMBER, "How long a watch lasts."),
    _parameter("watch", _FLAG, "Send changes instead of a list."),
]
_DELETE = [
    _DRY_RUN,
    _parameter("gracePeriodSeconds", _NUMBER, "How long the object may take to end."),
    _parameter("orphanDependents", _FLAG, "Deprecated: leave what the object owns."),
    _parameter("propagationPolicy", _TEXT, "What becomes of what the object owns: Orphan, Background, Foreground."),
]
_PARAMETERS = {"list": _LIST, "post": [_DRY_RUN, _MANAGER, _VALIDATION], "put": [_DRY_RUN, _MANAGER, _VALIDATION],
               "patch": [_DRY_RUN, _MANAGER, _VALIDATION, _FORCE], "delete": _DELETE,
               "deletecollection": [*_DELETE, *_LIST[:7]]}

# verb -> (HTTP method, x-kubernetes-action, first word of the operation's id)
_VERBS = {"list": ("get", "list", "list"), "create": ("post", "post", "create"),
          "deletecollection": ("delete", "deletecollection", "deleteCollection"), "get": ("get", "get", "read"),
          "update": ("put", "put", "replace"), "patch": ("patch", "patch", "patch"),
          "delete": ("delete", "delete", "delete")}
_CODES = {"create": ("200", "201", "202"), "update": ("200", "201"), "patch": ("200", "201"),
          "delete": ("200", "202")}
_GVK = ("group", "version", "kind")
_CONNECTS = {"attach", "exec", "portforward", "proxy"}


def group_path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


class Definitions:
    """The types that paths refer to.  What another group defines (Scale, Eviction) is fetched when needed."""

    def __init__(self, schemas: Json, fetch: Callable[[str], Json]) -> None:
        self.schemas, self._fetch = schemas, fetch
        self._by_kind: dict[tuple[str, str, str], str] = {}
        self._index(schemas)
        schemas.setdefault(f"{MACHINERY}.Patch", {"type": "object",
                                                  "description": "A change, in one of several forms."})

    def _index(self, schemas: Json) -> None:
        for name, schema in schemas.items():
            for gvk in schema.get("x-kubernetes-group-version-kind", ()):
                self._by_kind.setdefault((gvk["group"], gvk["version"], gvk["kind"]), name)

    def reference(self, group: str, version: str, kind: str) -> Json:
        """{"$ref": ...} to a kind; a bare object if nobody defines it."""
        key = (group, version, kind)
        if key not in self._by_kind:
            try:
                others = self._fetch(f"{group}/{version}" if group else version)
            except KeyError:
                return {"type": "object"}
            wanted = next((name for name, schema in others.items() if {"group": group, "version": version, "kind": kind}
                           in schema.get("x-kubernetes-group-version-kind", ())), None)
            if wanted is None:
                return {"type": "object"}
            self._add(wanted, others)
            self._by_kind[key] = wanted
        return {"$ref": REF + self._by_kind[key]}

    def _add(self, name: str, others: Json) -> None:
        if name in self.schemas:
            return
        self.schemas[name] = others[name]
        for reference in _references(others[name]):
            self._add(reference, others)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str):
            yield target.removeprefix(REF)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def paths_of(kinds: list[Kind], definitions: Definitions) -> Json:
    """All paths of one group version's kinds."""
    paths: Json = {}
    for kind in kinds:
        base = f"/{group_path(kind.group, kind.version)}"
        scope = f"{base}/namespaces/{{namespace}}" if kind.namespaced else base
        collection, item = f"{scope}/{kind.plural}", f"{scope}/{kind.plural}/{{name}}"
        for path, verbs in ((collection, ("list", "create", "deletecollection")),
                            (item, ("get", "update", "patch", "delete"))):
            _put(paths, path, kind, [verb for verb in verbs if verb in kind.verbs], definitions)
        if kind.namespaced and "list" in kind.verbs:
            _put(paths, f"{base}/{kind.plural}", kind, ["list"], definitions, suffix="ForAllNamespaces")
        for sub in kind.subresources:
            _put(paths, f"{item}/{sub.name}", kind, [verb for verb in _VERBS if verb in sub.verbs], definitions, sub)
    return dict(sorted(paths.items()))


def _put(paths: Json, path: str, kind: Kind, verbs: list[str], definitions: Definitions, sub: Subresource | None = None,
         suffix: str = "") -> None:
    if not verbs:
        return
    item: Json = {}
    for verb in verbs:
        item[_VERBS[verb][0]] = _operation(kind, verb, path, definitions, sub, suffix)
    inside = [{"name": name, "in": "path", "required": True, "description": description,
               "schema": {"type": "string", "uniqueItems": True}}
              for name, description in (("namespace", "The object's namespace."), ("name", "The object's name."))
              if f"{{{name}}}" in path]
    paths[path] = {**item, "parameters": [*inside, _PRETTY]}


def _operation(kind: Kind, verb: str, path: str, definitions: Definitions, sub: Subresource | None,
               suffix: str) -> Json:
    method, action, word = _VERBS[verb]
    body_kind = (kind.group, kind.version, kind.kind)
    if sub is not None and sub.kind:
        body_kind = (sub.group, sub.version, sub.kind)
    connect = sub is not None and sub.name in _CONNECTS
    if connect:
        action, word = "connect", f"connect{method.capitalize()}"
    tag = _camel(kind.group) + kind.version.capitalize()
    scope = "Namespaced" if kind.namespaced and not suffix else ""
    name = f"{word}{tag}{scope}{kind.kind}{_camel(sub.name) if sub else ''}{suffix}"
    operation: Json = {"tags": [tag[0].lower() + tag[1:]], "operationId": name, "x-kubernetes-action": action,
                       "description": _describe(verb, kind, sub),
                       "x-kubernetes-group-version-kind": dict(zip(_GVK, body_kind, strict=True))}
    parameters = [] if connect else _PARAMETERS.get(verb if verb in ("list", "deletecollection") else method, [])
    if parameters:
        operation["parameters"] = parameters
    schema = definitions.reference(*body_kind) if not connect else {"type": "string"}
    if verb == "patch":
        patch = {"$ref": f"{REF}{MACHINERY}.Patch"}
        operation["requestBody"] = {"required": True, "content": {
            media: {"schema": patch} for media in PATCH_TYPES if kind.custom is None or "strategic" not in media}}
    elif verb in ("create", "update") and not connect:
        operation["requestBody"] = {"required": True, "content": {"*/*": {"schema": schema}}}
    elif verb in ("delete", "deletecollection"):
        options = definitions.reference(kind.group, kind.version, "DeleteOptions")
        operation["requestBody"] = {"content": {"*/*": {"schema": options}}}
    operation["responses"] = _responses(kind, verb, schema, definitions, connect)
    return operation


def _responses(kind: Kind, verb: str, schema: Json, definitions: Definitions, connect: bool) -> Json:
    if verb == "list":
        schema = definitions.reference(kind.group, kind.version, kind.list_kind)
    elif verb in ("delete", "deletecollection"):
        status = f"{MACHINERY}.Status"
        schema = {"$ref": REF + status} if status in definitions.schemas else {"type": "object"}
    media = "*/*" if connect else "application/json"
    done = {"description": "OK", "content": {media: {"schema": schema}}}
    return {**dict.fromkeys(_CODES.get(verb, ("200",)), done), "401": {"description": "Unauthorized"}}


def _describe(verb: str, kind: Kind, sub: Subresource | None) -> str:
    what = f"the {sub.name} of a {kind.kind}" if sub else kind.kind
    return f"{verb} {what}"


def _camel(text: str) -> str:
    """rbac.authorization.k8s.io -> RbacAuthorization; the core group is Core."""
    if not text:
        return "Core"
    short = text.removesuffix(".k8s.io")
    return "".join(part[:1].upper() + part[1:] for part in short.replace("-", ".").split("."))
