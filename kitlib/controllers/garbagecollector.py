"""Garbage collector: what happens to the children when the parent goes.

Objects name their owners in `ownerReferences`, by uid.  From that the collector answers three questions, for any kind:

    are all my owners gone?          delete me                                        (background, the default)
    is my owner waiting for me?      `foregroundDeletion` on the owner: delete me first; when no dependent with
                                     `blockOwnerDeletion` is left, the owner's finalizer is taken off
    am I to be left alone?           `orphan` on the owner: remove the references to it, then its finalizer

An owner with the same name but another uid is not the owner: it is a new object.  And before anything is deleted for
lack of an owner, the API itself is asked: a cache may be behind, and a deletion cannot be taken back.

It is one controller for all kinds, those of CustomResourceDefinitions included; a key is `RESOURCE|NAMESPACE/NAME`.

Source: k8s.io/kubernetes/pkg/controller/garbagecollector (garbagecollector.go, graph_builder.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Delete, Patch
from kitlib.client.controller import Controller
from kitlib.client.discovery import ApiResource, discover
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import object_key, split_key

Object = dict[str, Any]

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
NEEDED_VERBS = frozenset({"list", "watch", "delete"})
IGNORED = frozenset({"events", "events.events.k8s.io"})


@dataclass(frozen=True)
class Dependent:
    resource: str
    obj: Object


@dataclass(frozen=True)
class Observed:
    """owners: each reference with what it points to: the live object, or None if that is gone."""

    resource: str
    obj: Object
    owners: list[tuple[Object, Object | None]]
    dependents: list[Dependent]


class GarbageCollector(Controller):
    name = "garbagecollector"
    resource = CRDS
    component = "garbage-collector-controller"

    def watch_own(self) -> None:
        self._kinds: dict[tuple[str, str], ApiResource] = {}   # (group, kind) → its resource
        self._watched: set[str] = set()
        self._discover()
        self.cache(CRDS).add_handler(lambda kind, old, new: self._discover())

    def _discover(self) -> None:
        """Watch every kind that can be deleted and is not watched yet."""
        for found in discover(self.client):
            self._kinds[found.group, found.kind] = found
            if found.verbs >= NEEDED_VERBS and found.resource not in self._watched | IGNORED:
                self._watched.add(found.resource)
                self._follow(found.resource)

    def _follow(self, resource: str) -> None:
        def handler(kind: str, old: Object | None, new: Object | None) -> None:
            obj = new or old or {}
            if new is not None and (old is None or _matters(old, new)) and self._may_be_garbage(resource, new):
                self._wake(f"{resource}|{object_key(new)}", kind, resource, new)
            if new is None or FOREGROUND in (new["metadata"].get("finalizers") or ()):
                for dependent in self._dependents(obj["metadata"]["uid"]):
                    self._wake(f"{dependent.resource}|{object_key(dependent.obj)}", kind, resource, obj)
            if new is None:
                for owner in self._cached_owners(obj):   # one that waits for its dependents
                    self._wake(owner, kind, resource, obj)

        self.cache(resource).add_handler(handler)

    def _may_be_garbage(self, resource: str, obj: Object) -> bool:
        """A cheap look at the cache: nearly all objects have an owner that is alive and well."""
        if "deletionTimestamp" in obj["metadata"] and obj["metadata"].get("finalizers"):
            return True
        for reference in obj["metadata"].get("ownerReferences") or ():
            owner = self._cached(reference, obj)
            if owner is None or "deletionTimestamp" in owner["metadata"]:
                return True
        return False

    # -- observe ----------------------------------------------------------------------------------------------

    def observe(self, key: str) -> Observed | None:
        resource, _, name = key.partition("|")
        obj = self.cache(resource).get(name)
        if obj is None:
            return None
        references = obj["metadata"].get("ownerReferences") or ()
        owners = [(reference, self._owner(reference, obj)) for reference in references]
        return Observed(resource, obj, owners, self._dependents(obj["metadata"]["uid"]))

    def _dependents(self, uid: str) -> list[Dependent]:
        return [Dependent(resource, obj) for resource in self._watched
                for obj in self.cache(resource).by_index("owner", uid)]

    def _owner(self, reference: Object, child: Object) -> Object | None:
        """What the reference points to.  If the cache does not know it, the API is asked."""
        cached = self._cached(reference, child)
        if cached is not None:
            return cached
        kind = self._kind_of(reference)
        if kind is None:
            return {"metadata": {"uid": reference["uid"]}}   # of an unknown kind nothing can be said: leave it be
        namespace = child["metadata"].get("namespace", "") if kind.namespaced else ""
        if kind.namespaced and not namespace:
            return None   # a cluster-scoped child cannot have an owner in a namespace
        try:
            live = self.client.get(kind.resource, namespace, reference["name"])
        except StatusError as error:
            if error.code != 404:
                raise
            return None
        return live if live["metadata"]["uid"] == reference["uid"] else None

    def _cached(self, reference: Object, child: Object) -> Object | None:
        kind = self._kind_of(reference)
        if kind is None or kind.resource not in self._watched:
            return None
        owner = self.cache(kind.resource).get(_owner_key(kind, reference, child))
        return owner if owner is not None and owner["metadata"]["uid"] == reference["uid"] else None

    def _cached_owners(self, child: Object) -> Iterator[str]:
        for reference in child["metadata"].get("ownerReferences") or ():
            kind = self._kind_of(reference)
            if kind is not None and self._cached(reference, child) is not None:
                yield f"{kind.resource}|{_owner_key(kind, reference, child)}"

    def _kind_of(self, reference: Mapping[str, Any]) -> ApiResource | None:
        return self._kinds.get((reference["apiVersion"].rpartition("/")[0], reference["kind"]))

    # -- diff -------------------------------------------------------------------------------------------------

    def diff(self, observed: Observed) -> list[Action]:
        meta = observed.obj["metadata"]
        if "deletionTimestamp" in meta:
            return self._finish(observed)
        solid = [ref for ref, owner in observed.owners if owner is not None and not _waits(owner)]
        dangling = [ref for ref, owner in observed.owners if owner is None]
        waiting = [ref for ref, owner in observed.owners if owner is not None and _waits(owner)]
        if not dangling and not waiting:
            return []
        if solid:   # it still belongs to somebody: only forget the others
            return [_without_owners(observed.resource, observed.obj, dangling + waiting)]
        policy = "Foreground" if waiting and observed.dependents else "Background"
        return [Delete(observed.resource, meta.get("namespace", ""), meta["name"], uid=meta["uid"], propagation=policy)]

    def _finish(self, observed: Observed) -> list[Action]:
        """The object is on its way out and has a finalizer of ours: do what it stands for, then take it off."""
        finalizers = observed.obj["metadata"].get("finalizers") or []
        if ORPHAN in finalizers:
            freed: list[Action] = [_without_owners(d.resource, d.obj, [{"uid": observed.obj["metadata"]["uid"]}])
                                   for d in observed.dependents]
            return [*freed, _without_finalizer(observed, ORPHAN)]
        if FOREGROUND in finalizers and not any(_blocks(d.obj, observed.obj) for d in observed.dependents):
            return [_without_finalizer(observed, FOREGROUND)]
        return []


def _owner_key(kind: ApiResource, reference: Mapping[str, Any], child: Object) -> str:
    namespace = child["metadata"].get("namespace", "") if kind.namespaced else ""
    return f"{namespace}/{reference['name']}" if namespace else reference["name"]


def _matters(old: Object, new: Object) -> bool:
    """Whether a change is one the collector cares about."""
    return any(old["metadata"].get(name) != new["metadata"].get(name)
               for name in ("ownerReferences", "finalizers", "deletionTimestamp", "uid"))


def _waits(owner: Object) -> bool:
    meta = owner["metadata"]
    return "deletionTimestamp" in meta and FOREGROUND in (meta.get("finalizers") or ())


def _blocks(dependent: Object, owner: Object) -> bool:
    return any(ref.get("blockOwnerDeletion") for ref in dependent["metadata"].get("ownerReferences") or ()
               if ref["uid"] == owner["metadata"]["uid"])


def _without_owners(resource: str, obj: Object, references: list[Object]) -> Patch:
    """A merge patch with the references that stay; the revision makes it fail if they have changed meanwhile."""
    meta = obj["metadata"]
    gone = {reference["uid"] for reference in references}
    left = [ref for ref in meta.get("ownerReferences") or () if ref["uid"] not in gone]
    return Patch(resource, meta.get("namespace", ""), meta["name"], {"metadata": {
        "ownerReferences": left or None, "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}})


def _without_finalizer(observed: Observed, finalizer: str) -> Patch:
    namespace, name = split_key(object_key(observed.obj))
    meta = observed.obj["metadata"]
    left = [f for f in meta["finalizers"] if f != finalizer]
    return Patch(observed.resource, namespace, name, {"metadata": {
        "finalizers": left or None, "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}})
