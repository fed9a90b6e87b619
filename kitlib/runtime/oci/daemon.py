"""The daemon of the `oci` runtime: the process runtime's, in namespaces of its own.

    python -m kitlib.runtime.oci.daemon --socket run/runtime.sock --state DIR [--ephemeral]

Its first deed is to leave the host's mount and network namespaces.  What it mounts nobody else sees, and whatever it
holds (mounts, links, rules, the namespaces of nodes and Pods) goes with its last process: there is nothing to undo.
Only cgroups and files are swept up.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from kitlib.runtime.oci import available, cgroups
from kitlib.runtime.oci.bridges import Bridges
from kitlib.runtime.oci.cni import Attachment, Cni
from kitlib.runtime.oci.command import Commands
from kitlib.runtime.oci.containers import Engine, OciContainer, OciSandbox
from kitlib.runtime.oci.leftovers import clear_leftovers, group_of
from kitlib.runtime.oci.network import Network, descriptor
from kitlib.runtime.oci.runner import Reaped
from kitlib.runtime.oci.standalone import Standalone, StandaloneContainer, StandaloneSandbox, host_namespace
from kitlib.runtime.process import syscalls
from kitlib.runtime.process.connections import Handed, Refused, Reply
from kitlib.runtime.process.containers import Container, Sandbox
from kitlib.runtime.process.daemon import Daemon, main
from kitlib.runtime.process.isolation import Isolation
from kitlib.runtime.process.podspace import PodSpace

_SHM = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC


class OciDaemon(Daemon, Standalone):
    def __init__(self, listener: socket.socket, path: str, state: str, *, ephemeral: bool, low_ports: str,
                 idle_seconds: float) -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)  # what the host mounts later is seen
        self.host = host_namespace()
        self.network = Network()
        super().__init__(listener, path, state, ephemeral=ephemeral, low_ports=low_ports, idle_seconds=idle_seconds)
        self._reap = self._children = Reaped()
        self.commands = Commands(self.loop, self._children, self.network.fabric)
        self.network.use(self.commands)
        self.bridges = Bridges(self.commands, self.network.fabric)
        self._cni = Cni(self.commands, available.cni_directory(), f"{state}/cni")
        self._engine = Engine(_runtime(state), self.commands, self._children, f"{state}/images/described",
                              group_of(state))

    def discover(self, low_ports: str) -> Isolation:
        """Nothing has to be tried: where something is missing, this daemon is not started (available.py)."""
        return Isolation(namespaces=True, user_namespace=False, notifications=False, port_start=0)

    def unknown_child(self, pid: int, status: int) -> None:
        if self._children.launching:  # it may be the one that a launcher is about to tell us of
            self._children.early[pid] = status

    # Sandboxes and containers.

    def do_run_pod_sandbox(self, reply: Reply, config: dict[str, Any]) -> None:
        self._refuse_when_stopping()
        identity = os.urandom(32).hex()
        space = PodSpace(self.isolation, f"{self._state}/sandboxes/{identity}", ("ipc", "uts", "net"))
        sandbox = OciSandbox(identity, config, space, self.gate)
        node = self.network.namespace(config["node"])
        space.start_pause()
        os.makedirs(sandbox.shm)
        syscalls.mount("shm", sandbox.shm, "tmpfs", _SHM, "mode=1777,size=64m")
        if config["host_network"]:
            sandbox.network = node
            self.sandboxes[identity] = sandbox
            reply(identity)
            return
        network = space.joined(share_pids=False)["net"]
        self.network.prepare_pod(network)
        ports = tuple((port["host_port"], port["container_port"], port["protocol"])
                      for port in config["port_mappings"] if port["host_port"])
        pod_cidr = self.network.nodes[config["node"]].pod_cidr
        sandbox.attachment = Attachment(identity, descriptor(network), node, pod_cidr,
                                        config["ip"], config["namespace"], config["name"], ports)

        def attached(error: str, result: dict[str, Any]) -> None:
            if error:
                why = f'failed to setup network for sandbox "{identity}": {error}'
                self.tear_down(sandbox, lambda: reply(Refused("RunPodSandboxError", why)))
                return
            sandbox.result = result
            self.sandboxes[identity] = sandbox
            reply(identity)

        self._cni.add(sandbox.attachment, attached)

    def do_check_pod_network(self, reply: Reply, sandbox: str) -> None:
        place = self._sandbox(sandbox)
        assert isinstance(place, OciSandbox)
        if place.attachment is None:
            reply("")
        else:
            self._cni.check(place.attachment, dict(place.result), lambda error, _: reply(error))

    def do_cni_versions(self, reply: Reply, plugin: str) -> None:
        self._cni.versions(plugin, lambda error, answer: reply(
            Refused("NotFound", error) if error else answer.get("supportedVersions", [])))

    def tear_down(self, sandbox: Sandbox, done: Callable[[], None]) -> None:
        """Take it off the network and let its namespaces go.  Who comes while that happens waits for it."""
        if isinstance(sandbox, StandaloneSandbox):
            self.close_standalone(sandbox)
            done()
            return
        assert isinstance(sandbox, OciSandbox)
        if sandbox.closing is not None:
            sandbox.closing.append(done)
            return
        sandbox.closing = [done]

        def detached(error: str, _: dict[str, Any]) -> None:
            if error:
                print(f"{sandbox.id}: {error}", file=sys.stderr, flush=True)
            sandbox.attachment = None
            if os.path.isdir(sandbox.shm):
                syscalls.syscall("umount2", sandbox.shm.encode(), syscalls.MNT_DETACH)
                os.rmdir(sandbox.shm)
            sandbox.space.close()
            cgroups.remove(f"{self._engine.group}/{sandbox.group}", parents=False)
            waiting, sandbox.closing = sandbox.closing or [], None
            for finished in waiting:
                finished()

        if sandbox.attachment is None:
            detached("", {})
        else:
            self._cni.delete(sandbox.attachment, dict(sandbox.result), detached)

    def make_container(self, identity: str, place: Sandbox, config: dict[str, Any], spec: dict[str, Any],
                       directory: str, target: Container | None) -> OciContainer:
        assert isinstance(place, OciSandbox)
        kind = StandaloneContainer if isinstance(place, StandaloneSandbox) else OciContainer
        return kind(self._engine, identity, place, config, spec, directory, self.loop, self._reap,
                            self.isolation, self._changed, target)

    def do_update_container_resources(self, reply: Reply, container: str, resources: dict[str, int]) -> None:
        found = self.container(container)
        assert isinstance(found, OciContainer)
        found.resize(resources, lambda why: reply(Refused("UpdateContainerResourcesError", why) if why else None))

    @staticmethod
    def clear_leftovers(state: str) -> None:
        clear_leftovers(state)

    # The network.

    def do_set_up_network(self, reply: Reply, gateway: str, prefix: int, service_cidr: str) -> None:
        self.network.set_up(gateway, prefix, service_cidr, lambda why: reply(_outcome(why)))

    def do_add_node(self, reply: Reply, name: str, address: str, pod_cidr: str) -> None:
        self.network.add_node(name, address, pod_cidr, lambda why: reply(_outcome(why)))

    def do_namespace_path(self, reply: Reply, node: str) -> None:
        reply(descriptor(self.network.namespace(node)))

    def do_open_socket(self, reply: Reply, node: str, kind: int) -> None:
        reply(Handed(None, self.network.open_socket(node, kind)))

    def do_open_pod_socket(self, reply: Reply, sandbox: str) -> None:
        place = self._sandbox(sandbox)
        assert isinstance(place, OciSandbox)
        reply(Handed(None, self.network.make_socket(place.network_namespace, socket.SOCK_STREAM)))

    def do_run_in_node(self, reply: Reply, node: str, argv: list[str], stdin: str) -> None:
        def done(code: int, stdout: bytes, stderr: bytes) -> None:
            reply([code, stdout.decode(errors="replace"), stderr.decode(errors="replace")])

        self.commands.run(argv, done, stdin=stdin.encode(), namespace=self.network.namespace(node))


def _runtime(state: str) -> tuple[str, ...]:
    """runc, or crun where that is what there is."""
    program = available.runtime_program()
    if not program.endswith("crun"):
        return program, "--root", f"{state}/runc"
    if not cgroups.is_unified() and os.path.isdir(f"{cgroups.MOUNT}/unified"):
        # crun refuses hosts that have both versions of cgroups; from here only the first is to be seen.
        syscalls.mount("none", f"{cgroups.MOUNT}/unified", "tmpfs", syscalls.MS_NOSUID, "mode=755,size=1m")
    return program, "--cgroup-manager", "cgroupfs", "--root", f"{state}/runc"


def _outcome(why: str) -> Any:
    return Refused("NetworkNotReady", why) if why else None


if __name__ == "__main__":
    os.umask(0o022)
    main(OciDaemon)
