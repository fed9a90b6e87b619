"""exec and attach: a process's stdin, stdout and stderr, carried to a client.

    WebSocket v5.channel.k8s.io   one message = one channel number + bytes
                                  0 stdin, 1 stdout, 2 stderr, 3 error (a Status at the end), 4 resize,
                                  255 the client closes the channel named by the next byte
    v4                            the same without 255: there stdin cannot be ended
    SPDY/3.1                      one stream per channel, named by its header `streamtype`

Source: k8s.io/kubelet/pkg/cri/streaming/remotecommand; k8s.io/apimachinery/pkg/util/remotecommand.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from kitlib.api.edge import spdy, upgrade, websocket
from kitlib.api.request import Connect
from kitlib.objects.errors import StatusError, internal

if TYPE_CHECKING:
    from kitlib.api.edge.connection import Connection, Exchange
    from kitlib.api.edge.connector import ExecSession, NodeConnector

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
V5, V4, V4_BASE64, V1 = "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io"
SPDY_PROTOCOLS = (V4, "v3.channel.k8s.io", "v2.channel.k8s.io", V1)
NAMES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}
STREAMS_TIMEOUT = 30.0

Input = tuple[int, Any]  # (STDIN, bytes), (CLOSE, None) or (RESIZE, (width, height))


class Terminal(Protocol):
    """The client's side, whatever its protocol."""

    def input(self) -> AsyncIterator[Input]: ...

    async def output(self, stream: int, data: bytes) -> None: ...

    async def finish(self, status: dict[str, Any]) -> None: ...


async def run(connection: Connection, exchange: Exchange, wanted: Connect, connector: NodeConnector) -> None:
    """Serve one exec or attach.  Refusals before the upgrade are StatusErrors."""
    headers = exchange.request.headers
    over_websocket = websocket.wanted(headers)
    if not over_websocket and not upgrade.wanted(headers):
        raise upgrade.required()
    protocol = (websocket.choose(headers, (V5, V4, V4_BASE64, V1)) if over_websocket
                else upgrade.choose(headers, SPDY_PROTOCOLS))
    start = connector.exec if wanted.verb == "exec" else connector.attach
    session = await start(wanted.node, wanted.pod, wanted.options)
    try:
        if over_websocket:
            terminal: Terminal = ChannelTerminal(websocket.WebSocket(connection, headers, protocol), protocol)
            # An empty message on the first channel says that the process is there.
            await terminal.output(STDOUT, b"")
        else:
            terminal = await SpdyTerminal.open(upgrade.accept(connection, protocol), wanted.options, protocol)
        await converse(session, terminal, stdin=bool(wanted.options.get("stdin")), tells_code=wanted.verb == "exec")
    finally:
        if session.exit_code is None:  # the client has left first
            await session.kill()


async def converse(session: ExecSession, terminal: Terminal, *, stdin: bool, tells_code: bool = True) -> None:
    """Carry bytes both ways until the process has ended, then say how.

    tells_code: False for attach, which has done well when the container ends, however that was; its code
    is in the Pod's status.
    """
    reader = asyncio.ensure_future(_carry_input(session, terminal, stdin))
    writer = asyncio.ensure_future(_carry_output(session, terminal))
    try:
        await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        if not writer.done():
            return  # the client is gone
        error = writer.exception()
        if isinstance(error, StatusError):
            await terminal.finish(error.status)
        elif error is not None:
            raise error
        else:
            await terminal.finish(exit_status(session.exit_code) if tells_code else exit_status(0))
        await asyncio.wait({reader}, timeout=websocket.LINGER)
    finally:
        for task in (reader, writer):
            task.cancel()
        await asyncio.gather(reader, writer, return_exceptions=True)


async def _carry_output(session: ExecSession, terminal: Terminal) -> None:
    async for stream, data in session.output():
        await terminal.output(stream, data)


async def _carry_input(session: ExecSession, terminal: Terminal, stdin: bool) -> None:
    """Ends when the client is gone, not when its stdin has ended."""
    if not stdin:
        await session.close_stdin()
    async for kind, value in terminal.input():
        if kind == STDIN and stdin and value:
            try:
                await session.write_stdin(value)
            except OSError:
                stdin = False  # the process has closed its end; it may still have much to say
        elif kind == CLOSE and stdin:
            await session.close_stdin()
        elif kind == RESIZE:
            await session.resize(*value)


def exit_status(code: int | None) -> dict[str, Any]:
    """The Status that ends a conversation; clients read the exit code out of its causes.  None: nobody knows it."""
    if code is None:
        return internal("error executing command in container: "
                        "the runtime let go of it, and how it ended is unknown").status
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]}}


def _size(data: bytes) -> Input | None:
    try:
        size = orjson.loads(data)
        return RESIZE, (int(size["Width"]), int(size["Height"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None  # a client that misspells its window's size keeps the old one


class ChannelTerminal:
    """Channels multiplexed over the messages of a WebSocket."""

    def __init__(self, socket: websocket.WebSocket, protocol: str) -> None:
        self._socket, self._protocol = socket, protocol
        self._base64 = protocol == V4_BASE64

    async def input(self) -> AsyncIterator[Input]:
        while message := await self._socket.read():
            # In the base64 protocol the channel is a digit, so that messages are text.
            channel, data = message[0] - (48 if self._base64 else 0), message[1:]
            if self._base64:
                try:
                    data = base64.b64decode(data, validate=True)
                except binascii.Error:
                    return
            if channel == STDIN:
                yield STDIN, data
            elif channel == RESIZE:
                size = _size(data)
                if size:
                    yield size
            elif channel == CLOSE and self._protocol == V5 and data[:1] == bytes((STDIN,)):
                yield CLOSE, None

    async def output(self, stream: int, data: bytes) -> None:
        if self._base64:
            await self._socket.write(str(stream).encode() + base64.b64encode(data))
        else:
            await self._socket.write(bytes((stream,)) + data)

    async def finish(self, status: dict[str, Any]) -> None:
        if self._protocol in (V5, V4, V4_BASE64):
            await self.output(ERROR, orjson.dumps(status))
        elif status["status"] != "Success":
            await self.output(ERROR, status["message"].encode())
        await self._socket.close()


class SpdyTerminal:
    """Each channel a stream of its own."""

    def __init__(self, session: spdy.Session, streams: dict[int, spdy.Stream], protocol: str) -> None:
        self._session, self._streams, self._protocol = session, streams, protocol
        self._runner: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, transport: spdy.Transport, options: Any, protocol: str) -> SpdyTerminal:
        """Wait until the client has opened all streams that the options speak of."""
        expected = {ERROR, *(NAMES[name] for name in ("stdin", "stdout", "stderr") if options.get(name))}
        if options.get("tty"):
            expected.discard(STDERR)
            if protocol in SPDY_PROTOCOLS[:2]:
                expected.add(RESIZE)
        streams: dict[int, spdy.Stream] = {}
        complete = asyncio.Event()

        def opened(stream: spdy.Stream) -> None:
            channel = NAMES.get(stream.headers.get("streamtype", ""))
            if channel is not None:
                streams[channel] = stream
            if expected <= set(streams):
                complete.set()

        session = spdy.Session(transport, opened)
        terminal = cls(session, streams, protocol)
        terminal._runner = asyncio.ensure_future(session.run())
        all_there = asyncio.ensure_future(complete.wait())
        try:
            await asyncio.wait({all_there, terminal._runner}, timeout=STREAMS_TIMEOUT,
                               return_when=asyncio.FIRST_COMPLETED)
        finally:
            all_there.cancel()
            if not complete.is_set():
                terminal._runner.cancel()
        if not complete.is_set():
            raise ConnectionResetError("the client did not open its streams")
        return terminal

    async def input(self) -> AsyncIterator[Input]:
        """Two streams read at once, until the connection is gone."""
        assert self._runner is not None
        arrived: asyncio.Queue[Input] = asyncio.Queue(maxsize=8)

        async def stdin(stream: spdy.Stream) -> None:
            while data := await stream.read():
                await arrived.put((STDIN, data))
            await arrived.put((CLOSE, None))

        async def resize(stream: spdy.Stream) -> None:
            while data := await stream.read():
                for line in data.splitlines():
                    size = _size(line)
                    if size:
                        await arrived.put(size)

        readers = [asyncio.ensure_future(read(self._streams[channel])) for channel, read in
                   ((STDIN, stdin), (RESIZE, resize)) if channel in self._streams]
        getter: asyncio.Future[Input] | None = None
        try:
            while not self._runner.done() or not arrived.empty():
                getter = asyncio.ensure_future(arrived.get())
                await asyncio.wait({getter, self._runner}, return_when=asyncio.FIRST_COMPLETED)
                if getter.done():
                    yield getter.result()
        finally:
            if getter is not None:
                getter.cancel()
            for task in (*readers, self._runner):
                task.cancel()

    async def output(self, stream: int, data: bytes) -> None:
        found = self._streams.get(stream)
        if found is not None:
            await found.write(data)

    async def finish(self, status: dict[str, Any]) -> None:
        error = self._streams[ERROR]
        if self._protocol == V4:
            await error.write(orjson.dumps(status))
        elif status["status"] != "Success":
            await error.write(status["message"].encode())
        for stream in list(self._streams.values()):
            await stream.close()
