"""The proxy process: desired state in, what is bound out; both JSON lines.

    stdin   {"generation": 7, "services": [
              {"ip", "port", "protocol", "session_affinity", "endpoints": ["ip:port", …],
               "routes": [{"from": [CIDR, …], "endpoints": […], "as": ip}, …], "allow": [CIDR, …]},
              {"ip", "port", "protocol", "health": {"namespace", "name", "localEndpoints"}}, …]}
            {"policy": {…}}                        a table of objects/policytable.py
    stdout  {"generation": 7, "bound": ["ip:port/TCP", …], "mapped": {"ip:80/TCP": 61080},
             "failed": {"ip:port/TCP": why}}

Every line with services is the whole state (what its keys mean is in network/userspace.py); the process finds the
difference and leaves what did not change alone.  `session_affinity` is in seconds, 0 for none.  Low ports that this
user may not bind are mapped by objects/lowports.py.  The process ends when its standard input does: with the cluster
process.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
import sys
from typing import Any

from kitlib.network.proxy.health import HealthService
from kitlib.network.proxy.tcp import TcpService
from kitlib.network.proxy.udp import UdpService
from kitlib.objects import lowports
from kitlib.objects.policytable import PolicyTable

_SWEEP_SECONDS = 5.0
_LONGEST_LINE = 64 * 1024 * 1024
Service = TcpService | UdpService | HealthService
Key = tuple[str, int, str]


class Proxy:
    def __init__(self, port_start: int) -> None:
        self._port_start = port_start
        self._services: dict[Key, Service] = {}
        self.policy = PolicyTable()

    async def apply(self, state: dict[str, Any]) -> dict[str, Any]:
        """Make the listeners be what the state says; tell what could be bound."""
        wanted = {(entry["ip"], entry["port"], entry["protocol"]): entry for entry in state["services"]}
        for key in [key for key in self._services if key not in wanted]:
            self._services.pop(key).close()
        failed: dict[str, str] = {}
        for key, entry in wanted.items():
            problem = await self._apply_one(key, entry)
            if problem:
                failed[_label(key)] = problem
        bound = [key for key, service in self._services.items() if service.is_open]
        ports = {key: self._services[key].bound_port for key in bound}
        return {"generation": state.get("generation", 0), "bound": sorted(map(_label, bound)), "failed": failed,
                "mapped": {_label(key): port for key, port in ports.items() if port != key[1]}}  # fmt: skip

    async def _apply_one(self, key: Key, entry: dict[str, Any]) -> str:
        ip, port, protocol = key
        kind: Any = HealthService if "health" in entry else {"TCP": TcpService, "UDP": UdpService}.get(protocol)
        if kind is None:
            return f"the userspace proxy has no {protocol}, only TCP and UDP"
        service = self._services.get(key)
        if service is not None and type(service) is not kind:
            self._services.pop(key).close()
            service = None
        if service is None:
            service = self._services[key] = kind(ip, port, self._port_start)
        if not isinstance(service, HealthService):
            service.permits = self._permits
        service.update(entry)
        if not service.wanted:
            service.close()
        elif not service.is_open:
            try:
                await service.open()
            except OSError as error:
                return _reason(error)
        return ""

    def _permits(self, client: str, ip: str, port: int, protocol: str) -> bool:
        return self.policy.allows(client, ip, port, protocol)

    def sweep(self) -> None:
        for service in self._services.values():
            service.sweep()

    def close(self) -> None:
        for service in self._services.values():
            service.close()


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return os.strerror(error.errno) if error.errno else str(error)


def _label(key: Key) -> str:
    return f"{key[0]}:{key[1]}/{key[2]}"


async def _sweeping(proxy: Proxy) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        proxy.sweep()


async def serve(port_start: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    proxy = Proxy(port_start)
    sweeping = loop.create_task(_sweeping(proxy))
    while line := await reader.readline():
        message = json.loads(line)
        if "policy" in message:
            proxy.policy = PolicyTable(message["policy"])
            continue
        report = await proxy.apply(message)
        print(json.dumps(report), flush=True)
    sweeping.cancel()
    proxy.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="kitlib.network.proxy.main")
    parser.add_argument("--low-ports", default="auto", choices=("auto", "direct", "map"))
    options = parser.parse_args()
    start = {"direct": 0, "map": 1024}.get(options.low_ports, lowports.unprivileged_port_start())
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        import uvloop
    except ImportError:  # slower, but the same
        asyncio.run(serve(start))
    else:
        uvloop.run(serve(start))


if __name__ == "__main__":
    main()
