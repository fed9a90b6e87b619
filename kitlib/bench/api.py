"""How many requests the API answers in a second: HTTPS, durable writes, load from another process.

    5,000 Pods in five namespaces   created, then the memory of the control plane, GETs and lists
    ConfigMaps                      created on one connection and on 16
    1,000 watchers                  of one namespace, in which one object changes 110 times a second

The cluster has no nodes, and the Pods wait for a scheduler that does not exist: what is measured is the API
with its store, controllers running, like the real control plane whose figures stand beside ours.  Those were
taken on a machine of this kind (two cores) from kube-apiserver 1.36 with etcd.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

from kitlib.bench import wrk
from kitlib.bench.figures import Figure
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.cluster.kitapi import resident_bytes

CONNECTIONS = 16
NAMESPACES = [f"kit-bench-{letter}" for letter in "abcde"]
PODS_EACH = 1000
WATCHERS, EVENTS, RATE, ASKED_RATE = 1000, 550, 110, 100
REAL = {"creates, 1 connection": 740, "creates": 2240, "Pod GETs": 1620, "lists": 11, "memory": 1170}


class Bench:
    """The figures of one running cluster.  seconds: how long each load lasts."""

    def __init__(self, cluster: EmbeddedCluster, seconds: float) -> None:
        server = urlsplit(cluster.server)
        self.client, self.seconds = cluster.client("kit-bench"), seconds
        self.pid = self.client.transport.request("GET", "/kit/status")["pid"]
        self.job: dict[str, Any] = {
            "host": server.hostname, "port": server.port, "token": cluster.directory.read_config()["token"],
            "ca": (cluster.directory.pki / "ca.crt").read_text(), "connections": CONNECTIONS, "seconds": seconds}

    def figures(self) -> list[Figure]:
        for name in NAMESPACES:
            self.client.create("namespaces", "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        empty = resident_bytes(str(self.pid)) / 1e6
        pods = self._pods()
        memory = Figure("memory with 5,000 Pods stored", round(resident_bytes(str(self.pid)) / 1e6, 1), "MB", 150,
                        note=f"{empty:.1f} MB before", real=REAL["memory"])
        first = NAMESPACES[0]
        maps = f"/api/v1/namespaces/{first}/configmaps"
        names = PODS_EACH
        return [
            self._rate("ConfigMap creates, 1 connection", ("POST", maps, config_map("one-@")), 10**9, connections=1,
                       real=REAL["creates, 1 connection"]),
            self._rate("ConfigMap creates", ("POST", maps, config_map("many-@")), 10**9, 2300, real=REAL["creates"]),
            pods,
            self._rate("Pod GETs", ("GET", f"/api/v1/namespaces/{first}/pods/pod-@", ""), names, 2500,
                       real=REAL["Pod GETs"]),
            self._rate("lists of 1,000 Pods", ("GET", f"/api/v1/namespaces/{first}/pods", ""), 1, 150,
                       real=REAL["lists"]),
            *self._watchers(), memory]

    def _pods(self) -> Figure:
        """All Pods, each created once."""
        requests = [["POST", f"/api/v1/namespaces/{namespace}/pods", pod(f"pod-{number:06}")]
                    for namespace in NAMESPACES for number in range(PODS_EACH)]
        used = _cpu_seconds(self.pid)
        answer = process("load", {**self.job, "seconds": 0, "requests": requests})
        answer["cpu"] = _cpu_seconds(self.pid) - used
        return _figure("Pod creates", answer, CONNECTIONS)

    def _rate(self, name: str, request: tuple[str, str, str], names: int, promised: float | None = None, *,
              connections: int = CONNECTIONS, real: float | None = None) -> Figure:
        """The request in turn for each of so many names (@), as fast as the connections allow."""
        job = {**self.job, "connections": connections}
        used = _cpu_seconds(self.pid)
        if wrk.installed():
            answer = wrk.run(job, request, names)
        else:  # a name for every request that could be sent in the time
            count = min(names, round(self.seconds * 10_000))
            job["requests"] = [[part.replace("@", f"{number:06}") for part in request] for number in range(count)]
            answer = process("load", job)
        answer["cpu"] = _cpu_seconds(self.pid) - used
        return _figure(name, answer, connections, promised, real)

    def _watchers(self) -> list[Figure]:
        namespace = NAMESPACES[1]
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        made = self.client.create("configmaps", namespace, json.loads(config_map("watched")))
        version = made["metadata"]["resourceVersion"]
        answer = process("watchers", {
            **self.job, "watchers": WATCHERS, "rate": RATE, "watch": f"{path}?watch=1&resourceVersion={version}",
            "writes": [["PUT", f"{path}/watched", config_map("watched", str(number))] for number in range(EVENTS)]})
        return [Figure("events to each of 1,000 watchers", round(answer["written"] / answer["seconds"], 1), "1/s",
                       ASKED_RATE, at_most=False,
                       note=f"{RATE} were written a second; the last arrived {answer['behind'] * 1000:.0f} ms later"),
                Figure("of these events delivered",
                       round(100 * answer["delivered"] / (EVENTS * WATCHERS), 3), "%", 100, at_most=False,
                       note=f"{answer['delivered']} of {EVENTS * WATCHERS}")]


def measure(cluster: EmbeddedCluster, seconds: float) -> list[Figure]:
    return Bench(cluster, seconds).figures()


def config_map(name: str, number: str = "") -> str:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}},
                       "data": {"number": number, "key": "value " * 20}})


def pod(name: str) -> str:
    container = {"name": "main", "image": "nginx", "ports": [{"containerPort": 80}],
                 "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench"}},
                       "spec": {"schedulerName": "kit-bench", "containers": [container]}})


def _cpu_seconds(pid: int) -> float:
    """What a process has used so far, all threads.  On a busy machine this still says what a request costs."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process(module: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run a load generator of this package in a process of its own: job in, answer out.  Raises KitError."""
    done = subprocess.run([sys.executable, "-m", f"kitlib.bench.{module}"], input=json.dumps(job), capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise KitError(f"the load generator failed: {done.stderr.strip().splitlines()[-1]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _figure(name: str, answer: dict[str, Any], connections: int, promised: float | None = None,
            real: float | None = None) -> Figure:
    if answer["bad"] or not answer["answers"]:
        raise KitError(f"{name}: of {answer['answers']} requests {answer['bad']} failed")
    rate = answer["answers"] / answer["seconds"]
    note = (f"{connections} connection{'s' * (connections > 1)}, "
            f"p50 {answer['p50'] * 1000:.1f} ms, p99 {answer['p99'] * 1000:.1f} ms, "
            f"{answer['cpu'] / answer['answers'] * 1000:.2f} ms of CPU each")
    return Figure(name, round(rate), "1/s", promised, at_most=False, note=note, real=real)
