"""The write path: what happens to an object between the request's body and the store.

    create   decode ─▶ owners ─▶ mutate ─▶ prepare ─▶ validate ─▶ quota ─▶ store
    update   decode ─▶ owners ─▶ mutate ─▶ version? ─▶ prepare ─▶ validate ─▶ store (or: nothing changed)

*owners* is managedFields, *mutate* and *quota* are admission, *prepare* and *validate* the kind's
strategy.  The order is the real server's, and it shows: a missing namespace is a 404 even for an
invalid object, a stale version a 409 even for an invalid change.

Source: k8s.io/apiserver/pkg/registry/generic/registry/store.go (Create, Update) and
pkg/registry/rest/{create,update,meta}.go.
"""

from __future__ import annotations

from typing import Any

import orjson

from kitlib.api import ownership, respond
from kitlib.api.call import Call
from kitlib.api.validation import validate_create, validate_update
from kitlib.api.versions import parse
from kitlib.objects import field as problems
from kitlib.objects.clock import rfc3339
from kitlib.objects.errors import STALE, StatusError, already_exists, bad_request, invalid
from kitlib.objects.meta import generate_name, new_uid
from kitlib.store import Entry, Key, KeyExists

NAME_ATTEMPTS = 8  # generated names are random: on a clash another one is tried
SERVER_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
Obj = dict[str, Any]


def create(call: Call, obj: Obj, tracked: bool = False) -> Entry:
    """Take a decoded, defaulted object through all of creation.  `obj` belongs to us and may be changed.

    tracked: managedFields are right already (server-side apply).
    """
    kind, api = call.kind, call.api
    _settle_namespace(call, obj["metadata"])
    strategy = api.strategies[kind.storage]
    if not tracked:
        obj = ownership.track(call, None, obj)
    meta = obj["metadata"]
    api.admission.mutate(call, obj, None)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = _free_name(call, meta["generateName"])
    version = meta.pop("resourceVersion", None)
    for name in SERVER_FIELDS:
        meta.pop(name, None)
    meta["uid"] = call.once("uid", new_uid)
    meta["creationTimestamp"] = call.once("created", lambda: rfc3339(api.clock.now()))
    if kind.generation:
        meta["generation"] = 1
    if kind.has_status and not strategy.keeps_status_on_create:
        obj.pop("status", None)
        strategy.initial_status(call, obj)
    strategy.prepare_create(call, obj)
    causes = _validate(call, obj, None) + strategy.validate_create(call, obj)
    if causes:
        raise call.invalid(causes, meta.get("name", ""))
    api.admission.validate(call, obj, None)
    if version not in (None, "", "0"):
        raise StatusError(500, None, "resourceVersion should not be set on objects to be created")
    strategy.allocate(call, obj, None)
    stored = as_stored(respond.to_storage(call, obj))
    return _insert(call, stored, strategy)


def _free_name(call: Call, base: str) -> str:
    """A generated name.  Chosen before validation, since validating webhooks are to see what will be stored."""
    name = ""
    for attempt in range(NAME_ATTEMPTS):
        name = call.once(f"name {attempt}", lambda: generate_name(base))
        if call.api.store.get(call.kind.storage, call.namespace, name) is None:
            break
    return name


def _validate(call: Call, obj: Obj, before: Obj | None) -> list[dict[str, str]]:
    """The rules of a built-in kind; a custom one's are in its strategy."""
    kind = call.kind
    if kind.custom:
        return []
    if before is None:
        return validate_create(kind.kind, kind.group, obj)
    return validate_update(kind.kind, kind.group, obj, before, call.subresource)


def _insert(call: Call, obj: Obj, strategy: Any) -> Entry:
    kind, api, meta = call.kind, call.api, obj["metadata"]
    namespace = meta.get("namespace", "") if kind.namespaced else ""
    if call.dry_run:
        if api.store.get(kind.storage, namespace, meta["name"]):
            raise already_exists(kind.group, kind.plural, meta["name"])
        strategy.release(call, obj)
        return draft(call, obj)
    try:
        entry = api.store.create(kind.storage, namespace, meta["name"], obj)
    except KeyExists:
        strategy.release(call, obj)
        raise already_exists(kind.group, kind.plural, meta["name"]) from None
    api.writes.record(call, entry)
    strategy.after_create(call, entry)
    return entry


def update(call: Call, old: Entry, obj: Obj, tracked: bool = False) -> tuple[Entry, bool]:
    """Put `obj` in the place of `old`.  Returns the entry and whether anything was written."""
    kind, api = call.kind, call.api
    before = respond.view(kind, old)
    was = before["metadata"]
    _settle_namespace(call, obj["metadata"])
    strategy = api.strategies[kind.storage]
    if not tracked:
        obj = ownership.track(call, before, obj)
    meta = obj["metadata"]
    api.admission.mutate(call, obj, before)
    version = meta.get("resourceVersion") or "0"
    if parse(version) is None:
        raise StatusError(500, None, f'strconv.ParseUint: parsing "{version}": invalid syntax')
    if version == "0":
        if not kind.unconditional_update and call.verb == "update":
            # An error of the storage layer: it knows the resource, not the Kind.
            raise invalid(kind.group, kind.plural, was["name"], [
                problems.invalid("metadata.resourceVersion", 0, "must be specified for an update")])
    elif int(version) != old.revision:
        raise call.conflict(STALE, was["name"])
    meta["resourceVersion"] = was["resourceVersion"]
    _carry(meta, was)
    prepare_update(call, strategy, obj, before)
    causes = _validate(call, obj, before) + strategy.validate_update(call, obj, before)
    if causes:
        raise call.invalid(causes, was["name"])
    api.admission.validate(call, obj, before)
    return save(call, old, obj)


def _carry(meta: Obj, was: Obj) -> None:
    """Metadata that an update may leave out but not change."""
    for name in ("creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if not meta.get(name) and name in was:
            meta[name] = was[name]
    meta.pop("selfLink", None)


def prepare_update(call: Call, strategy: Any, obj: Obj, before: Obj) -> None:
    """The kind's own rules for an update through this path: whole object, status, or another subresource."""
    kind, meta, was = call.kind, obj["metadata"], before["metadata"]
    if kind.generation or kind.custom:
        _copy(meta, was, "generation")
    if call.subresource in ("status", "approval"):
        for name in [name for name in obj if name not in ("status", "metadata", "kind", "apiVersion")]:
            del obj[name]
        for name, value in before.items():
            if name not in ("status", "metadata", "kind", "apiVersion"):
                obj[name] = value
        if kind.custom:
            kept = {name: value for name, value in was.items() if name != "managedFields"}
            if "managedFields" in meta:
                kept["managedFields"] = meta["managedFields"]
            obj["metadata"] = {**kept, "resourceVersion": meta["resourceVersion"]}
        else:
            strategy.prepare_status(call, obj, before)
        return
    if kind.has_status:
        _copy(obj, before, "status")
    strategy.prepare_update(call, obj, before)
    if (kind.generation or kind.custom) and strategy.spec_changed(call, obj, before):
        meta["generation"] = was.get("generation", 0) + 1


def _copy(target: Obj, source: Obj, name: str) -> None:
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)


def save(call: Call, old: Entry, obj: Obj) -> tuple[Entry, bool]:
    """Write a prepared object, unless nothing has changed or its last finalizer has gone."""
    kind, api = call.kind, call.api
    strategy = api.strategies[kind.storage]
    before = respond.view(kind, old)
    if ownership.unchanged(before, obj):
        return old, False
    strategy.allocate(call, obj, before)
    stored = as_stored(respond.to_storage(call, obj))
    meta = stored["metadata"]
    gone = bool(meta.get("deletionTimestamp")) and not meta.get("finalizers") and (
        not meta.get("deletionGracePeriodSeconds") and strategy.ends(stored))
    if call.dry_run:
        return draft(call, stored), False
    key = old.key
    if gone:
        entry = api.store.delete(*key, expect=old.revision, obj=stored)
        strategy.after_delete(call, entry)
        api.writes.record(call, entry, "delete")
        # The answer shows what was asked for, at the version it had: the deletion is another event.
        return entry, True
    entry = api.store.update(*key, stored, expect=old.revision)
    api.writes.record(call, entry)
    strategy.after_update(call, entry, old)
    return entry, True


def draft(call: Call, obj: Obj) -> Entry:
    """What would have been stored: an entry that is in no store."""
    meta = obj["metadata"]
    key = Key(call.kind.storage, meta.get("namespace", ""), meta["name"])
    return Entry(key, obj, orjson.dumps(obj), 0, 0)


def as_stored(obj: Obj) -> Obj:
    """The object with kind, apiVersion and metadata first, as lists rely on (see respond.entries)."""
    result = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": obj["metadata"]}
    for name, value in obj.items():
        if name not in result:
            result[name] = value
    return result


def _settle_namespace(call: Call, meta: Obj) -> None:
    if not call.kind.namespaced:
        if meta.get("namespace"):
            meta.pop("namespace")
        return
    given = meta.get("namespace")
    if given and given != call.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    meta["namespace"] = call.namespace
