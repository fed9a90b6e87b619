"""`kit bench node` measures what it says: its clients reach the Pods, and a figure that cannot be had is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kitlib.bench import node, traffic, wrk
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.cluster.interface import Settings


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    from kitlib.cluster.home import ClusterDir

    made = EmbeddedCluster(ClusterDir("bench", tmp_path_factory.mktemp("bench")))
    made.start(Settings(2))
    yield made
    made.delete()


def test_a_pods_start_is_seen_by_a_watcher(measured: EmbeddedCluster) -> None:
    client = measured.client()
    figure = node.measure_start(client, 2, "process")
    assert len(figure.samples) == 2
    assert 0.005 < figure.value < 10
    assert [pod["metadata"]["name"] for pod in client.list("pods", "default")["items"]
            if "deletionTimestamp" not in pod["metadata"]] == []


def test_a_service_is_measured_beside_its_pod(measured: EmbeddedCluster) -> None:
    figures = {figure.name: figure for figure in traffic.measure(measured, 0.3)}
    assert len(figures) == 3
    assert [name for name, figure in figures.items() if figure.value <= 0] == []
    assert all(figures[name].real for name in figures if name.startswith("userspace"))
    assert "0 lost" in figures["DNS answers over UDP"].note


def test_without_wrk_our_own_clients_ask(measured: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrk, "installed", lambda: None)
    address, pods = traffic.service(measured.client(), "own", 1, {"name": "main", "image": "nginx"}, traffic.WEB_PORT)
    figure = traffic.measure_requests(address, pods, 0.3)
    assert figure.value > 10
    assert figure.real


def test_wrong_answers_are_no_figure(measured: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from kitlib.traffic.network import Network

    monkeypatch.setattr(traffic, "NAMESPACE", "nowhere")
    with pytest.raises(KitError, match="wrongly"):
        traffic.measure_names(Network(measured.client()).dns, 0.2)


def test_a_hundred_pods_survive_a_kill(new_cluster: Callable[..., EmbeddedCluster],
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "MANY", 4)
    cluster = new_cluster()
    cluster.start(Settings(1))
    started, memory = node.measure_many(cluster, cluster.client())
    assert started.value > 0
    assert memory.value > 20
    pid = cluster.status().pid
    assert "4 Pods, same addresses, no restart" in node.measure_kill(cluster).note
    assert cluster.status().pid != pid
