"""A cluster of one node for kubelet tests: a small API, a kubelet on the fake runtime, and what it did, as recorded.

`Cluster` acts (apply, delete, patch); `Recorder` writes down every distinct state of every Pod in the form of the
recorded scenarios, so that a test compares lists.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from node_fakes import FakeRuntime

from kitlib.api.config import ApiConfig
from kitlib.api.request import User
from kitlib.api.server import ApiServer
from kitlib.client.client import Client
from kitlib.client.events import EventRecorder
from kitlib.client.informer import Informer
from kitlib.client.local import LocalTransport
from kitlib.node.context import AddressPool, NodeContext
from kitlib.node.handlers import Handlers, resolve_port
from kitlib.node.images import ImageManager
from kitlib.node.kubelet import Kubelet
from kitlib.node.sources import ChangeSignal, ClusterSource, PodRouter, Pump
from kitlib.objects.clock import FakeClock
from kitlib.store import Store

Object = dict[str, Any]
ADMIN = User("admin", ("system:masters", "system:authenticated"))


class Api:
    """A real API server on a store in memory, without controllers."""

    def __init__(self, clock: FakeClock) -> None:
        self.store = Store(None)
        self.server = ApiServer(self.store, ApiConfig(), clock)
        person = self.client("kubectl")
        person.create("serviceaccounts", "default", {"metadata": {"name": "default"}})
        person.create("configmaps", "default", {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "CA\n"}})

    def client(self, agent: str = "test") -> Client:
        return Client(LocalTransport(self.server, ADMIN), agent)


class FakeHandlers(Handlers):
    """Network probes look into the fake runtime instead of opening sockets."""

    def __init__(self, runtime: FakeRuntime) -> None:
        super().__init__(runtime)
        self._fake = runtime

    async def _dispatch(self, handler: Mapping[str, Any], container: Mapping[str, Any], container_id: str,
                        sandbox_id: str, timeout: float) -> tuple[bool, str]:
        if "httpGet" not in handler and "tcpSocket" not in handler:
            return await super()._dispatch(handler, container, container_id, sandbox_id, timeout)
        spec = handler.get("httpGet") or handler["tcpSocket"]
        port = resolve_port(spec["port"], container)
        server = self._fake.listener(self._fake.sandboxes[sandbox_id].ip, port)
        if server is None:
            return False, "dial tcp: connect: connection refused"
        if "tcpSocket" in handler or server.served[port] + spec["path"] in server.files:
            return True, ""
        return False, "HTTP probe failed with statuscode: 404"


class Cluster:
    """One node, `n1`, at 192.0.2.10 with Pods in 10.0.0.0/24."""

    def __init__(self, directory: Path, clock: FakeClock | None = None, runtime: FakeRuntime | None = None,
                 api: Api | None = None) -> None:
        self.clock = clock or FakeClock()
        self.api = api or Api(self.clock)
        self.runtime = runtime or FakeRuntime(self.clock)
        self.directory = directory
        self.person = self.api.client("kubectl")
        self.recorder = Recorder(self.api)

    async def start(self) -> Kubelet:
        loop = asyncio.get_running_loop()
        client = self.api.client("kubelet/n1")
        self.pump = Pump(loop, self.clock)
        pods = Informer(self.api.client("kubelet/n1"), "pods", clock=self.clock)
        self.pump.add(pods)
        self.router = PodRouter(pods)
        source = ClusterSource(client, self.clock)
        node = NodeContext(
            name="n1", host_ip="192.0.2.10", directory=self.directory, runtime=self.runtime, client=client,
            clock=self.clock, events=EventRecorder(client, "kubelet", self.clock, host="n1"), source=source,
            pool=AddressPool("10.0.0.0/24"), images=ImageManager(self.runtime, self.clock),
            handlers=FakeHandlers(self.runtime), services=source.services)
        self.kubelet = Kubelet(node)
        self.router.connect("n1", self.kubelet.pod_event)
        await self.kubelet.start(self.router.pods_of("n1"))
        self.signals = [ChangeSignal(client, kind, self.kubelet.configuration_changed, loop)
                        for kind in ("configmaps", "secrets")]
        return self.kubelet

    async def stop(self) -> None:
        self.router.disconnect("n1")
        await self.kubelet.stop()
        self.runtime._handlers.clear()
        self.pump.close()

    def apply(self, obj: Object) -> None:
        """Create it; a Pod is bound to the node at once, as a scheduler would."""
        plural = f"{obj['kind'].lower()}s"
        namespace, name = obj["metadata"].get("namespace", "default"), obj["metadata"]["name"]
        self.person.create(plural, namespace, obj)
        if obj["kind"] == "Pod":
            target = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "n1"}}
            self.person.create("pods", namespace, target, name=name, subresource="binding")

    def delete(self, name: str = "p", grace: int | None = None) -> None:
        self.person.delete("pods", "default", name, grace=grace)

    def pod(self, name: str = "p") -> Object:
        return self.person.get("pods", "default", name)

    def events(self, name: str = "p") -> list[tuple[str, str, str]]:
        """(type, reason, field path) in the order of their first arrival, each once."""
        seen: list[tuple[str, str, str]] = []
        for entry in sorted(self.api.store.list("events", "default"), key=lambda e: e.created):
            about = entry.obj["involvedObject"]
            key = (entry.obj["type"], entry.obj["reason"], about.get("fieldPath", ""))
            if about["name"] == name and key not in seen:
                seen.append(key)
        return seen

    async def until(self, condition: Callable[[], bool], limit: float = 400.0) -> None:
        end = self.clock.now() + limit
        while not condition():
            assert self.clock.now() < end, f"not within {limit} s; states: {self.recorder.states[-3:]}"
            await asyncio.sleep(0.05)

    async def settled(self, quiet: float = 2.0) -> None:
        """Nothing has changed for so long."""
        count, since = -1, self.clock.now()
        while self.clock.now() - since < quiet:
            if len(self.recorder.take()) != count:
                count, since = len(self.recorder.states), self.clock.now()
            await asyncio.sleep(0.1)

    def phase(self, name: str = "p") -> str:
        return self.pod(name)["status"]["phase"]


class Recorder:
    """Every distinct state of every Pod, as the scenarios have them."""

    def __init__(self, api: Api) -> None:
        self._watch = api.store.watch("pods", None, after=api.store.revision)
        self.states: list[tuple[str, Object]] = []

    def take(self) -> list[tuple[str, Object]]:
        for event in self._watch.poll():
            pod = event.entry.obj
            name = pod["metadata"]["name"]
            state = {"gone": True, **_shown(pod)} if event.type == "DELETED" else _shown(pod)
            if state.get("gone"):
                state = {k: state[k] for k in ("gone", "phase", "containers") if k in state}
            last = next((s for n, s in reversed(self.states) if n == name), None)
            if state != last:
                self.states.append((name, state))
        return self.states

    def of(self, name: str = "p") -> list[Object]:
        return [state for known, state in self.take() if known == name]


def _shown(pod: Object) -> Object:
    meta, spec, status = pod["metadata"], pod["spec"], pod["status"]
    state: Object = {}
    if meta.get("deletionTimestamp"):
        state |= {"deleting": True, "grace": meta["deletionGracePeriodSeconds"]}
    if meta.get("finalizers"):
        state["finalizers"] = meta["finalizers"]
    state["gen"] = meta["generation"]
    if "observedGeneration" in status:
        state["obsGen"] = status["observedGeneration"]
    state["phase"] = status["phase"]
    if status.get("reason"):
        state["reason"] = status["reason"]
    state["scheduled"] = bool(spec.get("nodeName"))
    conditions = [f"{c['type']}={c['status']}" + (f"({c['reason']})" if c.get("reason") else "")
                  for c in status.get("conditions") or ()]
    state["conditions"] = sorted(conditions)
    for name, source in (("init", "initContainerStatuses"), ("containers", "containerStatuses")):
        if status.get(source):
            state[name] = {c["name"]: _container(c) for c in status[source]}
    if status.get("podIP"):
        state["ip"] = True
    state["qos"] = status["qosClass"]
    state["labels"] = meta.get("labels") or {}
    return state


def _container(entry: Object) -> Object:
    shown = {**_run(entry["state"]), "ready": entry["ready"], "started": entry["started"],
             "restarts": entry["restartCount"]}
    if entry["lastState"]:
        shown["last"] = _run(entry["lastState"])
    return shown


def _run(state: Object) -> Object:
    (kind, detail), = state.items()
    shown: Object = {"state": kind}
    if detail.get("reason"):
        shown["reason"] = detail["reason"]
    if "exitCode" in detail:
        shown["exitCode"] = detail["exitCode"]
    return shown




def brief(state: Object) -> str:
    """One state in one line: phase, whether it has a sandbox, Ready, each container; and how it is being deleted.

    `Running + Ready c=running` · `Pending - ContainersNotReady c=ContainerCreating` · `Failed - PodFailed c=Error/7`
    """
    if state.get("gone"):
        return "gone"
    conditions = dict(c.partition("=")[::2] for c in state["conditions"])
    ready = conditions.get("Ready", "")
    words = [state["phase"], "+" if conditions.get("PodReadyToStartContainers") == "True" else "-",
             "Ready" if ready == "True" else ready.removeprefix("False").strip("()")]
    for name, entry in {**state.get("init", {}), **state.get("containers", {})}.items():
        words.append(f"{name}={_brief(entry)}")
    if state.get("deleting"):
        words.append(f"grace {state['grace']}" + ("" if state.get("obsGen") == state["gen"] else " unseen"))
    return " ".join(w for w in words if w)


def _brief(entry: Object) -> str:
    text = "running" if entry["state"] == "running" else entry["reason"]
    if "exitCode" in entry:
        text += f"/{entry['exitCode']}"
    if entry["state"] == "running" and not entry["ready"]:
        text += "(unready)" if entry["started"] else "(starting)"
    if entry["restarts"]:
        text += f"#{entry['restarts']}"
    if entry.get("last"):
        text += f"<{entry['last']['reason']}/{entry['last']['exitCode']}"
    return text
