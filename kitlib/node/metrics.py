"""What Pods and Nodes use, for `kubectl top` and the autoscaler: metrics-server's role, next to the kubelets.

    every 15 s   container_stats of each running container ──▶ two samples ──▶ cores = ΔCPU / Δt
    on request   PodMetrics and NodeMetrics out of the last samples

A Pod of a simulated node uses what its annotations say: `kit/cpu: 250m`, `kit/memory: 64Mi`.
Source: pkg/kubelet/server/stats, sigs.k8s.io/metrics-server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..objects import quantity
from ..objects.clock import Clock, rfc3339
from ..runtime.cri import ContainerStats, RuntimeError_
from .containers import MAIN, SIDECAR
from .kubelet import Kubelet

Object = dict[str, Any]
PERIOD = 15.0
CPU, MEMORY = "kit/cpu", "kit/memory"


@dataclass(slots=True)
class Usage:
    """Of one container: nanocores over a window, bytes now."""

    at: float
    window: float
    nanocores: int
    memory: int


def usage(before: ContainerStats | None, now: ContainerStats) -> Usage:
    """Two samples make a rate; after a restart of the counter, or with one sample, it is 0."""
    window = now.timestamp - before.timestamp if before else 0.0
    spent = now.cpu_usage_core_nanos - before.cpu_usage_core_nanos if before else 0
    return Usage(now.timestamp, window, int(spent / window) if window > 0 and spent > 0 else 0,
                 now.memory_working_set_bytes)


class Metrics:
    """Samples all kubelets of this process; `provide` is the API server's `metrics_provider`.

    simulated: the Pods of simulated nodes, if there are such.
    """

    def __init__(self, kubelets: Mapping[str, Kubelet], clock: Clock,
                 simulated: Callable[[], Iterable[Mapping[str, Any]]] = tuple) -> None:
        self._kubelets, self._clock, self._simulated = kubelets, clock, simulated
        self._samples: dict[str, ContainerStats] = {}
        self._usage: dict[str, Usage] = {}

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            await self.sample()
            await asyncio.sleep(PERIOD)

    async def sample(self) -> None:
        samples: dict[str, ContainerStats] = {}
        found: dict[str, Usage] = {}
        for kubelet in self._kubelets.values():
            for worker in list(kubelet.workers.values()):
                for view in worker.runs.views(worker.pod):
                    if view.latest is None or not view.running:
                        continue
                    try:
                        stats = await kubelet.node.runtime.container_stats(view.latest.id)
                    except RuntimeError_:
                        continue   # it ended just now
                    samples[stats.id] = stats
                    found[stats.id] = usage(self._samples.get(stats.id), stats)
        self._samples, self._usage = samples, found

    def provide(self, plural: str, namespace: str = "") -> list[Object]:
        """PodMetrics of a namespace (or of all), or NodeMetrics."""
        if plural == "pods":
            return [m for m in self._pods() if not namespace or m["metadata"]["namespace"] == namespace]
        if plural == "nodes":
            return self._nodes()
        return []

    def _pods(self) -> Iterator[Object]:
        for kubelet in self._kubelets.values():
            for worker in kubelet.workers.values():
                views = [v for v in worker.runs.views(worker.pod) if v.role in (MAIN, SIDECAR) and v.latest is not None]
                known = [(v.name, self._usage[v.latest.id]) for v in views if v.latest and v.latest.id in self._usage]
                if known:
                    yield self._of_pod(worker.pod, known)
        for pod in self._simulated():
            annotations = pod["metadata"].get("annotations") or {}
            if CPU in annotations or MEMORY in annotations:
                share = len(pod["spec"]["containers"])
                one = Usage(self._clock.now(), PERIOD, quantity.cpu_millis(annotations.get(CPU, "0")) * 10**6 // share,
                            quantity.memory_bytes(annotations.get(MEMORY, "0")) // share)
                yield self._of_pod(pod, [(c["name"], one) for c in pod["spec"]["containers"]])

    def _of_pod(self, pod: Mapping[str, Any], containers: list[tuple[str, Usage]]) -> Object:
        meta = pod["metadata"]
        return {"kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
                "metadata": self._metadata(meta["name"], meta.get("labels"), meta.get("namespace", "")),
                "timestamp": rfc3339(max(u.at for _, u in containers)), "window": _window(u for _, u in containers),
                "containers": [{"name": name, "usage": _amounts([u])} for name, u in containers]}

    def _nodes(self) -> list[Object]:
        used: dict[str, list[Usage]] = {name: [] for name in self._kubelets}
        for name, kubelet in self._kubelets.items():
            for worker in kubelet.workers.values():
                used[name] += [self._usage[s.id] for s in worker.runs.every() if s.id in self._usage]
        now = rfc3339(self._clock.now())
        return [{"kind": "NodeMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
                 "metadata": self._metadata(name, {"kubernetes.io/hostname": name}), "timestamp": now,
                 "window": _window(known), "usage": _amounts(known)} for name, known in used.items()]

    def _metadata(self, name: str, labels: Mapping[str, str] | None, namespace: str = "") -> Object:
        metadata: Object = {"name": name}
        if namespace:
            metadata["namespace"] = namespace
        metadata["creationTimestamp"] = rfc3339(self._clock.now())
        if labels:
            metadata["labels"] = dict(labels)
        return metadata


def _window(known: Iterable[Usage]) -> str:
    return f"{max((u.window for u in known), default=0.0) or PERIOD:.3f}s"


def _amounts(known: Iterable[Usage]) -> dict[str, str]:
    every = list(known)
    return {"cpu": f"{sum(u.nanocores for u in every)}n", "memory": f"{sum(u.memory for u in every) // 1024}Ki"}
