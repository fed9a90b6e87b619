"""Faults on purpose: what a network and other writers do to a controller, switched on by a test.

A controller that is right only while every event arrives and no write ever conflicts is not right.
`Faults` stands between the edge and the API and spoils the requests of one User-Agent:

    conflicts     this share of its writes is refused with 409, as if somebody had been faster
    dropEvents    this share of its watch events never arrives
    closeWatches  its open watches end now, once

Others notice nothing.  The choice is pseudo-random with a seed, so a grader gives everybody the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from kitlib.api.request import Answer, Callout, Connect, Request, Response, Stream
from kitlib.objects.clock import Clock
from kitlib.objects.errors import STALE, StatusError, bad_request, conflict

WRITES = ("POST", "PUT", "PATCH", "DELETE")  # a create can conflict, too: two Pods and the last bit of a quota
KEPT = (b'{"type":"BOOKMARK"', b'{"type":"ERROR"')  # not events of an object: dropping them proves nothing


class Handler(Protocol):
    def handle(self, request: Request) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What to spoil.  user_agent: a prefix.  until: when it ends by itself (monotonic)."""

    user_agent: str
    conflicts: float
    drop_events: float
    until: float


class Faults:
    """An API server with bad days.  Without a plan it costs one comparison per request."""

    def __init__(self, api: Handler, clock: Clock) -> None:
        self._api, self._clock = api, clock
        self._plan: Plan | None = None
        self._random = random.Random()
        self._streams: dict[SpoiledStream, str] = {}
        self.spoiled = {"conflicts": 0, "dropEvents": 0, "closeWatches": 0}

    def configure(self, wanted: dict[str, Any]) -> None:
        """Take the body of POST /kit/faults; an empty one ends all faults."""
        share = {name: wanted.get(name, 0) for name in ("conflicts", "dropEvents")}
        for name, value in share.items():
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise bad_request(f"{name} must be a share between 0 and 1, not {value!r}")
        agent, seconds = wanted.get("userAgent", ""), wanted.get("until", 60)
        if wanted and (not isinstance(agent, str) or not agent):
            raise bad_request("userAgent must say whose requests are meant")
        self._random = random.Random(wanted.get("seed", 0))
        self._plan = Plan(agent, share["conflicts"], share["dropEvents"],
                          self._clock.monotonic() + float(seconds)) if wanted else None
        if wanted.get("closeWatches"):
            for stream in [s for s, owner in self._streams.items() if owner.startswith(agent)]:
                self.spoiled["closeWatches"] += 1
                stream.break_off()

    def handle(self, request: Request) -> Answer:
        agent = request.headers.get("user-agent", "")
        if self._hits(agent) and request.method in WRITES and self._chance("conflicts"):
            return _refusal(conflict(*_named(request.path), STALE))
        answer = self._api.handle(request)
        if isinstance(answer, (Response, Connect, Callout)):
            return answer
        stream = SpoiledStream(answer, lambda: self._hits(agent) and self._chance("dropEvents"), self._streams)
        self._streams[stream] = agent
        return stream

    def _hits(self, agent: str) -> bool:
        plan = self._plan
        return plan is not None and agent.startswith(plan.user_agent) and self._clock.monotonic() < plan.until

    def _chance(self, name: str) -> bool:
        assert self._plan is not None
        share = self._plan.conflicts if name == "conflicts" else self._plan.drop_events
        hit = self._random.random() < share
        self.spoiled[name] += hit
        return hit


class SpoiledStream:
    """A watch that may lose lines on the way, or end early."""

    def __init__(self, stream: Stream, lost: Callable[[], bool], registry: dict[SpoiledStream, str]) -> None:
        self._stream, self._lost, self._registry = stream, lost, registry
        self._callback: Callable[[], None] = lambda: None
        self._broken = False

    @property
    def content_type(self) -> str:
        return self._stream.content_type

    @property
    def closed(self) -> bool:
        return self._broken or self._stream.closed

    def poll(self) -> list[tuple[int, bytes]]:
        if self._broken:
            return []
        return [chunk for chunk in self._stream.poll() if chunk[1].startswith(KEPT) or not self._lost()]

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._stream.on_ready(callback)

    def close(self) -> None:
        self._registry.pop(self, None)
        self._stream.close()

    def break_off(self) -> None:
        self._broken = True
        self._registry.pop(self, None)
        self._stream.close()
        self._callback()


def _named(path: str) -> tuple[str, str, str]:
    """Group, plural and name of the object that a path means: /apis/apps/v1/namespaces/NS/replicasets/web/status."""
    _, root, *parts = path.split("/")
    group = parts.pop(0) if root == "apis" else ""
    _version, *parts = parts
    if parts[0] == "namespaces" and len(parts) > 3:
        parts = parts[2:]
    return group, parts[0], parts[1] if len(parts) > 1 else ""


def _refusal(error: StatusError) -> Response:
    return Response(error.code, orjson.dumps(error.status), error.status)
