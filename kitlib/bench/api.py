"""How many requests the API answers in a second: HTTPS, durable writes, load from another process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

from kitlib.bench.figures import Figure
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError

NAMESPACE = "kit-bench"
CONNECTIONS = 16


def measure(cluster: EmbeddedCluster, count: int) -> list[Figure]:
    """Creates, gets and lists of ConfigMaps, `count` of each (lists fewer)."""
    client = cluster.client("kit-bench")
    client.create("namespaces", "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    base = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    names = [f"cm-{number:06}" for number in range(count)]
    creates = [["POST", base, json.dumps(_config_map(name))] for name in names]
    created = _load(cluster, creates)
    got = _load(cluster, [["GET", f"{base}/{name}", ""] for name in names])
    listed = _load(cluster, [["GET", base + "?limit=500", ""] for _ in range(max(20, count // 50))])
    return [_figure("api: creates", created, 2300), _figure("api: gets", got, 2500),
            _figure("api: lists of 500", listed, None)]


def _config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}},
            "data": {"key": "value " * 20}}


def _load(cluster: EmbeddedCluster, requests: list[list[str]]) -> dict[str, Any]:
    server = urlsplit(cluster.server)
    job = {"host": server.hostname, "port": server.port, "token": cluster.directory.read_config()["token"],
           "ca": (cluster.directory.pki / "ca.crt").read_text(), "connections": CONNECTIONS, "requests": requests}
    done = subprocess.run([sys.executable, "-m", "kitlib.bench.load"], input=json.dumps(job), capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise KitError(f"the load generator failed: {done.stderr.strip().splitlines()[-1]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    bad = {code: n for code, n in answer["codes"].items() if not code.startswith("2")}
    if bad or answer["answers"] != len(requests):
        raise KitError(f"of {len(requests)} requests {answer['answers']} were answered, with errors {bad}")
    return answer


def _figure(name: str, answer: dict[str, Any], promised: float | None) -> Figure:
    rate = answer["answers"] / answer["seconds"]
    note = f"{CONNECTIONS} connections, p50 {answer['p50'] * 1000:.1f} ms, p99 {answer['p99'] * 1000:.1f} ms"
    return Figure(name, round(rate), "1/s", promised, at_most=False, note=note)
