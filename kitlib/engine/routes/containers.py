"""/containers: create, start, stop, … and what is known of them.

Source: docs.docker.com/reference/api/engine (Container); moby 20.10, api/server/router/container.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from kitlib.engine.call import Answer, Call, Result, Stream
from kitlib.engine.containers import files, listing, usage, views
from kitlib.engine.engine import Engine
from kitlib.engine.errors import bad_request
from kitlib.engine.routing import route

NOT_MODIFIED = Answer(304)


def _timeout(call: Call) -> int | None:
    return call.number("t") if call.text("t") else None


@route("GET", "/containers/json")
async def listed(engine: Engine, call: Call) -> Result:
    return listing.listed(engine.containers, everything=call.flag("all"), limit=call.number("limit", -1),
                          sized=call.flag("size"), filters=call.filters(*listing.KNOWN))


@route("POST", "/containers/create")
async def create(engine: Engine, call: Call) -> Result:
    body = await call.json()
    if not body:
        raise bad_request("EOF")
    identity, warnings = await engine.containers.create(call.text("name"), body)
    return Answer(201, {"Id": identity, "Warnings": warnings})


@route("GET", "/containers/{id}/json")
async def inspect(engine: Engine, call: Call) -> Result:
    return views.inspect(engine, engine.containers.find(call.params["id"]), sized=call.flag("size"))


@route("POST", "/containers/{id}/start")
async def start(engine: Engine, call: Call) -> Result:
    return None if await engine.containers.begin(call.params["id"]) else NOT_MODIFIED


@route("POST", "/containers/{id}/stop")
async def stop(engine: Engine, call: Call) -> Result:
    return None if await engine.containers.end(call.params["id"], _timeout(call)) else NOT_MODIFIED


@route("POST", "/containers/{id}/restart")
async def restart(engine: Engine, call: Call) -> Result:
    await engine.containers.restart(call.params["id"], _timeout(call))
    return None


@route("POST", "/containers/{id}/kill")
async def kill(engine: Engine, call: Call) -> Result:
    await engine.containers.kill(call.params["id"], call.text("signal"))
    return None


@route("POST", "/containers/{id}/pause")
async def pause(engine: Engine, call: Call) -> Result:
    await engine.containers.pause(call.params["id"], paused=True)
    return None


@route("POST", "/containers/{id}/unpause")
async def unpause(engine: Engine, call: Call) -> Result:
    await engine.containers.pause(call.params["id"], paused=False)
    return None


@route("POST", "/containers/{id}/rename")
async def rename(engine: Engine, call: Call) -> Result:
    await engine.containers.rename(call.params["id"], call.text("name"))
    return None


@route("POST", "/containers/{id}/update")
async def update(engine: Engine, call: Call) -> Result:
    return {"Warnings": await engine.containers.update(call.params["id"], await call.json()) or None}


@route("POST", "/containers/{id}/wait")
async def wait(engine: Engine, call: Call) -> Result:
    condition = call.text("condition") or "not-running"
    if condition not in ("not-running", "next-exit", "removed"):
        raise bad_request(f'invalid condition: "{condition}"')
    container = engine.containers.find(call.params["id"])
    waiting = asyncio.ensure_future(engine.containers.wait(container.id, condition))

    async def answer() -> AsyncIterator[Any]:
        try:
            await asyncio.sleep(0)
            yield b""  # the head: now the client may start the container
            yield {"Error": None, "StatusCode": await waiting}
        finally:
            waiting.cancel()

    return Stream(answer())


@route("DELETE", "/containers/{id}")
async def remove(engine: Engine, call: Call) -> Result:
    if call.flag("link"):
        raise bad_request("links between containers are Docker's past: use a network and its names")
    await engine.containers.remove(call.params["id"], force=call.flag("force"), volumes=call.flag("v"))
    return None


@route("POST", "/containers/prune")
async def prune(engine: Engine, call: Call) -> Result:
    gone, freed = await engine.containers.prune(call.filters("label", "label!", "until"))
    return {"ContainersDeleted": gone or None, "SpaceReclaimed": freed}


@route("GET", "/containers/{id}/top")
async def top(engine: Engine, call: Call) -> Result:
    container = engine.containers.find(call.params["id"])
    found = await usage.top(container, await engine.containers.runtime(), call.text("ps_args"))
    engine.events.tell("container", "top", container.id, container.attributes())
    return found


@route("GET", "/containers/{id}/stats")
async def stats(engine: Engine, call: Call) -> Result:
    container = engine.containers.find(call.params["id"])
    runtime = await engine.containers.runtime()
    return Stream(usage.stream(container, runtime, once=not call.flag("stream", True), one_shot=call.flag("one-shot")))


@route("GET", "/containers/{id}/changes")
async def changes(engine: Engine, call: Call) -> Result:
    container = engine.containers.find(call.params["id"])
    runtime = await engine.containers.runtime()
    found = await asyncio.to_thread(files.difference, container, runtime.stacking)
    return found or Answer(body=None)
