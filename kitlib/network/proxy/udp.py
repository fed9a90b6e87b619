"""UDP: each client of a Service gets a socket of its own to one endpoint, as long as it talks.

    client ──▶ Service's socket ──▶ the client's own socket ──▶ endpoint
           ◀── Service's socket ◀──                         ◀──

Source: kube-proxy's userspace mode (pkg/proxy/userspace/proxysocket.go, udpIdleTimeout).
"""

from __future__ import annotations

import asyncio
import socket

from kitlib.network.proxy.balance import Balancer, Endpoint
from kitlib.objects import lowports

IDLE_SECONDS = 10.0
_MAX_CLIENTS = 4096
Address = tuple[str, int]


class _Flow(asyncio.DatagramProtocol):
    """What comes back from the endpoint for one client."""

    def __init__(self, service: UdpService, client: Address, endpoint: Endpoint) -> None:
        self.service, self.client, self.endpoint = service, client, endpoint
        self.transport: asyncio.DatagramTransport | None = None
        self.last_used = 0.0
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        for data in self.waiting:
            self.send(data)
        self.waiting.clear()

    def send(self, data: bytes) -> None:
        self.last_used = asyncio.get_running_loop().time()
        if self.transport is None:
            self.waiting.append(data)
        else:
            self.transport.sendto(data)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.last_used = asyncio.get_running_loop().time()
        self.service.reply(data, self.client)

    def error_received(self, exc: Exception) -> None:
        self.service.forget(self)  # nobody listens there: the next datagram tries another endpoint


class UdpService(asyncio.DatagramProtocol):
    def __init__(self, ip: str, port: int, port_start: int) -> None:
        self.ip, self.port, self.port_start = ip, port, port_start
        self.balancer = Balancer()
        self._transport: asyncio.DatagramTransport | None = None
        self._flows: dict[Address, _Flow] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def bound_port(self) -> int:
        return lowports.reachable(self.port, self.port_start)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.ip, self.bound_port))

    def datagram_received(self, data: bytes, addr: Address) -> None:
        flow = self._flows.get(addr)
        if flow is not None and flow.endpoint not in self.balancer.endpoints:
            self.forget(flow)
            flow = None
        if flow is None:
            endpoint = self.balancer.choose(addr[0])
            if endpoint is None:
                return
            if len(self._flows) >= _MAX_CLIENTS:
                self.sweep(0.0)
            flow = self._flows[addr] = _Flow(self, addr, endpoint)
            task = asyncio.get_running_loop().create_task(self._dial(flow))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        flow.send(data)

    async def _dial(self, flow: _Flow) -> None:
        outgoing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outgoing.setblocking(False)
        try:
            if flow.client[0].startswith("127.") and flow.endpoint.ip.startswith("127."):
                outgoing.bind((flow.client[0], 0))
            outgoing.connect((flow.endpoint.ip, lowports.reachable(flow.endpoint.port, self.port_start)))
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: flow, sock=outgoing)
        except OSError:
            outgoing.close()
            self.forget(flow)

    def reply(self, data: bytes, client: Address) -> None:
        if self._transport is not None:
            self._transport.sendto(data, client)

    def forget(self, flow: _Flow) -> None:
        if self._flows.get(flow.client) is flow:
            del self._flows[flow.client]
        if flow.transport is not None:
            flow.transport.close()

    def sweep(self, idle: float = IDLE_SECONDS) -> None:
        """End the flows that nobody has used for a while."""
        before = asyncio.get_running_loop().time() - idle
        for flow in [flow for flow in self._flows.values() if flow.last_used <= before]:
            self.forget(flow)

    def close(self) -> None:
        for flow in list(self._flows.values()):
            self.forget(flow)
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None
