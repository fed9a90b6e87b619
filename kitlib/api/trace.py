"""The trace hook: every write tells who did it, to what, when, and because of which event.

Kubernetes has the audit log for this; ours also knows the *cause*, the revision of the watch event
that woke the writer's loop, so that a chain of writes can be drawn as one story.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kitlib.store import Entry

if TYPE_CHECKING:
    from kitlib.api.call import Call


class Write(NamedTuple):
    """One change of the store."""

    revision: int
    time: float
    actor: str
    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    uid: str
    subresource: str
    cause: int


class Writes:
    """Those who listen to writes."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Write], None]] = []

    def subscribe(self, callback: Callable[[Write], None]) -> None:
        self._callbacks.append(callback)

    def record(self, call: Call, entry: Entry, verb: str = "") -> None:
        if not self._callbacks:
            return
        key = entry.key
        write = Write(entry.revision, call.api.clock.now(), call.agent, call.user.name, verb or call.verb, key.resource,
                      key.namespace, key.name, entry.obj["metadata"].get("uid", ""), call.subresource,
                      call.request.cause)
        for callback in self._callbacks:
            callback(write)
