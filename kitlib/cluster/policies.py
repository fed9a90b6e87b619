"""NetworkPolicies, put to work: one agent for all nodes, and whoever makes or carries connections.

    PolicyAgent ──table──▶ runtime daemon (a Pod's connect, sendto)
                └────────▶ proxy          (what comes to a Pod by way of a Service)
                or, where nodes have networks of their own:
                ──world──▶ rules in the nodes' kernels

Where the machine has no seccomp notification, nobody stands at a Pod's connect.  Then every NetworkPolicy gets a
Warning that says so: a policy that seems to hold and does not is worse than none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from kitlib.client import Client, EventRecorder, Manager
from kitlib.cluster.networks import ClusterNetwork
from kitlib.network.policy.agent import POLICIES, PolicyAgent
from kitlib.network.policy.compiled import Data
from kitlib.network.policy.model import World
from kitlib.network.proxy.client import ProxyProcess
from kitlib.objects.clock import Clock
from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.process.client import ProcessRuntime

log = logging.getLogger("kit")

Object = dict[str, Any]
AGENT = "kit-network-policy"


class NetworkPolicies:
    def __init__(self, manager: Manager, client_factory: Callable[[str], Client], clock: Clock,
                 runtime: ProcessRuntime, network: ClusterNetwork) -> None:
        self._runtime, self._network = runtime, network
        network.policies = self
        self._proxy: ProxyProcess | None = None
        self._events = EventRecorder(client_factory(AGENT), AGENT, clock)
        self._agent: PolicyAgent | None = None
        if network.enforce is not None or runtime.isolation.notifications:
            self._agent = PolicyAgent(manager.informer, network.served, self._apply)
            self._agent.start()
        else:
            manager.informer(POLICIES).add_handler(self._warn)

    async def admit(self, pod: Mapping[str, Any], ip: str, node_ip: str) -> None:
        """Returns when what isolates this Pod stands."""
        if self._agent is not None:
            await self._agent.admit(pod, ip, node_ip)

    def attach(self, proxy: ProxyProcess) -> None:
        """From now on the proxy is told, too."""
        self._proxy = proxy
        if self._agent is not None:
            proxy.set_policy(self._agent.table or {})

    def refresh(self) -> None:
        """What the proxy serves is about to change."""
        if self._agent is not None:
            self._agent.refresh()

    def again(self) -> None:
        """What enforced them has been replaced, and knows nothing."""
        if self._agent is not None:
            self._agent.again()

    def close(self) -> None:
        if self._agent is not None:
            self._agent.close()

    async def _apply(self, world: World, table: Data) -> None:
        if self._network.enforce is not None:
            await self._network.enforce(world)
            return
        if self._proxy is not None:
            self._proxy.set_policy(table)
        try:
            await self._runtime.set_network_policy(table)
        except RuntimeError_ as error:  # it has gone; its successor hears of the table before anything else
            log.warning("network policy: %s", error.message)

    def _warn(self, kind: str, old: Object | None, new: Object | None) -> None:
        if kind == "ADDED" and new is not None:
            why = self._runtime.isolation.why_no_notifications
            self._events.emit(new, "NotEnforced", "this machine has no seccomp user notification "
                              f"({why}), so nothing enforces NetworkPolicies between its Pods; see kit doctor",
                              "Warning")  # fmt: skip
