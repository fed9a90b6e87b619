"""/networks.

Source: docs.docker.com/reference/api/engine (Network); moby 20.10, api/server/router/network.
"""

from __future__ import annotations

from kitlib.engine.call import Answer, Call, Result
from kitlib.engine.engine import Engine
from kitlib.engine.routing import route


@route("GET", "/networks")
async def listed(engine: Engine, call: Call) -> Result:
    await engine.containers.runtime()
    return engine.networks.listed(call.filters("dangling", "driver", "id", "label", "label!", "name", "scope", "type"))


@route("POST", "/networks/create")
async def create(engine: Engine, call: Call) -> Result:
    await engine.containers.runtime()
    identity, warning = await engine.networks.create(await call.json())
    return Answer(201, {"Id": identity, "Warning": warning})


@route("POST", "/networks/prune")
async def prune(engine: Engine, call: Call) -> Result:
    await engine.containers.runtime()
    return {"NetworksDeleted": await engine.networks.prune(call.filters("label", "label!", "until")) or None}


@route("GET", "/networks/{id}")
async def inspect(engine: Engine, call: Call) -> Result:
    await engine.containers.runtime()
    return engine.networks.shown(engine.networks.find(call.params["id"]))


@route("DELETE", "/networks/{id}")
async def remove(engine: Engine, call: Call) -> Result:
    await engine.containers.runtime()
    await engine.networks.remove(call.params["id"])
    return None


@route("POST", "/networks/{id}/connect")
async def connect(engine: Engine, call: Call) -> Result:
    await engine.containers.runtime()
    body = await call.json()
    container = engine.containers.find(body.get("Container") or "")
    await engine.networks.connect(call.params["id"], container, body.get("EndpointConfig") or {})
    engine.containers.save(container)
    return Answer(200)


@route("POST", "/networks/{id}/disconnect")
async def disconnect(engine: Engine, call: Call) -> Result:
    await engine.containers.runtime()
    body = await call.json()
    container = engine.containers.find(body.get("Container") or "")
    await engine.networks.disconnect(call.params["id"], container)
    engine.containers.save(container)
    return Answer(200)
