"""/_ping, /version, /info, /events, /system/df, /auth: about the engine itself.

Source: docs.docker.com/reference/api/engine (System); moby/moby 20.10, api/server/router/system, daemon/info.go.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from kitlib.engine import imageforms, machine
from kitlib.engine.call import Answer, Call, Result, Stream, as_json
from kitlib.engine.engine import Engine
from kitlib.engine.errors import EngineError, bad_request, not_here
from kitlib.engine.imageremoval import used_bytes
from kitlib.engine.routing import route

_NO_CACHE = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}
_NO_SWARM = ("This node is not a swarm manager. The embedded engine never is one: for several nodes there is `kit up`, "
             "a Kubernetes cluster.")


@route("GET", "/_ping")
async def ping(engine: Engine, call: Call) -> Result:
    # Builder-Version 1: clients that know both builders choose the classic one.
    return Answer(body="OK", headers={**_NO_CACHE, "Builder-Version": "1"})


@route("GET", "/version")
async def version(engine: Engine, call: Call) -> Result:
    return machine.version()


@route("GET", "/info")
async def info(engine: Engine, call: Call) -> Result:
    states: list[str] = [c["State"] for c in engine.containers.summaries()]
    counts = {"Containers": len(states), "ContainersRunning": states.count("running"),
              "ContainersPaused": states.count("paused"),
              "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
              "Images": len(engine.images.all()), "NEventsListener": engine.events.listeners}
    return await asyncio.to_thread(machine.info, engine, counts)


@route("GET", "/events")
async def events(engine: Engine, call: Call) -> Result:
    filters = call.filters()
    since, until = _when(call.text("since")), _when(call.text("until"))
    if since is not None and until is not None and since > until:
        raise bad_request(f"`since` time ({call.text('since')}) cannot be after `until` time ({call.text('until')})")

    async def lines() -> AsyncIterator[Any]:
        yield b""  # the head, so that a client knows that it hears everything from now on
        async for event in engine.events.listen(filters, since, until):
            yield as_json(event) + b"\n"

    return Stream(lines())


def _when(text: str) -> float | None:
    """Seconds since 1970, with or without nanoseconds, or RFC 3339."""
    if not text:
        return None
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    found = imageforms.seconds_of(text)
    if found == imageforms.NEVER:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return float(found)


@route("GET", "/system/df")
async def disk_usage(engine: Engine, call: Call) -> Result:
    from kitlib.engine.builds import cache_records

    images = await asyncio.to_thread(engine.images.summaries, shared=True)
    everything = list(engine.images.all().values())
    sizes = {diff_id: engine.images.layer_size(one, diff_id) for i in everything
             for one, diff_id in zip(i.stored.layers, i.stored.diff_ids, strict=True)}
    containers = list(engine.containers.summaries(sized=True))
    cache = await asyncio.to_thread(cache_records, engine.store)
    return {"LayersSize": used_bytes(everything, sizes), "Images": images, "Containers": containers,
            "Volumes": engine.volumes.usage(), "BuildCache": cache,
            "BuilderSize": sum(record["Size"] for record in cache if not record["Shared"])}


@route("POST", "/auth")
async def auth(engine: Engine, call: Call) -> Result:
    raise not_here("logins to registries", "it pulls anonymously, and pushes to registries that ask for no password, "
                                           "such as `kit registry serve`")


@route("GET", "/plugins")
async def plugins(engine: Engine, call: Call) -> Result:
    return []


@route("GET", "/swarm")
@route("GET", "/nodes")
@route("GET", "/services")
@route("GET", "/tasks")
@route("GET", "/secrets")
@route("GET", "/configs")
@route("POST", "/swarm/init")
@route("POST", "/swarm/join")
@route("POST", "/services/create")
async def swarm(engine: Engine, call: Call) -> Result:
    raise EngineError(503, _NO_SWARM)
