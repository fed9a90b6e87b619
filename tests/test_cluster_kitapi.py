"""The /kit/ paths, faults on purpose, and the notebook's functions, against a running cluster."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support import Kubectl, busybox, eventually, replica_set

from kitlib.client import Client, Informer
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.objects.clock import SystemClock
from kitlib.objects.errors import StatusError


@pytest.fixture
def kit(cluster: EmbeddedCluster) -> Iterator[Any]:
    """Asks the /kit/ paths; faults end with the test."""
    transport = cluster.client("tester").transport

    def ask(method: str, path: str, obj: Any = None, **query: str) -> Any:
        return transport.request(method, "/kit/" + path, query=query, obj=obj)

    yield ask
    ask("POST", "faults", {})


def test_status_tells_what_runs_and_how_much_there_is(kit: Any, cluster: EmbeddedCluster) -> None:
    status = kit("GET", "status")
    assert status["name"] == "shared"
    assert status["objects"]["nodes"] == 5
    assert status["durableRevision"] <= status["revision"]
    assert set(status["helpers"]) == {"runtime", "proxy"}
    assert 10e6 < status["residentBytes"] < 400e6


def test_only_masters_may_ask(cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot").strip()
    done = kubectl.run("get", "--raw", "/kit/status", "--token", token, "--server", cluster.server,
                       "--certificate-authority", str(cluster.directory.pki / "ca.crt"), "--kubeconfig", "/dev/null")
    assert done.returncode == 1
    assert "Forbidden" in done.stderr


def test_the_trace_knows_who_wrote_and_why(kit: Any, kubectl: Kubectl) -> None:
    before = kit("GET", "status")["revision"]
    kubectl("create", "-f", "-", stdin=replica_set("web", 1, busybox("sleep 600")))
    name = eventually(lambda: kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.name}"))
    made = kit("GET", "trace", since=str(before), object=f"pods/{kubectl.namespace}/{name}")["records"][0]
    cause = next(record for record in kit("GET", "trace", since=str(before))["records"]
                 if record["revision"] == made["cause"])
    assert (made["actor"], made["verb"]) == ("kube-controller-manager/replicaset", "create")
    assert (cause["resource"], cause["name"]) == ("replicasets.apps", "web")
    assert cause["actor"].startswith("kubectl")


def test_records_show_what_a_reconcile_decided(kit: Any, kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=replica_set("web", 2, busybox("sleep 600")))
    key = f"{kubectl.namespace}/web"
    found = eventually(lambda: [record for record in kit("GET", "records", controller="replicaset")["records"]
                                if record["key"] == key and record["writes"]])
    assert [write["verb"] for write in found[0]["writes"]][:2] == ["create", "create"]


@pytest.mark.parametrize(("method", "path", "code"), [
    ("GET", "nothing", 404), ("POST", "controllers/nobody/pause", 404), ("POST", "controllers/replicaset/dance", 404),
    ("GET", "trace?since=x", 400)])
def test_what_makes_no_sense_is_a_status(kit: Any, method: str, path: str, code: int) -> None:
    path, _, value = path.partition("?since=")
    with pytest.raises(StatusError) as refused:
        kit(method, path, {} if method == "POST" else None, **({"since": value} if value else {}))
    assert refused.value.code == code


@pytest.mark.parametrize("plan", [{"conflicts": 0.5}, {"userAgent": "x", "conflicts": 2}, {"userAgent": "x",
                                                                                         "dropEvents": "all"}])
def test_a_plan_that_makes_no_sense_is_refused(kit: Any, plan: dict[str, Any]) -> None:
    with pytest.raises(StatusError) as refused:
        kit("POST", "faults", plan)
    assert refused.value.code == 400


def test_conflicts_hit_only_whom_they_are_meant_for(kit: Any, cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings")
    victim, other = cluster.client("victim/1"), cluster.client("other")
    kit("POST", "faults", {"userAgent": "victim", "conflicts": 1.0})
    live = victim.get("configmaps", kubectl.namespace, "settings")
    with pytest.raises(StatusError) as refused:
        victim.update("configmaps", kubectl.namespace, live)
    assert refused.value.reason == "Conflict"
    assert 'configmaps "settings": the object has been modified' in refused.value.message
    assert other.update("configmaps", kubectl.namespace, live)
    kit("POST", "faults", {})
    fresh = victim.get("configmaps", kubectl.namespace, "settings")
    assert victim.update("configmaps", kubectl.namespace, fresh)


class Follower:
    """An informer over HTTP that a test pumps by hand."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.informer = Informer(client, "configmaps", namespace, clock=SystemClock())
        self.informer.sync()

    def names(self) -> set[str]:
        self.informer.sync()
        return {obj["metadata"]["name"] for obj in self.informer.list()} - {"kube-root-ca.crt"}


def test_dropped_events_never_arrive_and_others_still_get_theirs(kit: Any, cluster: EmbeddedCluster,
                                                                 kubectl: Kubectl) -> None:
    victim = Follower(cluster.client("victim"), kubectl.namespace)
    other = Follower(cluster.client("other"), kubectl.namespace)
    kit("POST", "faults", {"userAgent": "victim", "dropEvents": 1.0})
    kubectl("create", "configmap", "lost")
    eventually(lambda: other.names() == {"lost"})
    kit("POST", "faults", {})
    kubectl("create", "configmap", "seen")
    eventually(lambda: "seen" in victim.names())
    assert victim.names() == {"seen"}


def test_a_closed_watch_is_opened_again_where_it_ended(kit: Any, cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    victim = Follower(cluster.client("victim"), kubectl.namespace)
    assert kit("POST", "faults", {"userAgent": "victim", "closeWatches": True})["spoiled"]["closeWatches"] >= 1
    kubectl("create", "configmap", "after")
    eventually(lambda: victim.names() == {"after"})


def test_the_same_seed_spoils_the_same_requests(kit: Any, cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings")
    victim = cluster.client("victim")

    def pattern() -> list[bool]:
        kit("POST", "faults", {"userAgent": "victim", "conflicts": 0.5, "seed": 3})
        results = []
        for number in range(12):
            try:
                victim.patch("configmaps", kubectl.namespace, "settings", {"data": {"n": str(number)}})
                results.append(True)
            except StatusError:
                results.append(False)
        return results

    first = pattern()
    assert pattern() == first
    assert {True, False} == set(first)


NOTEBOOK = """
import kitlib as kit
cluster = kit.cluster()
assert cluster.name == "shared", cluster.name
assert "node/node-1" in kit.kubectl("get nodes -o name")
kit.pause("deployment")
assert kit.step("deployment") is None
kit.resume("deployment")
try:
    kit.kubectl("get pod nobody")
except kit.KitError as error:
    assert "not found" in str(error)
else:
    raise AssertionError("a refusal must be an error")
"""


def test_the_notebooks_functions_find_the_cluster_and_drive_it(cluster: EmbeddedCluster, shared_home: Any) -> None:
    import os

    env = {**os.environ, "KIT_HOME": str(shared_home), "KUBECONFIG": str(cluster.kubeconfig)}
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], env=env, capture_output=True, text=True, check=False,
                          timeout=60)
    assert done.returncode == 0, done.stderr
