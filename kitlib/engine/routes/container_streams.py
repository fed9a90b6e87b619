"""What goes both ways or does not end: attach, logs, exec, resize.

Source: docs.docker.com/reference/api/engine (Container, Exec); moby 20.10, api/server/router/container
(container_routes.go, exec.go), daemon/attach.go.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from kitlib.engine.call import Answer, Call, Result, Stream
from kitlib.engine.containers import logs
from kitlib.engine.containers.attaching import Escape, frame, keys
from kitlib.engine.containers.record import Container
from kitlib.engine.engine import Engine
from kitlib.engine.errors import EngineError, bad_request, conflict
from kitlib.engine.filters import moment
from kitlib.engine.http import Pipe
from kitlib.engine.routing import route
from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.process.session import ProcessSession

_PARTING = 2.0


@route("GET", "/containers/{id}/logs")
async def read_logs(engine: Engine, call: Call) -> Result:
    container = engine.containers.find(call.params["id"])
    if not call.flag("stdout") and not call.flag("stderr"):
        raise bad_request("Bad parameters: you must choose at least one stream")
    if (container.host["LogConfig"] or {}).get("Type") == "none":
        raise EngineError(501, "configured logging driver does not support reading")
    tail = call.text("tail", "all")
    wanted = logs.Wanted(call.flag("stdout"), call.flag("stderr"), _moment(call.text("since")),
                         _moment(call.text("until")), call.flag("timestamps"), call.flag("follow"),
                         int(tail) if tail.isdigit() else -1)

    async def pieces() -> AsyncIterator[bytes]:
        yield b""
        async for piece in logs.read(container, wanted):
            yield piece

    return Stream(pieces(), "application/octet-stream")


def _moment(text: str) -> int:
    """Nanoseconds since 1970, exactly: a time of a log's line finds that line again."""
    whole, _, rest = text.partition(".")
    if whole.isdigit() and (rest.isdigit() or not rest):
        return int(whole) * 1_000_000_000 + int(f"{rest:0<9}"[:9])
    return int(moment(text) * 1e9) if text else 0


@route("POST", "/containers/{id}/attach")
async def attach(engine: Engine, call: Call) -> Result:
    container = engine.containers.find(call.params["id"])
    if container.state["Paused"]:
        raise conflict(f"Container {container.id} is paused, unpause the container before attach.")
    if container.state["Restarting"]:
        raise conflict(f"Container {container.id} is restarting, wait until the container is running")
    sequence = keys(call.text("detachKeys"))
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    listener = container.audience.join(stdout=stdout, stderr=stderr)
    try:
        pipe = call.hijack()
        engine.events.tell("container", "attach", container.id, container.attributes())
        if call.flag("logs"):
            async for piece in logs.read(container, logs.Wanted(stdout, stderr)):
                await pipe.write(piece)
        if call.flag("stream"):
            await _converse(engine, container, pipe, listener.output(), sequence, stdin=call.flag("stdin"))
    finally:
        container.audience.leave(listener)
    return None


async def _converse(engine: Engine, container: Container, pipe: Pipe, output: AsyncIterator[tuple[int, bytes]],
                    sequence: bytes, *, stdin: bool) -> None:
    """Until the run is over, or the client has typed the detach keys or is gone."""
    async def typed() -> None:
        await container.live.wait()
        session = container.session
        if session is not None and await _type(pipe, session, sequence if container.tty else b""):
            engine.events.tell("container", "detach", container.id, container.attributes())
            return
        if session is not None and container.config["StdinOnce"] and not container.tty:
            await session.close_stdin()
        await asyncio.Event().wait()  # what it has to say still comes

    await _both(pipe, output, typed() if stdin and container.config["OpenStdin"] else None, tty=container.tty)


async def _type(pipe: Pipe, session: ProcessSession, sequence: bytes) -> bool:
    """What the client types goes to the program, to its end; True if it were the detach keys."""
    escape = Escape(sequence) if sequence else None
    while data := await pipe.read():
        leave = False
        if escape is not None:
            data, leave = escape.feed(data)
        if data:
            await session.write_stdin(data)
        if leave:
            return True
    return False


async def _both(pipe: Pipe, output: AsyncIterator[tuple[int, bytes]], typing: object, *, tty: bool) -> None:
    async def heard() -> None:
        with contextlib.suppress(ConnectionError):
            async for stream, data in output:
                await pipe.write(data if tty else frame(stream, data))

    tasks = [asyncio.ensure_future(heard())]
    if typing is not None:
        tasks.append(asyncio.ensure_future(typing))  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _part(pipe)


async def _part(pipe: Pipe) -> None:
    """All is said.  What the client still sends is taken: closed over it, the connection would be reset, and our last
    words lost."""
    with contextlib.suppress(ConnectionError, OSError, asyncio.TimeoutError):
        pipe.write_eof()
        await asyncio.wait_for(_swallow(pipe), _PARTING)


async def _swallow(pipe: Pipe) -> None:
    while await pipe.read():
        continue


@route("POST", "/containers/{id}/resize")
async def resize(engine: Engine, call: Call) -> Result:
    container = engine.containers.find(call.params["id"])
    height, width = call.number("h"), call.number("w")
    if not container.running:
        raise conflict(f"Container {container.id} is not running")
    runtime = await engine.containers.runtime()
    try:
        await runtime.ask("resize_container", container=container.task, width=width, height=height)
    except RuntimeError_ as error:
        raise conflict(f"Container {container.id} is not running") from error
    engine.events.tell("container", "resize", container.id,
                       {**container.attributes(), "height": str(height), "width": str(width)})
    return Answer(200)


# Exec.


@route("POST", "/containers/{id}/exec")
async def create_exec(engine: Engine, call: Call) -> Result:
    container = engine.containers.find(call.params["id"])
    made = engine.containers.execs.create(container, await call.json(), call.params["id"])
    return Answer(201, {"Id": made.id})


@route("POST", "/exec/{id}/start")
async def start_exec(engine: Engine, call: Call) -> Result:
    body = await call.json()
    execs = engine.containers.execs
    made = execs.get(call.params["id"])
    if made.started:
        raise conflict(f"Error: Exec command {made.id} has already run")
    tty = bool(made.config["Tty"])
    if body.get("ConsoleSize"):
        height, width = body["ConsoleSize"]
        made.size = (width, height)
    if body.get("Detach"):
        await execs.begin(made, tty=tty)
        execs.detached(made)
        return Answer(200)
    sequence = keys(made.detach_keys)
    pipe = call.hijack()
    try:
        session = await execs.begin(made, tty=tty)
    except EngineError as error:  # the connection is taken over already: the sentence is all that can be said
        words = f"{error.message}\r\n".encode()
        await pipe.write(words if tty else frame(1, words))
        await _part(pipe)
        return None

    async def typed() -> None:
        if await _type(pipe, session, sequence if tty else b""):
            engine.events.tell("container", "exec_detach", made.container.id,
                               {**made.container.attributes(), "execID": made.id})
            return
        await session.close_stdin()
        await asyncio.Event().wait()

    wanted = {1: made.config["AttachStdout"], 2: made.config["AttachStderr"]}

    async def heard() -> AsyncIterator[tuple[int, bytes]]:
        async for stream, data in execs.output(made):
            if wanted[stream]:
                yield stream, data

    await _both(pipe, heard(), typed() if made.config["AttachStdin"] else None, tty=tty)
    if made.running:
        execs.detached(made)
    return None


@route("POST", "/exec/{id}/resize")
async def resize_exec(engine: Engine, call: Call) -> Result:
    made = engine.containers.execs.known(call.params["id"])
    made.size = (call.number("w"), call.number("h"))
    if made.session is not None and made.running:
        await made.session.resize(*made.size)
    return Answer(200)


@route("GET", "/exec/{id}/json")
async def inspect_exec(engine: Engine, call: Call) -> Result:
    execs = engine.containers.execs
    return execs.shown(execs.known(call.params["id"]))
