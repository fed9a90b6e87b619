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
import errno
import logging
import os
import socket
from typing import Any

from kitlib.api.config import ApiConfig
from kitlib.api.edge.server import EdgeServer
from kitlib.api.edge.tls import server_context
from kitlib.api.request import User
from kitlib.api.server import ApiServer
from kitlib.cluster import kubeconfig, pki
from kitlib.cluster.errors import CannotStart
from kitlib.cluster.home import ClusterDir
from kitlib.objects.clock import SystemClock
from kitlib.store import Store

log = logging.getLogger("kit")

HOST = "127.0.0.1"
ADMIN = User(pki.ADMIN, (pki.MASTERS, "system:authenticated"))


class Assembly:
    """One running cluster."""

    def __init__(self, directory: ClusterDir, config: dict[str, Any]) -> None:
        self.directory, self.config = directory, config
        self.clock = SystemClock()
        self.notes: list[str] = []
        self.server = ""
        self.store: Store | None = None
        self.edge: EdgeServer | None = None

    async def start(self) -> None:
        directory, config = self.directory, self.config
        loop = asyncio.get_running_loop()
        bound = self._bind()
        port = bound.getsockname()[1]
        keys = pki.ensure(directory.pki, directory.name, [HOST])
        self.store = Store(None if config["ephemeral"] else directory.store)
        self.store.attach(loop)
        settings = ApiConfig(tokens={config["token"]: ADMIN}, root_ca=keys.ca.read_text(),
                             signing_key=keys.service_account_key.read_bytes(), port=port)
        self.api = ApiServer(self.store, settings, self.clock)
        self.edge = EdgeServer(self.api, self.store, server_context(*keys.server, keys.ca))
        await self.edge.start(bound=bound)
        self.server = f"https://{HOST}:{port}"
        kubeconfig.write(directory.kubeconfig, directory.name, self.server, keys, config["token"])

    def _bind(self) -> socket.socket:
        """The port of last time if it is free: open terminals keep working across `kit down` and `kit up`."""
        port = self.config["port"]
        try:
            return _bound(port)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            if self.config["portWanted"]:
                why = "is taken by another program" if error.errno == errno.EADDRINUSE else "may not be used by you"
                raise CannotStart(f"Port {port} of {HOST} {why}; leave --port away, or give another one.") from error
            self.notes.append(f"Port {port}, which this cluster had before, is taken; it listens on another one now, "
                              f"and its kubeconfig says so.")
            return _bound(0)

    def state(self) -> dict[str, Any]:
        """What run/state.json tells the outside."""
        return {"pid": os.getpid(), "server": self.server, "ephemeral": self.config["ephemeral"], "nodes": [],
                "notes": self.notes}

    async def stop(self) -> None:
        if self.edge:
            await self.edge.close()
        if self.store:
            self.store.close()


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what a killed predecessor left in TIME_WAIT
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener
