"""A Pod's life on a fake runtime in virtual time: told by tests, written down as states, events and calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from node_fakes import FakeRuntime, run
from node_scenario import Cluster, brief

from kitlib.objects.clock import FakeClock

FOREVER = "trap 'exit 0' TERM; sleep 3600 & wait"
NEW = ["Pending -", "Pending - ContainersNotReady c=ContainerCreating",
       "Pending + ContainersNotReady c=ContainerCreating"]
UP = [*NEW, "Running + Ready c=running"]
HEALTH = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2}
BEGUN = ["Pulled", "Created", "Started"]
Life = Callable[[Cluster], Awaitable[None]]


def pod(script: str = FOREVER, *, name: str = "p", container: dict[str, Any] | None = None,
        **spec: Any) -> dict[str, Any]:
    main = {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script], **(container or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [main], **spec}}


def helper(name: str, script: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox:1.36", "command": ["sh", "-c", script], **more}


def live(directory: Path, life: Life, runtime: FakeRuntime | None = None) -> Cluster:
    """Start a cluster, live, stop."""
    clock = runtime.clock if runtime else FakeClock()
    cluster = Cluster(directory, clock, runtime)

    async def whole() -> None:
        await cluster.start()
        await life(cluster)
        await cluster.stop()

    run(clock, whole())
    return cluster


def story(cluster: Cluster, name: str = "p") -> list[str]:
    """The states in brief; without the API server's own last touch before an object goes."""
    lines: list[str] = []
    for state in cluster.recorder.of(name):
        text = brief(state)
        if text == "gone" and lines[-1].endswith(("grace 0", "grace 0 unseen")):
            lines.pop()
        if not lines or lines[-1] != text:
            lines.append(text)
    return lines


def reasons(cluster: Cluster) -> list[str]:
    """The reasons of the kubelet's events; warnings end in `!`."""
    return [reason + ("!" if kind == "Warning" else "") for kind, reason, _ in cluster.events()]


def running_for(seconds: float, obj: dict[str, Any]) -> Life:
    async def life(cluster: Cluster) -> None:
        cluster.apply(obj)
        await asyncio.sleep(seconds)
    return life


def deleted_after(seconds: float, obj: dict[str, Any], grace: int | None = None) -> Life:
    async def life(cluster: Cluster) -> None:
        cluster.apply(obj)
        await asyncio.sleep(seconds)
        cluster.delete(grace=grace)
        await asyncio.sleep(30)
    return life
