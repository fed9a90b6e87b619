"""LocalTransport: the API server is a function in this process, so call it.

No HTTP, no TLS, no copy: the request carries the object itself, and so does the answer.  Both sides keep the
rule of the core: nobody changes an object that was handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from kitlib.api.request import Answer, Callout, Connect, Request, Response, Stream, User
from kitlib.client.transport import Query, status_error

CAUSE_HEADER = "kit-cause"


class Handler(Protocol):
    """The part of `ApiServer` that a client sees."""

    def handle(self, request: Request) -> Answer: ...


class LocalTransport:
    """Requests of one user.  `api` needs nothing but `handle(request)`."""

    def __init__(self, api: Handler, user: User) -> None:
        self._api, self._user = api, user

    def request(self, method: str, path: str, *, query: Query | None = None,
                headers: Mapping[str, str] | None = None, obj: Any = None) -> Any:
        answer = self._api.handle(self._build(method, path, query, headers, obj))
        if not isinstance(answer, Response):
            raise TypeError(f"{method} {path} answers with a stream, not with an object")
        result = answer.obj if answer.obj is not None else orjson.loads(answer.body or b"null")
        if answer.code >= 400:
            raise status_error(result or {}, answer.code, answer.headers)
        return result

    def watch(self, path: str, query: Query, headers: Mapping[str, str] | None = None) -> LocalWatch:
        answer = self._api.handle(self._build("GET", path, query, headers, None))
        if isinstance(answer, Response):
            raise status_error(answer.obj if answer.obj is not None else orjson.loads(answer.body), answer.code,
                               answer.headers)
        if isinstance(answer, (Connect, Callout)):
            raise TypeError(f"GET {path} is not a watch")
        return LocalWatch(answer)

    def _build(self, method: str, path: str, query: Query | None, headers: Mapping[str, str] | None,
               obj: Any) -> Request:
        headers = dict(headers or {})
        cause = int(headers.pop(CAUSE_HEADER, 0))
        return Request(method, path, {k: [v] for k, v in (query or {}).items()}, headers, obj=obj,
                       user=self._user, cause=cause)


class LocalWatch:
    """A watch in this process."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._decoded = getattr(stream, "poll_events", None)   # (type, object): no need to decode a line again

    @property
    def closed(self) -> bool:
        return self._stream.closed

    def poll(self) -> list[dict[str, Any]]:
        if self._decoded is not None:
            return [{"type": kind, "object": obj} for kind, obj in self._decoded()]
        return [orjson.loads(line) for _, line in self._stream.poll()]

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._stream.on_ready(callback)

    def close(self) -> None:
        self._stream.close()
