"""What goes into the API and what comes out of it: plain values, no sockets.

`ApiServer.handle(request)` is the only door.  HTTP (`api/edge`) turns bytes into a `Request` and an
answer into bytes; in-process clients build a `Request` themselves and read `Response.obj`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class User:
    """Who is asking (authentication's result).  Groups include system:authenticated where it applies."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(slots=True)
class Request:
    """One HTTP request, parsed.

    query: repeated parameters keep all values, in order.  headers: lower-case names.
    body: raw bytes as sent; `obj` is the decoded body when the caller is in this process (then
    `body` is empty and the API never changes `obj`).  user: None means "not authenticated yet":
    the API authenticates from headers and `client_cert`.
    cause: the revision of the watch event that woke the writer (0: a person), for the trace.
    decided: what the server chose for this request (uid, name), should it have to come again; see `Call.once`.
    """

    method: str
    path: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    obj: Any = None
    user: User | None = None
    client_cert: tuple[str, tuple[str, ...]] | None = None  # (CN, O...) of a verified certificate
    remote: str = "127.0.0.1"
    cause: int = 0
    decided: dict[str, Any] | None = None

    def param(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[0] if values else default


@dataclass(slots=True)
class Response:
    """An answer.  The edge sends it once the store is durable up to `revision` (0: nothing to wait for)."""

    code: int
    body: bytes
    obj: Any = None  # the decoded object, frozen by convention: in-process callers must not change it
    headers: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    content_type: str = "application/json"
    revision: int = 0


class Stream(Protocol):
    """A watch.  The core has no threads: `poll` returns what is there; `on_ready` is called when more is.

    Each chunk is (revision, bytes of one JSON line); the edge sends it once that revision is durable.
    `closed` is set when the stream has ended by itself (an ERROR event was its last chunk, or a timeout).
    """

    @property
    def closed(self) -> bool: ...

    @property
    def content_type(self) -> str: ...

    def poll(self) -> list[tuple[int, bytes]]: ...

    def on_ready(self, callback: Callable[[], None]) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Connect:
    """The request wants to talk to a node or a Service: logs, exec, attach, portforward, proxy.

    The API has authorised it and found the Pod; the edge hands it to the `NodeConnector` it was given,
    as a real API server calls the kubelet.
    """

    verb: str  # log, exec, attach, portforward, proxy
    node: str
    pod: Mapping[str, Any]
    options: Mapping[str, Any]  # PodLogOptions, PodExecOptions... by their JSON names, typed
    path: str = ""


@dataclass(slots=True)
class Outcome:
    """What came of a call: the decoded JSON body, or why there is none."""

    body: Any = None
    error: str = ""


@dataclass(slots=True)
class Callout:
    """The API needs the answer of a webhook first: one HTTPS POST to make.  See `api/callouts.py`.

    Make it, call `deliver`, and send the same Request again.  Callers in this process never get one.

    address: where to connect, if not to the URL's own host (a Service's ClusterIP).
    ca: PEM of the authorities to believe, b"" for the machine's own.
    """

    key: str
    url: str
    body: bytes
    timeout: float
    ca: bytes = b""
    address: tuple[str, int] | None = None
    deliver: Callable[[Outcome], None] = field(default=lambda outcome: None)


Answer = Response | Stream | Connect | Callout
