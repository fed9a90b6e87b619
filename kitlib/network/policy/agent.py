"""Keeps the policies' table where connections are made up to date: the policy half of a CNI plug-in's agent.

    NetworkPolicies, Namespaces, Pods ─┐
    what the proxy serves ─────────────┴─▶ World ─▶ compile_table ─▶ apply(table), only if it is another than before

A new Pod is in the table before its first container starts (`admit`): no Pod is open for the moment that it takes until
the API knows its address.  While there is no policy nothing is computed, and nothing is sent.

Source: the section "Pod lifecycle" of the concept page; Calico's felix does the same with its endpoint status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from kitlib.client.informer import Informer
from kitlib.network.policy.compiled import Data, compile_table
from kitlib.network.policy.model import PolicyPod, World

log = logging.getLogger(__name__)

Object = dict[str, Any]
SYNC_DELAY = 0.005  # several changes of one moment become one table
POLICIES = "networkpolicies.networking.k8s.io"


class PolicyAgent:
    """informer: by resource.  served: the proxy's desired state.  apply: hands on what is to be enforced."""

    def __init__(self, informer: Callable[[str], Informer], served: Callable[[], Iterable[Mapping[str, Any]]],
                 apply: Callable[[World, Data], Awaitable[None]]) -> None:
        self._policies, self._namespaces, self._pods, self._services = (
            informer(name) for name in (POLICIES, "namespaces", "pods", "services"))
        self._served, self._apply = served, apply
        self._loop = asyncio.get_running_loop()
        self._starting: dict[str, tuple[str, str]] = {}  # uid → (address, node's address)
        self._timer: asyncio.TimerHandle | None = None
        self._round: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._closed = False
        self.table: Data | None = None  # what was sent last
        self._sent: tuple[list[str], Data] | None = None

    def start(self) -> None:
        self._policies.add_handler(self._policy_changed)
        self._namespaces.add_handler(self._namespace_changed)
        self._pods.add_handler(self._pod_changed)
        self._soon()  # a daemon that outlived us may have a table of yesterday

    def again(self) -> None:
        """Hand it all over once more."""
        self._sent = None
        self._soon()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._release()

    def world(self) -> World:
        """Everything that decides, as it is now."""
        return World.of(self._policies.list(), self._namespaces.list(), self._pods.list(), self._services.list(),
                        self._starting)

    async def admit(self, pod: Mapping[str, Any], ip: str, node_ip: str) -> None:
        """A Pod gets an address: returns when the table knows it.  To be called before any of its programs runs."""
        self._starting[pod["metadata"]["uid"]] = ip, node_ip
        if self._policies.list():
            known = self._loop.create_future()
            self._waiting.append(known)
            self._soon()
            await known

    def refresh(self) -> None:
        """What the proxy serves has changed."""
        if self._policies.list():
            self._soon()

    def _policy_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or old["spec"] != new["spec"]:
            self._soon()

    def _namespace_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        if _labels(old) != _labels(new):
            self.refresh()

    def _pod_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._starting.pop((old or {})["metadata"]["uid"], None)
        elif (new.get("status") or {}).get("podIP"):
            self._starting.pop(new["metadata"]["uid"], None)
        if self._policies.list() and (old and PolicyPod.of(old)) != (new and PolicyPod.of(new)):
            self._soon()

    def _soon(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(SYNC_DELAY, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._round is not None and not self._round.done():
            self._soon()  # the last table is still on its way
            return
        self._round = self._loop.create_task(self._sync(), name="network policy")

    async def _sync(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            world = self.world() if self._policies.list() else World((), {}, ())
            table = compile_table(world, self._served())
            sent = [policy.key for policy in world.policies], table
            if sent != self._sent:
                await self._apply(world, table)
                self._sent, self.table = sent, table
        except Exception:  # a table that cannot be made or sent must not keep Pods from starting for ever
            log.exception("network policy: the table could not be handed over")
            self._loop.call_later(1.0, self._soon)
        finally:
            for known in waiting:
                if not known.done():
                    known.set_result(None)

    def _release(self) -> None:
        for known in self._waiting:
            if not known.done():
                known.set_result(None)
        self._waiting.clear()


def _labels(namespace: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    return None if namespace is None else namespace["metadata"].get("labels") or {}
