"""How fast a Service is: bytes through the userspace proxy, requests through it, names out of the DNS.

Each has its peer in the same run: the same client, straight to the Pod.  Client and server are processes of their own,
so on a machine with two cores three or four programs share them; the ratio says what the proxy costs all the same.

Bytes are copied by uvloop (libuv) in the proxy's process.
"""

from __future__ import annotations

import re
import subprocess
from typing import Any

from kitlib.bench import wrk
from kitlib.bench.api import process
from kitlib.bench.cluster import until
from kitlib.bench.figures import Figure
from kitlib.bench.node import NAMESPACE, deployment, ready_pods
from kitlib.client import Client
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.traffic.network import Network
from kitlib.traffic.reach import places

CONNECTIONS = 64
WEB_PODS = 3
STREAM_PORT, WEB_PORT = 9000, 80
SENDER = """
import socket
listener = socket.create_server(("0.0.0.0", 9000), backlog=16)
piece = memoryview(bytearray(1 << 20))
while True:
    connection, _ = listener.accept()
    try:
        while True:
            connection.sendall(piece)
    except OSError:
        connection.close()
"""


def measure(cluster: EmbeddedCluster, seconds: float) -> list[Figure]:
    client = cluster.client("kit-bench")
    sender = {"name": "main", "image": "python", "command": ["python3", "-ISc", SENDER]}
    stream = service(client, "bench-stream", 1, sender, STREAM_PORT)
    web = service(client, "bench-web", WEB_PODS, {"name": "main", "image": "nginx"}, WEB_PORT)
    figures = [measure_stream(*stream, seconds), measure_requests(*web, seconds),
               measure_names(Network(client, NAMESPACE).dns, seconds)]
    for name in ("bench-stream", "bench-web"):
        client.delete("deployments.apps", NAMESPACE, name)
        client.delete("services", NAMESPACE, name)
    return figures


def service(client: Client, name: str, replicas: int, container: dict[str, Any], port: int) -> tuple[str, list[str]]:
    """(the Service's address, its Pods' addresses), when they answer."""
    client.create("deployments.apps", NAMESPACE, deployment(name, replicas, container))
    made = client.create("services", NAMESPACE, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                                                 "spec": {"selector": {"app": name}, "ports": [{"port": port}]}})
    until(lambda: len(ready_pods(client, name)) == replicas, f"the Pods of {name} are Ready")
    address = made["spec"]["clusterIP"]
    until(lambda: _answers(address, port), f"Service {name} answers")
    return address, [ip for ip, _ in ready_pods(client, name).values()]


def _answers(address: str, port: int) -> bool:
    from kitlib.traffic.failure import Unreachable
    from kitlib.traffic.reach import dial

    try:
        dial(address, port, seconds=1.0).close()
    except Unreachable:
        return False
    return True


def measure_stream(address: str, pods: list[str], seconds: float) -> Figure:
    direct, through = (process("stream", {"host": host, "port": STREAM_PORT, "seconds": seconds})["bytes"]
                       for host in (pods[0], address))
    return Figure("userspace proxy, one stream", round(through / seconds / 1e6), "MB/s", 500, at_most=False,
                  note="real: straight to the Pod; uvloop copies", real=round(direct / seconds / 1e6))


def measure_requests(address: str, pods: list[str], seconds: float) -> Figure:
    direct, through = (_requests(host, seconds) for host in (pods[0], address))
    return Figure("userspace proxy, requests on kept-alive connections", round(through), "1/s", 20_000, at_most=False,
                  note=f"{CONNECTIONS} connections, {WEB_PODS} Pods of nginx; real: straight to one of them",
                  real=round(direct))


def _requests(host: str, seconds: float) -> float:
    port = next(place for place in places(host, WEB_PORT) if _answers(host, place))
    if not wrk.installed():
        job = {"host": host, "port": port, "ca": "", "token": "", "connections": CONNECTIONS, "seconds": seconds,
               "requests": [["GET", "/", ""]]}
        done = process("load", job)
        if done["bad"]:
            raise KitError(f"of {done['answers']} requests {done['bad']} failed")
        return float(done["answers"] / done["seconds"])
    done_wrk = subprocess.run(["wrk", "--threads=1", f"--connections={CONNECTIONS}",
                               f"--duration={max(1, round(seconds))}s", f"http://{host}:{port}/"],
                              capture_output=True, text=True, check=False)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done_wrk.stdout)
    bad = re.search(r"Socket errors:|Non-2xx", done_wrk.stdout)
    if rate is None or bad:
        raise KitError(f"wrk on {host}:{port}: {(done_wrk.stdout + done_wrk.stderr).strip().splitlines()[-3:]}")
    return float(rate.group(1))


def measure_names(server: str, seconds: float) -> Figure:
    names = [f"{name}.{NAMESPACE}.svc.cluster.local" for name in ("kubernetes", "bench-web", "bench-stream")]
    done = process("questions", {"server": server, "names": names, "seconds": seconds})
    if done["wrong"]:
        raise KitError(f"the DNS server answered {done['wrong']} of {done['answers']} questions wrongly")
    return Figure("DNS answers over UDP", round(done["answers"] / seconds), "1/s", 5000, at_most=False,
                  note=f"p50 {done['p50'] * 1000:.1f} ms, {done['lost']} lost")

