"""events.k8s.io: the newer face of the core group's Event.  Both show the same objects.

    core v1                events.k8s.io/v1
    involvedObject         regarding
    message                note
    reportingComponent     reportingController
    source, count, first/lastTimestamp   deprecated...

Source: pkg/apis/events/v1/conversion.go; pkg/registry/events/rest/storage_events.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.kind import Kind, SelectableField

_RENAMED = {"involvedObject": "regarding", "message": "note", "reportingComponent": "reportingController",
            "source": "deprecatedSource", "firstTimestamp": "deprecatedFirstTimestamp",
            "lastTimestamp": "deprecatedLastTimestamp", "count": "deprecatedCount"}
_BACK = {new: old for old, new in _RENAMED.items()}


def from_core(obj: dict[str, Any]) -> dict[str, Any]:
    """A core Event as events.k8s.io/v1."""
    converted = {_RENAMED.get(name, name): value for name, value in obj.items()}
    # Go writes these even when they are empty, and a reader of the real thing may count on them.
    for name, empty in (("deprecatedSource", {}), ("deprecatedFirstTimestamp", None),
                        ("deprecatedLastTimestamp", None), ("eventTime", None), ("regarding", {})):
        converted.setdefault(name, empty)
    for name in ("reportingController", "reportingInstance"):
        if not converted.get(name):
            converted.pop(name, None)
    return converted


def to_core(obj: dict[str, Any]) -> dict[str, Any]:
    """An events.k8s.io/v1 Event as a core Event."""
    converted = {_BACK.get(name, name): value for name, value in obj.items()}
    for name, empty in (("involvedObject", {}), ("source", {}), ("firstTimestamp", None), ("lastTimestamp", None),
                        ("eventTime", None), ("reportingComponent", ""), ("reportingInstance", "")):
        converted.setdefault(name, empty)
    return converted


KINDS = (
    Kind("events.k8s.io", "v1", "Event", "events", short_names=("ev",), storage="events", storage_version=False,
         create_on_update=True, to_storage=to_core, from_storage=from_core,
         selectable=tuple(SelectableField(name) for name in (
             "reason", "type", "reportingController", "regarding.kind", "regarding.namespace", "regarding.name",
             "regarding.uid", "regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath"))),
)
