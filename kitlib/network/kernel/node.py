"""One node: its kernel is brought to the wanted state, from whatever state it is in.

    first sync     what is in the kernel is read; only what is different is written (a restart changes nothing)
    next ones      the difference to what was written last
    after failure  the kernel is read again

Three modes, three ways to the same end.  What a mode leaves behind, `clear` takes away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from ..iptables import RuleContext, Tables
from ..iptables import rules as iptables_rules
from ..nftables import NAME, Table
from ..nftables import table as nftables_table
from ..service_ports import ServicePort
from ..userspace import ProxyNode, desired_state
from . import conntrack
from .restore import restore_input
from .routes import Routes
from .shell import CommandFailed, NodeShell, prepare, set_kernel
from .transaction import NOTHING, delete, transaction

Made = TypeVar("Made")
MANY = 100
log = logging.getLogger("kit")


class Listening(Protocol):
    """A proxy process in the node: `network.proxy.client.ProxyProcess`."""

    async def start(self) -> None: ...
    def apply(self, services: Sequence[Any]) -> asyncio.Future[dict[str, Any]]: ...
    async def close(self) -> None: ...


# Node → its proxy process, not started yet.
NewListening = Callable[[str], Listening]


class Rules:
    """Part of a mode on one node.  `sync` and `clear` raise CommandFailed."""

    async def sync(self, ports: Sequence[ServicePort], context: RuleContext) -> None:
        """Make it so."""
        raise NotImplementedError

    async def clear(self) -> None:
        """Leave nothing behind."""

    async def close(self) -> None:
        """End our own processes; what is in the kernel stays for the next start."""

    def look_again(self) -> None:
        """Do not trust what was written: the next `sync` reads the kernel."""


class IptablesRules(Rules):
    def __init__(self, shell: NodeShell, node: str) -> None:
        self._shell, self._node = shell, node
        self._written: Tables | None = None
        self._prepared = False

    async def sync(self, ports: Sequence[ServicePort], context: RuleContext) -> None:
        if not self._prepared:
            await prepare(self._shell, self._node)
            # A node port on 127.0.0.1 is answered by a Pod elsewhere, which the kernel finds strange by itself.
            await set_kernel(self._shell, self._node, "net/ipv4/conf/all/route_localnet", "1")
            self._prepared = True
        await self._write(await _computed(iptables_rules, ports, replace(context, nfacct=False)))

    async def clear(self) -> None:
        await self._write(Tables())

    def look_again(self) -> None:
        self._written = None

    async def _write(self, wanted: Tables) -> None:
        before, self._written = self._written, None
        if before is None:
            before = Tables.parse(await self._shell.must(self._node, ["iptables-save"]))
        text = restore_input(before, wanted)
        if text:
            await self._shell.must(self._node, ["iptables-restore", "--wait", "--noflush"], text)
        self._written = wanted


class NftablesRules(Rules):
    def __init__(self, shell: NodeShell, node: str) -> None:
        self._shell, self._node = shell, node
        self._written: Table | None = None
        self._prepared = False

    async def sync(self, ports: Sequence[ServicePort], context: RuleContext) -> None:
        if not self._prepared:
            await prepare(self._shell, self._node)
            self._prepared = True
        wanted = await _computed(nftables_table, ports, context)
        before, self._written = self._written, None
        before = before or await self._there()
        text = transaction(before, wanted) if before else delete() + transaction(NOTHING, wanted)
        if text:
            await self._shell.must(self._node, ["nft", "-f", "-"], text)
        self._written = wanted

    async def _there(self) -> Table | None:
        """The table as it is; None if there is none, or if it cannot be read and has to be made anew."""
        listed = await self._shell.run(self._node, ["nft", "list", "table", *NAME.split()])
        return None if listed.code else Table.parse(listed.stdout)

    async def clear(self) -> None:
        self._written = None
        await self._shell.must(self._node, ["nft", "-f", "-"], delete())

    def look_again(self) -> None:
        self._written = None


async def _computed(rules: Callable[[Sequence[ServicePort], RuleContext], Made], ports: Sequence[ServicePort],
                    context: RuleContext) -> Made:
    """A thousand Services take some 50 ms: too long for the loop that also answers the API."""
    if len(ports) < MANY:
        return rules(ports, context)
    return await asyncio.to_thread(rules, ports, context)


class _Listens(Rules):
    """What has a proxy process in the node, from the moment it is needed."""

    def __init__(self, node: str, new: NewListening) -> None:
        self._node, self._new = node, new
        self._proxy: Listening | None = None
        self._state: list[Any] | None = None

    async def _listen(self, ports: Sequence[ServicePort], context: RuleContext, *, health_only: bool = False) -> None:
        here = ProxyNode(context.node, context.node_addresses[0], context.cluster_cidr, context.zone)
        state = [e for e in desired_state(ports, [here], nowhere=None) if "health" in e or not health_only]
        if self._proxy is None:
            if not state:
                return
            self._proxy = self._new(self._node)
            await self._proxy.start()
        if state != self._state:
            await self._proxy.apply(state)
            self._state = state

    async def clear(self) -> None:
        await self.close()

    async def close(self) -> None:
        if self._proxy is not None:
            await self._proxy.close()
            self._proxy = self._state = None


class UserspaceRules(_Listens):
    """No rules but routes: what is sent to a Service's address is for this machine, where the proxy listens."""

    def __init__(self, shell: NodeShell, node: str, new: NewListening) -> None:
        super().__init__(node, new)
        self._routes = Routes(shell, node, "local")

    async def sync(self, ports: Sequence[ServicePort], context: RuleContext) -> None:
        outside = [f"{address}/32" for port in ports for address in (*port.external_ips, *port.load_balancer_ips)
                   if address not in context.node_addresses]
        await self._routes.change(dict.fromkeys([context.service_cidr, *outside], "dev lo"))
        await self._listen(ports, context)

    def look_again(self) -> None:
        super().look_again()
        self._routes.forget()

    async def clear(self) -> None:
        await self.close()
        await self._routes.clear()


class HealthAnswers(_Listens):
    """Beside rules: "any Pods of this Service here?", which a load balancer asks at the healthCheckNodePort."""

    async def sync(self, ports: Sequence[ServicePort], context: RuleContext) -> None:
        await self._listen([port for port in ports if port.health_check_node_port], context, health_only=True)


class UdpMemory(Rules):
    """Beside rules: the kernel forgets the ways of UDP that are wrong now."""

    def __init__(self, shell: NodeShell, node: str) -> None:
        self._shell, self._node = shell, node
        self._fronts: dict[conntrack.Front, set[str]] | None = None
        self._cannot = False

    async def sync(self, ports: Sequence[ServicePort], context: RuleContext) -> None:
        now = conntrack.fronts(ports, context)
        before, self._fronts = self._fronts, now
        if now == before or not (now or before) or self._cannot:
            return
        try:
            listed = await self._shell.run(self._node, conntrack.LIST)
        except CommandFailed as error:   # the rules are right all the same
            self._cannot = True
            log.warning("kube-proxy: %s: who talks UDP to an endpoint that is gone goes on for half a minute", error)
            return
        for command in conntrack.stale(listed.stdout, now, before or ()):
            await self._shell.run(self._node, command)   # 1: it was gone already

    async def clear(self) -> None:
        self._fronts = None


def parts(mode: str, shell: NodeShell, node: str, new: NewListening) -> list[Rules]:
    """All that a mode does on a node, in the order in which it is done."""
    if mode == "userspace":
        return [UserspaceRules(shell, node, new)]
    rules: Rules = IptablesRules(shell, node) if mode == "iptables" else NftablesRules(shell, node)
    return [rules, UdpMemory(shell, node), HealthAnswers(node, new)]
