"""/volumes.

Source: docs.docker.com/reference/api/engine (Volume); moby 20.10, api/server/router/volume.
"""

from __future__ import annotations

from kitlib.engine.call import Answer, Call, Result
from kitlib.engine.containers.names import ALLOWED, PATTERN
from kitlib.engine.engine import Engine
from kitlib.engine.errors import bad_request
from kitlib.engine.routing import route


@route("GET", "/volumes")
async def listed(engine: Engine, call: Call) -> Result:
    found = engine.volumes.listed(call.filters("dangling", "driver", "label", "label!", "name"))
    return {"Volumes": found, "Warnings": None}


@route("POST", "/volumes/create")
async def create(engine: Engine, call: Call) -> Result:
    body = await call.json()
    name = body.get("Name") or ""
    if len(name) == 1:
        raise bad_request(f"create {name}: volume name is too short, names should be at least two alphanumeric "
                          "characters")
    if name and not PATTERN.fullmatch(name):
        raise bad_request(f'create {name}: "{name}" includes invalid characters for a local volume name, only '
                          f'"{ALLOWED}" are allowed. If you intended to pass a host directory, use absolute path')
    made = engine.volumes.ensure(name, labels=body.get("Labels") or {}, options=body.get("DriverOpts") or {},
                                 driver=body.get("Driver") or "local")
    return Answer(201, engine.volumes.shown(made))


@route("POST", "/volumes/prune")
async def prune(engine: Engine, call: Call) -> Result:
    gone, freed = await engine.volumes.prune(call.filters("label", "label!", "all"))
    return {"VolumesDeleted": gone or None, "SpaceReclaimed": freed}


@route("GET", "/volumes/{name}")
async def inspect(engine: Engine, call: Call) -> Result:
    return engine.volumes.get(call.params["name"])


@route("DELETE", "/volumes/{name}")
async def remove(engine: Engine, call: Call) -> Result:
    await engine.volumes.remove(call.params["name"], force=call.flag("force"))
    return None
