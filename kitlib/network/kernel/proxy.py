"""kube-proxy on every node: informers in, rules in the nodes' kernels out.

    Services ───────┐                                       ┌─ node-1: compute, compare, write
    EndpointSlices ─┼──▶ changed ──▶ service_ports (once) ──┼─ node-2
    Nodes ──────────┘                                       └─ …   each at its own pace; what fails is tried again

Every half minute each node's kernel is looked at, too: rules that somebody took away come back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...client.informer import Informer
from ..iptables import RuleContext
from ..service_ports import ServicePort, service_ports
from ..userspace import ZONE
from .fabric import PLACE, BalancerRoutes
from .node import NewListening, Rules, parts
from .shell import CommandFailed, NodeShell

log = logging.getLogger("kit")

Object = dict[str, Any]
APPLIED = ("iptables", "nftables", "userspace")   # ipvs is read and walked only (modes.py)
SYNC_DELAY = 0.005
RESYNC_SECONDS = 30.0
RETRY_SECONDS = (0.2, 1.0, 5.0, 30.0)


class RuleProxy:
    """Keeps the rules of some nodes.

    cluster_cidr, service_cidr: the addresses of all Pods and of all Services.  tell: called with (Node, sentence) when
    a node cannot have its rules, once for every reason.  beside: what else is kept on a node, together with its rules.
    """

    def __init__(self, mode: str, services: Informer, slices: Informer, nodes: Informer, shell: NodeShell,
                 new_listening: NewListening, *, cluster_cidr: str, service_cidr: str,
                 tell: Callable[[Object, str], None] | None = None,
                 beside: Callable[[str], Sequence[Rules]] = lambda name: ()) -> None:
        if mode not in APPLIED:
            raise ValueError(f'mode "{mode}" cannot be applied; there is {", ".join(APPLIED)}')
        self.mode = mode
        self._services, self._slices, self._nodes = services, slices, nodes
        self._shell, self._new = shell, new_listening
        self._cluster_cidr, self._service_cidr, self._tell = cluster_cidr, service_cidr, tell
        self._beside = beside
        self._generation, self._ports = 0, (-1, list[ServicePort]())
        self._keepers: dict[str, _Keeper] = {}

    def start(self, names: Sequence[str], *, fabric: bool = False) -> None:
        """Begin to keep these nodes' rules.  fabric: and the routes of what lies between them (fabric.py)."""
        for informer in (self._services, self._slices):
            informer.add_handler(lambda kind, old, new: self.changed())
        self._nodes.add_handler(self._node_changed)
        for name in [*names, PLACE] if fabric else names:
            self.add(name)

    def add(self, name: str) -> None:
        rules: Sequence[Rules] = [BalancerRoutes(self._shell, self._addresses)] if name == PLACE else [
            *parts(self.mode, self._shell, name, self._new), *self._beside(name)]
        self._keepers[name] = _Keeper(name, rules, self._wanted, self._failed)

    async def again(self) -> None:
        """Their kernels are new ones, and know nothing."""
        for name in list(self._keepers):
            await self.remove(name)
            self.add(name)

    async def remove(self, name: str, *, clear: bool = False) -> None:
        """Stop to keep a node's rules.  clear: and take them away."""
        keeper = self._keepers.pop(name, None)
        if keeper is not None:
            await keeper.stop(clear)

    async def close(self, *, clear: bool = False) -> None:
        await asyncio.gather(*(self.remove(name, clear=clear) for name in list(self._keepers)))

    async def clear_other_modes(self, name: str) -> None:
        """What another mode left on a node that lived on while the mode was changed."""
        for mode in APPLIED:
            if mode != self.mode:
                await parts(mode, self._shell, name, self._new)[0].clear()

    def changed(self) -> None:
        self._generation += 1
        for keeper in self._keepers.values():
            keeper.wake.set()

    async def synced(self) -> None:
        """Until every node has the rules for all that has been seen so far."""
        generation = self._generation
        for keeper in list(self._keepers.values()):
            await keeper.reached(generation)

    async def tried(self) -> None:
        """Until every node has been tried once, successfully or not; a node without an address counts as tried."""
        await asyncio.gather(*(keeper.tried.wait() for keeper in self._keepers.values()))

    def status(self) -> dict[str, Any]:
        return {"mode": self.mode, "nodes": {name: keeper.status() for name, keeper in self._keepers.items()}}

    def _node_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        """Heartbeats change a Node all the time; only address and zone matter here."""
        if _facts(old) != _facts(new):
            self.changed()

    def _wanted(self, name: str) -> tuple[int, list[ServicePort], RuleContext | None]:
        """Generation, ports and context; no context while the node has no address."""
        if self._ports[0] != self._generation:
            self._ports = self._generation, service_ports(self._services.list(), self._slices.list())
        address, zone = _facts(self._nodes.get(name))
        there = [address] if address else []
        known = there or name == PLACE
        context = RuleContext(name, self._cluster_cidr, self._service_cidr, there, zone) if known else None
        return self._generation, self._ports[1], context

    def _failed(self, name: str, why: str) -> None:
        log.warning("kube-proxy on %s: %s", name or "the fabric", why)
        node = self._nodes.get(name)
        if self._tell is not None and node is not None:
            self._tell(node, why)

    def _addresses(self) -> dict[str, str]:
        facts = {name: _facts(self._nodes.get(name))[0] for name in self._keepers if name != PLACE}
        return {name: address for name, address in facts.items() if address}


def _facts(node: Mapping[str, Any] | None) -> tuple[str, str]:
    """(InternalIP, zone)."""
    if node is None:
        return "", ""
    addresses = (node.get("status") or {}).get("addresses") or ()
    address = next((a["address"] for a in addresses if a["type"] == "InternalIP" and ":" not in a["address"]), "")
    return address, (node["metadata"].get("labels") or {}).get(ZONE, "")


class _Keeper:
    """The task that keeps one node's rules."""

    def __init__(self, name: str, rules: Sequence[Rules],
                 wanted: Callable[[str], tuple[int, list[ServicePort], RuleContext | None]],
                 failed: Callable[[str, str], None]) -> None:
        self.wake, self.tried = asyncio.Event(), asyncio.Event()
        self.wake.set()
        self._name, self._parts, self._wanted, self._failed = name, rules, wanted, failed
        self._reached, self._seconds, self._error, self._failures = -1, 0.0, "", 0
        self._moved = asyncio.Condition()
        self._task = asyncio.create_task(self._keep(), name=f"kube-proxy {name}")

    async def _keep(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self.wake.wait(), self._patience())
            except asyncio.TimeoutError:
                for part in self._parts:
                    part.look_again()
            await asyncio.sleep(SYNC_DELAY)   # several changes of one moment become one update
            self.wake.clear()
            await self._sync()
            self.tried.set()

    def _patience(self) -> float:
        return RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS)) - 1] if self._failures else RESYNC_SECONDS

    async def _sync(self) -> None:
        began = time.monotonic()
        try:
            generation, ports, context = self._wanted(self._name)
            if context is None:
                return
            for part in self._parts:
                await part.sync(ports, context)
        except Exception as error:   # whatever it is: the next try, or the next change, may do better
            if not isinstance(error, (CommandFailed, OSError)):
                log.exception("kube-proxy on %s", self._name)
            self._failures += 1
            if str(error) != self._error:
                self._failed(self._name, str(error))
            self._error = str(error)
            return
        self._failures, self._error, self._seconds = 0, "", time.monotonic() - began
        async with self._moved:
            self._reached = generation
            self._moved.notify_all()

    async def reached(self, generation: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._reached >= generation)

    async def stop(self, clear: bool) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for part in self._parts:
            await (part.clear() if clear else part.close())

    def status(self) -> dict[str, Any]:
        return {"generation": self._reached, "seconds": round(self._seconds, 4), "error": self._error}
