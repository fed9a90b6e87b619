"""What `kubectl top` shows: rates out of samples."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from node_fakes import FakeRuntime, run
from node_scenario import Cluster

from kitlib.node.metrics import Metrics, usage
from kitlib.objects.clock import FakeClock
from kitlib.runtime.cri import ContainerStats


class BusyRuntime(FakeRuntime):
    """Every container burns a quarter of a core and holds 64 MiB."""

    async def container_stats(self, container_id: str) -> ContainerStats:
        age = self.clock.now() - self.containers[container_id].started_at
        return ContainerStats(container_id, self.clock.now(), int(age * 0.25e9), 64 << 20)


def test_two_samples_make_a_rate_and_one_makes_none() -> None:
    first, second = ContainerStats("a", 100.0, 10**9, 5), ContainerStats("a", 110.0, 6 * 10**9, 7)
    assert usage(None, first).nanocores == 0
    assert (usage(first, second).nanocores, usage(first, second).memory) == (500_000_000, 7)
    assert usage(second, ContainerStats("a", 120.0, 0, 7)).nanocores == 0


def test_pods_and_nodes_of_this_process_are_measured(tmp_path: Path) -> None:
    clock = FakeClock()
    cluster = Cluster(tmp_path, clock, BusyRuntime(clock))

    async def life() -> None:
        kubelet = await cluster.start()
        metrics = Metrics({"n1": kubelet}, clock)
        sampling = asyncio.ensure_future(metrics.run())
        containers = [{"name": n, "image": "busybox:1.36", "command": ["sleep", "100"]} for n in "ab"]
        meta = {"name": "p", "labels": {"x": "y"}}
        cluster.apply({"kind": "Pod", "metadata": meta, "spec": {"containers": containers}})
        await asyncio.sleep(40)
        (pod,), (node,) = metrics.provide("pods", "default"), metrics.provide("nodes")
        assert [(c["name"], c["usage"]) for c in pod["containers"]] == [
            (n, {"cpu": "250000000n", "memory": "65536Ki"}) for n in "ab"]
        assert pod["metadata"]["labels"] == {"x": "y"}
        assert node["usage"] == {"cpu": "500000000n", "memory": "131072Ki"}
        assert metrics.provide("pods", "elsewhere") == []
        sampling.cancel()
        await cluster.stop()

    run(clock, life())


def test_pods_of_simulated_nodes_use_what_their_annotations_say() -> None:
    def pod(name: str, **annotations: str) -> dict[str, Any]:
        notes = {f"kit/{key}": value for key, value in annotations.items()}
        return {"metadata": {"name": name, "namespace": "d", "annotations": notes},
                "spec": {"containers": [{"name": "c"}]}}

    metrics = Metrics({}, FakeClock(), lambda: [pod("busy", cpu="250m", memory="64Mi"), pod("silent")])
    shown = [(m["metadata"]["name"], m["containers"][0]["usage"]) for m in metrics.provide("pods")]
    assert shown == [("busy", {"cpu": "250000000n", "memory": "65536Ki"})]
