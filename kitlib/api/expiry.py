"""Events live for an hour: what happened is told, not kept.

kube-apiserver stores Events under an etcd lease (--event-ttl); each update begins a new hour.  The
cluster process calls `expire` now and then.

Source: k8s.io/kubernetes/pkg/registry/core/event/storage (TTLFunc).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitlib.objects.clock import parse_time

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

TTL_SECONDS = 3600.0


def expire(api: ApiServer) -> int:
    """Remove the Events whose time is over; returns how many that were."""
    oldest, removed = api.clock.now() - TTL_SECONDS, 0
    for entry in api.store.list("events"):
        if _written(entry.obj) < oldest:
            api.store.delete(*entry.key, expect=entry.revision)
            removed += 1
    return removed


def _written(event: dict[str, Any]) -> float:
    """When an Event was last written, as well as it tells itself."""
    times = (event["metadata"].get("creationTimestamp"), event.get("lastTimestamp"), event.get("eventTime"),
             (event.get("series") or {}).get("lastObservedTime"))
    return max((parse_time(text) for text in times if text), default=0.0)
