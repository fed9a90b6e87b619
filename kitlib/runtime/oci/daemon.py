"""The daemon of the `oci` runtime: the process runtime's, in namespaces of its own.

    python -m kitlib.runtime.oci.daemon --socket run/runtime.sock --state DIR [--ephemeral]

Its first deed is to leave the host's mount and network namespaces.  What it mounts nobody else sees, and whatever it
holds (mounts, links, rules, the namespaces of nodes and Pods) goes with its last process: there is nothing to undo.
Only cgroups and files are swept up.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from kitlib.runtime.oci.command import Commands
from kitlib.runtime.oci.network import Network, descriptor
from kitlib.runtime.process import syscalls
from kitlib.runtime.process.connections import Handed, Refused, Reply
from kitlib.runtime.process.daemon import Daemon, main
from kitlib.runtime.process.isolation import Isolation


class OciDaemon(Daemon):
    def __init__(self, listener: socket.socket, path: str, state: str, *, ephemeral: bool, low_ports: str,
                 idle_seconds: float) -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
        self.network = Network()
        super().__init__(listener, path, state, ephemeral=ephemeral, low_ports=low_ports, idle_seconds=idle_seconds)
        self.commands = Commands(self.loop, self._reap, self.network.fabric)
        self.network.use(self.commands)

    def discover(self, low_ports: str) -> Isolation:
        """Nothing has to be tried: where something is missing, this daemon is not started (available.py)."""
        return Isolation(namespaces=True, user_namespace=False, notifications=False, port_start=0)

    # The network.

    def do_set_up_network(self, reply: Reply, gateway: str, prefix: int, service_cidr: str) -> None:
        self.network.set_up(gateway, prefix, service_cidr, lambda why: reply(_outcome(why)))

    def do_add_node(self, reply: Reply, name: str, address: str, pod_cidr: str) -> None:
        self.network.add_node(name, address, pod_cidr, lambda why: reply(_outcome(why)))

    def do_namespace_path(self, reply: Reply, node: str) -> None:
        reply(descriptor(self.network.namespace(node)))

    def do_open_socket(self, reply: Reply, node: str, kind: int) -> None:
        reply(Handed(None, self.network.open_socket(node, kind)))

    def do_run_in_node(self, reply: Reply, node: str, argv: list[str], stdin: str) -> None:
        def done(code: int, stdout: bytes, stderr: bytes) -> None:
            reply([code, stdout.decode(errors="replace"), stderr.decode(errors="replace")])

        self.commands.run(argv, done, stdin=stdin.encode(), namespace=self.network.namespace(node))


def _outcome(why: str) -> Any:
    return Refused("NetworkNotReady", why) if why else None


if __name__ == "__main__":
    os.umask(0o022)
    main(OciDaemon)
