"""A whole cluster replays what a real one was recorded doing: API server, all controllers, scheduler, kubelet.

Everything is the real code; only the machine is fake (`FakeRuntime`), and time is virtual.  For each scenario the lives
of its Pods, state by state, and the events of all objects are compared.  scenarios/recorded.py has the recordings.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from node_fakes import FakeRuntime, run
from node_scenario import ADMIN, FakeHandlers, Recorder, brief
from scenarios.recorded import not_replayed, replayed, scenarios

from kitlib.api.config import ApiConfig
from kitlib.api.server import ApiServer
from kitlib.client.client import Client
from kitlib.client.events import EventRecorder
from kitlib.client.local import LocalTransport
from kitlib.client.manager import Manager
from kitlib.cluster.driver import Driver
from kitlib.cluster.loops import control_loops
from kitlib.node.context import AddressPool, NodeContext
from kitlib.node.images import ImageManager
from kitlib.node.kubelet import Kubelet
from kitlib.node.node_object import NodeFacts
from kitlib.node.registration import Registration
from kitlib.node.sources import ChangeSignal, ClusterSource, PodRouter
from kitlib.objects.clock import FakeClock
from kitlib.objects.errors import StatusError
from kitlib.store import Store

Object = dict[str, Any]
RESOURCES = {
    "Pod": "pods", "Service": "services", "ConfigMap": "configmaps", "Secret": "secrets", "Node": "nodes",
    "Deployment": "deployments.apps", "ReplicaSet": "replicasets.apps", "StatefulSet": "statefulsets.apps",
    "DaemonSet": "daemonsets.apps", "Job": "jobs.batch", "PodDisruptionBudget": "poddisruptionbudgets.policy",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers.autoscaling", "CronJob": "cronjobs.batch",
    "Endpoints": "endpoints"}
CLUSTER_WIDE = ("Node",)
MINUTE = 1_700_000_040.0
CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"}
SMALL = {**CAPACITY, "cpu": "2"}  # the recorder's own node, where two Pods of the preemption scenarios fill it
PRIORITIES = {"sc-low": (10, "PreemptLowerPriority"), "sc-high": (1000, "PreemptLowerPriority"),
              "sc-polite": (1000, "Never")}  # what it had made beforehand
GROUPS = ("cronjob-", "deploy-", "ds-", "evict-", "gc-", "hpa-", "job-", "node-", "pdb-", "preemption", "pvc-", "rs-",
          "sched-", "sts-", "svc-", "taint-")
NAMES = replayed(*GROUPS)
# Recorded for some seconds only, in the middle of a back-off: what was seen is the beginning of what is played here.
UNFINISHED = ("deploy-bad-image", "deploy-crashloop")
MORE_SECONDS = 60.0


class Whole:
    """One cluster of one node, n1."""

    def __init__(self, clock: FakeClock, directory: Path, capacity: dict[str, str]) -> None:
        self.clock, self.directory, self.capacity = clock, directory, capacity
        self.store = Store(None)
        self.server = ApiServer(self.store, ApiConfig(), clock)
        self.person = self.client("kubectl")
        self.names: dict[str, str] = {}   # a recorded placeholder → the name it has here

    def client(self, agent: str) -> Client:
        return Client(LocalTransport(self.server, ADMIN), agent)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.manager = Manager(self.client, self.clock, leases=True)
        for controller, agent in control_loops("CA\n"):
            self.manager.add(controller, agent)
        self.driver = Driver(self.manager, self.clock, loop)
        self.runtime = runtime = FakeRuntime(self.clock)
        client = self.client("kubelet/n1")
        registration = Registration(client, NodeFacts("n1", "192.0.2.10", "10.0.0.0/24", self.capacity), self.clock,
                                    runtime)
        await registration.register()
        source = ClusterSource(client, self.clock)
        self.kubelet = Kubelet(NodeContext(
            name="n1", host_ip="192.0.2.10", directory=self.directory, runtime=runtime, client=client,
            clock=self.clock, events=EventRecorder(client, "kubelet", self.clock, host="n1"), source=source,
            pool=AddressPool("10.0.0.0/24"), images=ImageManager(runtime, self.clock),
            handlers=FakeHandlers(runtime), services=source.services, allocatable=self.capacity))
        PodRouter(self.manager.informer("pods")).connect("n1", self.kubelet.pod_event)
        await self.kubelet.start()
        self.signals = [ChangeSignal(client, kind, self.kubelet.configuration_changed, loop)
                        for kind in ("configmaps", "secrets")]
        self.heartbeat = asyncio.ensure_future(registration.run())
        for name, (value, policy) in PRIORITIES.items():
            self.person.create("priorityclasses.scheduling.k8s.io", "", {
                "metadata": {"name": name}, "value": value, "preemptionPolicy": policy})
        self.driver.wake()
        await asyncio.sleep(3)
        self.recorder = Recorder(self)   # type: ignore[arg-type]

    async def stop(self) -> None:
        self.heartbeat.cancel()
        self.driver.stop()
        await self.kubelet.stop()

    async def settled(self) -> None:
        """Nothing but Leases and heartbeats has changed for two seconds."""
        last, since, end = -1, self.clock.now(), self.clock.now() + 200
        while self.clock.now() - since < 2 and self.clock.now() < end:
            now = sum(e.revision for kind, name in RESOURCES.items() if kind != "Node" for e in self.store.list(name))
            if now != last:
                last, since = now, self.clock.now()
            await asyncio.sleep(0.1)

    async def until(self, condition: Callable[[], bool]) -> None:
        end = self.clock.now() + 200
        while not condition():
            assert self.clock.now() < end, "what the recorder waited for never came"
            await asyncio.sleep(0.05)

    async def wait(self, what: str) -> None:
        if match := re.match(r"([\d.]+) s passed", what):
            await asyncio.sleep(float(match[1]))
        elif match := re.match(r"Pod (\S+) has phase (\S+)", what):
            name, phase = match.groups()
            await self.until(lambda: self.person.get("pods", "default", name)["status"]["phase"] == phase)
        elif match := re.match(r"(\S+) runs$", what):
            name = match[1]
            await self.until(lambda: (found := self.store.get("pods", "default", name)) is not None
                             and found.obj["status"]["phase"] == "Running")
        else:
            await self.settled()

    def act(self, action: Object) -> None:
        obj = json.loads(json.dumps(action.get("object", {})).replace('"<ns>"', '"default"'))
        kind = obj.get("kind", "")
        namespace, resource = "" if kind in CLUSTER_WIDE else "default", RESOURCES.get(kind, "")
        name = self._name(kind, obj.get("name") or obj.get("metadata", {}).get("name", ""))
        do = action["do"]
        if do == "apply" and self.store.get(resource, namespace, name):
            self.person.patch(resource, namespace, name, obj)
        elif do == "apply":
            self.person.create(resource, namespace, obj)
        elif do == "patch":
            self.person.patch(resource, namespace, name, action["patch"], kind=action.get("type", "merge"),
                              subresource=action.get("subresource", ""))
        elif do == "scale":
            size = {"spec": {"replicas": action["replicas"]}}
            self.person.patch(resource, namespace, name, size, subresource="scale")
        elif do == "delete":
            self.person.delete(resource, namespace, name, grace=action.get("gracePeriodSeconds"),
                               propagation=action.get("propagationPolicy", ""))
        elif do == "evict":
            eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": name}}
            self.person.create("pods", namespace, eviction, name=name, subresource="eviction")

    async def exec(self, action: Object) -> None:
        pod = self.person.get("pods", "default", self._name("Pod", action["object"]["name"]))
        container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("kit://")
        await self.runtime.exec_sync(container, action["command"], 5)

    def _name(self, kind: str, name: str) -> str:
        """`web-<web-rs1>-<pod1>` stands for a generated name: the oldest one that begins so and has no other."""
        if kind == "Node":
            return "n1"
        if "<" not in name:
            return name
        if name not in self.names:
            entries = sorted(self.store.list(RESOURCES[kind], "default"), key=lambda e: e.created)
            self.names[name] = next(e.key.name for e in entries if e.key.name.startswith(name.partition("<")[0])
                                    and e.key.name not in self.names.values())
        return self.names[name]


def story(states: list[Object]) -> tuple[str, ...]:
    """A life in brief; without the API server's own last touch before an object goes."""
    lines: list[str] = []
    for state, after in zip(states, [*states[1:], {}], strict=True):
        text = brief(state)
        touch = after.get("gone") and state.get("grace") == 0 and not state.get("finalizers")
        if not touch and lines[-1:] != [text]:
            lines.append(text)
    return tuple(lines)


def lives(states: list[tuple[str, Object]]) -> list[tuple[str, ...]]:
    """Name by name, and a new life after each `gone`."""
    found: list[list[Object]] = []
    current: dict[str, list[Object]] = {}
    for name, state in states:
        if name not in current:
            found.append(current.setdefault(name, []))
        current[name].append(state)
        if state.get("gone"):
            del current[name]
    return [story(life) for life in found]


async def play(cluster: Whole, scenario: Object, more: float = 0.0) -> None:
    await cluster.start()
    for action in scenario["actions"]:
        if "after" in action:
            await cluster.wait(action["after"])
        try:
            if action["do"] == "exec":
                await cluster.exec(action)
            else:
                cluster.act(action)
        except StatusError as error:
            if error.code != action.get("result", {}).get("code"):
                raise
    end = max((state["t"] for t in scenario["transitions"] for state in t["states"]), default=0.0)
    await asyncio.sleep(max(3.0, end - scenario["actions"][-1]["at_s"] + 3) + more)
    cluster.recorder.take()
    await cluster.stop()


def test_every_recording_is_replayed_or_there_is_a_reason() -> None:
    assert len(scenarios()) == 108
    reasons = not_replayed()
    assert [name for name in scenarios() if name not in {*NAMES, *replayed("pod-", "config-")}
            and not any(fnmatch(name, pattern) for pattern in reasons)] == []
    assert [pattern for pattern in reasons if not any(fnmatch(name, pattern) for name in scenarios())] == []
    assert [pattern for pattern, why in reasons.items() if len(why) < 20] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_cluster_does_what_a_real_one_did(name: str, tmp_path: Path) -> None:
    scenario = scenarios()[name]
    clock = FakeClock(MINUTE - 6)  # a CronJob's minute begins soon after the first action
    cluster = Whole(clock, tmp_path, SMALL if name.startswith("preemption") else CAPACITY)
    run(clock, play(cluster, scenario, MORE_SECONDS if name in UNFINISHED else 0.0))
    expected = [story(t["states"]) for t in scenario["transitions"] if t["object"].startswith("Pod/")]
    found = lives(cluster.recorder.states)
    if name in UNFINISHED:
        found = [next((seen for seen in expected if life[:len(seen)] == seen), life) for life in found]
    assert Counter(found) == Counter(expected)
    events = {(e.obj["involvedObject"]["kind"], e.obj["type"], e.obj["reason"],
               e.obj["source"].get("component") or e.obj["reportingComponent"])
              for e in cluster.store.list("events") if e.obj["involvedObject"]["kind"] != "Node"}
    assert events == {(e["object"].partition("/")[0], e["type"], e["reason"], e["source"])
                      for e in scenario["events"] if not e["object"].startswith("Node/")}
