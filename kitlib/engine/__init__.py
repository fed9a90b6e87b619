"""The embedded Docker Engine: the Engine API on a unix socket, for the stock `docker` CLI and SDK, without dockerd.

    docker, SDK, curl ──unix socket──▶ http.py ─▶ server.py ─▶ routes/*.py ─▶ engine.Engine
                                                                               │ images      kitlib/images/store
                                                                               │ containers  kitlib/runtime
                                                                               │ networks, volumes
                                                                               │ events      who hears what happens
                                                                               └ state       what survives a kill -9

A route is a function with a mark on it, in one of the files of routes/ (routes/__init__.py lists them):

    @route("POST", "/containers/{id}/start")                  # the version prefix /v1.NN is gone already
    async def start(engine: Engine, call: Call) -> Result:
        await engine.containers.start(call.params["id"])      # raises EngineError(404, "No such container: …")
        return None                                           # 204

    {name}          one part of the path;  {name:path} may have slashes in it (names of images)
    call            query (`call.text("t")`, `call.flag("all")`, `call.number("tail", 0)`, `call.filters()`), headers,
                    `await call.json()`, `async for piece in call.body`
    None            204 No Content
    dict, list      200 and JSON
    Answer(...)     anything else, complete
    Stream(...)     an async iterator: bytes go out as they are, anything else as a line of JSON.  An EngineError before
                    the first item is an error as usual; later, in a stream of JSON, it is Docker's {"errorDetail": …}
    call.hijack()   takes the connection over (attach, exec): 101 if the client asked for `Upgrade`, else the old 200;
                    gives a `Pipe` with read(), write(), write_eof(); what the route returns afterwards does not matter

When the client goes away, the route is cancelled (but not before `call.hijack()`'s reader has seen the end).

Everything runs on one event loop; what takes longer than a few milliseconds (tars, unpacking, a build) belongs into
`asyncio.to_thread`.

A lab says `kit.engine()`, and `kit.engine` is this package: so the package can be called.

Source: docs.docker.com/reference/api/engine (1.41); moby/moby 20.10, api/server.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """`kit.engine()`: the Docker Engine that labs use, real or embedded (see kitlib/cluster/notebook.py)."""

    def __call__(self) -> Any:
        from kitlib.cluster.notebook import engine

        return engine()


sys.modules[__name__].__class__ = _Callable
