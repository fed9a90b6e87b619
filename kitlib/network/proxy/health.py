"""The health check of a Service with externalTrafficPolicy Local: does this node have Pods of it?

    GET http://NODE:healthCheckNodePort/   ──▶ 200 {"service": {…}, "localEndpoints": 2, "serviceProxyHealthy": true}
                                               503 when there are none

A load balancer in front of the nodes asks this and sends connections only where the answer is 200.
Source: pkg/proxy/healthcheck/service_health.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from kitlib.objects import lowports

_LONGEST_HEAD = 16 * 1024
_PATIENCE = 10.0


class HealthService:
    def __init__(self, ip: str, port: int, port_start: int) -> None:
        self.ip, self.port, self.port_start = ip, port, port_start
        self._health: Mapping[str, Any] = {}
        self._server: asyncio.Server | None = None

    @property
    def bound_port(self) -> int:
        return lowports.reachable(self.port, self.port_start)

    @property
    def wanted(self) -> bool:
        return True

    def update(self, entry: Mapping[str, Any]) -> None:
        self._health = entry["health"]

    def response(self) -> bytes:
        """The whole answer, head and body."""
        count = self._health["localEndpoints"]
        body = json.dumps({"service": {"namespace": self._health["namespace"], "name": self._health["name"]},
                           "localEndpoints": count, "serviceProxyHealthy": True}).encode()
        status = "200 OK" if count else "503 Service Unavailable"
        head = (f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
                f"X-Load-Balancing-Endpoint-Weight: {count}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n")
        return head.encode() + body

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.ip, self.bound_port, limit=_LONGEST_HEAD)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError,
                                 asyncio.LimitOverrunError):  # fmt: skip
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            writer.write(self.response())
            await writer.drain()
        writer.close()

    def sweep(self) -> None:
        """Nothing is remembered here."""

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    @property
    def is_open(self) -> bool:
        return self._server is not None
