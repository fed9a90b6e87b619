"""The parts of a cluster and how they are put together; nobody else knows all of them.

    Store ◀── ApiServer ◀── EdgeServer ◀── kubectl and everybody else (HTTPS)
                  ▲
                  └── LocalTransport ◀── Manager: controllers, scheduler
                                     ◀── Nodes: kubelets, kube-proxy, simulated nodes

Order matters only where it must: the API answers before anybody asks it, and the nodes are Ready
before `kit up` returns.  On the way down nodes go first, so that Pods are stopped by their kubelets,
and the store last, so that everything they report is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import socket
from typing import Any

from kitlib.api.config import ApiConfig
from kitlib.api.edge import callouts
from kitlib.api.edge.server import EdgeServer
from kitlib.api.edge.tls import server_context
from kitlib.api.expiry import expire
from kitlib.api.request import User
from kitlib.api.server import ApiServer
from kitlib.client import Client, Manager
from kitlib.client.local import LocalTransport
from kitlib.cluster import addons, csr, kubeconfig, networks, pki
from kitlib.cluster.auditlog import AuditLog
from kitlib.cluster.driver import Driver
from kitlib.cluster.errors import CannotStart
from kitlib.cluster.faults import Faults
from kitlib.cluster.helpers import Helpers
from kitlib.cluster.home import ClusterDir, all_clusters, write_private
from kitlib.cluster.ingress.addon import IngressAddon
from kitlib.cluster.kitapi import PREFIX, KitApi
from kitlib.cluster.loops import control_loops
from kitlib.cluster.nodes import Nodes
from kitlib.cluster.power import Power
from kitlib.cluster.proxymode import choose
from kitlib.cluster.readdress import readdress
from kitlib.network.addresses import NoFreeSlice, Slice, lease_slice
from kitlib.network.sockets import bound
from kitlib.node.connector import KubeletConnector
from kitlib.objects.clock import SystemClock
from kitlib.store import Store
from kitlib.trace.record import Recorder

log = logging.getLogger("kit")

HOST = "127.0.0.1"
EXPIRY_SECONDS = 60.0
SETTLE_SECONDS = 1.0
ADMIN = User(pki.ADMIN, (pki.MASTERS, "system:authenticated"))


class Assembly:
    """One running cluster."""

    def __init__(self, directory: ClusterDir, config: dict[str, Any], helpers: Helpers) -> None:
        self.directory, self.config, self.helpers = directory, config, helpers
        self.clock = SystemClock()
        self.notes: list[str] = []
        self.server = ""
        self.store: Store | None = None
        self.edge: EdgeServer | None = None
        self.driver: Driver | None = None
        self.nodes: Nodes | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self.proxy_mode = ""
        self.audit = AuditLog(directory.audit) if config["audit"] else None

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self._start_api()
        self._start_controllers()
        await self._start_nodes()
        await self._start_edge()
        await self._settle()

    async def _start_api(self) -> None:
        directory, config = self.directory, self.config
        self.listener = self._bind()
        self.server = f"https://{HOST}:{self.listener.getsockname()[1]}"
        self.store = Store(None if config["ephemeral"] else directory.store)
        self.is_new = self.store.revision == 0
        self.store.attach(self.loop)
        self.slice = self._lease_slice(self.store)
        self.proxy_mode = await asyncio.to_thread(choose, config["proxyMode"], config["runtime"])
        if (config["runtime"], self.proxy_mode) == ("oci", "userspace"):
            self.notes.append("With --proxy-mode userspace a Pod that is called through a Service sees the caller's "
                              "node, and so does a NetworkPolicy that asks for the caller's labels.")
        self.network = await networks.make(self.slice, self.helpers, self.proxy_mode)
        addresses = self.network.addresses
        inside, port = addresses.node_ip(0), self.network.api_port(self.listener.getsockname()[1])
        self.listeners = [self.listener, await self.network.listen(inside, port)]
        self.keys = pki.ensure(directory.pki, directory.name, [HOST, inside, addresses.kubernetes_ip])
        self.api = ApiServer(self.store, ApiConfig(
            service_cidr=addresses.service_cidr, tokens={config["token"]: ADMIN}, root_ca=self.keys.ca.read_text(),
            signing_key=self.keys.service_account_key.read_bytes(), address=inside,
            port=port, audit=self.audit.write if self.audit else None), self.clock)
        self._remember()
        callouts.attach(self.api, self.loop)
        self._expire_events()
        self.recorder = Recorder(self._lookup)
        self.api.on_write(self.recorder.on_write)

    def _expire_events(self) -> None:
        """Now (a cluster may have slept for days) and once a minute."""
        expire(self.api)
        self._expiry = self.loop.call_later(EXPIRY_SECONDS, self._expire_events)

    def _lookup(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        assert self.store is not None
        entry = self.store.get(resource, namespace, name)
        return entry.obj if entry else None

    def client(self, agent: str) -> Client:
        """A client in this process, in the name of one component."""
        user = User(f"system:{agent.replace('/', ':')}", (pki.MASTERS, "system:authenticated"))
        return Client(LocalTransport(self.api, user), agent)

    def _start_controllers(self) -> None:
        self.manager = Manager(self.client, self.clock, leases=True)
        sign = csr.signer(self.keys.ca, pki.directory_key(self.keys.ca))
        loops = control_loops(self.keys.ca.read_text(), str(self.directory.path / "volumes"), sign,
                              self.network.addresses.load_balancer_cidr)
        for controller, agent in loops:
            self.manager.add(controller, agent)
        if not self.config["bare"]:
            if self.is_new:
                addons.install(self.client("kit-addons"))
            if self.config["nodes"]:
                self.manager.add(IngressAddon(), "kit-addons")
        self.driver = Driver(self.manager, self.clock, self.loop)

    async def _start_nodes(self) -> None:
        assert self.store is not None
        assert self.driver is not None
        self.nodes = Nodes(self.manager, self.client, self.clock, self.directory.nodes, self.store.wait_durable)
        self.api.metrics_provider = self.nodes.metrics.provide
        self.nodes.forget_others(self.config["nodes"], self.config["simulatedNodes"])
        await self.nodes.start_simulated(self.config["simulatedNodes"])
        self.driver.wake()
        if self.helpers.wanted:
            await self.nodes.start_process(self.config["nodes"], self.network, await self.helpers.ready())
            await self.network.start_proxy(self.manager, self.client("kube-proxy"), self.clock,
                                           self.nodes.process_names)

    async def _settle(self) -> None:
        """Until the controllers have nothing to do: nodes lose their first taints, namespaces get their accounts."""
        assert self.driver is not None
        with contextlib.suppress(asyncio.TimeoutError):  # a cluster full of work is up, too
            await asyncio.wait_for(self.driver.settled.wait(), SETTLE_SECONDS)

    async def _start_edge(self) -> None:
        assert self.store is not None
        assert self.driver is not None
        faults = Faults(self.api, self.clock)
        power = Power(self.nodes) if self.nodes else None
        kit = KitApi(self.store, self.manager, self.driver.wake, self.recorder, faults, self.state, power)
        self.api.extra[PREFIX] = kit.handle
        connector = KubeletConnector(self.nodes.kubelets, self.nodes.machines) if self.nodes else KubeletConnector({})
        self.edge = EdgeServer(faults, self.store, server_context(*self.keys.server, self.keys.ca), connector)
        await self.edge.start(bound=self.listeners)
        self.network.renewals.append(self._listen_again)
        kubeconfig.write(self.directory.kubeconfig, self.directory.name, self.server, self.keys, self.config["token"])

    async def _listen_again(self) -> None:
        assert self.edge is not None
        port = self.network.api_port(self.listener.getsockname()[1])
        await self.edge.listen(sock=await self.network.listen(self.network.addresses.node_ip(0), port))

    def _lease_slice(self, store: Store) -> Slice:
        """The addresses of last time, since Services and Pods in the store have them; else others, for all of them."""
        mine = self.config["slice"]
        others = [other.read_config().get("slice") for other in all_clusters(self.directory.path.parents[1])]
        avoid = [number for number in others if number and number != mine]
        try:
            return lease_slice(mine, avoid)
        except NoFreeSlice as error:
            if mine is None:
                raise CannotStart(f"{error}.") from error
        moved = lease_slice(None, avoid)
        readdress(store, mine, moved)
        self.notes.append(f"127.{mine}.0.0/16, the addresses which this cluster had before, are another cluster's now; "
                          f"its Services and Pods have moved to 127.{moved.number}.0.0/16.")
        return moved

    def _remember(self) -> None:
        """Port and addresses stay the cluster's for its whole life."""
        self.config |= {"port": self.listener.getsockname()[1], "slice": self.slice.number}
        write_private(self.directory.config, json.dumps(self.config, indent=1))

    def _bind(self) -> socket.socket:
        """The port of last time if it is free: open terminals keep working across `kit down` and `kit up`."""
        port = self.config["port"]
        try:
            return bound(socket.socket(), HOST, port)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            if self.config["portWanted"]:
                why = "is taken by another program" if error.errno == errno.EADDRINUSE else "may not be used by you"
                raise CannotStart(f"Port {port} of {HOST} {why}; leave --port away, or give another one.") from error
            self.notes.append(f"Port {port}, which this cluster had before, is taken; it listens on another one now, "
                              f"and its kubeconfig says so.")
            return bound(socket.socket(), HOST, 0)

    def state(self) -> dict[str, Any]:
        """What run/state.json tells the outside."""
        kinds = []
        if self.nodes:
            kinds = [(self.helpers.kind, self.nodes.process_names), ("simulated", self.nodes.simulated_names)]
        return {"name": self.directory.name, "backend": "embedded", "pid": os.getpid(), "server": self.server,
                "kubeconfig": str(self.directory.kubeconfig), "helpers": self.helpers.pids(),
                "ephemeral": self.config["ephemeral"], "bare": self.config["bare"],
                "audit": self.audit is not None, "proxyMode": self.proxy_mode, "namespaces": self.network.namespaces,
                "fabric": self.network.fabric,
                "nodes": [{"name": name, "kind": kind, "ready": True} for kind, found in kinds for name in found],
                "notes": self.notes}

    async def stop(self) -> None:
        """Down: nodes, control plane, edge, store, in this order."""
        if self.nodes:
            await self.nodes.stop()
            await self.network.close()
        await self.helpers.stop()
        if self.driver:
            self.driver.stop()
            self.manager.stop()
        if self.edge:
            await self.edge.close()
        if self._expiry:
            self._expiry.cancel()
        if self.store:
            self.store.close()
        if self.audit:
            self.audit.close()
