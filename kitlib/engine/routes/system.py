"""/_ping, /version, /info, /events, /auth: about the engine itself.

Source: docs.docker.com/reference/api/engine (System); moby/moby 20.10, api/server/router/system, daemon/info.go.
"""

from __future__ import annotations

from kitlib.engine.call import Answer, Call, Result
from kitlib.engine.engine import Engine
from kitlib.engine.routing import route

_NO_CACHE = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}


@route("GET", "/_ping")
async def ping(engine: Engine, call: Call) -> Result:
    # Builder-Version 1: clients that know both builders choose the classic one.
    return Answer(body="OK", headers={**_NO_CACHE, "Builder-Version": "1"})
