"""A whole cluster for controller tests: the real API and store, a clock that is moved by hand, and a fake kubelet.

    world = World(ReplicaSet())
    world.create("replicasets.apps", replica_set("web", 3))
    world.settle()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kitlib.api.config import ApiConfig
from kitlib.api.request import User
from kitlib.api.server import ApiServer
from kitlib.client import Client, Controller, Informer, Manager
from kitlib.client.local import LocalTransport
from kitlib.controllers.serviceaccount import ServiceAccount
from kitlib.objects.clock import FakeClock, rfc3339
from kitlib.scheduler.scheduler import Scheduler
from kitlib.store import Store

Object = dict[str, Any]


class World:
    """nodes: how many; ready_after: seconds from bound to Ready, for a Pod (default 1)."""

    def __init__(self, *controllers: Controller, nodes: int = 3,
                 ready_after: Callable[[Object], float] = lambda pod: 1.0) -> None:
        self.clock = FakeClock()
        self.store = Store()
        self.api = ApiServer(self.store, ApiConfig(address="10.0.0.1"), self.clock)
        self.transport = LocalTransport(self.api, User("admin", ("system:masters",)))
        self.user = self.client("kubectl")
        self.manager = Manager(self.client, self.clock)
        for controller in (*controllers, ServiceAccount()):
            self.manager.add(controller)
        self.scheduling = Manager(self.client, self.clock, component="kube-scheduler")
        self.scheduler = Scheduler()
        self.scheduling.add(self.scheduler)
        self.kubelet = FakeKubelet(self.client("kubelet"), self.clock, ready_after)
        for number in range(nodes):
            self.add_node(node(f"node-{number}"))

    def client(self, agent: str) -> Client:
        return Client(self.transport, agent)

    def create(self, resource: str, obj: Object, namespace: str = "default") -> Object:
        namespaced = resource not in ("nodes", "namespaces", "priorityclasses.scheduling.k8s.io")
        return self.user.create(resource, namespace if namespaced else "", obj)

    def add_node(self, node: Object) -> None:
        """A node that is Ready: admission taints a new one, and a node lifecycle controller takes that off."""
        self.create("nodes", node)
        self.patch("nodes", node["metadata"]["name"], {"spec": {"taints": None}}, namespace="")

    def get(self, resource: str, name: str, namespace: str = "default") -> Object:
        return self.user.get(resource, namespace, name)

    def exists(self, resource: str, name: str, namespace: str = "default") -> bool:
        return self.store.get(resource, namespace, name) is not None

    def list(self, resource: str, namespace: str | None = "default") -> Iterable[Object]:
        return [entry.obj for entry in self.store.list(resource, namespace)]

    def names(self, resource: str, namespace: str | None = "default") -> list[str]:
        return [obj["metadata"]["name"] for obj in self.list(resource, namespace)]

    def patch(self, resource: str, name: str, patch: Object, kind: str = "merge", namespace: str = "default") -> Object:
        return self.user.patch(resource, namespace, name, patch, kind=kind)

    def turn(self) -> bool:
        """Everybody once, without the clock moving."""
        return any([self.manager.run_once(), self.scheduling.run_once(), self.kubelet.run_once()])

    def calm(self) -> None:
        """Turns until nobody has anything to do right now."""
        for _ in range(2000):
            if not self.turn():
                return
        raise AssertionError(f"never calm; last: {[r.as_json() for r in list(self.manager.records)[-3:]]}")

    def settle(self, seconds: float = 60.0, step: float = 0.1) -> None:
        """Let time pass."""
        end = self.clock.now() + seconds
        self.calm()
        while self.clock.now() < end:
            due = [when for when in (self.manager.next_due(), self.scheduling.next_due(), self.kubelet.next_due())
                   if when is not None]
            ahead = min([*due, end]) - self.clock.monotonic()
            self.clock.advance(min(max(ahead, step), max(step, end - self.clock.now())))
            self.calm()

    def events(self, name: str = "") -> list[tuple[str, str, str]]:
        """(type, reason, message), in order of creation, about the object of that name."""
        found = sorted((e for e in self.list("events", None) if name in ("", e["involvedObject"]["name"])),
                       key=lambda e: int(e["metadata"]["resourceVersion"]))
        return [(e["type"], e["reason"], e["message"]) for e in found]


class FakeKubelet:
    """Marks bound Pods Running and Ready after a while, and removes those that are to go after a second."""

    def __init__(self, client: Client, clock: FakeClock, ready_after: Callable[[Object], float]) -> None:
        self.client, self.clock, self.ready_after = client, clock, ready_after
        self.leave_after: Callable[[Object], float] = lambda pod: 1.0
        self.pods = Informer(client, "pods", clock=clock)
        self.since: dict[str, float] = {}
        self.leaving: dict[str, float] = {}

    def run_once(self) -> bool:
        changed = self.pods.sync() > 0
        now = self.clock.now()
        for pod in sorted(self.pods.list(), key=lambda p: p["metadata"]["name"]):
            meta, uid = pod["metadata"], pod["metadata"]["uid"]
            if not pod["spec"].get("nodeName"):
                continue
            since = self.since.setdefault(uid, now)
            if "deletionTimestamp" in meta:
                if now >= self.leaving.setdefault(uid, now) + self.leave_after(pod):
                    self.client.delete("pods", meta["namespace"], meta["name"], uid=uid, grace=0)
                    changed = True
            elif pod["status"].get("phase") == "Pending" and now >= since + self.ready_after(pod):
                self.report(pod, "Running", ready=True)
                changed = True
        return changed

    def report(self, pod: Object, phase: str, ready: bool, **status: Any) -> None:
        stamp = rfc3339(self.clock.now())
        conditions = [{"type": kind, "status": "True" if ready else "False", "lastProbeTime": None,
                       "lastTransitionTime": stamp} for kind in ("Ready", "ContainersReady", "Initialized")]
        meta = pod["metadata"]
        self.client.patch("pods", meta["namespace"], meta["name"], {"status": {
            "phase": phase, "conditions": conditions, "startTime": stamp, "podIP": f"10.1.0.{len(self.since)}",
            "podIPs": [{"ip": f"10.1.0.{len(self.since)}"}], **status}}, kind="strategic", subresource="status")

    def next_due(self) -> float | None:
        times = [self.since[p["metadata"]["uid"]] + self.ready_after(p) for p in self.pods.list()
                 if p["metadata"]["uid"] in self.since and p["status"].get("phase") == "Pending"]
        times += [self.leaving[p["metadata"]["uid"]] + self.leave_after(p) for p in self.pods.list()
                  if p["metadata"]["uid"] in self.leaving]
        return min((when for when in times if when > self.clock.now()), default=None)


def node(name: str, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **labels: str) -> Object:
    room = {"cpu": cpu, "memory": memory, "pods": pods}
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
            "status": {"capacity": room, "allocatable": room}}


def template(app: str = "web", version: str = "1", **spec: Any) -> Object:
    container = {"name": "c", "image": "busybox:1.36", "env": [{"name": "VERSION", "value": version}]}
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container], **spec}}


def pod(name: str, app: str = "web", **spec: Any) -> Object:
    made = template(app, **spec)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **made["metadata"]}, "spec": made["spec"]}


def replica_set(name: str = "web", replicas: int = 3, **spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": template(name), **spec}}


def stateful_set(name: str = "db", replicas: int = 3, **spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
            "spec": {"replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
                     "template": template(name), **spec}}


def daemon_set(name: str = "agent", **spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(name), **spec}}


def job(name: str = "job", **spec: Any) -> Object:
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"template": template(name, restartPolicy="Never"), **spec}}


def deployment(name: str = "web", replicas: int = 3, **spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": template(name), **spec}}
