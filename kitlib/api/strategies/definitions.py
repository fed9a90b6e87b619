"""CustomResourceDefinitions: names accepted, established, and cleaned up after.

A new definition gets its conditions in a second write right after the first, as a controller would
do it.  A deleted one stays, marked, until its last custom object has gone.

Source: k8s.io/apiextensions-apiserver/pkg/{registry/customresourcedefinition,controller/{status,establish,finalizer}}.
"""

from __future__ import annotations

from kitlib.api import apiservices, deletion
from kitlib.api.call import Call
from kitlib.api.crd import kinds_of
from kitlib.api.deletion import DeleteOptions
from kitlib.api.strategies.base import Obj, Strategy
from kitlib.objects.clock import rfc3339
from kitlib.objects.meta import clone
from kitlib.store import Entry

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class DefinitionStrategy(Strategy):
    """The strategy of CustomResourceDefinitions."""

    finalizers_of_deletion = (CLEANUP,)

    def prepare_create(self, call: Call, obj: Obj) -> None:
        stored = [v["name"] for v in obj["spec"].get("versions") or () if v.get("storage")][:1]
        obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}

    def prepare_update(self, call: Call, obj: Obj, old: Obj) -> None:
        """A version that objects have been stored in is remembered for ever."""
        status = clone(obj.get("status") or {})
        stored = status.setdefault("storedVersions", []) or []
        for version in obj["spec"].get("versions") or ():
            if version.get("storage") and version["name"] not in stored:
                stored.append(version["name"])
        obj["status"] = {**status, "storedVersions": stored}

    def after_create(self, call: Call, entry: Entry) -> None:
        self._establish(call, entry)

    def after_update(self, call: Call, entry: Entry, old: Entry) -> None:
        if entry.obj["spec"] != old.obj["spec"]:
            self._establish(call, entry)

    def _establish(self, call: Call, entry: Entry) -> None:
        """Serve the definition and say so in its status."""
        definition = clone(entry.obj)
        status, names = definition["status"], definition["spec"]["names"]
        taken = self._conflicts(entry.obj)
        now = rfc3339(call.api.clock.now())
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        if taken:
            _set(conditions, "NamesAccepted", "False", taken[0], taken[1], now)
            if "Established" not in conditions:
                _set(conditions, "Established", "False", "NotAccepted", "not all names are accepted", now)
        else:
            status["acceptedNames"] = clone(names)
            _set(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
            _set(conditions, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now)
            call.api.customs.serve(entry.obj)
            apiservices.follow(call.api)
        status["conditions"] = list(conditions.values())
        if definition != entry.obj:
            written = call.api.store.update(*entry.key, definition)
            call.api.writes.record(call, written, "update")

    def _conflicts(self, definition: Obj) -> tuple[str, str] | None:
        """(reason, message) if another resource of the group has one of the names."""
        spec, names = definition["spec"], definition["spec"]["names"]
        for kind in self.api.registry.kinds(spec["group"]):
            if kind.plural == names["plural"]:
                continue
            if kind.kind == names["kind"]:
                return "KindConflict", f'"{kind.kind}" is already in use'
            wanted = {names.get("singular", ""), *(names.get("shortNames") or ())} - {""}
            clash = wanted & {kind.singular, kind.plural, *kind.short_names}
            if clash:
                return "ShortNamesConflict", f'"{min(clash)}" is already in use'
        return None

    # -- deletion

    def mark(self, call: Call, obj: Obj) -> None:
        conditions = {c["type"]: c for c in clone(obj["status"].get("conditions") or [])}
        _set(conditions, "Terminating", "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress",
             rfc3339(call.api.clock.now()))
        obj["status"] = {**obj["status"], "conditions": list(conditions.values())}

    def after_mark(self, call: Call, entry: Entry) -> None:
        """Delete all custom objects; the definition follows once none is left."""
        kind = next((k for k, _ in kinds_of(entry.obj) if k.storage_version), None)
        if kind is not None:
            inner = Call(call.api, call.request, call.info, call.user, kind)
            for instance in call.api.store.list(kind.storage):
                deletion.delete(inner, instance, DeleteOptions(policy="Background"), admit=False)
        self.finish(call, entry.key.name)

    def finish(self, call: Call, name: str) -> None:
        """Take off the finalizer of a marked definition that has no objects any more."""
        found = self.api.store.get(self.storage, "", name)
        if found is None or not found.obj["metadata"].get("deletionTimestamp") or self.api.store.count(name):
            return
        definition = clone(found.obj)
        meta = definition["metadata"]
        left = [finalizer for finalizer in meta.get("finalizers") or () if finalizer != CLEANUP]
        if left == meta.get("finalizers"):
            return
        meta["finalizers"] = left
        if left:
            entry = self.api.store.update(*found.key, definition)
        else:
            del meta["finalizers"]
            entry = self.api.store.delete(*found.key, obj=definition)
            self.after_delete(call, entry)
        call.api.writes.record(call, entry, "update" if left else "delete")

    def after_delete(self, call: Call, entry: Entry) -> None:
        self.api.customs.withdraw(entry.key.name)
        apiservices.follow(self.api)


def _set(conditions: dict[str, Obj], kind: str, status: str, reason: str, message: str, now: str) -> None:
    before = conditions.get(kind)
    if before is None or before["status"] != status:
        conditions[kind] = {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason,
                            "message": message}
