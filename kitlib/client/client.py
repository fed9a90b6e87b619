"""Client: Kubernetes' verbs over a transport.

Two things every request of ours carries beside the object:

* who asks, as `User-Agent` (`kube-controller-manager/replicaset`): it ends up in the object's managedFields and
  in the trace;
* why, as `cause`: the revision of the watch event that woke the writer.  It is what lets a trace say "this Pod
  exists because the ReplicaSet was scaled in revision 812".

The client notes every write it made (`writes`): the loop needs to know what its own cache has not seen yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kitlib.client.paths import BUILTIN_VERSIONS, api_version, resource_path, split_resource
from kitlib.client.transport import Transport, WatchSource

Object = dict[str, Any]

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


@dataclass(frozen=True, slots=True)
class Write:
    """One write that the API accepted.  revision 0: the answer did not say (a DELETE that ended the object)."""

    verb: str
    resource: str
    namespace: str
    name: str
    uid: str
    revision: int
    subresource: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Client:
    """Typed only where it matters: objects are plain dicts in Kubernetes' JSON form."""

    def __init__(self, transport: Transport, user_agent: str = "kit", field_manager: str | None = None) -> None:
        self.transport, self.user_agent, self.field_manager = transport, user_agent, field_manager
        self.cause = 0
        self.writes: list[Write] = []
        self._versions: dict[str, str] = {}
        self._headers = {"user-agent": user_agent, "accept": "application/json"}

    # -- reading ----------------------------------------------------------------------------------------------

    def get(self, resource: str, namespace: str, name: str, subresource: str = "") -> Object:
        return self._request("GET", self.path(resource, namespace, name, subresource))

    def list(self, resource: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = "",
             resource_version: str = "", exact: bool = False, limit: int = 0, continue_token: str = "",
             accept: str = "") -> Object:
        """namespace None: of all namespaces.  A long list comes in pieces if `limit` is given.

        exact: as it was at `resource_version`, not later.  accept: another form of the answer, such as a Table.
        """
        query = _query(labelSelector=label_selector, fieldSelector=field_selector, resourceVersion=resource_version,
                       resourceVersionMatch="Exact" if exact else "", limit=str(limit or ""),
                       **{"continue": continue_token})
        return self._request("GET", self.path(resource, namespace or ""), query,
                             headers={"accept": accept} if accept else None)

    def watch(self, resource: str, namespace: str | None = None, *, resource_version: str = "",
              label_selector: str = "", field_selector: str = "", initial_events: bool = False) -> WatchSource:
        """Every change after `resource_version`; with initial_events first what is there, then a BOOKMARK."""
        query = _query(watch="true", allowWatchBookmarks="true", resourceVersion=resource_version,
                       labelSelector=label_selector, fieldSelector=field_selector)
        if initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        return self.transport.watch(self.path(resource, namespace or ""), query, self._headers)

    # -- writing ----------------------------------------------------------------------------------------------

    def create(self, resource: str, namespace: str, obj: Object, *, name: str = "", subresource: str = "") -> Object:
        """name and subresource for those that are created on an object: binding, eviction, token."""
        done = self._request("POST", self.path(resource, namespace, name, subresource), self._manager(), obj)
        return self._note("create", resource, namespace, name, done, subresource=subresource)

    def update(self, resource: str, namespace: str, obj: Object, *, subresource: str = "") -> Object:
        """PUT.  The object's resourceVersion is the compare of compare-and-swap: 409 if somebody was faster."""
        name = obj["metadata"]["name"]
        done = self._request("PUT", self.path(resource, namespace, name, subresource), self._manager(), obj)
        return self._note("update", resource, namespace, name, done, subresource=subresource)

    def update_status(self, resource: str, namespace: str, obj: Object) -> Object:
        return self.update(resource, namespace, obj, subresource="status")

    def patch(self, resource: str, namespace: str, name: str, patch: Any, *, kind: str = "merge",
              subresource: str = "", force: bool = False) -> Object:
        """kind: merge, strategic, json (a list of operations) or apply (then `force` takes fields over)."""
        query = self._manager(required=kind == "apply") | ({"force": "true"} if force else {})
        done = self._request("PATCH", self.path(resource, namespace, name, subresource), query, patch,
                             {"content-type": PATCH_TYPES[kind]})
        return self._note("patch", resource, namespace, name, done, subresource=subresource)

    def delete(self, resource: str, namespace: str, name: str, *, uid: str = "", resource_version: str = "",
               grace: int | None = None, propagation: str = "") -> Object:
        """The object if it survives for now (grace, finalizers), else a Status.  uid: only if it is this very one."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = _query(uid=uid, resourceVersion=resource_version)
        if preconditions:
            options["preconditions"] = preconditions
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if propagation:
            options["propagationPolicy"] = propagation
        done = self._request("DELETE", self.path(resource, namespace, name), None, options)
        return self._note("delete", resource, namespace, name, done, uid=uid)

    def delete_collection(self, resource: str, namespace: str, *, propagation: str = "") -> Object:
        """Delete all objects of a resource in a namespace."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1"} | _query(propagationPolicy=propagation)
        return self._request("DELETE", self.path(resource, namespace), None, options)

    # -- the way there ----------------------------------------------------------------------------------------

    def path(self, resource: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
        return resource_path(resource, self.version(split_resource(resource)[1]), quote(namespace),
                             quote(name, safe=":"), subresource)

    def version(self, group: str) -> str:
        """The version we speak of a group: fixed for built-in ones, else the one the server prefers."""
        known = BUILTIN_VERSIONS.get(group) or self._versions.get(group)
        if known is None:
            known = self._request("GET", f"/apis/{group}")["preferredVersion"]["version"]
            self._versions[group] = known
        return known

    def api_version(self, resource: str) -> str:
        group = split_resource(resource)[1]
        return api_version(group, self.version(group))

    def _request(self, method: str, path: str, query: dict[str, str] | None = None, obj: Any = None,
                 headers: dict[str, str] | None = None) -> Any:
        sent = dict(self._headers)
        if obj is not None:
            sent["content-type"] = "application/json"
        if self.cause:
            sent["kit-cause"] = str(self.cause)
        return self.transport.request(method, path, query=query, headers=sent | (headers or {}), obj=obj)

    def _manager(self, required: bool = False) -> dict[str, str]:
        manager = self.field_manager or (self.user_agent.partition("/")[0] if required else "")
        return {"fieldManager": manager} if manager else {}

    def _note(self, verb: str, resource: str, namespace: str, name: str, done: Object, *, subresource: str = "",
              uid: str = "") -> Object:
        meta = done.get("metadata") or {}
        is_object = done.get("kind") != "Status"
        revision = meta.get("resourceVersion", "") if is_object else ""
        self.writes.append(Write(verb, resource, namespace, name or meta.get("name", ""),
                                 (meta.get("uid", "") if is_object else "") or uid,
                                 int(revision) if revision.isdigit() else 0, subresource))
        return done


def _query(**parameters: str) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}
