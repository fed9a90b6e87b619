"""Large bodies of requests (archives, build contexts) in a file, for as long as they are needed."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kitlib.engine.call import Call
    from kitlib.engine.engine import Engine


def scratch(engine: Engine) -> Path:
    """A directory for what is there for a moment only."""
    place = engine.home / "tmp"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


@asynccontextmanager
async def received(engine: Engine, call: Call) -> AsyncIterator[Path]:
    """The body in a file that goes with the block."""
    with tempfile.NamedTemporaryFile(dir=scratch(engine), prefix="body-") as file:
        async for piece in call.body:
            file.write(piece)
        file.flush()
        yield Path(file.name)
