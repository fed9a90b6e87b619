"""The proxy process as the cluster process sees it: start it, give it the state, hear what it bound."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_LONGEST_LINE = 64 * 1024 * 1024


class ProxyProcess:
    """Restarts a proxy that died with the last state it was given.

    enter: makes the command line longer, so that it runs somewhere else (in a node's network namespace).
    """

    def __init__(self, low_ports: str = "auto", enter: Callable[[Sequence[str]], list[str]] = list) -> None:
        self._low_ports, self._enter = low_ports, enter
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._generation = 0
        self._services: Sequence[Mapping[str, Any]] = ()
        self._policy: Mapping[str, Any] = {}
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._closing = False
        self.restarts = 0

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        command = [sys.executable, "-m", "kitlib.network.proxy.main", "--low-ports", self._low_ports]
        self._process = await asyncio.create_subprocess_exec(
            *self._enter(command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_LINE,
            start_new_session=True)  # a Ctrl-C meant for the cluster process is not for this one
        self._reading = asyncio.create_task(self._read(self._process), name="proxy reports")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            report = json.loads(line)
            waiting = self._waiting.pop(report["generation"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(report)
        await process.wait()
        if not self._closing:
            self.restarts += 1
            await asyncio.sleep(min(0.1 * self.restarts, 5.0))
            await self.start()
            self._write({"policy": self._policy})
            self._write(self._state())

    def _state(self) -> Mapping[str, Any]:
        return {"generation": self._generation, "services": list(self._services)}

    def _write(self, message: Mapping[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def set_policy(self, table: Mapping[str, Any]) -> None:
        """Which caller may reach which endpoint (objects/policytable.py), for connections that begin from now on."""
        self._policy = table
        self._write({"policy": table})

    def apply(self, services: Sequence[Mapping[str, Any]]) -> asyncio.Future[dict[str, Any]]:
        """Send the whole desired state (see main.py).  The future is the proxy's report; nobody has to await it."""
        self._generation += 1
        self._services = services
        report = self._waiting[self._generation] = asyncio.get_running_loop().create_future()
        self._write(self._state())
        return report

    async def close(self) -> None:
        self._closing = True
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
        for waiting in self._waiting.values():
            waiting.cancel()
