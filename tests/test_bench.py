"""The benchmark measures what it says: its loads reach the server, and it counts what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kitlib.bench import api, wrk
from kitlib.bench.figures import Figure
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.cluster.interface import Settings


@pytest.fixture
def bench(new_cluster: Callable[..., EmbeddedCluster]) -> api.Bench:
    cluster = new_cluster()
    cluster.start(Settings(nodes=0, ephemeral=True))
    made = api.Bench(cluster, 1.0)
    for namespace in api.NAMESPACES[:2]:
        made.client.create("namespaces", "", {"metadata": {"name": namespace}})
    return made


@pytest.mark.needs("wrk")
def test_both_generators_create_what_they_count(bench: api.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/api/v1/namespaces/{api.NAMESPACES[0]}/configmaps"
    bench._rate("creates", ("POST", path, api.config_map("wrk-@")), 10**9)
    monkeypatch.setattr(wrk, "installed", lambda: None)
    own = bench._rate("creates", ("POST", path, api.config_map("own-@")), 10**9)
    made = [item["metadata"]["name"] for item in bench.client.list("configmaps", api.NAMESPACES[0])["items"]]
    assert len([name for name in made if name.startswith("own-")]) >= own.value > 0
    assert len([name for name in made if name.startswith("wrk-")]) > 10


def test_a_load_that_is_refused_is_no_figure(bench: api.Bench) -> None:
    with pytest.raises(KitError, match="failed"):
        bench._rate("gets", ("GET", f"/api/v1/namespaces/{api.NAMESPACES[0]}/configmaps/no-@", ""), 10)


def test_each_watcher_is_counted(bench: api.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "WATCHERS", 20)
    monkeypatch.setattr(api, "EVENTS", 30)
    rate, delivered = bench._watchers()
    assert (delivered.value, delivered.note) == (100, "600 of 600")
    assert 0 < rate.value <= api.RATE * 1.1


def test_a_ratio_says_how_much_better_than_the_real_one() -> None:
    assert Figure("rate", 300, "1/s", at_most=False, real=100).ratio == 3
    assert Figure("memory", 50, "MB", real=100).ratio == 2
    assert Figure("rate", 300, "1/s").ratio is None


def test_the_pods_of_the_benchmark_wait_for_a_scheduler_of_their_own(bench: api.Bench) -> None:
    made: dict[str, Any] = bench.client.create("pods", api.NAMESPACES[0], json.loads(api.pod("one")))
    assert made["spec"]["schedulerName"] == "kit-bench"
