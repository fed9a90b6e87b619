"""How fast nodes are: a Pod's start, a hundred of them, and a kill -9 of the cluster's process in the middle.

    create ──▶ Ready       one Pod after the other, as a watcher sees it
    100 Pods               one Deployment, until all are Ready; then the memory of our own processes
    kill -9, `kit up`      until the API answers and every Pod is what it was: same address, no restart
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from kitlib.bench.cluster import until
from kitlib.bench.figures import Figure, median
from kitlib.client import Client
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.cluster.kitapi import resident_bytes
from kitlib.objects.meta import is_ready

NAMESPACE = "default"
PROMISED = {"process": 0.150, "oci": 0.400}
MANY = 100
START_SECONDS = 60.0
Object = dict[str, Any]


def measure(cluster: EmbeddedCluster, times: int, runtime: str = "process") -> list[Figure]:
    """A Pod's start; on `process` also a hundred of them, memory, and what a kill -9 costs."""
    client = cluster.client("kit-bench")
    figures = [measure_start(client, max(3, times), runtime)]
    if runtime == "process":
        figures += [*measure_many(cluster, client), measure_kill(cluster)]
    return figures


def measure_start(client: Client, times: int, runtime: str) -> Figure:
    start_one(client, "bench-first")  # the image is pulled, programs are in the page cache
    samples = [start_one(client, f"bench-{number}") for number in range(times)]
    return median(f"Pod create → Ready, {runtime}", samples, "s", PROMISED[runtime],
                  note=f"median of {times} one after the other, worst {max(samples):.3f} s")


def start_one(client: Client, name: str) -> float:
    """Seconds from the create to the watch event that says Ready.  The Pod is deleted again."""
    watch = client.watch("pods", NAMESPACE, field_selector=f"metadata.name={name}",
                         resource_version=client.list("pods", NAMESPACE, limit=1)["metadata"]["resourceVersion"])
    woken = threading.Event()
    watch.on_ready(woken.set)
    try:
        began = time.perf_counter()
        client.create("pods", NAMESPACE, pod(name))
        while time.perf_counter() - began < START_SECONDS:
            woken.wait(1.0)
            woken.clear()
            if any(is_ready(event["object"]) for event in watch.poll()):
                return time.perf_counter() - began
        raise KitError(f"Pod {name} was not Ready within {START_SECONDS:g} s")
    finally:
        watch.close()
        client.delete("pods", NAMESPACE, name, grace=0)


def measure_many(cluster: EmbeddedCluster, client: Client) -> list[Figure]:
    began = time.perf_counter()
    client.create("deployments.apps", NAMESPACE, deployment("bench-many", MANY, SLEEPER))
    until(lambda: len(ready_pods(client, "bench-many")) == MANY, f"{MANY} Pods Ready")
    seconds = time.perf_counter() - began
    status = client.transport.request("GET", "/kit/status")
    memory = {name: resident_bytes(str(pid)) / 1e6
              for name, pid in (("cluster", status["pid"]), *status["helpers"].items())}
    return [Figure(f"{MANY} real Pods, all Ready", round(seconds, 2), "s", 10.0),
            Figure(f"memory with {MANY} real Pods", round(sum(memory.values()), 1), "MB",
                   note=" + ".join(f"{name} {each:.1f}" for name, each in memory.items()) + ", without the Pods' own")]


def measure_kill(cluster: EmbeddedCluster) -> Figure:
    """Kills the cluster's process as nothing can be killed harder, starts it, and looks whether a Pod has noticed."""
    before = ready_pods(cluster.client("kit-bench"), "bench-many")
    os.kill(cluster.status().pid, signal.SIGKILL)
    until(lambda: not cluster.directory.is_running(), "the process is gone")
    began = time.perf_counter()
    cluster.start(None)
    client = cluster.client("kit-bench")
    until(lambda: ready_pods(client, "bench-many") == before, f"all {len(before)} Pods are what they were")
    return Figure("kill -9, then kit up: all Pods as before", round(time.perf_counter() - began, 3), "s",
                  note=f"{len(before)} Pods, same addresses, no restart")


def ready_pods(client: Client, app: str) -> dict[str, tuple[str, int]]:
    """Name → (address, restarts) of the Ready Pods."""
    return {found["metadata"]["name"]: (found["status"]["podIP"],
                                        sum(c["restartCount"] for c in found["status"]["containerStatuses"]))
            for found in client.list("pods", NAMESPACE, label_selector=f"app={app}")["items"] if is_ready(found)}


SLEEPER: Object = {"name": "main", "image": "busybox", "command": ["sleep", "3600"]}


def pod(name: str, container: Object | None = None) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [container or SLEEPER], "terminationGracePeriodSeconds": 0}}


def deployment(name: str, replicas: int, container: Object) -> Object:
    template = pod(name, container)
    del template["metadata"]["name"]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}}
