"""The embedded Docker Engine's process: from an empty Python to a socket that answers, and back.

    python -m kitlib.cluster.engineprocess DIRECTORY READY_FD      in the background (background.py is the other side)
    kit engine up --foreground                                     here, until Ctrl-C

The lock, the pid and the state are a cluster's (home.py); engine/ knows nothing of any of this.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kitlib.cluster.errors import CannotStart, KitError
from kitlib.cluster.home import ProcessDir, write_private
from kitlib.cluster.process import answer, collect_seldom, run_loop

log = logging.getLogger("kit")


def main(argv: list[str]) -> int:
    directory, ready = ProcessDir(Path(argv[0])), int(argv[1])
    if os.fork():
        os._exit(0)
    os.set_inheritable(ready, False)
    try:
        run(directory, lambda state: answer(ready, {"ready": True}))
    except KitError as error:
        answer(ready, {"error": str(error)})
        return 1
    return 0


def run(directory: ProcessDir, ready: Callable[[dict[str, Any]], None]) -> None:
    """Serve until SIGTERM or SIGINT.  ready: called with the state once the socket answers.  Raises KitError."""
    logging.basicConfig(stream=sys.stderr, level=os.environ.get("KIT_LOG", "INFO").upper(),
                        format="%(asctime)s %(levelname)-7s %(name)s %(message)s")
    if directory.take_lock() is None:
        raise CannotStart(f"The engine of {directory.path} is being started by another process.")
    try:
        write_private(directory.pid, str(os.getpid()))
        run_loop(_serve(directory, ready))
    except OSError as error:
        log.exception("the engine cannot start")
        raise CannotStart(f"The embedded engine cannot start: {error}.") from error
    finally:
        directory.state.unlink(missing_ok=True)
        directory.pid.unlink(missing_ok=True)


async def _serve(directory: ProcessDir, ready: Callable[[dict[str, Any]], None]) -> None:
    from kitlib.cluster.dockerengine import socket_of
    from kitlib.engine.engine import Engine
    from kitlib.engine.machine import API_VERSION, VERSION, text_of
    from kitlib.engine.server import EngineServer
    from kitlib.images.store import ImageStore

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    engine = Engine(directory.path, ImageStore(directory.path.parent / "images" / "oci"))  # all of one home
    server = EngineServer(engine)
    await engine.start()
    try:
        socket = socket_of(directory)
        await server.listen(socket)
        state = {"pid": os.getpid(), "socket": str(socket), "version": VERSION,
                 "apiVersion": text_of(API_VERSION)}
        write_private(directory.state, json.dumps(state))
        log.info("ready: unix://%s", socket)
        ready(state)
        collect_seldom()
        await asyncio.to_thread(importlib.import_module, "kitlib.engine.building")  # the first build need not wait
        await stop.wait()
        log.info("stopping")
    finally:
        await server.close()
        await engine.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
