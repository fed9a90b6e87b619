"""`OciRuntime`: the CRI over the daemon of the `oci` runtime, and the ways into the cluster's own network.

The network is not the host's (see network.py), so whoever in this process wants to listen or to connect there asks
for a socket: one that was made in a node's network namespace works from everywhere.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from kitlib.runtime.oci import available
from kitlib.runtime.process.client import ProcessRuntime
from kitlib.runtime.process.images import OVERLAY


class Ran(NamedTuple):
    """What became of a program.  code: 127 if it could not be started, 128 + n for death by signal n."""

    code: int
    stdout: str
    stderr: str


class OciRuntime(ProcessRuntime):
    name = "oci"
    daemon = "kitlib.runtime.oci.daemon"

    async def version(self) -> str:
        """oci://runc-1.1.5"""
        return f"{self.name}://{(await asyncio.to_thread(available.version)).replace(' ', '-')}"

    @property
    def stacking(self) -> str:
        return OVERLAY

    @property
    def own_address(self) -> bool:
        return True

    # The network.

    async def set_up_network(self, gateway: str, prefix: int, service_cidr: str) -> None:
        """The fabric that all nodes hang on.  Does nothing if it is there, as after a crash of the cluster process."""
        params = {"gateway": gateway, "prefix": prefix, "service_cidr": service_cidr}
        await self._link.call("set_up_network", **params)
        self._link.told["set_up_network"] = params

    async def add_node(self, name: str, address: str, pod_cidr: str) -> None:
        """A network namespace for a node; does nothing if it has one."""
        params = {"name": name, "address": address, "pod_cidr": pod_cidr}
        await self._link.call("add_node", **params)
        self._link.told[f"add_node {name}"] = params

    def on_new_network(self, renew: Callable[[], Awaitable[None]]) -> None:
        """Call back when the daemon was killed and another one made the network anew: all sockets in it are dead."""
        self._link.on_new = renew

    async def run_in_node(self, node: str, argv: Sequence[str], stdin: str = "") -> Ran:
        """Run a program (as root, its PATH the usual one) in a node's network namespace, to its end.

        For kube-proxy's and NetworkPolicies' rules: `nft -f -`, `iptables-restore --noflush`, `conntrack -D …`.
        Raises RuntimeError_ for an unknown node; "" is the fabric.
        """
        return Ran(*await self._link.call("run_in_node", node=node, argv=list(argv), stdin=stdin))

    async def open_socket(self, node: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket (SOCK_STREAM or SOCK_DGRAM, IPv4, not blocking) of a node's network; bind or connect it yourself.

        Raises RuntimeError_ for an unknown node; "" is the fabric, from where every node and Pod can be reached.
        """
        return await self._link.receive("open_socket", node=node, kind=int(kind))

    async def namespace_path(self, node: str) -> str:
        """A file for `nsenter --net=FILE PROGRAM` on the host, as root: a node's network namespace."""
        return await self._link.call("namespace_path", node=node)

    async def dial(self, host: str, port: int, context: ssl.SSLContext | None = None, *,
                   node: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """`asyncio.open_connection`, as seen from a node (or the fabric).  Raises OSError."""
        return await _connected(await self.open_socket(node), host, port, context)

    async def check_pod_network(self, sandbox_id: str) -> str:
        """What of a Pod's network is not as the plugins have left it (the CNI's CHECK); "" if all is."""
        return await self._link.call("check_pod_network", sandbox=sandbox_id)

    async def cni_versions(self, plugin: str) -> list[str]:
        """Which versions of the CNI a plugin speaks (VERSION).  Raises RuntimeError_ if there is no such plugin."""
        return await self._link.call("cni_versions", plugin=plugin)

    async def port_address(self, sandbox_id: str, port: int) -> tuple[str, int]:
        """To be dialled, not connected to from the host: the network is another one."""
        config = await self._sandbox(sandbox_id)
        return config.ip, port

    async def port_forward(self, sandbox_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As containerd does it: from inside the Pod's network to its own 127.0.0.1."""
        opened = await self._link.receive("open_pod_socket", sandbox=sandbox_id)
        return await _connected(opened, "127.0.0.1", port)


async def _connected(opened: socket.socket, host: str, port: int,
                     context: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        await asyncio.get_running_loop().sock_connect(opened, (host, port))
        return await asyncio.open_connection(sock=opened, ssl=context, server_hostname=host if context else None)
    except OSError as error:
        opened.close()
        raise OSError(error.errno, os.strerror(error.errno) if error.errno else str(error)) from error
    except BaseException:
        opened.close()
        raise
