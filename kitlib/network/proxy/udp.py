"""UDP: each client of a Service gets a socket of its own to one endpoint, as long as it talks.

    client ──▶ Service's socket ──▶ the client's own socket ──▶ endpoint
           ◀── Service's socket ◀──                         ◀──

Source: kube-proxy's userspace mode (pkg/proxy/userspace/proxysocket.go, udpIdleTimeout).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

from kitlib.network.proxy.balance import Endpoint, Permits, Route, Routes, everybody, source_for
from kitlib.objects import lowports

IDLE_SECONDS = 10.0
_MAX_CLIENTS = 4096
Address = tuple[str, int]


class _Flow(asyncio.DatagramProtocol):
    """What comes back from the endpoint for one client."""

    def __init__(self, service: UdpService, client: Address, endpoint: Endpoint, route: Route) -> None:
        self.service, self.client, self.endpoint, self.route = service, client, endpoint, route
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
        self.routes = Routes()
        self.permits: Permits = everybody
        self._transport: asyncio.DatagramTransport | None = None
        self._flows: dict[Address, _Flow] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def bound_port(self) -> int:
        return lowports.reachable(self.port, self.port_start)

    @property
    def wanted(self) -> bool:
        return self.routes.lead_somewhere

    def update(self, entry: Mapping[str, Any]) -> None:
        """Flows to endpoints that have gone end here: the client's next datagram finds another one."""
        self.routes.update(entry)
        for flow in list(self._flows.values()):
            route = self.routes.of(flow.client[0])
            if route is None or flow.endpoint not in route.balancer.endpoints:
                self.forget(flow)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.ip, self.bound_port))

    def datagram_received(self, data: bytes, addr: Address) -> None:
        flow = self._flows.get(addr)
        if flow is None:
            route = self.routes.of(addr[0])
            endpoint = route.balancer.choose(addr[0]) if route is not None else None
            if route is None or endpoint is None:
                return
            if not self.permits(addr[0], endpoint.ip, endpoint.port, "UDP"):
                return
            if len(self._flows) >= _MAX_CLIENTS:
                self.sweep(0.0)
            flow = self._flows[addr] = _Flow(self, addr, endpoint, route)
            task = asyncio.get_running_loop().create_task(self._dial(flow))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        flow.send(data)

    async def _dial(self, flow: _Flow) -> None:
        outgoing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outgoing.setblocking(False)
        try:
            source = source_for(flow.route, flow.client[0], flow.endpoint)
            if source:
                outgoing.bind((source, 0))
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
        self.routes.forget()
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
