"""The embedded Docker Engine's server: its process, versions, errors, streams and hijacking, on a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kitlib.cluster.background import ended
from kitlib.cluster.dockerengine import EmbeddedEngine, ask, socket_of
from kitlib.cluster.home import ProcessDir
from kitlib.engine import routes, routing
from kitlib.engine.call import Answer, Call, Result, Stream
from kitlib.engine.engine import Engine
from kitlib.engine.errors import conflict
from kitlib.engine.server import EngineServer
from kitlib.engine.state import State
from kitlib.images.store import ImageStore

seen: list[Any] = []


@pytest.fixture(autouse=True)
def some_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For this test only."""
    routes.load()
    monkeypatch.setattr(routing, "_routes", list(routing._routes))
    seen.clear()

    @routing.route("GET", "/test/{name:path}/json")
    async def named(engine: Engine, call: Call) -> Result:
        return {"name": call.params["name"], "version": call.version, "filters": call.filters("label")}

    @routing.route("POST", "/test/size")
    async def size(engine: Engine, call: Call) -> Result:
        return {"size": sum([len(piece) async for piece in call.body])}

    @routing.route("POST", "/test/refuse")
    async def refuse(engine: Engine, call: Call) -> Result:
        raise conflict("no, thank you")

    @routing.route("GET", "/test/stream")
    async def stream(engine: Engine, call: Call) -> Result:
        async def items() -> AsyncIterator[Any]:
            if call.flag("early"):
                raise conflict("before the first line")
            yield {"status": "one"}
            yield {"status": "two"}
            if call.flag("late"):
                raise conflict("in the middle")

        return Stream(items())

    @routing.route("GET", "/test/wait")
    async def wait(engine: Engine, call: Call) -> Result:
        seen.append("waiting")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    @routing.route("POST", "/test/echo")
    async def echo(engine: Engine, call: Call) -> Result:
        pipe = call.hijack()
        while data := await pipe.read():
            await pipe.write(data.upper())
        await pipe.write(b" bye")
        return None

    @routing.route("POST", "/test/after-json")
    async def after_json(engine: Engine, call: Call) -> Result:
        seen.append("asked")
        body = await call.json()
        pipe = call.hijack()
        await pipe.write(json.dumps(body).encode() + await pipe.read())
        return None

    @routing.route("POST", "/test/object")
    async def an_object(engine: Engine, call: Call) -> Result:
        return Answer(body=await call.json())

    @routing.route("GET", "/test/bug")
    async def bug(engine: Engine, call: Call) -> Result:
        return Answer(body=list(call.params)[1])


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def with_server(tmp_path: Path, talk: Talk) -> None:
    async def run() -> None:
        server = EngineServer(Engine(tmp_path, ImageStore(tmp_path / "oci")))
        place = Path(os.path.relpath(tmp_path / "s"))  # a path of a test may be too long for a socket
        await server.listen(place)
        reader, writer = await asyncio.open_unix_connection(str(place))
        try:
            await asyncio.wait_for(talk(reader, writer), 20)
        finally:
            writer.close()
            await server.close()

    asyncio.run(run())


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while length := int(await reader.readline(), 16):
            body += (await reader.readexactly(length + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(head[0].split()[1]), headers, body


def ask_for(method: str, path: str, body: bytes = b"", more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: d\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def test_requests_of_one_connection_are_answered_in_turn(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        filters = '%7B%22label%22%3A%7B%22a%22%3Atrue%2C%22b%22%3Afalse%7D%7D'
        writer.write(ask_for("GET", f"/v1.24/test/a/b:v1/json?filters={filters}") + ask_for("GET", "/_ping"))
        status, headers, body = await answer(reader)
        assert (status, headers["api-version"]) == (200, "1.41")
        assert json.loads(body) == {"name": "a/b:v1", "version": [1, 24], "filters": {"label": ["a"]}}
        assert (await answer(reader))[2] == b"OK"
        writer.write(ask_for("HEAD", "/_ping"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Builder-Version: 1" in head
        writer.write(ask_for("POST", "/test/size", b"x" * 3_000_000))
        assert json.loads((await answer(reader))[2]) == {"size": 3_000_000}

    with_server(tmp_path, talk)


@pytest.mark.parametrize(("body", "said"), [
    (b"", {}), (b"null\n", {}), (b'{"a": 1}', {"a": 1}), (b"[]", {"message": "invalid JSON: an object is expected"})])
def test_no_body_and_gos_empty_pointer_are_no_settings(tmp_path: Path, body: bytes, said: dict[str, Any]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ask_for("POST", "/test/object", body))
        status, _, answered = await answer(reader)
        assert (status, json.loads(answered)) == (400 if "message" in said else 200, said)

    with_server(tmp_path, talk)


@pytest.mark.parametrize(("path", "status", "message"), [
    ("/v1.99/info", 400, "client version 1.99 is too new. Maximum supported API version is 1.41"),
    ("/v1.11/info", 400, "client version 1.11 is too old. Minimum supported API version is 1.12, please upgrade your "
                         "client to a newer version"),
    ("/nonsense", 404, "page not found"),
    ("/test/bug", 500, "list index out of range"),
    ("/test/a/json?filters=7", 400, "invalid filter: 'int' object has no attribute 'items'"),
    ("/test/a/json?filters=%7B%22x%22%3A%5B%5D%7D", 400, "Invalid filter 'x'"),
    ("/test/stream?early=1", 409, "before the first line"),
])
def test_an_error_is_a_message(tmp_path: Path, path: str, status: int, message: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ask_for("GET", path))
        got, headers, body = await answer(reader)
        assert (got, headers["content-type"], json.loads(body)) == (status, "application/json", {"message": message})

    with_server(tmp_path, talk)


def test_who_is_refused_may_finish_sending(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ask_for("POST", "/test/refuse", b"x" * 5_000_000))
        assert (await answer(reader))[0] == 409
        writer.write(ask_for("GET", "/_ping"))
        assert (await answer(reader))[2] == b"OK"

    with_server(tmp_path, talk)


def test_a_stream_of_json_tells_late_errors_as_docker_does(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ask_for("GET", "/test/stream?late=1"))
        lines = [json.loads(line) for line in (await answer(reader))[2].splitlines()]
        assert lines == [{"status": "one"}, {"status": "two"},
                         {"errorDetail": {"message": "in the middle"}, "error": "in the middle"}]
        writer.write(ask_for("GET", "/_ping"))
        assert (await answer(reader))[2] == b"OK"

    with_server(tmp_path, talk)


@pytest.mark.parametrize(("more", "first"), [
    ("Connection: Upgrade\r\nUpgrade: tcp\r\n", b"HTTP/1.1 101 UPGRADED\r\n"), ("", b"HTTP/1.1 200 OK\r\n")])
def test_a_connection_is_taken_over_and_each_way_has_its_own_end(tmp_path: Path, more: str, first: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ask_for("POST", "/test/echo", b"{}", more))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(first)
        writer.write(b"one ")
        assert await reader.readexactly(4) == b"ONE "
        writer.write(b"two")
        writer.write_eof()
        assert await reader.read() == b"TWO bye"

    with_server(tmp_path, talk)


def test_a_body_that_comes_later_is_not_the_other_protocol(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = ask_for("POST", "/test/after-json", b'{"a": 1}', "Connection: Upgrade\r\nUpgrade: tcp\r\n")
        writer.write(head.partition(b"{")[0])
        while "asked" not in seen:
            await asyncio.sleep(0.01)
        writer.write(b'{"a": 1}')
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b" typed")
        assert await reader.read() == b'{"a": 1} typed'

    with_server(tmp_path, talk)


def test_what_nobody_waits_for_any_more_is_cancelled(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ask_for("GET", "/test/wait"))
        while not seen:
            await asyncio.sleep(0.01)
        writer.close()
        while seen != ["waiting", "cancelled"]:
            await asyncio.sleep(0.01)

    with_server(tmp_path, talk)


def test_state_is_whole_or_as_before(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.put("containers", "a1", {"n": 1})
    state.put("containers", "a1", {"n": 2})
    state.put("containers", "b2", {"n": 3})
    (tmp_path / "state/containers/c3.json").write_text("{half")
    assert State(tmp_path / "state").all("containers") == {"a1": {"n": 2}, "b2": {"n": 3}}
    state.drop("containers", "a1")
    state.drop("containers", "a1")
    assert (state.get("containers", "a1"), state.get("containers", "b2")) == (None, {"n": 3})
    with pytest.raises(ValueError, match="cannot be the name"):
        state.put("containers", "../x", {})


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    place = socket_of(ProcessDir(tmp_path / ("x" * 120) / "engine"))
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(place))
        assert place.parent.stat().st_mode & 0o777 == 0o700
    finally:
        place.unlink()
        place.parent.rmdir()


def test_it_comes_goes_and_comes_back_after_a_kill(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    try:
        found, _ = engine.start()
        assert engine.start() == (found, pytest.approx(0, abs=5))
        there = ask(found.host)
        assert there is not None
        assert (there.kind, there.version) == ("embedded", found.version)
        os.kill(engine.directory.read_state()["pid"], signal.SIGKILL)
        assert ended(engine.directory, 10)
        assert engine.start()[0] == found
        assert ask(found.host) is not None
    finally:
        assert engine.stop()
    assert not engine.stop()
    assert (engine.endpoint(), ask(found.host)) == (None, None)
    assert not Path(found.socket).exists()
