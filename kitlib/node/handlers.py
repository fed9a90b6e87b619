"""What a probe or a hook does: run a command, GET a page, open a connection, ask a gRPC server, sleep.

    exec        exit code 0
    httpGet     status 200 … 399
    tcpSocket   the connection opens
    grpc        grpc.health.v1.Health/Check answers SERVING

The address is the Pod's; the runtime says where that can be dialled from this machine.
Source: pkg/probe/{exec,http,tcp,grpc}, pkg/kubelet/lifecycle/handlers.go.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from typing import Any

from ..runtime.cri import RuntimeError_, RuntimeService
from .grpc_health import check as grpc_check

USER_AGENT = "kube-probe/1.36"
MOST_OUTPUT = 10 * 1024


class Handlers:
    """Runs handlers against containers of one runtime, with connections as from `node`."""

    def __init__(self, runtime: RuntimeService, node: str = "") -> None:
        self._runtime, self._node = runtime, node

    async def run(self, handler: Mapping[str, Any], container: Mapping[str, Any], container_id: str, sandbox_id: str,
                  timeout: float) -> tuple[bool, str]:
        """(success, what to say about it).  Never raises for what the container does."""
        try:
            return await asyncio.wait_for(
                self._dispatch(handler, container, container_id, sandbox_id, timeout), timeout)
        except (asyncio.TimeoutError, TimeoutError):
            return False, f"command timed out after {timeout:g}s" if "exec" in handler else _timed_out(handler)
        except RuntimeError_ as error:
            return False, error.message
        except OSError as error:
            return False, str(error)

    async def _dispatch(self, handler: Mapping[str, Any], container: Mapping[str, Any], container_id: str,
                        sandbox_id: str, timeout: float) -> tuple[bool, str]:
        if "exec" in handler:
            return await self._exec(container_id, handler["exec"].get("command") or (), timeout)
        if "sleep" in handler:
            await asyncio.sleep(float(handler["sleep"].get("seconds", 0)))
            return True, ""
        if "httpGet" in handler:
            spec = handler["httpGet"]
            host, port = await self._address(spec, container, sandbox_id)
            return await self._http_get(host, port, spec)
        if "tcpSocket" in handler:
            host, port = await self._address(handler["tcpSocket"], container, sandbox_id)
            _, writer = await self._connect(host, port)
            writer.close()
            return True, ""
        if "grpc" in handler:
            host, port = await self._runtime.port_address(sandbox_id, int(handler["grpc"]["port"]))
            return await grpc_check(*await self._connect(host, port), f"{host}:{port}",
                                    handler["grpc"].get("service") or "")
        return False, "missing probe handler"

    async def _exec(self, container_id: str, command: Any, timeout: float) -> tuple[bool, str]:
        answer = await self._runtime.exec_sync(container_id, list(command), timeout)
        output = (answer.stdout + answer.stderr)[:MOST_OUTPUT].decode("utf-8", "replace")
        return answer.exit_code == 0, output

    async def _address(self, spec: Mapping[str, Any], container: Mapping[str, Any],
                       sandbox_id: str) -> tuple[str, int]:
        port = resolve_port(spec.get("port"), container)
        if spec.get("host"):
            return spec["host"], port
        return await self._runtime.port_address(sandbox_id, port)

    async def _connect(self, host: str, port: int,
                       context: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection; a refusal reads as Go words it."""
        try:
            return await self._runtime.dial(host, port, context, node=self._node)
        except OSError as error:
            why = os.strerror(error.errno).lower() if error.errno else str(error)
            raise OSError(f"dial tcp {host}:{port}: connect: {why}") from error

    async def _http_get(self, host: str, port: int, spec: Mapping[str, Any]) -> tuple[bool, str]:
        """One request with HTTP/1.1, connection closed after it.  Nobody checks certificates, as in the kubelet."""
        context = None
        if spec.get("scheme", "HTTP").upper() == "HTTPS":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await self._connect(host, port, context)
        try:
            headers = {h["name"].lower(): h["value"] for h in spec.get("httpHeaders") or ()}
            headers.setdefault("host", f"{host}:{port}")
            headers.setdefault("user-agent", USER_AGENT)
            headers.setdefault("accept", "*/*")
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            path = spec.get("path") or "/"
            path = path if path.startswith("/") else f"/{path}"
            writer.write(f"GET {path} HTTP/1.1\r\n{head}connection: close\r\n\r\n".encode())
            line = (await reader.readline()).split()
            if len(line) < 2 or not line[1].isdigit():
                return False, "malformed HTTP response"
            status = int(line[1])
            if 200 <= status < 400:
                return True, ""
            return False, f"HTTP probe failed with statuscode: {status}"
        finally:
            writer.close()


def resolve_port(port: Any, container: Mapping[str, Any]) -> int:
    """A number, or the name of one of the container's ports."""
    if isinstance(port, int):
        return port
    if isinstance(port, str) and port.isdigit():
        return int(port)
    for entry in container.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    raise RuntimeError_("ProbeError", f"couldn't find port: {port}")


def _timed_out(handler: Mapping[str, Any]) -> str:
    return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)" if "httpGet" in handler \
        else "timeout: i/o timeout"
