"""The cluster's network: one network namespace for each node, and one for what lies between them.

                                fabric   10.10.0.1 on the bridge kit0; the API server and the DNS server listen here
        ┌──────────────────────────┼──────────────────────────┐
    node-1   eth0 10.10.0.2      node-2   10.10.0.3         …          a node: its own links, routes and rules
        └ cni0   10.244.1.1/24      └ cni0   10.244.2.1/24             made by the CNI plugin `bridge`
           └ Pods 10.244.1.2 …         └ Pods 10.244.2.2 …             a namespace each, made in podspace.py

Every node knows the way to the other nodes' Pods (one route each, as flannel's host-gw backend writes them); whatever
else it goes to the fabric, which has the Service addresses too.  kube-proxy's rules and a NetworkPolicy's belong into
the nodes' namespaces, for that is where packets of Services and Pods pass.

None of it is to be seen on the host.  Two hooks lead in, on `OciRuntime` (client.py):

    await runtime.run_in_node("node-1", ["nft", "-f", "-"], stdin=rules)      → Ran(code, stdout, stderr)
    sock = await runtime.open_socket("node-1", socket.SOCK_STREAM)            a socket whose network is the node's:
                                                                              bind, listen, connect as you like

"" instead of a node's name means the fabric.  `runtime.namespace_path("node-1")` is a file for `nsenter --net=…`
from the host, as root.

Source: man network_namespaces(7), veth(4), ip-route(8); flannel's backend host-gw.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import NamedTuple

from kitlib.runtime.oci.command import Commands, inside
from kitlib.runtime.process import syscalls
from kitlib.runtime.process.connections import Refused

Ready = Callable[[str], None]
BRIDGE = "kit0"


class Node(NamedTuple):
    """A node's place: its namespace as a descriptor, its address on the fabric, its Pods' range."""

    namespace: int
    address: str
    pod_cidr: str


class Network:
    """Made once, in the daemon's own namespace, which becomes the fabric."""

    def __init__(self) -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        self.fabric = _own_namespace()
        self.nodes: dict[str, Node] = {}
        self._gateway = ""
        _set("net/ipv4/ip_forward", "1")
        self._commands: Commands

    def use(self, commands: Commands) -> None:
        self._commands = commands

    def namespace(self, node: str) -> int:
        if not node:
            return self.fabric
        if node not in self.nodes:
            raise Refused("NotFound", f'there is no node "{node}" in this network')
        return self.nodes[node].namespace

    def open_socket(self, node: str, kind: int) -> int:
        """A socket belongs for ever to the namespace it was made in, whoever uses it."""
        return self.make_socket(self.namespace(node), kind)

    def make_socket(self, namespace: int, kind: int) -> int:
        with inside(namespace, self.fabric), socket.socket(socket.AF_INET, kind) as made:
            made.setblocking(False)
            return made.detach()

    def set_up(self, gateway: str, prefix: int, service_cidr: str, done: Ready) -> None:
        """The fabric: a bridge with the gateway's address; all of the Services' addresses are its own."""
        if self._gateway:
            done("")
            return
        self._gateway, self._prefix = gateway, prefix
        self._batch(self.fabric, [
            "link set lo up", f"link add {BRIDGE} type bridge", f"addr add {gateway}/{prefix} dev {BRIDGE}",
            f"link set {BRIDGE} up", f"route add local {service_cidr} dev lo"], done)  # fmt: skip

    def add_node(self, name: str, address: str, pod_cidr: str, done: Ready) -> None:
        """A node's namespace with a wire to the fabric, and the routes to and from the nodes that are there."""
        if name in self.nodes:
            done("")
            return
        namespace = self.make_namespace()
        others = list(self.nodes.values())
        self.nodes[name] = Node(namespace, address, pod_cidr)
        wire = f"node{len(self.nodes)}"
        with inside(namespace, self.fabric):
            _set("net/ipv4/ip_forward", "1")
        steps = [
            (namespace, ["link set lo up",
                         f"link add eth0 type veth peer name {wire} netns {descriptor(self.fabric)}",
                         f"addr add {address}/{self._prefix} dev eth0", "link set eth0 up",
                         f"route add default via {self._gateway}",
                         *(f"route replace {other.pod_cidr} via {other.address}" for other in others)]),
            (self.fabric, [f"link set {wire} master {BRIDGE}", f"link set {wire} up",
                           f"route replace {pod_cidr} via {address}"]),
            *((other.namespace, [f"route replace {pod_cidr} via {address}"]) for other in others),
        ]  # fmt: skip

        def following(why: str) -> None:
            if why or not steps:
                done(why)
                return
            self._batch(*steps.pop(0), following)

        following("")

    def make_namespace(self) -> int:
        """A new network namespace; it lives as long as this descriptor, or something in it."""
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            return _own_namespace()
        finally:
            syscalls.setns(self.fabric, syscalls.CLONE_NEWNET)

    def prepare_pod(self, namespace: int) -> None:
        """What containerd sets in a Pod's network: low ports and ping for everybody, not for root alone."""
        with inside(namespace, self.fabric):
            _set("net/ipv4/ip_unprivileged_port_start", "0")
            _set("net/ipv4/ping_group_range", "0 2147483647")

    def _batch(self, namespace: int, lines: list[str], done: Ready) -> None:
        def ended(code: int, _: bytes, stderr: bytes) -> None:
            done(f"ip: {stderr.decode(errors='replace').strip()}" if code else "")

        self._commands.run(["ip", "-batch", "-"], ended, stdin="\n".join(lines).encode() + b"\n", namespace=namespace)


def descriptor(fd: int) -> str:
    """A name under which another program finds our descriptor."""
    return f"/proc/{os.getpid()}/fd/{fd}"


def _own_namespace() -> int:
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _set(name: str, value: str) -> None:
    with open(f"/proc/sys/{name}", "w") as file:
        file.write(value)
