"""Work in a thread that talks: what it says becomes a stream of the event loop, in order.

    async for item in talking(lambda tell: build(…, tell)):  …

If whoever listens goes away, `cancelled` is set, and the work is expected to look at it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

Tell = Callable[[Any], None]
_END = object()


async def talking(work: Callable[[Tell], Any], cancelled: threading.Event | None = None,
                  result: Callable[[Any], None] | None = None) -> AsyncIterator[Any]:
    """Raises what the work raises, after all that it has said.  result: called with what it returns."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Any] = asyncio.Queue()

    def tell(item: Any) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, item)

    def run() -> Any:
        try:
            return work(tell)
        finally:
            loop.call_soon_threadsafe(queue.put_nowait, _END)

    running = asyncio.ensure_future(asyncio.to_thread(run))
    try:
        while (item := await queue.get()) is not _END:
            yield item
        found = await running
        if result is not None:
            result(found)
    finally:
        if not running.done():
            if cancelled is not None:
                cancelled.set()
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
