"""The cluster process: from an empty Python to a running Kubernetes, and back.

    python -m kitlib.cluster.process DIRECTORY READY_FD

    fork           so that nobody has to wait for us, and our parent is init
    lock, pid      one process per cluster; the kernel lets go of the lock however we end
    loop           uvloop; all of kitlib runs on this one thread
    assemble       cluster/assembly.py: store, API, edge, controllers, scheduler, nodes
    READY_FD       {"ready": true} once all nodes are Ready, or {"error": "one sentence"}
    wait           for SIGTERM or SIGINT, or for the parent of an ephemeral cluster to go

Source: what kubelet and kube-apiserver do in cmd/*/app/server.go, in one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from kitlib.cluster.errors import KitError
from kitlib.cluster.home import ClusterDir, write_private

log = logging.getLogger("kit")

PARENT_POLL_SECONDS = 0.5
# The store's objects are trees, which need no collector, and there are hundreds of thousands of them: Python's own
# thresholds would have it walk through them during every other list.
GC_THRESHOLDS = (20_000, 20, 50)


def main(argv: list[str]) -> int:
    directory, ready = ClusterDir(Path(argv[0]).name, Path(argv[0]).parents[1]), int(argv[1])
    if os.fork():
        os._exit(0)
    os.set_inheritable(ready, False)
    logging.basicConfig(stream=sys.stderr, level=os.environ.get("KIT_LOG", "INFO").upper(),
                        format="%(asctime)s %(levelname)-7s %(name)s %(message)s")
    lock = directory.take_lock()
    if lock is None:
        answer(ready, {"error": f'Cluster "{directory.name}" is being started by another process.'})
        return 1
    try:
        write_private(directory.pid, str(os.getpid()))
        _run(directory, ready)
    except Exception as error:
        sentence = sentence_for(error, directory)
        log.error("%s", sentence, exc_info=not isinstance(error, KitError))
        directory.state.unlink(missing_ok=True)
        answer(ready, {"error": sentence})
        return 1
    finally:
        directory.pid.unlink(missing_ok=True)
    return 0


def _run(directory: ClusterDir, ready: int) -> None:
    run_loop(_serve(directory, directory.read_config(), ready))


def run_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    """On uvloop, until it has come to its end."""
    import uvloop

    gc.disable()  # nothing made while starting becomes garbage
    if sys.version_info >= (3, 11):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(coroutine)
    else:
        uvloop.install()
        asyncio.run(coroutine)


async def _serve(directory: ClusterDir, config: dict[str, Any], ready: int) -> None:
    from kitlib.cluster.helpers import Helpers

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    watcher = _watch_parent(config["parentPid"], stop.set) if config.get("parentPid") else None
    helpers = Helpers(directory, config)
    await helpers.spawn()  # they get ready while this process still imports the rest of kitlib
    from kitlib.cluster.assembly import Assembly

    assembly = Assembly(directory, config, helpers)
    try:
        await _unless(assembly.start(), stop)
        if not stop.is_set():
            write_private(directory.state, json.dumps(assembly.state()))
            answer(ready, {"ready": True})
            collect_seldom()
            log.info("ready: %s", assembly.state()["server"])
        await stop.wait()
        log.info("stopping")
    finally:
        if watcher:
            watcher.cancel()
        await assembly.stop()
        directory.state.unlink(missing_ok=True)
        if config.get("ephemeral"):
            directory.remove()


def collect_seldom() -> None:
    """What is there now stays: modules, schemas, controllers.  The collector need never look at it again."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


async def _unless(work: Any, stop: asyncio.Event) -> None:
    """Do the work, but give it up when told to stop."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


def _watch_parent(pid: int, gone: Callable[[], None]) -> asyncio.Task[None]:
    """Call `gone` when the process ends: by pidfd, which cannot mistake a successor for it; else by looking."""
    async def watch() -> None:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            gone()
            return
        except OSError:  # an old kernel, or a sandbox that refuses the call
            while Path(f"/proc/{pid}").exists():
                await asyncio.sleep(PARENT_POLL_SECONDS)
            gone()
            return
        try:
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(descriptor, ended.set)
            await ended.wait()
            gone()
        finally:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    return asyncio.ensure_future(watch())


def sentence_for(error: Exception, directory: ClusterDir) -> str:
    """What a person should read when the cluster cannot start."""
    from kitlib.cluster.embedded import disk_sentence
    from kitlib.store.log import StoreCorrupt

    if isinstance(error, (KitError, StoreCorrupt)):
        return " ".join(str(error).split())  # SQLite reports damage in several lines
    if isinstance(error, OSError):
        return disk_sentence(error, directory.path)
    return f'Cluster "{directory.name}" cannot start: {type(error).__name__}: {error} (more in {directory.log}).'


def answer(descriptor: int, answer: dict[str, Any]) -> None:
    """Tell `kit up`, once; it may be gone."""
    with contextlib.suppress(OSError):
        os.write(descriptor, json.dumps(answer).encode() + b"\n")
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
