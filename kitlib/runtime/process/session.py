"""An exec or attach session, seen from the cluster process: the other end of streams.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from kitlib.runtime.process.streams import CLOSE_STDIN, END, KILL, RESIZE, STDIN, frame

_STDIN_CHUNK = 256 * 1024


class ProcessSession:
    """An `ExecSession` of cri.py.  pid: of an exec's process, on this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int = 0) -> None:
        self.exit_code: int | None = None
        self.pid = pid
        self._reader, self._writer = reader, writer

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        try:
            while True:
                header = await self._reader.readexactly(5)
                data = await self._reader.readexactly(int.from_bytes(header[1:], "big"))
                if header[0] == END:
                    self.exit_code = json.loads(data)["exit_code"]
                    break
                yield header[0], data
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the daemon let go of it: there is no exit code
        self._writer.close()  # not if the caller stops listening: it may still want to kill

    async def _send(self, kind: int, data: bytes = b"") -> None:
        if not self._writer.is_closing():
            self._writer.write(frame(kind, data))
            try:
                await self._writer.drain()
            except ConnectionError:
                return  # it ended meanwhile; output() says so

    async def write_stdin(self, data: bytes) -> None:
        for start in range(0, len(data), _STDIN_CHUNK):
            await self._send(STDIN, data[start : start + _STDIN_CHUNK])

    async def close_stdin(self) -> None:
        await self._send(CLOSE_STDIN)

    async def resize(self, width: int, height: int) -> None:
        await self._send(RESIZE, json.dumps({"width": width, "height": height}).encode())

    async def kill(self) -> None:
        """End an exec'ed process; a container that is attached to goes on."""
        await self._send(KILL)

    def close(self) -> None:
        self._writer.close()
