"""Nodes without a machine: Pods bound to them become Running, Ready, and one day Succeeded, but nothing runs.

For scheduling at scale and for labs with hundreds of nodes.  It is what KWOK does; a Node is of this kind if it has
KWOK's annotation `kwok.x-k8s.io/node: fake`, whoever made it.  One object serves all of them.

    Pod bound ──▶ Running, Ready, an address ──▶ (kit/run-seconds, or a Job's Pod) Succeeded or Failed
    Pod deleted ─▶ DELETE with grace 0

Annotations a Pod may carry:  kit/run-seconds: "5"  (ends after 5 s),  kit/exit-code: "1",  kit/start-seconds: "2".
Source: sigs.k8s.io/kwok (stages pod-fast, node-fast).
"""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..client.client import Client
from ..objects.clock import Clock
from ..objects.errors import StatusError
from ..objects.meta import controller_of
from ..runtime.cri import ContainerConfig, ContainerState, ContainerStatus
from .containers import INIT, ContainerView, specs
from .context import AddressPool
from .node_object import FAKE_ANNOTATION, FAKE_VALUE, NodeFacts, is_simulated, node_status
from .pod_status import TERMINAL, Surroundings, pod_status
from .registration import Registration
from .status_writer import write_status

log = logging.getLogger("kit.simulated")
Object = dict[str, Any]
ClientFactory = Callable[[str], Client]

POD_NETWORK = "10.128.0.0/9"
RUN_SECONDS, EXIT_CODE, START_SECONDS = "kit/run-seconds", "kit/exit-code", "kit/start-seconds"
CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
JOB_SECONDS = 1.0
RENEW = 30.0        # late enough to cost nothing, early enough for a grace period of 40 s
SLICE = 0.005       # seconds of work before others get their turn


def pod_cidr(index: int) -> str:
    """The /24 of the simulated node with this number, out of 10.128.0.0/9."""
    base = ipaddress.ip_network(POD_NETWORK).network_address
    return f"{base + index * 256}/24"


def node_facts(name: str, index: int, capacity: Mapping[str, str] | None = None) -> NodeFacts:
    cidr = pod_cidr(index)
    address = str(ipaddress.ip_network(cidr).network_address + 1)
    return NodeFacts(name=name, address=address, pod_cidr=cidr, capacity=dict(capacity or CAPACITY),
                     runtime="simulated", isolation="nothing runs here", simulated=True,
                     # Whoever asks for such a node gets one; a Pod that does not care had better really run.
                     taints=({"key": FAKE_ANNOTATION, "value": FAKE_VALUE, "effect": "PreferNoSchedule"},))


def views(pod: Mapping[str, Any], started: float, ended: float | None, code: int) -> list[ContainerView]:
    """The Pod's containers as if they had been started, and ended if `ended` is given."""
    result: list[ContainerView] = []
    uid = pod["metadata"]["uid"]
    for role, spec in specs(pod):
        over = started if role == INIT else ended
        config = ContainerConfig(spec["name"], spec.get("image", ""))
        status = ContainerStatus(
            f"{uid}-{spec['name']}", "", config, ContainerState.RUNNING if over is None else ContainerState.EXITED,
            started, started_at=started, finished_at=over or 0.0, exit_code=0 if role == INIT else code,
            image_ref=spec.get("image", ""))
        result.append(ContainerView(spec, role, status, started=True, ready=True))
    return result


class SimulatedKubelet:
    """Feed it with `node_event` and `pod_event`; it works through them in small slices of the event loop."""

    def __init__(self, client_factory: ClientFactory, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._client_factory, self._clock, self._loop = client_factory, clock, loop
        self._clients: dict[str, Client] = {}
        self._nodes: dict[str, Registration] = {}
        self._pools: dict[str, AddressPool] = {}
        self._seen: dict[str, float] = {}             # uid → when we first saw it
        self.pods_of: Callable[[str], Iterable[Object]] = lambda node: ()   # asked when a node turns out to be ours
        self._queue: dict[str, Object] = {}           # uid → Pod to look at, in order of arrival
        self._due: list[tuple[float, int, Object]] = []
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._index = 0
        self._closed = False

    # -- nodes ------------------------------------------------------------------------------------------------

    async def add_nodes(self, names: Iterable[str], capacity: Mapping[str, str] | None = None) -> None:
        """Register nodes of our own, Ready at once."""
        for name in names:
            registration = self._registration(node_facts(name, self._next_index(), capacity))
            await registration.register()
            self._take(name, registration)

    def node_event(self, kind: str, old: Object | None, new: Object | None) -> None:
        """An informer's handler for Nodes: those with KWOK's annotation are ours, also if a person applied them."""
        node = new or old or {}
        name = node["metadata"]["name"]
        if kind == "DELETED":
            self._nodes.pop(name, None)
            self._pools.pop(name, None)
        elif is_simulated(node) and name not in self._nodes:
            capacity = (node.get("status") or {}).get("capacity") or CAPACITY
            facts = node_facts(name, self._next_index(), capacity)
            registration = self._registration(facts)
            registration.node = node
            self._take(name, registration)
            self._make_ready(facts, node)

    def has(self, name: str) -> bool:
        return name in self._nodes

    def _make_ready(self, facts: NodeFacts, node: Object) -> None:
        client = self._client(facts.name)
        status = node.get("status") or {}
        wanted = node_status(facts, (), self._clock.now(), status)
        wanted |= {name: status[name] for name in ("addresses", "allocatable") if status.get(name)}
        try:
            client.update_status("nodes", "", {**node, "status": {**status, **wanted}})
        except StatusError as error:
            log.debug("node %s: %s", facts.name, error)
        client.writes.clear()

    def _registration(self, facts: NodeFacts) -> Registration:
        return Registration(self._client(facts.name), facts, self._clock)

    def _take(self, name: str, registration: Registration) -> None:
        self._nodes[name] = registration
        self._pools[name] = AddressPool(registration.facts.pod_cidr)
        first = RENEW * (len(self._nodes) % 16 + 1) / 16   # spread the renewals
        self._loop.call_later(first, self._renew, name)
        for pod in self.pods_of(name):
            self.pod_event("ADDED", None, pod)

    def _renew(self, name: str) -> None:
        registration = self._nodes.get(name)
        if registration is not None and not self._closed:
            registration.renew()
            self._loop.call_later(RENEW, self._renew, name)

    def _next_index(self) -> int:
        self._index += 1
        return self._index - 1

    def _client(self, node: str) -> Client:
        if node not in self._clients:
            self._clients[node] = self._client_factory(f"kubelet/{node}")
        return self._clients[node]

    # -- Pods -------------------------------------------------------------------------------------------------

    def pod_event(self, kind: str, old: Object | None, new: Object | None) -> None:
        """An informer's handler for Pods that have a node, ours or not."""
        pod = new or old or {}
        uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName", "")
        if kind == "DELETED":
            self._queue.pop(uid, None)
            self._forget(uid, node)
        elif node in self._nodes:
            self._queue[uid] = pod
            self._work_soon()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _work_soon(self) -> None:
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        """As many Pods as fit into a slice of time; then the others of the event loop have their turn."""
        self._scheduled = False
        stop = self._clock.monotonic() + SLICE
        while self._queue and self._clock.monotonic() < stop and not self._closed:
            uid = next(iter(self._queue))
            pod = self._queue.pop(uid)
            try:
                self._look_at(pod)
            except StatusError as error:
                log.debug("pod %s: %s", pod["metadata"]["name"], error)
                self._later(1.0, pod)
        if self._queue:
            self._work_soon()

    def _look_at(self, pod: Object) -> None:
        meta, status = pod["metadata"], pod.get("status") or {}
        node = pod["spec"]["nodeName"]
        client = self._client(node)
        client.cause = int(meta.get("resourceVersion") or 0)
        annotations = meta.get("annotations") or {}
        if meta.get("deletionTimestamp"):
            try:
                client.delete("pods", meta["namespace"], meta["name"], uid=meta["uid"], grace=0)
            except StatusError as error:
                if error.code not in (404, 409):
                    raise
            client.writes.clear()
        elif status.get("phase") in TERMINAL:
            self._forget(meta["uid"], node)
        elif status.get("phase") != "Running":
            wait = float(annotations.get(START_SECONDS, 0)) - self._age(pod)
            if wait > 0:
                self._later(wait, pod)
            else:
                self._report(pod, None, 0)
        elif (seconds := _run_seconds(pod)) is not None:
            self._end_in(pod, seconds)

    def _age(self, pod: Object) -> float:
        """Seconds since we first saw this Pod bound."""
        now = self._clock.now()
        return now - self._seen.setdefault(pod["metadata"]["uid"], now)

    def _end_in(self, pod: Object, seconds: float) -> None:
        started = self._seen.setdefault(pod["metadata"]["uid"], self._clock.now())
        now = self._clock.now()
        if now >= started + seconds:
            code = int((pod["metadata"].get("annotations") or {}).get(EXIT_CODE, 0))
            self._report(pod, now, code)
        else:
            self._later(started + seconds - now, pod)

    def _report(self, pod: Object, ended: float | None, code: int) -> None:
        node, uid = pod["spec"]["nodeName"], pod["metadata"]["uid"]
        now = self._clock.now()
        address = pod.get("status", {}).get("podIP") or self._pools[node].allocate(uid)
        facts = self._nodes[node].facts
        around = Surroundings(host_ip=facts.address, pod_ip=address, sandbox_ready=ended is None,
                              finished=ended is not None)
        started = self._seen.setdefault(uid, now)
        write_status(self._client(node), pod,
                     lambda live: pod_status(live, views(live, started, ended, code), around, now))

    def _forget(self, uid: str, node: str) -> None:
        self._seen.pop(uid, None)
        pool = self._pools.get(node)
        if pool is not None:
            pool.release(uid)

    def _later(self, seconds: float, pod: Object) -> None:
        self._sequence += 1
        heapq.heappush(self._due, (self._clock.monotonic() + seconds, self._sequence, pod))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._due:
            self._timer = self._loop.call_later(max(0.0, self._due[0][0] - self._clock.monotonic()), self._ring)

    def _ring(self) -> None:
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now + 0.001:
            pod = heapq.heappop(self._due)[2]
            self._queue.setdefault(pod["metadata"]["uid"], pod)
        self._timer = None
        self._arm()
        self._work_soon()


def _run_seconds(pod: Mapping[str, Any]) -> float | None:
    """How long the Pod runs; None: for ever."""
    given = (pod["metadata"].get("annotations") or {}).get(RUN_SECONDS)
    if given is not None:
        return float(given)
    owner = controller_of(pod)
    return JOB_SECONDS if owner is not None and owner.get("kind") == "Job" else None
