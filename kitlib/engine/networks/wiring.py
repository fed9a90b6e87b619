"""How a container gets into a network: two ways, one for each kind of runtime.

    Bridged     oci       a bridge per network, an interface per container and network, DNS at 127.0.0.11 in each
    Addressed   process   no network namespaces: one address of 127.X.0.0/16 for each container, given to it by its
                          filter (kitlib/runtime/process/notifier.py), and one DNS server for all of them

Addressed containers have one address however many networks they are in; what tells networks apart are the names, and
the gate that drops connections between networks.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from kitlib.engine.networks.names import Names
from kitlib.engine.networks.outside import Outside
from kitlib.engine.networks.pools import DockerPools, LoopbackPools, Network, Pools
from kitlib.network.addresses import Slice
from kitlib.network.dns.server import DnsServer, host_resolvers
from kitlib.network.sockets import bound
from kitlib.runtime.cri import PodSandboxConfig, RuntimeError_
from kitlib.runtime.process.client import ProcessRuntime

if TYPE_CHECKING:
    from kitlib.engine.containers.record import Container

Object = dict[str, Any]
EMBEDDED_DNS = "127.0.0.11"


class Wiring(Protocol):
    pools: Pools

    def may_have(self, network: Network) -> bool: ...

    async def make(self, network: Object) -> None:
        """Does nothing if it is there."""
        ...

    async def remove(self, network: Object) -> None: ...

    def address(self, container: Container, network: Object) -> str:
        """The address a container has to have, or "": any."""
        ...

    async def sandbox(self, container: Container, other: str, hostname: str) -> str:
        """A place for a run.  other: the sandbox of the container whose network it shares."""
        ...

    async def attach(self, container: Container, network: Object, endpoint: Object) -> None: ...

    async def detach(self, container: Container, network: Object, endpoint: Object) -> None: ...

    async def closed(self, container: Container) -> None:
        """The run is over, and its sandbox goes."""
        ...

    async def adopted(self, container: Container) -> None:
        """It runs since before this engine did."""
        ...

    async def connect(self, container: Container, port: int, kind: int) -> socket.socket:
        """A socket that is connected to a port of the container.  Raises OSError."""
        ...

    def own(self, container: Container) -> str:
        """The address that its filter gives it; "" where it has a network of its own, or the host's."""
        ...

    def nameserver(self, container: Container) -> str:
        """What its resolv.conf has to say; "": as on the host."""
        ...

    async def close(self) -> None: ...


def user_defined(container: Container) -> bool:
    """In a network where names mean something."""
    return any(name not in ("bridge", "host", "none") for name in container.networks)


def _config(container: Container, hostname: str, ip: str = "", host: bool = False) -> Object:
    return asdict(PodSandboxConfig(container.name, container.id, "", hostname=hostname, ip=ip, host_network=host))


class Bridged:
    def __init__(self, runtime: ProcessRuntime, names: Names) -> None:
        self._runtime, self._names = runtime, names
        self.pools: Pools = DockerPools()
        self._servers: dict[str, DnsServer] = {}
        self._interfaces: dict[str, dict[str, str]] = {}  # container → network's id → interface
        self._bridges: dict[str, Object] = {}
        self._outside = Outside(runtime, lambda: (
            one["IPAM"]["Config"][0]["Gateway"] for one in self._bridges.values()))

    async def start(self) -> None:
        await self._outside.start()

    async def renew(self) -> None:
        """The daemon was killed: its network is another one now."""
        await self._outside.close()
        await self._outside.start()

    def may_have(self, network: Network) -> bool:
        return not network.is_loopback

    @staticmethod
    def bridge(network: Object) -> str:
        named = network["Options"].get("com.docker.network.bridge.name")
        return str(named or f"br-{network['Id'][:12]}")[:15]

    async def make(self, network: Object) -> None:
        if network["Driver"] != "bridge":
            return
        subnet = Network(network["IPAM"]["Config"][0]["Subnet"])
        apart = network["Options"].get("com.docker.network.bridge.enable_icc") == "false"
        self._bridges[network["Id"]] = network
        await self._runtime.ask("make_bridge", name=self.bridge(network), prefix=subnet.prefixlen,
                                gateway=network["IPAM"]["Config"][0]["Gateway"], internal=network["Internal"],
                                isolated=apart)  # fmt: skip

    async def remove(self, network: Object) -> None:
        self._bridges.pop(network["Id"], None)
        with contextlib.suppress(RuntimeError_):
            await self._runtime.ask("remove_bridge", name=self.bridge(network))

    def address(self, container: Container, network: Object) -> str:
        return ""

    async def sandbox(self, container: Container, other: str, hostname: str) -> str:
        mode = "sandbox" if other else "host" if container.network_mode == "host" else "own"
        return str(await self._runtime.ask("run_standalone", config=_config(container, hostname), mode=mode,
                                           other=other))

    async def attach(self, container: Container, network: Object, endpoint: Object) -> None:
        if network["Driver"] != "bridge":
            return
        mine = self._interfaces.setdefault(container.id, {})
        interface = next(name for i in range(64) if (name := f"eth{i}") not in mine.values())
        first = not mine or container.network_mode in (network["Name"], network["Id"])
        wire = {"interface": interface, "bridge": self.bridge(network), "address": endpoint["IPAddress"],
                "prefix": endpoint["IPPrefixLen"], "mac": endpoint["MacAddress"],
                "gateway": endpoint["Gateway"] if first else ""}
        mine[network["Id"]] = interface
        await self._runtime.ask("attach_network", sandbox=container.sandbox, wire=wire)
        if network["Name"] != "bridge" and container.id not in self._servers:
            await self._serve(container)

    async def _serve(self, container: Container) -> None:
        async def listen(address: str, port: int, kind: int) -> socket.socket:
            made = await self._runtime.receive("open_standalone_socket", sandbox=container.sandbox, kind=kind)
            return bound(made, address, port)

        server = DnsServer(EMBEDDED_DNS, [(one, 53) for one in host_resolvers()[0]], listen=listen)
        server.responder = self._names.responder(container)
        server.port = 53
        await server.start()
        self._servers[container.id] = server

    async def detach(self, container: Container, network: Object, endpoint: Object) -> None:
        interface = self._interfaces.get(container.id, {}).pop(network["Id"], "")
        if interface:
            await self._runtime.ask("detach_network", sandbox=container.sandbox, interface=interface)
        rest = [one for name, one in container.networks.items() if name != network["Name"] and one.get("Gateway")]
        if rest:
            await self._runtime.ask("default_route", sandbox=container.sandbox, gateway=rest[0]["Gateway"])

    async def closed(self, container: Container) -> None:
        self._interfaces.pop(container.id, None)
        server = self._servers.pop(container.id, None)
        if server is not None:
            await server.close()

    async def adopted(self, container: Container) -> None:
        networks = [one for one in container.networks.values() if one.get("IPAddress")]
        self._interfaces[container.id] = {one["NetworkID"]: f"eth{i}" for i, one in enumerate(networks)}
        if user_defined(container):
            await self._serve(container)

    async def connect(self, container: Container, port: int, kind: int) -> socket.socket:
        """From the daemon's network, where the bridges' gateways are."""
        made = await self._runtime.receive("open_socket", node="", kind=kind)
        return await _connected(made, container.ip or "127.0.0.1", port)

    def own(self, container: Container) -> str:
        return ""

    def nameserver(self, container: Container) -> str:
        return EMBEDDED_DNS if user_defined(container) else ""

    async def close(self) -> None:
        await self._outside.close()
        for server in self._servers.values():
            await server.close()


class Addressed:
    """containers: all there are, for the gate's table."""

    def __init__(self, runtime: ProcessRuntime, names: Names, leased: Slice,
                 containers: Callable[[], Iterable[Container]]) -> None:
        self._runtime, self._names, self._slice, self._containers = runtime, names, leased, containers
        self.pools: Pools = LoopbackPools(leased.number)
        self._server: DnsServer | None = None
        self._given: dict[str, str] = {}  # sandbox → address
        self._serving = asyncio.Lock()

    def may_have(self, network: Network) -> bool:
        return isinstance(self.pools, LoopbackPools) and self.pools.owns(network)

    async def make(self, network: Object) -> None:
        """There is nothing to make."""

    async def remove(self, network: Object) -> None:
        """There is nothing to remove."""

    def address(self, container: Container, network: Object) -> str:
        return container.ip

    async def sandbox(self, container: Container, other: str, hostname: str) -> str:
        host = container.network_mode == "host"
        ip = "" if host else container.ip
        if container.network_mode == "none":
            ip = f"127.{self._slice.number}.14.{int(container.id[:2], 16) or 1}"
        if other:
            ip = self._given.get(other, "")
        await self._decide()
        sandbox = await self._runtime.run_pod_sandbox(PodSandboxConfig(
            container.name, container.id, "", hostname=hostname, ip=ip, host_network=not ip))
        self._given[sandbox] = ip
        return sandbox

    def own(self, container: Container) -> str:
        return self._given.get(container.sandbox, "")

    async def attach(self, container: Container, network: Object, endpoint: Object) -> None:
        async with self._serving:
            if self._server is None:
                server = DnsServer(self._slice.dns_ip, [(one, 53) for one in host_resolvers()[0]])
                server.responder = self._names.responder(None)
                await server.start()
                self._server = server
        await self._decide()

    async def detach(self, container: Container, network: Object, endpoint: Object) -> None:
        await self._decide(without=(container, network["Name"]))

    async def closed(self, container: Container) -> None:
        self._given.pop(container.sandbox, None)
        await self._decide()

    async def adopted(self, container: Container) -> None:
        self._given[container.sandbox] = container.ip
        await self.attach(container, {}, {})

    async def _decide(self, without: tuple[Container, str] | None = None) -> None:
        """Tell the gate who shares a network with whom; the others do not reach each other."""
        members: dict[str, list[str]] = {}
        everybody: dict[str, set[str]] = {}
        for one in self._containers():
            if one.ip:
                names = {name for name in one.networks if without != (one, name)}
                everybody[one.ip] = names
                for name in names:
                    members.setdefault(name, []).append(one.ip)
        isolated = any(names != {"bridge"} for names in everybody.values())
        sets = list(members.values())
        order = {name: i for i, name in enumerate(members)}
        profiles = [[{"sets": [order[name] for name in sorted(names)]}] for names in everybody.values()]
        table: Object = {"egress": {}, "ingress": {ip: i for i, ip in enumerate(everybody)} if isolated else {},
                         "profiles": profiles, "sets": sets, "nodes": {}, "services": {}}
        await self._runtime.set_network_policy(table)

    async def connect(self, container: Container, port: int, kind: int) -> socket.socket:
        host, reachable = await self._runtime.port_address(container.sandbox, port)
        made = socket.socket(socket.AF_INET, kind)
        made.setblocking(False)
        return await _connected(made, host, reachable)

    def nameserver(self, container: Container) -> str:
        return self._slice.dns_ip if user_defined(container) else ""

    async def close(self) -> None:
        if self._server is not None:
            await self._server.close()
        self._slice.release()


async def _connected(made: socket.socket, host: str, port: int) -> socket.socket:
    try:
        await asyncio.get_running_loop().sock_connect(made, (host, port))
    except BaseException:
        made.close()
        raise
    return made
