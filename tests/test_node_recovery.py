"""What a kubelet does when the world is not as it left it: restarts, reboots, refusals, edits while a Pod runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from node_fakes import FakeRuntime, run
from node_lives import BEGUN, UP, live, pod, reasons, story
from node_scenario import Cluster, brief

from kitlib.objects.clock import FakeClock
from kitlib.objects.errors import StatusError


def test_nothing_is_started_before_the_pods_revision_is_durable(tmp_path: Path) -> None:
    waited: list[int] = []

    async def life(cluster: Cluster) -> None:
        async def durable(revision: int) -> None:
            waited.append(revision)
            assert cluster.runtime.calls == []
            await asyncio.sleep(1)

        cluster.kubelet.node.durable = durable
        cluster.apply(pod())
        await asyncio.sleep(0.5)
        assert cluster.runtime.calls == []
        await asyncio.sleep(1)

    cluster = live(tmp_path, life)
    assert len(waited) == 1
    assert story(cluster) == UP


def test_a_new_kubelet_takes_over_what_runs_restarts_what_died_and_ends_what_has_no_pod(tmp_path: Path) -> None:
    clock = FakeClock()
    first = Cluster(tmp_path, clock)
    second = Cluster(tmp_path, clock, first.runtime, first.api)

    async def life() -> None:
        await first.start()
        for name in ("runs", "dies", "orphan"):
            first.apply(pod(name=name, terminationGracePeriodSeconds=2))
        await asyncio.sleep(1)
        await first.stop()
        died = next(s for s in first.runtime.containers.values() if s.config.labels["io.kubernetes.pod.name"] == "dies")
        await first.runtime.stop_container(died.id, 1)
        first.delete("orphan", grace=0)
        before = len(first.runtime.calls)
        await second.start()
        await asyncio.sleep(3)
        calls = first.runtime.calls[before:]
        assert sorted(calls) == sorted(["stop c/0 2", "remove c/0", "stop_pod_sandbox", "remove_pod_sandbox",
                                        "create c/1", "start c/1"])
        statuses = {n: second.pod(n)["status"] for n in ("runs", "dies")}
        assert statuses["runs"]["containerStatuses"][0]["restartCount"] == 0
        assert statuses["dies"]["containerStatuses"][0]["restartCount"] == 1
        assert {s["phase"] for s in statuses.values()} == {"Running"}
        addresses = {s["podIP"] for s in statuses.values()}
        second.apply(pod(name="new"))
        await asyncio.sleep(1)
        assert second.pod("new")["status"]["podIP"] not in addresses
        assert len(list((tmp_path / "pods").iterdir())) == 3
        await second.stop()

    run(clock, life())


def test_containers_lost_in_a_reboot_count_as_a_failed_run(tmp_path: Path) -> None:
    clock = FakeClock()
    first = Cluster(tmp_path, clock)
    second = Cluster(tmp_path, clock, FakeRuntime(clock), first.api)

    async def life() -> None:
        await first.start()
        first.apply(pod(name="always"))
        first.apply(pod(name="never", restartPolicy="Never"))
        await asyncio.sleep(1)
        await first.stop()
        address = first.pod("always")["status"]["podIP"]
        await second.start()
        await asyncio.sleep(3)
        assert brief(second.recorder.of("always")[-1]) == "Running + Ready c=running#1<ContainerStatusUnknown/137"
        assert brief(second.recorder.of("never")[-1]) == "Failed - PodFailed c=ContainerStatusUnknown/137"
        assert second.pod("always")["status"]["podIP"] == address
        await second.stop()

    run(clock, life())


def test_a_refused_final_deletion_is_tried_again(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        client = cluster.kubelet.node.client
        plain, refusals = client.delete, [2]

        def rude(*args: Any, **options: Any) -> dict[str, Any]:
            if refusals[0]:
                refusals[0] -= 1
                raise StatusError(409, "Conflict", "not now")
            return plain(*args, **options)

        client.delete = rude  # type: ignore[method-assign]
        cluster.apply(pod())
        await asyncio.sleep(1)
        cluster.delete()
        await asyncio.sleep(8)

    assert story(live(tmp_path, life))[-1] == "gone"


def test_a_conflict_while_writing_the_status_is_looked_at_again(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        client = cluster.kubelet.node.client
        plain, failures = client.update_status, [3]

        def rude(resource: str, namespace: str, obj: dict[str, Any]) -> dict[str, Any]:
            if failures[0]:
                failures[0] -= 1
                live_pod = cluster.pod()
                cluster.person.update_status("pods", "default", {**live_pod, "status": {
                    **live_pod["status"], "message": f"somebody was here, {failures[0]} left"}})
            return plain(resource, namespace, obj)

        client.update_status = rude  # type: ignore[method-assign]
        cluster.apply(pod())
        await asyncio.sleep(1)
        assert failures == [0]

    assert story(live(tmp_path, life))[-1] == "Running + Ready c=running"


def test_resources_of_a_running_container_are_changed_in_place(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(pod(container={"resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}}}))
        await asyncio.sleep(2)
        wanted = {"requests": {"cpu": "60m"}, "limits": {"cpu": "120m"}}
        patch = {"spec": {"containers": [{"name": "c", "resources": wanted}]}}
        cluster.person.patch("pods", "default", "p", patch, kind="strategic", subresource="resize")
        await asyncio.sleep(1)
        entry = cluster.pod()["status"]["containerStatuses"][0]
        assert (entry["restartCount"], entry["resources"]) == (0, wanted)

    cluster = live(tmp_path, life)
    assert reasons(cluster) == [*BEGUN, "ResizeStarted", "ResizeCompleted"]
    assert [c for c in cluster.runtime.calls if c.startswith("update")] == ["update container2"]


def test_a_container_for_debugging_joins_a_running_pod_and_decides_nothing(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(pod())
        await asyncio.sleep(2)
        guest = {"name": "debug", "image": "busybox:1.36", "command": ["sh", "-c", "sleep 1; exit 3"]}
        cluster.person.patch("pods", "default", "p", {"spec": {"ephemeralContainers": [guest]}}, kind="strategic",
                             subresource="ephemeralcontainers")
        await asyncio.sleep(5)
        status = cluster.pod()["status"]
        assert status["ephemeralContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
        assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"

    cluster = live(tmp_path, life)
    assert [c for c in cluster.runtime.calls if c.startswith("start")] == ["start c/0", "start debug/0"]


def test_containers_that_the_runtime_has_forgotten_are_started_anew_in_a_new_sandbox(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(pod())
        await asyncio.sleep(2)
        address = cluster.pod()["status"]["podIP"]
        cluster.runtime.containers.clear()
        cluster.runtime.sandboxes.clear()
        await asyncio.sleep(6)
        assert cluster.pod()["status"]["podIP"] == address
        cluster.delete()
        await asyncio.sleep(5)

    cluster = live(tmp_path, life)
    assert "Running + Ready c=running#1<ContainerStatusUnknown/137" in story(cluster)
    assert story(cluster)[-1] == "gone"


def test_a_pod_whose_containers_the_runtime_forgot_can_be_deleted(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(pod())
        await asyncio.sleep(2)
        cluster.runtime.containers.clear()
        cluster.runtime.sandboxes.clear()
        cluster.delete()
        await asyncio.sleep(3)

    assert story(live(tmp_path, life))[-2:] == [
        "Failed - PodFailed c=ContainerStatusUnknown/137 grace 30", "gone"]


def test_a_forced_deletion_cuts_a_graceful_one_short(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(pod("trap '' TERM; while :; do sleep 1; done", terminationGracePeriodSeconds=300))
        await asyncio.sleep(2)
        cluster.delete()
        await asyncio.sleep(2)
        cluster.delete(grace=0)
        await asyncio.sleep(3)
        assert cluster.runtime.containers == {}

    assert story(live(tmp_path, life))[-1] == "gone"
