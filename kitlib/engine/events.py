"""What happened: everybody who listens hears it, and whoever comes later hears the last 256 again.

    engine.events.tell("container", "start", id, {"image": "busybox", "name": "web"})

A listener that does not read has its own queue; nobody waits for it.

Source: docs.docker.com/reference/api/engine (/events); moby/moby 20.10, daemon/events (eventsLimit), filter.go.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

KEPT = 256
Event = dict[str, Any]


class Events:
    def __init__(self) -> None:
        self._past: deque[Event] = deque(maxlen=KEPT)
        self._listeners: set[asyncio.Queue[Event]] = set()

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def tell(self, kind: str, action: str, identity: str, attributes: Mapping[str, str] | None = None) -> None:
        """kind: container, image, network, volume, daemon, builder.  On the event loop's thread only."""
        now = time.time_ns()
        event: Event = {}
        if kind in ("container", "image"):  # the form of before API 1.22, which Docker still sends, too
            event |= {"status": action, "id": identity}
            if kind == "container" and (attributes or {}).get("image"):
                event["from"] = (attributes or {})["image"]
        event |= {"Type": kind, "Action": action, "Actor": {"ID": identity, "Attributes": dict(attributes or {})},
                  "scope": "local", "time": now // 1_000_000_000, "timeNano": now}
        self._past.append(event)
        for queue in self._listeners:
            queue.put_nowait(event)

    def past(self, since: float, until: float) -> list[Event]:
        return [event for event in self._past if since <= event["timeNano"] / 1e9 <= until]

    async def listen(self, filters: Mapping[str, list[str]], since: float | None = None,
                     until: float | None = None) -> AsyncIterator[Event]:
        """Matching events, those since `since` (seconds) first; for ever, or until `until` has come."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            if since is not None:
                for event in self.past(since, until if until is not None else float("inf")):
                    if matches(event, filters):
                        yield event
            while until is None or time.time() < until:
                try:
                    event = await asyncio.wait_for(queue.get(), None if until is None else until - time.time())
                except (asyncio.TimeoutError, TimeoutError):
                    return
                if matches(event, filters):
                    yield event
        finally:
            self._listeners.discard(queue)


def matches(event: Event, filters: Mapping[str, list[str]]) -> bool:
    """Each filter that is given has to fit; of its values one is enough (of labels, all)."""
    kind, actor = event["Type"], event["Actor"]
    attributes = actor["Attributes"]
    for name, values in filters.items():
        if name == "type":
            fits = kind in values
        elif name == "event":  # exec_start: /bin/sh is an exec_start
            fits = any(event["Action"] == v or event["Action"].partition(":")[0] == v for v in values)
        elif name == "scope":
            fits = event["scope"] in values
        elif name == "label":
            fits = all(attributes.get(k) == v if there else k in attributes
                       for k, there, v in (value.partition("=") for value in values))
        elif name == "image":
            found = (actor["ID"], attributes.get("name", "")) if kind == "image" else (attributes.get("image", ""),)
            fits = any(v in found or v in [f.partition(":")[0] for f in found] for v in values)
        elif name in ("container", "network", "volume", "daemon", "plugin", "service", "node", "secret", "config"):
            own = kind == name and (actor["ID"] in values or attributes.get("name") in values
                                    or any(len(v) > 3 and actor["ID"].startswith(v) for v in values))
            fits = own or (name == "container" and attributes.get("container") in values)
        else:
            fits = True
        if not fits:
            return False
    return True
