"""cp both ways, and export: tars in and out of a container.

Source: docs.docker.com/reference/api/engine (Container: archive, export);
moby 20.10, api/server/router/container/copy.go.
"""

from __future__ import annotations

import base64
import json

from kitlib.engine.call import Answer, Call, Result, Stream
from kitlib.engine.containers.files import Helper
from kitlib.engine.containers.record import Container, stamp
from kitlib.engine.engine import Engine
from kitlib.engine.errors import EngineError, bad_request
from kitlib.engine.routing import route

_HEADER = "X-Docker-Container-Path-Stat"


async def _found(engine: Engine, call: Call, what: str) -> tuple[Container, Helper, dict[str, str]]:
    container = engine.containers.find(call.params["id"])
    path = call.text("path")
    if not path:
        raise bad_request("bad parameter: 'path' cannot be empty")
    helper = await Helper.start(container, await engine.containers.runtime(), what, path=path)
    try:
        found = await helper.answer()
    except EngineError as error:
        raise _about(error, container) from error
    header = {"name": found["name"], "size": found["size"], "mode": found["mode"],
              "mtime": stamp(found["seconds"] * 1_000_000_000 + found["nanoseconds"]),
              "linkTarget": found["linkTarget"]}
    return container, helper, {_HEADER: base64.b64encode(json.dumps(header).encode()).decode()}


def _about(error: EngineError, container: Container) -> EngineError:
    if error.status == 404:
        return EngineError(404, f"{error.message} {container.name}")
    return error


@route("HEAD", "/containers/{id}/archive")
async def look(engine: Engine, call: Call) -> Result:
    _, helper, headers = await _found(engine, call, "stat")
    await helper.close()
    return Answer(200, headers=headers)


@route("GET", "/containers/{id}/archive")
async def take(engine: Engine, call: Call) -> Result:
    container, helper, headers = await _found(engine, call, "get")
    engine.events.tell("container", "archive-path", container.id, container.attributes())
    return Stream(helper.output(), "application/x-tar", headers=headers)


@route("PUT", "/containers/{id}/archive")
async def put(engine: Engine, call: Call) -> Result:
    container = engine.containers.find(call.params["id"])
    path = call.text("path")
    if not path:
        raise bad_request("bad parameter: 'path' cannot be empty")
    if container.host["ReadonlyRootfs"] and not any(
            point["RW"] and (path == point["Destination"] or path.startswith(point["Destination"] + "/"))
            for point in container.mounts):
        raise EngineError(403, "container rootfs is marked read-only")
    helper = await Helper.start(container, await engine.containers.runtime(), "put", path=path,
                                strict=call.flag("noOverwriteDirNonDir"))
    try:
        await helper.feed(aiter(call.body))
        await helper.answer()
    except EngineError as error:
        raise _about(error, container) from error
    finally:
        await helper.close()
    engine.events.tell("container", "extract-to-dir", container.id, container.attributes())
    return Answer(200)


@route("GET", "/containers/{id}/export")
async def export(engine: Engine, call: Call) -> Result:
    container = engine.containers.find(call.params["id"])
    helper = await Helper.start(container, await engine.containers.runtime(), "export", whole=True)
    await helper.answer()
    engine.events.tell("container", "export", container.id, container.attributes())
    return Stream(helper.output(), "application/octet-stream")
