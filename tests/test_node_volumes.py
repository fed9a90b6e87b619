"""Volumes while a Pod lives: tokens stay fresh, labels are shown, memory is memory, and too much is too much."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from node_fakes import run
from node_lives import live, pod
from node_scenario import Cluster

from kitlib.node.eviction import Usage, too_much
from kitlib.node.memory_volumes import MemoryVolumes
from kitlib.objects.clock import FakeClock

TOKEN = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}]}}
LABELS = {"name": "d", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}


def with_volumes(*volumes: dict[str, Any], **container: Any) -> dict[str, Any]:
    made = pod(volumes=list(volumes))
    made["spec"]["containers"][0] |= {
        "volumeMounts": [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes], **container}
    return made


def files(cluster: Cluster, name: str) -> Path:
    uid = cluster.pod()["metadata"]["uid"]
    return cluster.directory / "pods" / uid / "volumes" / "files" / name


def test_a_token_is_replaced_when_four_fifths_of_its_life_are_over(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(with_volumes(TOKEN))
        await asyncio.sleep(1)
        first = (files(cluster, "t") / "token").read_text()
        assert first.count(".") == 2
        await asyncio.sleep(400)
        assert (files(cluster, "t") / "token").read_text() == first
        await asyncio.sleep(150)
        assert (files(cluster, "t") / "token").read_text() != first

    live(tmp_path, life)


def test_a_downward_volume_follows_the_labels_at_once(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(with_volumes(LABELS))
        await asyncio.sleep(1)
        cluster.person.patch("pods", "default", "p", {"metadata": {"labels": {"tier": "gold"}}})
        await asyncio.sleep(1)
        assert 'tier="gold"' in (files(cluster, "d") / "labels").read_text()

    live(tmp_path, life)


def test_a_kubelet_that_takes_over_goes_on_updating_and_touches_nothing_that_is_right(tmp_path: Path) -> None:
    clock = FakeClock()
    first = Cluster(tmp_path, clock)
    second = Cluster(tmp_path, clock, first.runtime, first.api)
    config = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "cm"}, "data": {"COLOR": "blue"}}

    async def life() -> None:
        await first.start()
        first.apply(config)
        first.apply(with_volumes({"name": "c", "configMap": {"name": "cm"}}))
        await asyncio.sleep(1)
        await first.stop()
        shown = (files(first, "c") / "..data").readlink()
        await second.start()
        await asyncio.sleep(1)
        assert (files(second, "c") / "..data").readlink() == shown
        second.person.patch("configmaps", "default", "cm", {"data": {"COLOR": "red"}})
        await asyncio.sleep(1)
        assert (files(second, "c") / "COLOR").read_text() == "red"
        await second.stop()

    run(clock, life())


def test_memory_volumes_lie_in_the_tmpfs_and_go_with_their_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmpfs = tmp_path / "shm"
    tmpfs.mkdir()
    monkeypatch.setattr(MemoryVolumes.__init__, "__defaults__", (tmpfs,))

    async def life(cluster: Cluster) -> None:
        cluster.apply(with_volumes({"name": "m", "emptyDir": {"medium": "Memory"}}))
        await asyncio.sleep(1)
        [place] = tmpfs.glob("*/*/*/m")
        [container] = cluster.runtime.containers.values()
        assert [m.host_path for m in container.config.mounts if m.container_path == "/m"] == [str(place)]
        assert tmpfs.glob("*").__next__().stat().st_mode & 0o777 == 0o700
        cluster.delete(grace=0)
        await asyncio.sleep(4)
        assert list(tmpfs.iterdir()) == []

    live(tmp_path / "node", life)


def test_without_a_tmpfs_a_memory_volume_is_an_ordinary_directory(tmp_path: Path) -> None:
    assert MemoryVolumes(tmp_path, tmp_path / "no" / "shm").prepare("uid", "m") is None



LIMITED = {"emptyDir": {"sizeLimit": "1Mi"}, "name": "v"}


@pytest.mark.parametrize(("volumes", "limits", "usage", "said"), [
    ([LIMITED], {}, Usage({"v": 1 << 20}), ""),
    ([LIMITED], {}, Usage({"v": (1 << 20) + 1}), 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '),
    ([{"emptyDir": {}, "name": "v"}], {}, Usage({"v": 1 << 40}), ""),
    ([{"emptyDir": {}, "name": "v"}], {"ephemeral-storage": "2Mi"}, Usage({"v": 1 << 20}, 1 << 20), ""),
    ([{"emptyDir": {}, "name": "v"}], {"ephemeral-storage": "2Mi"}, Usage({"v": 1 << 20}, (1 << 20) + 1),
     "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "),
    ([{"emptyDir": {"medium": "Memory"}, "name": "v"}], {"ephemeral-storage": "2Mi"}, Usage({"v": 1 << 40}), ""),
])
def test_what_is_too_much(volumes: list[dict[str, Any]], limits: dict[str, str], usage: Usage, said: str) -> None:
    assert too_much(with_volumes(*volumes, resources={"limits": limits}), usage) == said


def real_pause() -> bool:
    """Directories are measured in a thread, and threads live in real time."""
    time.sleep(0.002)
    return True


def test_a_pod_over_its_size_limit_is_evicted_and_says_why(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(with_volumes(LIMITED))
        await asyncio.sleep(1)
        uid = cluster.pod()["metadata"]["uid"]
        (cluster.directory / "pods" / uid / "volumes" / "empty-dir" / "v" / "big").write_bytes(b"x" * 2_000_000)
        assert "reason" not in cluster.pod()["status"]
        await cluster.until(lambda: real_pause() and cluster.phase() == "Failed")
        status = cluster.pod()["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "Evicted")
        assert status["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
        [disrupted] = [c for c in status["conditions"] if c["type"] == "DisruptionTarget"]
        assert (disrupted["status"], disrupted["reason"]) == ("True", "TerminationByKubelet")
        assert ("Warning", "Evicted", "") in cluster.events()

    live(tmp_path, life)
