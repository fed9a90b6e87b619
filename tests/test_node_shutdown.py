"""A node that is shut down: its Pods end in order, new ones are refused, and everybody can see why."""

from __future__ import annotations

import asyncio
from pathlib import Path

from node_lives import live, pod
from node_scenario import Cluster, brief

from kitlib.node import shutdown

IGNORES = {"command": ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"]}


def test_ordinary_pods_end_first_then_the_critical_ones(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(pod(name="web"))
        cluster.apply(pod(name="vital", priorityClassName="system-node-critical"))
        await asyncio.sleep(1)
        await cluster.kubelet.shut_down(5, 2)
        for name in ("web", "vital"):
            status = cluster.pod(name)["status"]
            assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
            assert status["message"] == "Pod was terminated in response to imminent node shutdown."
            [disrupted] = [c for c in status["conditions"] if c["type"] == "DisruptionTarget"]
            assert disrupted["reason"] == "TerminationByKubelet"
        ends = [cluster.pod(name)["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
                for name in ("web", "vital")]
        assert ends == sorted(ends)
        stops = [call for call in cluster.runtime.calls if call.startswith("stop ")]
        assert [call.rpartition(" ")[2] for call in stops] == ["3", "2"]

    live(tmp_path, life)


def test_a_pod_that_comes_while_the_node_shuts_down_is_refused(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        await cluster.kubelet.shut_down()
        cluster.apply(pod())
        await asyncio.sleep(2)
        status = cluster.pod()["status"]
        assert (status["phase"], status["reason"], status["message"]) == (
            "Failed", "NodeShutdown", "Pod was rejected as the node is shutting down.")
        assert not any(call.startswith(("create", "start", "run_pod")) for call in cluster.runtime.calls)
        assert brief(cluster.recorder.of()[-1]).startswith("Failed")

    live(tmp_path, life)


def test_the_order_and_the_time_that_each_batch_has() -> None:
    def of(uid: str, priority: int) -> dict[str, object]:
        return {"metadata": {"uid": uid}, "spec": {"priority": priority}}

    pods = [of("a", 0), of("b", shutdown.CRITICAL_PRIORITY), of("c", 1000)]
    assert list(shutdown.order(pods, 30, 10)) == [(["a", "c"], 20), (["b"], 10)]
    assert list(shutdown.order(pods[1:2], 5, 10)) == [(["b"], 5)]
    assert list(shutdown.order([], 30, 10)) == []
