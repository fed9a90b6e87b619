"""The same client over HTTP: requests, refusals, watches in a thread, and a controller of one's own."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from controller_world import deployment, node, pod, replica_set
from edge_fakes import Running

from kitlib.api.config import ApiConfig
from kitlib.api.request import Request, Response, User
from kitlib.api.server import ApiServer
from kitlib.client import Client, Controller, Create, Informer, Manager
from kitlib.client import kubeconfig as kubeconfig_
from kitlib.client.http import HttpTransport
from kitlib.client.local import LocalTransport
from kitlib.client.manager import LEASE_NAMESPACE
from kitlib.client.runner import run_controller
from kitlib.controllers.replicaset import ReplicaSet
from kitlib.controllers.serviceaccount import ServiceAccount
from kitlib.objects.clock import SystemClock
from kitlib.objects.errors import StatusError
from kitlib.scheduler.framework import Plugin, Rejection
from kitlib.scheduler.scheduler import Scheduler
from kitlib.store import Store

ADMIN = User("admin", ("system:masters", "system:authenticated"))


class Cluster:
    """An API with its controllers on one loop, served over HTTP on a port of its own."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.store = Store()
        self.api = ApiServer(self.store, ApiConfig(address="10.0.0.1", tokens={"secret": ADMIN}), clock)
        self.manager = Manager(lambda agent: Client(LocalTransport(self.api, ADMIN), agent), clock, leases=True)
        self.manager.add(ReplicaSet())
        self.manager.add(ServiceAccount())
        self.api.extra["/kit/"] = self.replace
        self.running = Running(self.api, self.store, None)
        self.running.loop.call_soon_threadsafe(self._drive)
        self.server = f"http://127.0.0.1:{self.running.port}"

    def _drive(self) -> None:
        self.manager.run_once()
        if not self.running.loop.is_closed():
            self.running.loop.call_later(0.01, self._drive)

    def replace(self, request: Request) -> Response:
        self.manager.replace(request.path.split("/")[3])
        return Response(200, b"{}")

    def client(self, agent: str = "test") -> Client:
        return Client(self.transport(), agent)

    def transport(self, token: str = "secret") -> HttpTransport:
        return HttpTransport(kubeconfig_.Access(self.server, token=token))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.running.close()
    made.store.close()


def eventually(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.01)
    raise AssertionError(f"not within 10 s: {what}")


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_all_verbs(cluster):
    client = cluster.client("somebody/1")
    made = client.create("configmaps", "default", config_map("a", x="1"))
    client.update("configmaps", "default", made | {"data": {"x": "2"}})
    client.patch("configmaps", "default", "a", {"data": {"y": "3"}})
    found = client.get("configmaps", "default", "a")
    assert found["data"] == {"x": "2", "y": "3"}
    assert {entry["manager"] for entry in found["metadata"]["managedFields"]} == {"somebody"}
    assert "a" in [item["metadata"]["name"] for item in client.list("configmaps", "default")["items"]]
    client.delete("configmaps", "default", "a", uid=found["metadata"]["uid"])
    assert [(w.verb, w.name, w.revision > 0) for w in client.writes] == [
        ("create", "a", True), ("update", "a", True), ("patch", "a", True), ("delete", "a", False)]


def test_a_refusal_is_the_status_the_server_sent(cluster):
    with pytest.raises(StatusError) as error:
        cluster.client().get("configmaps", "default", "nowhere")
    assert (error.value.code, error.value.reason, error.value.status["details"]["name"]) == (404, "NotFound", "nowhere")
    with pytest.raises(StatusError) as error:
        Client(cluster.transport("wrong")).list("configmaps")
    assert error.value.code == 401


def test_server_side_apply_and_label_selectors(cluster):
    client = cluster.client()
    labelled = config_map("a", x="1") | {"metadata": {"name": "a", "labels": {"tier": "web"}}}
    client.patch("configmaps", "default", "a", labelled, kind="apply")
    client.create("configmaps", "default", config_map("b"))
    found = client.list("configmaps", "default", label_selector="tier=web")["items"]
    assert [item["metadata"]["name"] for item in found] == ["a"]


def test_many_threads_may_share_one_transport(cluster):
    client, errors = cluster.client(), []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                client.create("configmaps", "default", config_map(f"c{number}-{turn}"))
        except StatusError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len([c for c in client.list("configmaps", "default")["items"] if c["metadata"]["name"][0] == "c"]) == 40


def test_an_informer_follows_over_http_and_survives_a_broken_watch(cluster):
    client = cluster.client()
    informer = Informer(client, "configmaps", "default", clock=SystemClock())
    woken = threading.Event()
    informer.on_ready(woken.set)
    informer.sync()
    client.create("configmaps", "default", config_map("a"))
    assert woken.wait(5), "the reading thread says that something has come"
    eventually(lambda: informer.sync() or informer.get("default/a"), "the ConfigMap in the cache")
    assert informer._watch is not None
    informer._watch._sock.shutdown(2)
    client.create("configmaps", "default", config_map("b"))
    eventually(lambda: informer.sync() or informer.get("default/b"), "what came after the break")
    informer.stop()


class Mine(Controller):
    """A learner's ReplicaSet controller: only ever creates."""

    name, resource, owns = "mine", "replicasets.apps", ("pods",)

    def observe(self, key: str) -> Any:
        rs = self.get(key)
        return rs and (rs, self.owned("pods", rs))

    def diff(self, observed: Any) -> list[Any]:
        rs, pods = observed
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": rs["metadata"]["name"],
                 "uid": rs["metadata"]["uid"], "controller": True}
        meta = {"generateName": "mine-", "namespace": "default", "ownerReferences": [owner],
                "labels": rs["spec"]["template"]["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": rs["spec"]["template"]["spec"]}
        return [Create("pods", pod)] * max(0, rs["spec"]["replicas"] - len(pods))


def pods(cluster: Cluster, prefix: str) -> int:
    found = cluster.client().list("pods", "default")["items"]
    return sum(pod["metadata"]["name"].startswith(prefix) for pod in found)


def test_a_controller_of_ones_own_takes_the_job_over_and_gives_it_back(cluster):
    client = cluster.client()
    eventually(lambda: client.list("serviceaccounts", "default")["items"], "the default ServiceAccount")
    with run_controller(Mine, replaces="replicaset", transport=cluster.transport()) as running:
        lease = client.get("leases.coordination.k8s.io", LEASE_NAMESPACE, "kit-controller-replicaset")
        assert lease["spec"]["holderIdentity"] == "mine"
        client.create("replicasets.apps", "default", replica_set("web", 3))
        eventually(lambda: pods(cluster, "mine-") == 3, "three Pods of ours")
        running.restart()
        client.patch("replicasets.apps", "default", "web", {"spec": {"replicas": 5}})
        eventually(lambda: pods(cluster, "mine-") == 5, "five after the restart, none made twice")
        assert pods(cluster, "web-") == 0, "the built-in one rests"
        assert running.records()[-1].controller == "mine"
    eventually(lambda: cluster.manager.status()[0]["state"] == "running", "the built-in one works again")
    client.patch("replicasets.apps", "default", "web", {"spec": {"replicas": 6}})
    eventually(lambda: pods(cluster, "web-") == 1, "the built-in one makes the sixth")


class OnlySmallNames(Plugin):
    """A filter of one's own."""

    name = "OnlySmallNames"

    def filter(self, state: Any, pod: Any, node: Any) -> Rejection | None:
        return None if len(node.name) <= 5 else Rejection(("node(s) had too long a name",))


def test_a_scheduler_with_a_filter_of_ones_own_serves_the_pods_that_ask_for_it(cluster):
    client = cluster.client()
    eventually(lambda: client.list("serviceaccounts", "default")["items"], "the default ServiceAccount")
    for name in ("small", "very-large"):
        client.create("nodes", "", node(name))
        client.patch("nodes", "", name, {"spec": {"taints": None}})
    scheduler = Scheduler("mine", [OnlySmallNames()])
    with run_controller(scheduler, transport=cluster.transport()) as running:
        for number in range(3):
            client.create("pods", "default", pod(f"p{number}", schedulerName="mine"))
        client.create("pods", "default", pod("other"))

        def places() -> list[str]:
            return [p["spec"].get("nodeName", "") for p in client.list("pods", "default")["items"]]

        eventually(lambda: sorted(places()) == ["", "small", "small", "small"], "ours on the small node")
        assert running.manager is not None
        mine = running.manager.controller("scheduler")
        assert isinstance(mine, Scheduler)
        assert mine.decisions[-1].as_json()["nodes"]["very-large"] == {
            "plugin": "OnlySmallNames", "reasons": ["node(s) had too long a name"]}
        events = client.list("events", "default")["items"]
        assert {e["reportingComponent"] for e in events if e["reason"] == "Scheduled"} == {"mine"}


def test_what_cannot_be_replaced_is_said_in_one_sentence(cluster):
    del cluster.api.extra["/kit/"]
    with pytest.raises(RuntimeError, match="no built-in controller 'replicaset' that can be replaced"):
        run_controller(Mine, replaces="replicaset", transport=cluster.transport())


def test_a_kubeconfig_is_read_with_its_context_and_embedded_certificates(tmp_path):
    pem = base64.b64encode(b"-----PEM-----").decode()
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump({
        "current-context": "kit", "contexts": [{"name": "kit", "context": {
            "cluster": "c", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/",
                                               "certificate-authority-data": pem}}],
        "users": [{"name": "u", "user": {"client-certificate-data": pem, "client-key-data": pem}}]}))
    access = kubeconfig_.load(path)
    assert (access.server, access.namespace, access.ca, access.key) == (
        "https://127.0.0.1:6443", "team", "-----PEM-----", "-----PEM-----")
    with pytest.raises(ValueError, match="no context named 'other'"):
        kubeconfig_.load(path, "other")


def test_a_kubeconfig_may_name_a_command_that_prints_the_token(tmp_path):
    path = tmp_path / "config"
    credential = '{"kind": "ExecCredential", "status": {"token": "from-a-command"}}'
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "echo", "args": [credential]}
    path.write_text(yaml.safe_dump({
        "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://h"}}],
        "users": [{"name": "u", "user": {"exec": plugin}}]}))
    assert kubeconfig_.load(path).token == "from-a-command"


def test_a_deployment_needs_no_other_client(cluster):
    made = cluster.client().create("deployments.apps", "default", deployment("web", 1))
    assert made["spec"]["strategy"]["type"] == "RollingUpdate", "defaults come from the server"
