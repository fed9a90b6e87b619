"""Writing a Pod's status: read the live object, change its status, write it back; nothing if nothing changed.

Only the kubelet writes most of the status, but conditions belong to many (DisruptionTarget, readiness gates): so the
status is computed on the live object, and a conflict means: look again.
Source: pkg/kubelet/status/status_manager.go (syncPod).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..client.client import Client
from ..objects.errors import StatusError

Object = dict[str, Any]
ATTEMPTS = 5


def write_status(client: Client, pod: Object, compute: Callable[[Object], Object]) -> Object | None:
    """compute(live pod) → status.  The Pod as it is now, or None if this very Pod (by uid) is gone."""
    meta = pod["metadata"]
    for attempt in range(ATTEMPTS):
        try:
            live = client.get("pods", meta["namespace"], meta["name"])
            if live["metadata"]["uid"] != meta["uid"]:
                return None
            status = compute(live)
            if status == live.get("status"):
                return live
            return client.update_status("pods", meta["namespace"], {**live, "status": status})
        except StatusError as error:
            if error.code == 404:
                return None
            if error.code != 409 or attempt == ATTEMPTS - 1:
                raise
        finally:
            client.writes.clear()
    return None
