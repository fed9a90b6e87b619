"""/build, and what BuildKit's clients try first: building images.

BuildKit's own protocol (a session in gRPC over the hijacked connection, its graph in protobuf) is not spoken.  `_ping`
says so (Builder-Version: 1), and clients that know both builders take the classic one by themselves.

Source: docs.docker.com/reference/api/engine (/build); moby/moby 20.10, api/server/router/build.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from kitlib.engine import builds
from kitlib.engine.call import Call, Result, Stream
from kitlib.engine.engine import Engine
from kitlib.engine.errors import EngineError, not_here
from kitlib.engine.receiving import received
from kitlib.engine.routing import route

_NO_BUILDKIT = ("the embedded engine does not speak BuildKit's protocol: build with DOCKER_BUILDKIT=0 docker build …, "
                "or with `kit build`, which knows BuildKit's Dockerfile language, too")


@route("POST", "/build")
async def build(engine: Engine, call: Call) -> Result:
    from kitlib.engine import building  # a third of what the engine consists of: it starts without

    order = building.order_of(call)
    if call.text("version") == "2":
        raise EngineError(501, _NO_BUILDKIT)
    if call.text("remote"):
        raise not_here("builds from an address", "fetch the context yourself and give it as a directory or a tar")
    stack = AsyncExitStack()
    path = await stack.enter_async_context(received(engine, call))

    async def lines() -> AsyncIterator[Any]:
        async with stack:
            with open(path, "rb") as context:
                async for line in building.build(engine, order, context):
                    yield line

    return Stream(lines())


@route("POST", "/build/prune")
async def prune(engine: Engine, call: Call) -> Result:
    return await asyncio.to_thread(builds.prune_cache, engine.store)


@route("POST", "/session")
@route("POST", "/grpc")
async def buildkit(engine: Engine, call: Call) -> Result:
    raise EngineError(501, _NO_BUILDKIT)
