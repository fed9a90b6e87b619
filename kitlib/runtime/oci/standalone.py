"""Containers that are no Pod's, as Docker has them: each its own namespaces, each in as many networks as it likes.

    run_standalone(mode)            a network namespace: a new one, the host's, or another sandbox's
    make_bridge, attach, detach     bridges.py
    create_container, start …       as in the CRI, but what the spec has under `oci` is put into config.json as it is:
                                    {"mounts": […], "process": {…}, "linux": {…}, "devices": [rules of its cgroup]}

What such a container changes lies in a directory that its owner names (spec["rw"]), and outlives it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from kitlib.runtime.oci import cgroups, spec
from kitlib.runtime.oci.bridges import Bridges, Wire
from kitlib.runtime.oci.containers import Engine, OciContainer, OciSandbox
from kitlib.runtime.oci.network import Network
from kitlib.runtime.process import overlay
from kitlib.runtime.process.connections import Handed, Refused, Reply
from kitlib.runtime.process.containers import Sandbox
from kitlib.runtime.process.gate import Gate
from kitlib.runtime.process.isolation import Isolation
from kitlib.runtime.process.podspace import PodSpace

OWN, HOST, OTHER = "own", "host", "sandbox"


class StandaloneSandbox(OciSandbox):
    """A network namespace.  owned: it is not somebody else's, and goes with the sandbox."""

    owned = True

    @property
    def group(self) -> str:
        return "standalone"


class StandaloneContainer(OciContainer):
    def _make_bundle(self, shared: Mapping[str, int]) -> str:
        extra = self.spec["oci"]
        root = overlay.stack(self.spec["rw"], self.spec["layers"])
        config = spec.build(self.spec, root, self.group, self._namespaces(shared), extra["mounts"],
                            cgroup_namespace=cgroups.is_unified())
        config["process"] |= extra["process"]
        config["linux"]["resources"]["devices"] += extra["devices"]
        for name, value in extra["linux"].items():
            config["linux"][name] = {**config["linux"].get(name, {}), **value} if isinstance(value, dict) else value
        with open(f"{self.directory}/config.json", "w") as file:
            json.dump(config, file, indent=1)
        return self.directory

    def process(self, given: Mapping[str, Any], argv: tuple[str, ...], *, tty: bool) -> dict[str, Any]:
        return super().process(given, argv, tty=tty) | given["oci"]["process"]

    def _namespaces(self, shared: Mapping[str, int]) -> dict[str, str]:
        found = super()._namespaces({})
        return found | {kind: "" for kind in ("ipc", "uts") if kind in self.spec["own"]}


class Standalone:
    """A part of the daemon."""

    network: Network
    bridges: Bridges
    isolation: Isolation
    gate: Gate
    sandboxes: dict[str, Sandbox]
    host: int
    _engine: Engine
    _state: str

    def _sandbox(self, identity: str) -> Sandbox:
        raise NotImplementedError

    def tear_down(self, sandbox: Sandbox, done: Callable[[], None]) -> None:
        raise NotImplementedError

    def do_run_standalone(self, reply: Reply, config: dict[str, Any], mode: str, other: str = "") -> None:
        """mode: own, host, or sandbox: that of another one."""
        identity = os.urandom(32).hex()
        space = PodSpace(self.isolation, f"{self._state}/sandboxes/{identity}", ())
        sandbox = StandaloneSandbox(identity, config, space, self.gate)
        if mode == OWN:
            sandbox.network = self.network.make_namespace()
            self.network.prepare_pod(sandbox.network)
        else:
            sandbox.owned = False
            sandbox.network = self.host if mode == HOST else self._place(other).network
        self.sandboxes[identity] = sandbox
        if mode != OWN:
            reply(identity)
            return
        self.bridges.loopback(sandbox.network, lambda why: reply(Refused("NetworkNotReady", why) if why else identity))

    def _place(self, identity: str) -> StandaloneSandbox:
        found = self._sandbox(identity)
        if not isinstance(found, StandaloneSandbox):
            raise Refused("InvalidArgument", f"sandbox {identity} is a Pod's")
        return found

    def do_make_bridge(self, reply: Reply, name: str, gateway: str, prefix: int, internal: bool,
                       isolated: bool) -> None:
        self.bridges.make(name, gateway, prefix, internal, isolated, _answering(reply))

    def do_lead_outside(self, reply: Reply, tcp: int, names: int) -> None:
        self.bridges.lead_outside(tcp, names, _answering(reply))

    def do_remove_bridge(self, reply: Reply, name: str) -> None:
        self.bridges.remove(name, _answering(reply))

    def do_attach_network(self, reply: Reply, sandbox: str, wire: dict[str, Any]) -> None:
        self.bridges.attach(self._place(sandbox).network, Wire(**wire), _answering(reply))

    def do_detach_network(self, reply: Reply, sandbox: str, interface: str) -> None:
        self.bridges.detach(self._place(sandbox).network, interface, _answering(reply))

    def do_default_route(self, reply: Reply, sandbox: str, gateway: str) -> None:
        self.bridges.route(self._place(sandbox).network, gateway, _answering(reply))

    def do_open_standalone_socket(self, reply: Reply, sandbox: str, kind: int) -> None:
        reply(Handed(None, self.network.make_socket(self._place(sandbox).network, kind)))

    def close_standalone(self, sandbox: StandaloneSandbox) -> None:
        """Its namespace goes with the last process in it."""
        if sandbox.owned and sandbox.network >= 0:
            os.close(sandbox.network)
        sandbox.network = -1


def _answering(reply: Reply) -> Callable[[str], None]:
    return lambda why: reply(Refused("NetworkNotReady", why) if why else None)


def host_namespace() -> int:
    """To be asked before the daemon leaves it."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

