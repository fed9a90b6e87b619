"""Published ports: what docker-proxy does, in the engine's own process.

    host 0.0.0.0:8080 ──▶ Publisher ── wiring.connect ──▶ the container's 80

Source: moby 20.10, libnetwork/portmapper, cmd/docker-proxy; the sentences are theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kitlib.engine.errors import EngineError
from kitlib.network.sockets import bound

if TYPE_CHECKING:
    from kitlib.engine.containers.record import Container
    from kitlib.engine.networks.wiring import Wiring

Object = dict[str, Any]
_CHUNK = 65536
_IDLE = 90.0


class Publisher:
    """All ports of one run."""

    def __init__(self, container: Container, wiring: Wiring) -> None:
        self._container, self._wiring = container, wiring
        self._servers: list[asyncio.Server] = []
        self._datagrams: list[asyncio.BaseTransport] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, wanted: Mapping[str, list[Object]]) -> dict[str, list[Object] | None]:
        """"80/tcp" → [{"HostIp", "HostPort"}]: what is listened to now, in inspect's form.  Raises EngineError(500)."""
        opened: dict[str, list[Object] | None] = {}
        for port, bindings in wanted.items():
            number, _, protocol = port.partition("/")
            listed: list[Object] = []
            for binding in bindings:
                listed += await self._open(int(number), protocol or "tcp", binding)
            opened[port] = listed
        return opened

    async def _open(self, port: int, protocol: str, binding: Object) -> list[Object]:
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        host, asked = binding.get("HostIp") or "", str(binding.get("HostPort") or "0")
        first, _, last = asked.partition("-")
        for number in range(int(first), int(last or first) + 1):
            try:
                made = bound(socket.socket(socket.AF_INET, kind), host or "0.0.0.0", number)
                break
            except OSError as error:
                if number == int(last or first):
                    raise self._refused(host or "0.0.0.0", number, protocol, error) from error
        number = made.getsockname()[1]
        await self._serve(made, port, kind)
        shown = [{"HostIp": host or "0.0.0.0", "HostPort": str(number)}]
        if not host and socket.has_ipv6:
            with contextlib.suppress(OSError):
                six = socket.socket(socket.AF_INET6, kind)
                six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                await self._serve(bound(six, "::", number), port, kind)
                shown.append({"HostIp": "::", "HostPort": str(number)})
        return shown

    def _refused(self, host: str, port: int, protocol: str, error: OSError) -> EngineError:
        name, identity = self._container.name, os.urandom(32).hex()
        why = f"Error starting userland proxy: listen {protocol}4 {host}:{port}: bind: " + {
            errno.EADDRINUSE: "address already in use", errno.EACCES: "permission denied",
            errno.EADDRNOTAVAIL: "cannot assign requested address"}.get(error.errno or 0, str(error))
        endpoint = next((one["EndpointID"] for one in self._container.networks.values() if one["EndpointID"]), identity)
        return EngineError(500, f"driver failed programming external connectivity on endpoint {name} ({endpoint}): "
                           f"{why}")

    async def _serve(self, made: socket.socket, port: int, kind: int) -> None:
        if kind == socket.SOCK_STREAM:
            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                self._spawn(self._relay(reader, writer, port))

            self._servers.append(await asyncio.start_server(connected, sock=made))
        else:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(self, port), sock=made)
            self._datagrams.append(transport)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        try:
            made = await self._wiring.connect(self._container, port, socket.SOCK_STREAM)
            inner = await asyncio.open_connection(sock=made)
        except Exception:  # nobody listens there: as with docker-proxy, the connection just ends
            writer.transport.abort()
            return
        await join((reader, writer), inner)

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for transport in self._datagrams:
            transport.close()
        for task in list(self._tasks):
            task.cancel()
        self._servers, self._datagrams = [], []


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def join(one: Stream, other: Stream) -> None:
    """What comes from one goes to the other, both ways, to both ends."""
    try:
        await asyncio.gather(_copy(one[0], other[1]), _copy(other[0], one[1]))
    except (ConnectionError, OSError):
        return
    finally:
        one[1].close()
        other[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


class _Datagrams(asyncio.DatagramProtocol):
    """UDP: each caller has a socket to the container of its own, until it is quiet for a while."""

    def __init__(self, publisher: Publisher, port: int) -> None:
        self._publisher, self._port = publisher, port
        self._inner: dict[Any, socket.socket] = {}
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._publisher._spawn(self._pass(data, address))

    async def _pass(self, data: bytes, address: Any) -> None:
        inner = self._inner.get(address)
        with contextlib.suppress(OSError):
            if inner is None:
                wiring, container = self._publisher._wiring, self._publisher._container
                self._inner[address] = inner = await wiring.connect(container, self._port, socket.SOCK_DGRAM)
                self._publisher._spawn(self._answers(inner, address))
            await asyncio.get_running_loop().sock_sendall(inner, data)

    async def _answers(self, inner: socket.socket, address: Any) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._transport.sendto(await asyncio.wait_for(loop.sock_recv(inner, _CHUNK), _IDLE), address)
        except (OSError, asyncio.TimeoutError, TimeoutError):
            return
        finally:
            self._inner.pop(address, None)
            inner.close()
