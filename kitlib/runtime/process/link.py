"""The cluster process's line to the runtime daemon: find it or start it, ask, be told.

    call("start_container", container=…)  ──▶ {"id": 7, "method": …, "params": …}
                                          ◀── {"id": 7, "result": …}  or  {"id": 7, "error": {"reason", "message"}}
    on_event(status)                      ◀── {"event": …}
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.process.isolation import python_command
from kitlib.runtime.process.paths import socket_path

_LIMIT = 64 * 1024 * 1024
_PATIENCE = 10.0


async def open_connection(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    with socket_path(path) as name:
        return await asyncio.open_unix_connection(name, limit=_LIMIT)


class Link:
    def __init__(self, path: str, state: str, *, module: str, ephemeral: bool, low_ports: str) -> None:
        self.path, self._state, self._ephemeral, self._low_ports = path, state, ephemeral, low_ports
        self._module = module
        self.on_event: Callable[[dict[str, Any]], None] = lambda event: None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._connecting = asyncio.Lock()
        self._closed = False
        self.hello: dict[str, Any] = {}
        # What a daemon that is new has to hear, too: method (and whom it is about) → params.
        self.told: dict[str, dict[str, Any]] = {}
        self.on_new: Callable[[], Awaitable[None]] | None = None  # a daemon took the place of one that died
        self._renewing: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Join the daemon that is there, or start one."""
        async with self._connecting:
            if self._writer is not None:
                return
            for last in (False, False, True):
                try:
                    await self._join()
                    return
                except (RuntimeError_, ConnectionError):  # it was just ending when we came
                    if last:
                        raise
                    await asyncio.sleep(0.1)

    async def _join(self) -> None:
        try:
            reader, writer = await open_connection(self.path)
        except (FileNotFoundError, ConnectionRefusedError):
            await self._spawn()
            reader, writer = await open_connection(self.path)
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader), name="runtime link")
        before, self.hello = self.hello, await self._ask("control", {})
        if before.get("pid") == self.hello["pid"]:
            return
        for key, params in self.told.items():
            await self._ask(key.partition(" ")[0], params)
        if before and self.on_new is not None:
            self._renewing = asyncio.ensure_future(self.on_new())

    async def _spawn(self) -> None:
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        options = ["--socket", self.path, "--state", self._state, "--low-ports", self._low_ports]
        command, env = python_command(self._module, *options, *(["--ephemeral"] * self._ephemeral))
        # Not asyncio's own subprocess: uvloop's leaves the pipe's writing end open in the daemon, and it never ends.
        done = await asyncio.to_thread(subprocess.run, command, env=env, stdin=subprocess.DEVNULL, check=False,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
            raise RuntimeError_("RuntimeUnavailable", f"the runtime daemon did not start: {lines[-1]}")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                message = json.loads(line)
                if "event" in message:
                    self.on_event(message["event"])
                    continue
                waiting = self._waiting.pop(message["id"], None)
                if waiting is None or waiting.done():
                    continue
                if "error" in message:
                    waiting.set_exception(RuntimeError_(**message["error"]))
                else:
                    waiting.set_result(message["result"])
        except ConnectionError:
            pass  # the same as its end
        finally:
            if self._writer is not None:
                self._writer.close()
            self._writer = None
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(RuntimeError_("RuntimeUnavailable", "the runtime daemon has gone"))
            self._waiting.clear()

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        if self._writer is None:
            raise RuntimeError_("RuntimeUnavailable", "the runtime daemon has gone")
        self._number += 1
        self._waiting[self._number] = answer = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({"id": self._number, "method": method, "params": params}).encode() + b"\n")
        return await answer

    async def call(self, method: str, **params: Any) -> Any:
        if self._closed:
            raise RuntimeError_("RuntimeUnavailable", "this runtime was closed")
        if self._writer is None:  # it died: a new one starts with nothing, and the kubelet's next relist sees that
            await self.connect()
        return await self._ask(method, params)

    async def stream(self, method: str,
                     params: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
        """A connection of its own for an exec or attach session, after its first answer, and the process (of an exec).

        Raises RuntimeError_.
        """
        try:
            reader, writer = await open_connection(self.path)
            writer.write(json.dumps({"id": 0, "method": method, "params": params}).encode() + b"\n")
            line = await reader.readline()
        except OSError as error:  # a daemon that has just died; as a ConnectionError it would pass for the client's end
            raise RuntimeError_("RuntimeUnavailable", f"the runtime daemon: {error}") from error
        answer: dict[str, Any] = json.loads(line) if line else {
            "error": {"reason": "RuntimeUnavailable", "message": "no answer"}}
        if "error" in answer:
            writer.close()
            raise RuntimeError_(**answer["error"])
        return reader, writer, answer["result"].get("pid", 0)

    async def receive(self, method: str, **params: Any) -> socket.socket:
        """A socket that the daemon made for us.  Raises RuntimeError_."""
        return await asyncio.to_thread(self._receive, method, params)

    def _receive(self, method: str, params: dict[str, Any]) -> socket.socket:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            try:
                with socket_path(self.path) as name:
                    connection.connect(name)
                connection.sendall(json.dumps({"id": 0, "method": method, "params": params}).encode() + b"\n")
                line, fds, _, _ = socket.recv_fds(connection, 65536, 1)
            except OSError as error:
                raise RuntimeError_("RuntimeUnavailable", f"the runtime daemon: {error}") from error
        if not fds:
            answer = json.loads(line) if line else {}
            raise RuntimeError_(**answer.get("error", {"reason": "RuntimeUnavailable", "message": "no answer"}))
        received = socket.socket(fileno=fds[0])
        received.setblocking(False)
        return received

    async def wait_gone(self) -> None:
        """Wait for the daemon's end of the line to close."""
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    async def close(self) -> None:
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)


def stop_daemon(path: str, timeout: float = 10.0) -> bool:
    """End a daemon and everything it runs, from anywhere.  False if none listens at `path`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            with socket_path(path) as name:
                connection.connect(name)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        connection.sendall(b'{"id": 1, "method": "shutdown"}\n')
        while connection.recv(4096):  # it closes when it ends
            pass
    return True
