"""The cluster's nodes: one runtime for all that run processes, and one object for all that only pretend.

    node-1, node-2, …   a Kubelet each; their containers are in the hands of one runtime daemon
    sim-1, sim-2, …     one SimulatedKubelet

What they read from the API they read from the control plane's own caches: in this process a second copy
of every Pod would be waste.  Each speaks to the API in its own name, as kubelet/NODE.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kitlib.client import Client, EventRecorder, Manager
from kitlib.cluster.machine import Machine
from kitlib.cluster.networks import SLICES, ClusterNetwork
from kitlib.cluster.policies import NetworkPolicies
from kitlib.network.addresses import Addresses
from kitlib.network.dns.server import DnsServer, dns_service, dns_slice, host_resolvers
from kitlib.node.context import AddressPool, Durable, NodeContext
from kitlib.node.handlers import Handlers
from kitlib.node.images import ImageManager
from kitlib.node.kubelet import Kubelet
from kitlib.node.metrics import Metrics
from kitlib.node.node_object import NodeFacts, machine_capacity
from kitlib.node.sandbox import Dns
from kitlib.node.simulated import SimulatedKubelet
from kitlib.node.sources import ChangeSignal, ClusterSource, PodRouter
from kitlib.objects.clock import Clock
from kitlib.objects.errors import StatusError
from kitlib.runtime.oci import available
from kitlib.runtime.process.client import ProcessRuntime

log = logging.getLogger("kit")

PROCESS, SIMULATED = "node", "sim"
RUNTIME_CHOICE = "kit/runtime-choice"   # annotation of a Node
OURS = re.compile(rf"({PROCESS}|{SIMULATED})-[1-9][0-9]*")


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(1, count + 1)]


class Nodes:
    """All kubelets of one cluster process.

    client_factory: a client in somebody's name.  durable: waits until a revision is on disk.
    """

    def __init__(self, manager: Manager, client_factory: Callable[[str], Client], clock: Clock, directory: Path,
                 durable: Durable) -> None:
        self._manager, self._client_factory, self._clock = manager, client_factory, clock
        self._directory, self._durable = directory, durable
        self.router = PodRouter(manager.informer("pods"))
        self.simulated = SimulatedKubelet(client_factory, clock, asyncio.get_running_loop())
        self.kubelets: dict[str, Kubelet] = {}
        self.machines: dict[str, Machine] = {}
        self.metrics = Metrics(self.kubelets, clock, self._simulated_pods)
        self.process_names: list[str] = []
        self.simulated_names: list[str] = []
        self._runtime_version = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._signals: list[ChangeSignal] = []
        self._dns: DnsServer | None = None
        self._policies: NetworkPolicies | None = None
        self._resolver = Dns()
        self._source = ClusterSource(client_factory("kubelet"), clock)

    def forget_others(self, process: int, simulated: int) -> None:
        """Delete the Nodes of an earlier start that had more of them; nodes with other names are not ours."""
        client = self._client_factory("kubelet")
        wanted = {*names(PROCESS, process), *names(SIMULATED, simulated)}
        for node in client.list("nodes")["items"]:
            name = node["metadata"]["name"]
            if OURS.fullmatch(name) and name not in wanted:
                client.delete("nodes", "", name)

    async def start_simulated(self, count: int) -> None:
        self.router.default = self.simulated.pod_event
        self.simulated.pods_of = self.router.pods_of
        self._manager.informer("nodes").add_handler(self.simulated.node_event)
        self.simulated_names = names(SIMULATED, count)
        await self.simulated.add_nodes(self.simulated_names)

    async def start_process(self, count: int, network: ClusterNetwork, runtime: ProcessRuntime) -> None:
        loop = asyncio.get_running_loop()
        self.process_names = names(PROCESS, count)
        if count:
            self._runtime_version = (await runtime.version()).partition("://")[2]
            await self._start_dns(network, runtime.name)
            self._policies = NetworkPolicies(self._manager, self._client_factory, self._clock, runtime, network)
        for index, name in enumerate(self.process_names, start=1):
            await network.add_node(name, index)
            await self._start_node(name, index, network.addresses, runtime)
        if count:
            self._tasks.append(asyncio.ensure_future(self.metrics.run()))
            watcher = self._client_factory("kubelet")
            self._signals = [ChangeSignal(watcher, resource, self._configuration_changed, loop)
                             for resource in ("configmaps", "secrets")]

    async def _start_node(self, name: str, index: int, addresses: Addresses, runtime: ProcessRuntime) -> None:
        client = self._client_factory(f"kubelet/{name}")
        capacity = machine_capacity(str(self._directory))
        facts = NodeFacts(name=name, address=addresses.node_ip(index), pod_cidr=addresses.pod_cidr(index),
                          capacity=capacity, runtime=runtime.name, runtime_version=self._runtime_version,
                          isolation=_isolation(runtime), annotations={RUNTIME_CHOICE: _choice(runtime)})
        events = EventRecorder(client, "kubelet", self._clock, name)
        context = NodeContext(name=name, host_ip=facts.address, directory=self._directory / name, runtime=runtime,
                              client=client, clock=self._clock, events=events, source=self._source,
                              pool=AddressPool(facts.pod_cidr), images=ImageManager(runtime, self._clock),
                              handlers=Handlers(runtime, name), durable=self._durable, services=self._source.services,
                              allocatable=capacity, dns=self._resolver)
        if self._policies is not None:
            context.admit = self._policies.admit
        machine = self.machines[name] = Machine(facts, context, self.router, self._kubelet_changed)
        await machine.switch_on()

    def _kubelet_changed(self, name: str, kubelet: Kubelet | None) -> None:
        if kubelet is None:
            self.kubelets.pop(name, None)
        else:
            self.kubelets[name] = kubelet

    async def _start_dns(self, network: ClusterNetwork, runtime: str) -> None:
        """The cluster's names, on the address that every Pod's resolv.conf gives.

        Where kube-proxy's rules lead to it, the server listens on the control plane's address, as an endpoint of that
        Service; else on the Service's address itself.
        """
        servers, searches = host_resolvers()
        address = network.addresses.dns_ip
        endpoint = address if runtime == "process" else network.addresses.node_ip(0)
        dns = DnsServer(endpoint, [(server, 53) for server in servers], listen=network.listen)
        try:
            await dns.start()
        except OSError as error:
            log.warning("no cluster DNS: %s", error)
            return
        self._dns = dns
        network.renewals.append(dns.restart)
        self._resolver = Dns(servers=(address,), host_servers=servers, host_searches=searches)
        dns.follow(self._manager.informer("services"), self._manager.informer(SLICES))
        client = self._client_factory("kube-dns")
        objects = [("services", dns_service(address))] + [(SLICES, dns_slice(endpoint))] * (endpoint != address)
        for resource, wanted in objects:
            try:
                client.create(resource, "kube-system", wanted)
            except StatusError as error:
                log.debug("%s kube-dns: %s", resource, error)

    def _simulated_pods(self) -> list[dict[str, Any]]:
        pods = self._manager.informer("pods").list()
        return [pod for pod in pods if self.simulated.has(pod["spec"].get("nodeName", ""))]

    def _configuration_changed(self, namespace: str) -> None:
        for kubelet in self.kubelets.values():
            kubelet.configuration_changed(namespace)

    async def stop(self) -> None:
        """The kubelets end; what becomes of their containers is the runtime's affair."""
        for task in self._tasks:
            task.cancel()
        for signal in self._signals:
            signal.close()
        if self._policies:
            self._policies.close()
        if self._dns:
            await self._dns.close()
        self.simulated.close()
        await asyncio.gather(*self._tasks, *(machine.stop() for machine in self.machines.values()),
                             return_exceptions=True)


def _choice(runtime: ProcessRuntime) -> str:
    """Which runtime this is, and why it is not a stronger one."""
    if runtime.name == "oci":
        return "oci: real containers; there is no stronger one here"
    why = available.lacks()
    return f"process; oci is not possible here: {why}" if why else "process, as usual; `kit up --runtime oci` makes " \
        "clusters of real containers"


def _isolation(runtime: ProcessRuntime) -> str:
    if runtime.name == "oci":
        return "namespaces, an address per Pod, cgroups, overlayfs"
    found: Any = runtime.isolation
    parts = [("namespaces", found.namespaces), ("proot", bool(found.proot)),
             ("an address per Pod", found.notifications)]
    return ", ".join(name for name, there in parts if there) or "none"
