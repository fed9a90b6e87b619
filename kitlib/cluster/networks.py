"""Where a cluster's addresses lie, and how this process listens and connects there.

    HostNetwork   runtime process: this machine's loopback, 127.X.0.0/16; one userspace proxy for all nodes
    OwnNetwork    runtime oci: namespaces that the runtime daemon made, with the addresses of a kubeadm cluster; every
                  node has kube-proxy's rules in its own kernel tables, and the host sees nothing of it

The control plane itself is "node 0": the API server and the DNS server listen on its address.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from kitlib.client import Client, EventRecorder, Manager
from kitlib.network.addresses import Addresses, PrivateAddresses, Slice
from kitlib.network.kernel.policies import NodePolicies, PolicyWatch
from kitlib.network.kernel.proxy import RuleProxy
from kitlib.network.kernel.shell import NodeShell
from kitlib.network.kubeproxy import KubeProxy
from kitlib.network.policy.model import World
from kitlib.network.proxy.client import ProxyProcess
from kitlib.network.sockets import bound
from kitlib.objects.clock import Clock
from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.oci.client import OciRuntime, Ran

log = logging.getLogger("kit")

SLICES = "endpointslices.discovery.k8s.io"
API_PORT = 6443


class Policies(Protocol):
    """What policies.py is to a proxy that it works with."""

    def attach(self, proxy: ProxyProcess) -> None: ...

    def refresh(self) -> None: ...

    def again(self) -> None: ...


class ClusterNetwork(Protocol):
    """enforce: puts NetworkPolicies into the nodes' kernels, where there are such.

    renewals: called when the network had to be made anew, and every socket in it is dead.
    """

    addresses: Addresses
    namespaces: dict[str, str]   # node → a file for `nsenter --net=FILE`; empty where the nodes are this machine
    fabric: str                  # the same for what lies between them
    policies: Policies | None
    enforce: Callable[[World], Awaitable[None]] | None
    renewals: list[Callable[[], Awaitable[None]]]

    def served(self) -> list[dict[str, Any]]:
        """What a userspace proxy serves now (network/userspace.py)."""
        ...

    def api_port(self, outside: int) -> int:
        """The API server's port for Pods, given the one on the host."""
        ...

    async def listen(self, address: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A bound socket at an address of the cluster.  Raises OSError."""
        ...

    async def add_node(self, name: str, index: int) -> None: ...

    async def start_proxy(self, manager: Manager, client: Client, clock: Clock, nodes: Sequence[str]) -> None:
        """kube-proxy: Services lead somewhere from now on."""
        ...

    async def close(self) -> None: ...


class HostNetwork:
    def __init__(self, addresses: Slice, proxy: ProxyProcess) -> None:
        self.addresses: Addresses = addresses
        self.namespaces: dict[str, str] = {}
        self.fabric = ""
        self.policies: Policies | None = None
        self.enforce: Callable[[World], Awaitable[None]] | None = None
        self.renewals: list[Callable[[], Awaitable[None]]] = []
        self._process = proxy
        self._proxy: KubeProxy | None = None

    def api_port(self, outside: int) -> int:
        return outside  # the same for Pods: their endpoint must lie in the cluster's own range

    async def listen(self, address: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        return bound(socket.socket(socket.AF_INET, kind), address, port)

    async def add_node(self, name: str, index: int) -> None:
        """All nodes are this machine."""

    async def start_proxy(self, manager: Manager, client: Client, clock: Clock, nodes: Sequence[str]) -> None:
        """One for all nodes, since they share this machine's loopback network."""
        services, slices, known = (manager.informer(name) for name in ("services", SLICES, "nodes"))
        events = EventRecorder(client, "kube-proxy", clock)
        self._proxy = KubeProxy(services, slices, known, self._process, asyncio.get_running_loop(),
                                lambda service, why: events.emit(service, "FailedToServe", why, "Warning"))
        if self.policies is not None:
            self.policies.attach(self._process)
            self._proxy.on_state = self.policies.refresh
        self._proxy.start()

    def served(self) -> list[dict[str, Any]]:
        return (self._proxy.state if self._proxy is not None else None) or []

    async def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()


class OwnNetwork:
    """mode: kube-proxy's."""

    def __init__(self, runtime: OciRuntime, mode: str) -> None:
        self._runtime, self._mode = runtime, mode
        self._private = PrivateAddresses()
        self.addresses: Addresses = self._private
        self.policies: Policies | None = None
        self.namespaces: dict[str, str] = {}
        self.fabric = ""
        self._shell = NodeShell(self._run)
        self._enforced = NodePolicies(self._shell, lambda: self.namespaces)
        self.enforce: Callable[[World], Awaitable[None]] | None = self._enforce
        self._rules: RuleProxy | None = None
        self.renewals: list[Callable[[], Awaitable[None]]] = []

    async def set_up(self) -> None:
        here = self._private
        await self._runtime.set_up_network(here.node_ip(0), here.node_prefix, here.service_cidr)
        self.fabric = await self._runtime.namespace_path("")
        self._runtime.on_new_network(self._renew)

    async def _renew(self) -> None:
        """The daemon was killed, and the network with it: everything that was in there is made again."""
        log.warning("the runtime daemon has gone; its successor has made the network anew")
        self.fabric = await self._runtime.namespace_path("")
        for name in self.namespaces:
            self.namespaces[name] = await self._runtime.namespace_path(name)
        for again in self.renewals:
            await again()
        self._enforced = NodePolicies(self._shell, lambda: self.namespaces)
        if self.policies is not None:
            self.policies.again()
        if self._rules is not None:
            await self._rules.again()

    async def _enforce(self, world: World) -> None:
        await self._enforced.apply(world)

    def api_port(self, outside: int) -> int:
        return API_PORT

    async def listen(self, address: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        return bound(await self._runtime.open_socket("", kind), address, port)

    async def add_node(self, name: str, index: int) -> None:
        await self._runtime.add_node(name, self.addresses.node_ip(index), self.addresses.pod_cidr(index))
        self.namespaces[name] = await self._runtime.namespace_path(name)

    async def start_proxy(self, manager: Manager, client: Client, clock: Clock, nodes: Sequence[str]) -> None:
        services, slices, known = (manager.informer(name) for name in ("services", SLICES, "nodes"))
        events = EventRecorder(client, "kube-proxy", clock)
        self._rules = RuleProxy(self._mode, services, slices, known, self._shell, self._proxy_in,
                                cluster_cidr=self._private.cluster_cidr, service_cidr=self._private.service_cidr,
                                tell=lambda node, why: events.emit(node, "FailedToSyncRules", why, "Warning"),
                                beside=lambda name: [PolicyWatch(name, self._enforced.heal)])
        for name in nodes:
            await self._rules.clear_other_modes(name)
        self._rules.start(nodes, fabric=True)
        await self._rules.tried()

    async def _run(self, node: str, command: Sequence[str], stdin: str) -> Ran:
        try:
            return await self._runtime.run_in_node(node, command, stdin)
        except RuntimeError_ as error:   # the daemon has gone, or does not know the node: it is tried again
            return Ran(1, "", error.message)

    def served(self) -> list[dict[str, Any]]:
        return []

    def _proxy_in(self, node: str) -> ProxyProcess:
        """A proxy process in a node: for the mode userspace, and for the health checks of the others."""
        return ProxyProcess(enter=lambda command: ["nsenter", f"--net={self.namespaces[node]}", *command])

    async def close(self) -> None:
        if self._rules is not None:
            await self._rules.close()


async def make(slice_: Slice, helpers: Any, mode: str) -> ClusterNetwork:
    """The network of a cluster, as its runtime has it.  mode: kube-proxy's, where every node has one of its own.

    Raises RuntimeError_ or OSError.
    """
    if not helpers.wanted or helpers.kind == "process":
        return HostNetwork(slice_, helpers.proxy)
    runtime = await helpers.runtime()
    network = OwnNetwork(runtime, mode)
    await network.set_up()
    return network
