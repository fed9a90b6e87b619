"""managedFields on every write: which fields this door writes, and in whose name.

`objects.apply` knows how ownership works; here is what only the API knows: the manager's name, the
time, the subresource, and the fields that a write through this path cannot change (so nobody can come
to own the status by writing the spec).

Source: k8s.io/apiserver/pkg/endpoints/handlers/fieldmanager, GetResetFields of the strategies.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from kitlib.api.call import Call, field_manager
from kitlib.api.shapes import shape_of
from kitlib.objects import apply as applying
from kitlib.objects.clock import rfc3339
from kitlib.objects.errors import StatusError
from kitlib.objects.managers import with_entries

STATUS_ONLY = ("status",)
SHARED_SETS = 2048
_shared: dict[bytes, dict[str, Any]] = {}


def ignored(call: Call, obj: dict[str, Any]) -> Collection[str]:
    """Top-level fields that a write through this call's path does not touch."""
    if call.subresource == "status":
        kept = ("status",) if call.kind.custom else ("status", "metadata")
        return [name for name in obj if name not in kept]
    return STATUS_ONLY if call.kind.has_status else ()


def track(call: Call, old: dict[str, Any] | None, obj: dict[str, Any]) -> dict[str, Any]:
    """`obj` with the record of this ordinary write."""
    # A write through /scale leaves out the time, as the real server's own conversion for it does.
    time = None if call.subresource == "scale" else rfc3339(call.api.clock.now())
    try:
        tracked = applying.track_update(
            old, obj, field_manager(call), shape_of(call.kind).node, time=time,
            subresource=call.subresource, ignored=ignored(call, obj))
    except StatusError:  # an object that validation will refuse, or that nobody tracks; the write is not to blame
        return with_entries(obj, [])
    _share(tracked["metadata"])
    return tracked


def _share(meta: dict[str, Any]) -> None:
    """Let equal field sets be one object: a thousand Pods of one ReplicaSet differ in no owned field."""
    for entry in meta.get("managedFields") or ():
        fields = entry.get("fieldsV1")
        if fields:
            key = orjson.dumps(fields)
            known = _shared.get(key)
            if known is None:
                if len(_shared) >= SHARED_SETS:
                    _shared.clear()
                _shared[key] = known = fields
            if known is not fields:
                entry["fieldsV1"] = known


def apply(call: Call, live: dict[str, Any] | None, applied: dict[str, Any], force: bool) -> dict[str, Any]:
    """The object after an apply; not yet defaulted.  Raises 409 with the conflicts."""
    return applying.apply(
        live, applied, field_manager(call), shape_of(call.kind).node, time=rfc3339(call.api.clock.now()), force=force,
        subresource=call.subresource, ignored=ignored(call, applied))


def unchanged(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a write changes nothing but the time at which it happened."""
    return applying.without_new_times(old, new) is old
