"""One request as a route sees it, and the answers that a route can give.

Docker's conventions are here: what is true in a query ("1", "true", anything but "", "0", "no", "false" and "none"),
filters as JSON in two forms (a list or a set of values for each name), repeated parameters.

Source: moby/moby 20.10, api/server/httputils/form.go; api/types/filters/parse.go.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from kitlib.engine.errors import EngineError, bad_request

if TYPE_CHECKING:
    from kitlib.engine.http import Connection, Inflow, Pipe

MAX_JSON = 4 << 20
RAW_STREAM = "application/vnd.docker.raw-stream"


@dataclass(frozen=True)
class Answer:
    """A complete answer.  body: bytes, text, or anything that JSON has."""

    status: int = 200
    body: Any = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, str]:
        if isinstance(self.body, bytes):
            return self.body, self.content_type or ("text/plain; charset=utf-8" if self.body else "")
        if isinstance(self.body, str):
            return self.body.encode(), self.content_type or "text/plain; charset=utf-8"
        return as_json(self.body) + b"\n", self.content_type or "application/json"


@dataclass(frozen=True)
class Stream:
    """An answer that grows.  items: bytes as they are, anything else as one line of JSON."""

    items: AsyncIterator[Any]
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Result = Answer | Stream | dict[str, Any] | list[Any] | None


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Call:
    """params: what the route's pattern found in the path.  version: (1, 41)."""

    def __init__(self, connection: Connection, method: str, url: bytes, headers: dict[str, str], body: Inflow, *,
                 keep: bool, upgrade: bool, old: bool) -> None:
        self._connection = connection
        self.method, self.headers, self.body = method, headers, body
        self.keep, self.upgrade, self.old = keep, upgrade, old
        target = url.decode("latin-1")
        path, _, query = target.partition("?")
        self.path = unquote(path)
        self.query: dict[str, list[str]] = parse_qs(query, keep_blank_values=True)
        self.params: dict[str, str] = {}
        self.version: tuple[int, int] = (1, 41)
        self.hijacked = False

    # The query.

    def text(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def texts(self, name: str) -> list[str]:
        return [value for value in self.query.get(name, ()) if value]

    def flag(self, name: str, default: bool = False) -> bool:
        if name not in self.query:
            return default
        return self.text(name).strip().lower() not in ("", "0", "no", "false", "none")

    def number(self, name: str, default: int = 0) -> int:
        """Raises EngineError in Go's words."""
        text = self.text(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError as error:
            raise bad_request(f'strconv.Atoi: parsing "{text}": invalid syntax') from error

    def filters(self, *known: str) -> dict[str, list[str]]:
        """?filters={"label":["a"]} or the old {"label":{"a":true}}.  known: others are refused, if any are given."""
        text = self.text("filters")
        if not text:
            return {}
        try:
            given = json.loads(text)
            found = {name: [v for v, there in values.items() if there] if isinstance(values, dict) else
                     [str(v) for v in values] for name, values in given.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise bad_request(f"invalid filter: {error}") from error
        for name in found:
            if known and name not in known:
                raise bad_request(f"Invalid filter '{name}'")
        return found

    # The body.

    async def data(self, limit: int = MAX_JSON) -> bytes:
        pieces, size = [], 0
        async for piece in self.body:
            size += len(piece)
            if size > limit:
                raise EngineError(413, "http: request body too large")
            pieces.append(piece)
        return b"".join(pieces)

    async def json(self) -> dict[str, Any]:
        """An object; {} if nothing was sent, or null, which is Go's empty pointer (the CLI 20.10 in `commit`)."""
        data = await self.data()
        if not data.strip():
            return {}
        try:
            found = json.loads(data)
        except ValueError as error:
            raise bad_request(f"invalid JSON: {error}") from error
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise bad_request("invalid JSON: an object is expected")
        return found

    # The connection.

    def hijack(self, content_type: str = RAW_STREAM) -> Pipe:
        """Take the connection over.  Nothing else may have been answered yet."""
        self.hijacked = True
        head = ("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n" if self.upgrade else
                "HTTP/1.1 200 OK\r\n")
        self._connection.write(f"{head}Content-Type: {content_type}\r\n\r\n".encode())
        return self._connection.hijack()

    def write(self, data: bytes) -> None:
        self._connection.write(data)

    async def drain(self) -> None:
        await self._connection.drain()
