"""Traffic into a cluster that has a network of its own: who may enter a node's network asks from there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import Kubectl, busybox, deployment, eventually, pod

from kitlib.bench import node
from kitlib.checks.world import World
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings
from kitlib.traffic import netns
from kitlib.traffic.network import Network

pytestmark = pytest.mark.needs("oci")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    """Two nodes, a Service with two Pods, a Pod to ask from."""
    home = tmp_path_factory.mktemp("kit")
    made = EmbeddedCluster(ClusterDir("real", home))
    made.start(Settings(2, runtime="oci"))
    try:
        kubectl = Kubectl(made.kubeconfig, "default", home / "cache")
        for obj in (deployment("web", 2, {"name": "main", "image": "kit/echo"}), pod("client", busybox("sleep 3600"))):
            kubectl("apply", "-f", "-", stdin=obj)
        kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
        kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
        eventually(lambda: World(made.client(), "default").request("http://web/").ok)
        yield made
    finally:
        made.delete()


def pods_of(real: EmbeddedCluster) -> set[str]:
    return {item["metadata"]["name"]
            for item in real.client().list("pods", "default", label_selector="app=web")["items"]}


def test_a_service_is_asked_from_a_node(real: EmbeddedCluster) -> None:
    world = World(real.client(), "default")
    answers = [world.request("http://web.default.svc/") for _ in range(20)]
    assert {answer.pod for answer in answers} == pods_of(real)
    assert answers[0].notes[0].endswith("the connection begins on node-1")
    refused = world.request("http://web:81/").failure
    assert refused is not None
    assert refused.kind == "refused"


def test_names_and_a_pods_own_requests(real: EmbeddedCluster) -> None:
    world = World(real.client(), "default")
    found = Network(real.client(), "default").look_up("web")
    assert [each.name for each in found.tries] == ["web.default.svc.cluster.local"]
    assert world.request(f"http://{found.addresses[0]}/").ok
    assert world.request("http://web/", from_pod="client").pod in pods_of(real)


def test_a_load_goes_through_the_nodes_own_rules(real: EmbeddedCluster) -> None:
    with World(real.client(), "default").load("http://web/", rps=100, seconds=1, keepalive=False) as load:
        load.wait()
    report = load.report()
    assert (report.sent, report.lost) == (100, 0)
    assert set(report.who) == pods_of(real)
    assert "begins on node-1" in report.notes[0]


def test_who_may_not_enter_goes_through_the_api(real: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns, "may_enter", lambda path: False)
    answer = World(real.client(), "default").request("http://web/")
    assert answer.pod in pods_of(real)
    assert "port-forward to a Pod of Service default/web" in answer.notes[0]


def test_a_real_containers_start_is_measured(real: EmbeddedCluster) -> None:
    figure, *none = node.measure(real, 3, "oci")
    assert none == []
    assert figure.promised == 0.4
    assert 0.01 < figure.value < 30
