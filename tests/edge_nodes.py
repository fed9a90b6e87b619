"""Nodes as the edge's tests need them: programs that echo, ports that answer, and a server in front of them."""

from __future__ import annotations

import asyncio
import http.client

from edge_fakes import FakeApi, FakeStore, Running

from kitlib.api.request import Connect
from kitlib.objects.errors import StatusError

POD = {"metadata": {"name": "p", "namespace": "default"}, "status": {"podIP": "127.64.16.9"}}


class EchoSession:
    """A process that says what it hears, and ends when its stdin does (or at the word "exit N")."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.heard: list[object] = []
        self.killed = self.lost = False
        self.queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()

    async def output(self):
        while (item := await self.queue.get()) is not None:
            yield item
        self.exit_code = 0 if self.exit_code is None and not self.lost else self.exit_code

    async def write_stdin(self, data):
        self.heard.append(data)
        if data.startswith(b"exit "):
            self.exit_code = int(data[5:])
            await self.queue.put(None)
        elif data == b"runtime dies":
            self.lost = True
            await self.queue.put(None)
        else:
            await self.queue.put((1, data))
            await self.queue.put((2, b"!"))

    async def close_stdin(self):
        self.heard.append("eof")
        await self.queue.put(None)

    async def resize(self, width, height):
        self.heard.append((width, height))

    async def kill(self):
        self.killed = True


class Node:
    """A NodeConnector whose Pod is this test."""

    def __init__(self) -> None:
        self.session: EchoSession | None = None
        self.ports: dict[int, int] = {}
        self.log_closed = False
        self.wait = asyncio.Event

    async def logs(self, node, pod, options):
        if options.get("container") == "missing":
            raise StatusError(400, "BadRequest", "container missing is not running")
        try:
            yield b"one\n"
            if options.get("follow"):
                for text in (b"two\n", b"three\n"):
                    await asyncio.sleep(0.05)
                    yield text
            if options.get("forever"):
                await asyncio.sleep(60)
        finally:
            self.log_closed = True

    async def exec(self, node, pod, options):
        if options.get("command") == ["none"]:
            raise StatusError(500, "InternalError", "no such program")
        self.session = EchoSession()
        return self.session

    attach = exec

    async def dial(self, node, pod, port, context=None):
        if port not in self.ports:
            raise StatusError(500, "InternalError", f"nobody listens on {port}")
        return await asyncio.open_connection("127.0.0.1", self.ports[port], ssl=context)

    port_forward = dial


class World:
    def __init__(self, loop: str) -> None:
        self.api, self.node = FakeApi(), Node()
        self.running = Running(self.api, FakeStore(), None, self.node, loop=loop)
        self.port = self.running.port

    def route(self, path: str, verb: str, options: dict, rest: str = "") -> str:
        self.api.routes[path] = lambda request: Connect(verb, "n1", POD, {
            **options, **({"query": request.query} if verb == "proxy" else {})}, rest)
        return path

    def exec(self, verb: str = "exec", **options) -> str:
        return self.route(f"/{verb}", verb, {"stdin": True, "stdout": True, "stderr": True, **options})

    def get(self, path: str, method: str = "GET", body: bytes | None = None, headers: dict | None = None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        conn.request(method, path, body, headers or {})
        response = conn.getresponse()
        data = response.read()
        conn.close()
        return response, data
