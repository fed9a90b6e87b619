"""Questions to the outside: how a function without sockets asks a webhook.

`handle` cannot wait.  When admission needs the answer of a webhook that it does not have, the request
is given up half-way, before anything has been written, and a `Callout` says what to ask.  Whoever has
sockets asks, hands the answer back, and sends the request again; this time the answer is there:

    handle(request) ─▶ Callout ─▶ (HTTPS to the webhook) ─▶ callout.deliver(answer) ─▶ handle(request) ─▶ Response

Callers in this process cannot wait either: they get a 503 with Retry-After, `Callouts.start` asks in the
background, and a controller's next try finds the answer.

An answer belongs to one question (`key`: webhook, operation, object) and is forgotten when the request
that used it is done, or after a minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from kitlib.api.request import Callout, Outcome
from kitlib.objects.clock import Clock
from kitlib.objects.errors import StatusError, internal

KEPT_SECONDS = 60.0
VOLATILE = ("uid", "creationTimestamp", "managedFields", "resourceVersion", "generation")


class Needed(Exception):
    """Raised inside a request that cannot go on without this callout."""

    def __init__(self, callout: Callout) -> None:
        super().__init__(callout.url)
        self.callout = callout


class Callouts:
    """The answers that are there, and the questions under way."""

    def __init__(self, clock: Clock) -> None:
        self.start: Callable[[Callout], None] | None = None  # asks in the background, for callers in this process
        self._clock = clock
        self._outcomes: dict[str, tuple[float, Outcome]] = {}
        self._asked: dict[str, float] = {}

    def ask(self, callout: Callout, used: list[str]) -> Outcome:
        """The outcome of a callout, if it is there.  Raises Needed if it has to be made."""
        found = self._outcomes.get(callout.key)
        if found is None or found[0] < self._clock.monotonic():
            callout.deliver = lambda outcome: self._deliver(callout.key, outcome)
            raise Needed(callout)
        used.append(callout.key)
        return found[1]

    def _deliver(self, key: str, outcome: Outcome) -> None:
        now = self._clock.monotonic()
        self._asked.pop(key, None)
        self._outcomes = {k: kept for k, kept in self._outcomes.items() if kept[0] >= now}
        self._outcomes[key] = (now + KEPT_SECONDS, outcome)

    def forget(self, keys: Iterable[str]) -> None:
        """The request that used these answers is done."""
        for key in keys:
            self._outcomes.pop(key, None)

    def in_background(self, callout: Callout) -> StatusError:
        """Ask for a caller that cannot wait; what to refuse it with meanwhile."""
        now = self._clock.monotonic()
        if self.start is None:
            return internal(f"failed calling webhook at {callout.url}: this server has no way out")
        if self._asked.get(callout.key, 0.0) < now:
            self._asked[callout.key] = now + callout.timeout
            self.start(callout)
        return StatusError(503, "ServiceUnavailable", f"waiting for the webhook at {callout.url}",
                           {"retryAfterSeconds": 1})


def key_of(*parts: Any) -> str:
    """The identity of a question; what the server makes anew at every try does not count."""
    digest = hashlib.sha256()
    for part in parts:
        told = part
        if isinstance(part, dict) and isinstance(part.get("metadata"), dict):
            meta = {name: value for name, value in part["metadata"].items() if name not in VOLATILE}
            if meta.get("generateName"):
                meta.pop("name", None)
            told = {**part, "metadata": meta}
        digest.update(orjson.dumps(told, option=orjson.OPT_SORT_KEYS))
    return digest.hexdigest()
