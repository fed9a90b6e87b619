"""Namespace: to delete a namespace is to delete everything in it, in order, and to say how far it is.

`kubectl delete namespace` only marks it: the phase becomes Terminating, and the API refuses to create anything in it
from then on.  The finalizer `kubernetes` in its spec keeps it there until this controller has

    1. deleted its Pods, and waited until they are gone (they have a grace period, and may still need their ConfigMaps)
    2. deleted everything else, of every kind the server has
    3. waited for what still has finalizers; five conditions say what that is
    4. taken off the finalizer, through the subresource `finalize`

The real one waits five seconds before it begins; that teaches nobody anything, so this one does not.

Source: k8s.io/kubernetes/pkg/controller/namespace/deletion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import RequeueAfter, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.client.discovery import discover
from kitlib.controllers.pods import condition
from kitlib.objects.clock import rfc3339

Object = dict[str, Any]

FINALIZER = "kubernetes"
NEEDED_VERBS = frozenset({"list", "delete"})
LOOK_AGAIN = 1.0


@dataclass(frozen=True)
class DeleteAll:
    """Delete all objects of these resources in the namespace: an action of this controller only."""

    namespace: str
    resources: tuple[str, ...]

    def __str__(self) -> str:
        return f"delete all {', '.join(self.resources)} in {self.namespace}"


@dataclass(frozen=True)
class Finalize:
    namespace: Object

    def __str__(self) -> str:
        return f"take the finalizer off namespace {self.namespace['metadata']['name']}"


@dataclass(frozen=True)
class Observed:
    """left: what is still in the namespace, by resource."""

    namespace: Object
    left: dict[str, list[Object]]
    now: float


class Namespace(Controller):
    name = "namespace"
    resource = "namespaces"

    def observe(self, key: str) -> Observed | None:
        """A namespace that is being deleted, and its content: asked of the API, since every kind counts."""
        namespace = self.get(key)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return None
        if FINALIZER not in (namespace["spec"].get("finalizers") or ()):
            return None
        left = {}
        for found in discover(self.client):
            if found.namespaced and found.verbs >= NEEDED_VERBS and found.resource != "events.events.k8s.io":
                items = self.client.list(found.resource, key).get("items") or []
                if items:
                    left[found.resource] = items
        return Observed(namespace, left, self.clock.now())

    def diff(self, observed: Observed) -> list[Any]:
        namespace, left = observed.namespace, observed.left
        name = namespace["metadata"]["name"]
        if not left:
            done = namespace.get("status", {}).get("conditions")   # only one that had to wait says that it has ended
            status = self._status(observed) if done else None
            return [*([status] if status else []), Finalize(namespace)]
        first = ("pods",) if "pods" in left else tuple(sorted(left))
        to_delete = tuple(resource for resource in first
                          if any("deletionTimestamp" not in obj["metadata"] for obj in left[resource]))
        if to_delete:
            return [DeleteAll(name, to_delete), RequeueAfter(0.01)]   # then see what is still there
        status = self._status(observed)
        return [*([status] if status else []), RequeueAfter(LOOK_AGAIN)]

    def act(self, actions: Sequence[Any]) -> None:
        for action in actions:
            if isinstance(action, DeleteAll):
                for resource in action.resources:
                    self.client.delete_collection(resource, action.namespace)
            elif isinstance(action, Finalize):
                namespace = self.client.get("namespaces", "", action.namespace["metadata"]["name"])
                left = [f for f in namespace["spec"].get("finalizers") or () if f != FINALIZER]
                self.client.update("namespaces", "", namespace | {"spec": namespace["spec"] | {"finalizers": left}},
                                   subresource="finalize")
            else:
                self.perform(action)

    def _status(self, observed: Observed) -> UpdateStatus | None:
        """The five conditions, if one of them has changed."""
        namespace = observed.namespace
        known = (namespace.get("status") or {}).get("conditions") or []
        conditions = [_dated(c, condition(namespace, c["type"]), observed.now) for c in _conditions(observed.left)]
        if conditions == known:
            return None
        return UpdateStatus("namespaces", namespace | {"status": namespace["status"] | {"conditions": conditions}})


def _conditions(left: dict[str, list[Object]]) -> list[Object]:
    """What the five conditions say about what is left."""
    finalizers = Counter(f for items in left.values() for obj in items for f in obj["metadata"].get("finalizers") or ())
    content = ", ".join(f"{_dotted(resource)} has {len(items)} resource instances"
                        for resource, items in sorted(left.items()))
    waiting = ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in sorted(finalizers.items()))
    return [
        _condition("NamespaceDeletionDiscoveryFailure", False, "ResourcesDiscovered",
                   "All resources successfully discovered"),
        _condition("NamespaceDeletionGroupVersionParsingFailure", False, "ParsedGroupVersions",
                   "All legacy kube types successfully parsed"),
        _condition("NamespaceDeletionContentFailure", False, "ContentDeleted",
                   "All content successfully deleted, may be waiting on finalization"),
        _condition("NamespaceContentRemaining", True, "SomeResourcesRemain",
                   f"Some resources are remaining: {content}") if left else
        _condition("NamespaceContentRemaining", False, "ContentRemoved", "All content successfully removed"),
        _condition("NamespaceFinalizersRemaining", True, "SomeFinalizersRemain",
                   f"Some content in the namespace has finalizers remaining: {waiting}") if finalizers else
        _condition("NamespaceFinalizersRemaining", False, "ContentHasNoFinalizers",
                   "All content-preserving finalizers finished"),
    ]


def _dotted(resource: str) -> str:
    """The core group shows as "pods.", others as "deployments.apps"."""
    return resource if "." in resource else f"{resource}."


def _condition(type: str, status: bool, reason: str, message: str) -> Object:
    return {"type": type, "status": "True" if status else "False", "reason": reason, "message": message}


def _dated(fresh: Object, known: Any, now: float) -> Object:
    """lastTransitionTime moves only when the status does."""
    same = known is not None and known["status"] == fresh["status"]
    return fresh | {"lastTransitionTime": known["lastTransitionTime"] if same else rfc3339(now)}
