"""Questions to the outside: how a function without sockets asks a webhook.

`handle` cannot wait.  When admission needs the answer of a webhook that it does not have, the request
is given up half-way, before anything has been written, and a `Callout` says what to ask.  Whoever has
sockets asks, hands the answer back, and sends the request again; this time the answer is there:

    handle(request) ─▶ Callout ─▶ (HTTPS to the webhook) ─▶ callout.deliver(answer) ─▶ handle(request) ─▶ Response

Callers in this process cannot wait either: they get a 503 with Retry-After, `Callouts.start` asks in the
background, and a controller's next try finds the answer.

An answer belongs to one question (`key`: webhook, operation, object) and is forgotten when the request
that used it is done, or after a minute.  What the server chooses by itself (a uid, a generated name) is
part of the question; so it is chosen once for a request (`Call.once`) and kept while that is away.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from kitlib.api.request import Callout, Outcome, Request
from kitlib.objects.clock import Clock
from kitlib.objects.errors import StatusError, internal
from kitlib.store import Store

KEPT_SECONDS = 60.0
VOLATILE = ("creationTimestamp", "managedFields", "resourceVersion", "generation")


class Needed(Exception):
    """Raised inside a request that cannot go on without this callout."""

    def __init__(self, callout: Callout) -> None:
        super().__init__(callout.url)
        self.callout = callout


class Unreachable(Exception):
    """There is nobody to ask: a Service that does not exist."""


class Callouts:
    """The answers that are there, and the questions under way."""

    def __init__(self, clock: Clock) -> None:
        self.start: Callable[[Callout], None] | None = None  # asks in the background, for callers in this process
        self._clock = clock
        self._outcomes: dict[str, tuple[float, Outcome]] = {}
        self._asked: dict[str, float] = {}
        self._away: dict[str, tuple[float, dict[str, Any]]] = {}  # what was chosen for requests that will come again

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
        self._outcomes = {k: kept for k, kept in self._outcomes.items() if kept[0] >= now}
        self._outcomes[key] = (now + KEPT_SECONDS, outcome)

    def forget(self, keys: Iterable[str]) -> None:
        """The request that used these answers is done."""
        for key in keys:
            self._outcomes.pop(key, None)

    def in_background(self, callout: Callout, request: Request) -> StatusError:
        """Ask for a caller that cannot wait; what to refuse it with meanwhile."""
        now = self._clock.monotonic()
        if self.start is None:
            return internal(f"failed calling webhook at {callout.url}: this server has no way out")
        self._away = {k: kept for k, kept in self._away.items() if kept[0] >= now}
        if request.decided:
            self._away[_sender(request)] = (now + KEPT_SECONDS, request.decided)
        if self._asked.get(callout.key, 0.0) < now:
            self._asked[callout.key] = now + callout.timeout
            deliver = callout.deliver

            def delivered(outcome: Outcome) -> None:
                self._asked.pop(callout.key, None)
                deliver(outcome)

            callout.deliver = delivered
            self.start(callout)
        return StatusError(503, "ServiceUnavailable", f"waiting for the webhook at {callout.url}",
                           {"retryAfterSeconds": 1})


    def come_again(self, request: Request) -> None:
        """Give a request of this process back what was chosen for it when it came the first time."""
        if self._away:
            kept = self._away.pop(_sender(request), None)
            request.decided = kept[1] if kept else None


def _sender(request: Request) -> str:
    user = request.user.name if request.user else ""
    return key_of(user, request.method, request.path, request.query, request.obj)


def callout_to(store: Store, config: Mapping[str, Any], key: str, body: bytes, timeout: float,
               query: str = "") -> Callout:
    """The call that a clientConfig (url or service, caBundle) describes.  Raises Unreachable."""
    ca = base64.b64decode(config.get("caBundle") or "")
    url, address = config.get("url", ""), None
    service = config.get("service")
    if service:
        found = store.get("services", service.get("namespace", ""), service.get("name", ""))
        if found is None:
            raise Unreachable(f'service "{service.get("name", "")}" not found')
        port = service.get("port") or 443
        url = f"https://{service['name']}.{service['namespace']}.svc:{port}{service.get('path') or '/'}"
        address = (found.obj["spec"].get("clusterIP", ""), port)
    if query:
        url += ("&" if "?" in url else "?") + query
    return Callout(key, url, body, timeout, ca, address)


def key_of(*parts: Any) -> str:
    """The identity of a question; what differs at every try without meaning anything does not count."""
    digest = hashlib.sha256()
    for part in parts:
        told = part
        if isinstance(part, dict) and isinstance(part.get("metadata"), dict):
            meta = {name: value for name, value in part["metadata"].items() if name not in VOLATILE}
            told = {**part, "metadata": meta}
        digest.update(orjson.dumps(told, option=orjson.OPT_SORT_KEYS))
    return digest.hexdigest()
