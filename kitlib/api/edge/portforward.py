"""port-forward: TCP connections to a Pod's ports, through the API server.

    SPDY/3.1 (bare, or as kubectl does it: inside a WebSocket, `SPDY/3.1+portforward.k8s.io`)
        any number of connections; each is two streams with the same `requestid`: "error", then "data"
    WebSocket v4.channel.k8s.io, portforward.k8s.io
        one connection per port of the query: channels 2i (data) and 2i+1 (error); the first message of
        each carries the port, 16 bits, little endian

Source: k8s.io/kubelet/pkg/cri/streaming/portforward; k8s.io/client-go/tools/portforward.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from kitlib.api.edge import spdy, upgrade, websocket
from kitlib.api.request import Connect
from kitlib.objects.errors import StatusError, bad_request

if TYPE_CHECKING:
    from kitlib.api.edge.connection import Connection, Exchange
    from kitlib.api.edge.connector import NodeConnector

PROTOCOL = "portforward.k8s.io"
TUNNELLED = "SPDY/3.1+" + PROTOCOL
CHANNELS = ("v4.channel.k8s.io", PROTOCOL)
DIAL_TIMEOUT = 10.0

Dial = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def run(connection: Connection, exchange: Exchange, wanted: Connect, connector: NodeConnector) -> None:
    """Serve one port-forward until the client leaves."""
    headers = exchange.request.headers

    async def dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.wait_for(connector.port_forward(wanted.node, wanted.pod, port), DIAL_TIMEOUT)

    if websocket.wanted(headers):
        protocol = websocket.choose(headers, (TUNNELLED, *CHANNELS))
        if protocol == TUNNELLED:
            await _spdy(websocket.WebSocket(connection, headers, protocol), dial)
            return
        ports = list(wanted.options.get("ports") or ())
        if not ports or any(not 0 < port < 65536 for port in ports):
            raise bad_request("query parameter \"ports\" is required" if not ports else "port must be in 1..65535")
        await _channels(websocket.WebSocket(connection, headers, protocol), ports, dial)
    elif upgrade.wanted(headers):
        protocol = upgrade.choose(headers, (PROTOCOL,))
        await _spdy(upgrade.accept(connection, protocol), dial)
    else:
        raise upgrade.required()


def _why(port: int, error: Exception) -> str:
    text = error.message if isinstance(error, StatusError) else str(error) or type(error).__name__
    return f"error forwarding port {port}: {text}"


async def _spdy(transport: spdy.Transport, dial: Dial) -> None:
    tasks: set[asyncio.Task[None]] = set()
    errors: dict[str, spdy.Stream] = {}
    data: dict[str, spdy.Stream] = {}

    def opened(stream: spdy.Stream) -> None:
        request = stream.headers.get("requestid", stream.headers.get("port", ""))
        (errors if stream.headers.get("streamtype") == "error" else data)[request] = stream
        if request in errors and request in data:
            task = asyncio.ensure_future(_forward(data.pop(request), errors.pop(request), dial))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    try:
        await spdy.Session(transport, opened).run()
    finally:
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(data: spdy.Stream, error: spdy.Stream, dial: Dial) -> None:
    """One TCP connection.  Either side may end its half first."""
    port = data.headers.get("port", "")
    try:
        if not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 65536:
            raise ValueError(f"{port!r} is not a port")
        reader, writer = await dial(int(port))
    except (OSError, ValueError, StatusError, asyncio.TimeoutError) as failure:
        await error.write(_why(int(port) if port.isdecimal() and len(port) < 6 else 0, failure).encode())
        await error.close()
        await data.reset()
        return

    async def upload() -> None:
        while piece := await data.read():
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def download() -> None:
        while piece := await reader.read(65536):
            await data.write(piece)
        await data.close()

    up = asyncio.ensure_future(upload())
    try:
        await download()
        await error.close()
    except ConnectionError:
        await data.reset()
    finally:
        up.cancel()
        await asyncio.gather(up, return_exceptions=True)
        writer.close()


async def _channels(socket: websocket.WebSocket, ports: list[int], dial: Dial) -> None:
    writers: list[asyncio.StreamWriter | None] = [None] * len(ports)
    ready = [asyncio.Event() for _ in ports]
    for index, port in enumerate(ports):
        for channel in (2 * index, 2 * index + 1):
            await socket.write(bytes((channel,)) + port.to_bytes(2, "little"))

    async def download(index: int) -> None:
        try:
            reader, writers[index] = await dial(ports[index])
            ready[index].set()
            while piece := await reader.read(65536):
                await socket.write(bytes((2 * index,)) + piece)
        except (OSError, StatusError, asyncio.TimeoutError) as failure:
            ready[index].set()
            await socket.write(bytes((2 * index + 1,)) + _why(ports[index], failure).encode())

    async def upload() -> None:
        while message := await socket.read():
            index, odd = divmod(message[0], 2)
            if odd or index >= len(ports):
                continue
            await ready[index].wait()
            writer = writers[index]
            if writer is not None and not writer.is_closing():
                writer.write(message[1:])
                await writer.drain()

    async def download_all() -> None:
        await asyncio.gather(*(download(index) for index in range(len(ports))))

    down, up = asyncio.ensure_future(download_all()), asyncio.ensure_future(upload())
    try:
        await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
        if down.done():
            await socket.close()
            await asyncio.wait({up}, timeout=websocket.LINGER)
    finally:
        for task in (down, up):
            task.cancel()
        await asyncio.gather(down, up, return_exceptions=True)
        for writer in writers:
            if writer is not None:
                writer.close()
