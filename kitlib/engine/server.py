"""The server: a unix socket, the version prefix, the table of routes, and answers in Docker's form.

    /v1.24/… to /v1.41/…   as the engine 20.10 has it; later clients negotiate down, and those that refuse to (the CLI
                           29 goes no lower than 1.44) are answered all the same, in the form of 1.41
    {"message": …}         every error

Source: moby/moby 20.10, api/server/middleware/version.go, api/server/httputils/errors.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncGenerator, Mapping
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path

from kitlib.engine import routes, routing
from kitlib.engine.call import Answer, Call, Result, Stream, as_json
from kitlib.engine.engine import Engine
from kitlib.engine.errors import EngineError, bad_request, not_found
from kitlib.engine.http import Connection
from kitlib.engine.machine import API_VERSION, NEWEST, OLDEST, VERSION, text_of
from kitlib.images.errors import ImageError
from kitlib.runtime.cri import RuntimeError_

log = logging.getLogger(__name__)

_PREFIX = re.compile(r"/v(\d+)\.(\d+)(/.*)")
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_ALWAYS = f"Api-Version: {text_of(API_VERSION)}\r\nDocker-Experimental: false\r\nOstype: linux\r\n" \
          f"Server: Docker/{VERSION} (linux)\r\n"


class EngineServer:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._socket = Path()
        routes.load()

    async def listen(self, path: Path) -> None:
        """An old socket of that name was another process's: it goes."""
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._socket = path
        before = os.umask(0o077)
        try:
            self._server = await asyncio.get_running_loop().create_unix_server(lambda: Connection(self), str(path),
                                                                               backlog=128)
        finally:
            os.umask(before)

    async def close(self) -> None:
        if self._server:
            self._server.close()
        await asyncio.gather(*(connection.stop() for connection in list(self.connections)))
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()

    # One request.

    async def serve(self, call: Call) -> bool:
        """Answer it.  Whether the connection can be used again."""
        try:
            result = await self._result(call)
            if call.hijacked:
                return False
            if isinstance(result, Stream):
                return await self._stream(call, result)
        except Exception as error:
            if call.hijacked:
                log.warning("%s %s: %s", call.method, call.path, error, exc_info=_unexpected(error))
                return False
            result = _refusal(call, error)
        return self._complete(call, result)

    async def _result(self, call: Call) -> Result:
        match = _PREFIX.fullmatch(call.path)
        if match:
            call.version = int(match[1]), int(match[2])
            call.path = match[3]
            version = f"{match[1]}.{match[2]}"
            if call.version > NEWEST:
                raise bad_request(f"client version {version} is too new. Maximum supported API version is "
                                  f"{text_of(API_VERSION)}")
            if call.version < OLDEST:
                raise bad_request(f"client version {version} is too old. Minimum supported API version is "
                                  f"{text_of(OLDEST)}, please upgrade your client to a newer version")
        found = routing.find(call.method, call.path)
        if found is None:
            raise not_found("page not found")
        handler, call.params = found
        return await handler(self.engine, call)

    def _complete(self, call: Call, result: Result) -> bool:
        answer = (Answer(204) if result is None else result if isinstance(result, Answer) else Answer(body=result))
        body, content_type = answer.encoded()
        keep = call.keep and not call.upgrade
        headers = dict(answer.headers)
        if content_type:
            headers["Content-Type"] = content_type
        if answer.status != 204:
            headers.setdefault("Content-Length", str(len(body)))
        call.write(_head(answer.status, headers, keep) + (b"" if call.method == "HEAD" else body))
        return keep

    async def _stream(self, call: Call, stream: Stream) -> bool:
        items = stream.items
        lines = stream.content_type == "application/json"
        begun = False
        frame = bytes if call.old else _chunk

        def begin() -> None:
            nonlocal begun
            begun = True
            framing = {} if call.old else {"Transfer-Encoding": "chunked"}
            call.write(_head(stream.status, {**stream.headers, "Content-Type": stream.content_type, **framing},
                             call.keep))

        try:
            async for item in items:
                if not begun:
                    begin()
                data = item if isinstance(item, bytes) else as_json(item) + b"\r\n"
                if data:
                    call.write(frame(data))
                await call.drain()
            if not begun:
                begin()
        except ConnectionError:
            raise
        except Exception as error:
            if not begun:
                return self._complete(call, _refusal(call, error))
            if not lines:
                log.warning("%s %s: %s", call.method, call.path, error, exc_info=_unexpected(error))
                return False  # a broken body says that it is not complete
            message = _sentence(error)
            call.write(frame(as_json({"errorDetail": {"message": message}, "error": message}) + b"\r\n"))
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()
        if call.old:
            return False
        call.write(b"0\r\n\r\n")
        return call.keep


def _head(status: int, headers: Mapping[str, str], keep: bool) -> bytes:
    lines = "".join(f"{name}: {_clean(value)}\r\n" for name, value in headers.items())
    close = "" if keep else "Connection: close\r\n"
    return (f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n{_ALWAYS}Date: {formatdate(usegmt=True)}\r\n"
            f"{lines}{close}\r\n").encode("latin-1", "replace")


def _clean(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _unexpected(error: Exception) -> bool:
    return not isinstance(error, (EngineError, ImageError, RuntimeError_, ConnectionError))


def _sentence(error: Exception) -> str:
    if isinstance(error, EngineError):
        return error.message
    return str(error) or type(error).__name__


def _refusal(call: Call, error: Exception) -> Answer:
    if isinstance(error, EngineError):
        return Answer(error.status, {"message": error.message})
    if _unexpected(error):
        log.exception("%s %s failed", call.method, call.path, exc_info=error)
    return Answer(500, {"message": _sentence(error)})
