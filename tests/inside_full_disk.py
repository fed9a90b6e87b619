"""A disk that is full.  Run by test_cluster_unprivileged.py in a container whose /dev/shm has 64 MB: fills it up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import eventually

from kitlib.client import Client
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings
from kitlib.objects.errors import StatusError

DISK = Path("/dev/shm")


class Ballast:
    """A file that takes all there is."""

    path = DISK / "ballast"

    def take(self) -> None:
        with open(self.path, "wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)


@pytest.fixture
def ballast() -> Iterator[Ballast]:
    assert sum(path.stat().st_size for path in DISK.iterdir()) < 1 << 20, "this test wants a disk of its own"
    filling = Ballast()
    yield filling
    filling.drop()


def config_map(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": "x" * 2000}}


def test_up_on_a_full_disk_is_one_sentence(ballast: Ballast) -> None:
    ballast.take()
    done = subprocess.run([sys.executable, "-m", "kitlib.cli.main", "up"], capture_output=True, text=True, check=False,
                          env={**os.environ, "KIT_HOME": str(DISK / "full")})
    assert (done.returncode, done.stdout) == (4, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "is full; free some space" in done.stderr


def test_a_disk_that_fills_up_refuses_writes_and_loses_nothing(ballast: Ballast) -> None:
    cluster = EmbeddedCluster(ClusterDir("one", DISK / "filling"))
    cluster.start(Settings(nodes=0, simulated_nodes=1))
    try:
        client, acknowledged = cluster.client(), []
        for number in range(20):
            acknowledged.append(client.create("configmaps", "default", config_map(f"before-{number}")))
        ballast.take()
        refusal = _create_until_refused(client, acknowledged)
        assert refusal.code >= 500
        assert "cannot be written" in refusal.message
        assert client.get("configmaps", "default", "before-0")["data"]

        ballast.drop()
        eventually(lambda: _created(client, acknowledged))
        os.kill(cluster.status().pid, signal.SIGKILL)
        eventually(lambda: not cluster.directory.is_running())
        cluster.start()
        found = {cm["metadata"]["uid"] for cm in cluster.client().list("configmaps", "default")["items"]}
        assert {obj["metadata"]["uid"] for obj in acknowledged} <= found
    finally:
        cluster.delete()


def _create_until_refused(client: Client, acknowledged: list[dict[str, Any]]) -> StatusError:
    for number in range(5000):
        try:
            acknowledged.append(client.create("configmaps", "default", config_map(f"full-{number}")))
        except StatusError as error:
            return error
    raise AssertionError("the disk is not full")


def _created(client: Client, acknowledged: list[dict[str, Any]]) -> bool:
    try:
        acknowledged.append(client.create("configmaps", "default", config_map("after")))
    except StatusError:
        return False
    return True
