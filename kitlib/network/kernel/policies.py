"""NetworkPolicies in the nodes' kernels: a table of their own beside kube-proxy's.

    World ──▶ policy.nft.ruleset, for each node with its own Pods ──▶ nft, if the text is another than before

`apply` is what a PolicyAgent (network/policy/agent.py) calls; it returns when every node has its rules, so a Pod that
waits for them is never open for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from ..iptables import RuleContext
from ..policy.model import World
from ..policy.nft import TABLE, ruleset
from ..service_ports import ServicePort
from .node import Rules
from .shell import NodeShell, prepare


class NodePolicies:
    """nodes: the names of those that are there now."""

    def __init__(self, shell: NodeShell, nodes: Callable[[], Collection[str]]) -> None:
        self._shell, self._nodes = shell, nodes
        self._written: dict[str, str] = {}

    async def apply(self, world: World) -> None:
        """Raises CommandFailed; then nothing is taken for granted any more on that node."""
        await asyncio.gather(*(self._write(node, world) for node in self._nodes()))

    async def _write(self, node: str, world: World) -> None:
        local = {pod.ip for pod in world.by_ip.values() if pod.node == node}
        text = ruleset(world, local)
        if node not in self._written:
            await prepare(self._shell, node)
        if self._written.pop(node, None) != text:
            await self._shell.must(node, ["nft", "-f", "-"], text)
        self._written[node] = text

    async def heal(self, node: str) -> None:
        """Write a node's table again if somebody took it away."""
        text = self._written.get(node)
        if text is not None and (await self._shell.run(node, ["nft", "-t", "list", "table", *TABLE.split()])).code:
            await self._shell.must(node, ["nft", "-f", "-"], text)

    async def clear(self) -> None:
        """Everything is let through again."""
        self._written.clear()
        for node in self._nodes():
            await self._shell.must(node, ["nft", "-f", "-"], f"table {TABLE}\ndelete table {TABLE}\n")


class PolicyWatch(Rules):
    """Beside kube-proxy's rules: whenever those are looked at, the policies are, too.  heal: `NodePolicies.heal`."""

    def __init__(self, node: str, heal: Callable[[str], Awaitable[None]]) -> None:
        self._node, self._heal = node, heal
        self._look = False

    async def sync(self, ports: Sequence[ServicePort], context: RuleContext) -> None:
        if self._look:
            await self._heal(self._node)
            self._look = False

    def look_again(self) -> None:
        self._look = True
