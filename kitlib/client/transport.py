"""How a request gets to the API server: the one seam between a client and the world.

    Client ──▶ Transport ──▶ LocalTransport   calls ApiServer.handle in this process
                        └──▶ HttpTransport    HTTPS to any cluster

A transport moves JSON objects and turns a refusal into a `StatusError`.  It knows no kinds and no caches.
Everything above it is the same code in the cluster process, in a learner's notebook and against kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kitlib.objects.errors import StatusError

Query = Mapping[str, str]


class WatchSource(Protocol):
    """An open watch.  `poll` never waits: it returns the events that have come, `{"type": …, "object": …}`.

    `on_ready` is called when there may be more to poll; a transport with threads may call it from one of
    them, so all it should do is wake somebody.  `closed`: the server (or the network) ended the stream.
    """

    @property
    def closed(self) -> bool: ...

    def poll(self) -> list[dict[str, Any]]: ...

    def on_ready(self, callback: Callable[[], None]) -> None: ...

    def close(self) -> None: ...


class Transport(Protocol):
    def request(self, method: str, path: str, *, query: Query | None = None,
                headers: Mapping[str, str] | None = None, obj: Any = None) -> Any: ...

    def watch(self, path: str, query: Query, headers: Mapping[str, str] | None = None) -> WatchSource: ...


def status_error(status: Any, code: int = 0, headers: Mapping[str, str] | None = None) -> StatusError:
    """The exception for a `Status` object that came as an answer or as an ERROR event; a path that is not there
    answers with a line of text ("404 page not found")."""
    if not isinstance(status, Mapping):
        return StatusError(code or 500, "NotFound" if code == 404 else None, str(status).strip(), None, headers)
    return StatusError(int(status.get("code") or code or 500), status.get("reason"),
                       str(status.get("message", "the server gave no reason")), status.get("details"), headers)
