"""How long kube-proxy's rules take: 1,000 Services with three endpoints each, then one Service more.

    computed    from Services and EndpointSlices to the text, in this process
    written     the text into a kernel, in a network namespace that ends with the measurement (root, or user namespaces)

    connected   connections a second to the last of these Services: what a packet pays for the rules before its own

Nothing was promised; what matters is that a change costs its own size and not that of the whole cluster, and that a
packet does not pay for Services that it does not want.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from kitlib.bench.figures import Figure, median
from kitlib.cluster.errors import KitError
from kitlib.network import iptables, ipvs, nftables
from kitlib.network.iptables import RuleContext, Tables
from kitlib.network.kernel.modes import modes
from kitlib.network.kernel.restore import restore_input
from kitlib.network.kernel.transaction import NOTHING, transaction
from kitlib.network.service_ports import ServicePort, service_ports

SERVICES, ENDPOINTS = 1000, 3
CONTEXT = RuleContext("node-1", node_addresses=["192.0.2.2"], nfacct=False)


def measure(times: int, services: int = SERVICES, seconds: float = 1.0) -> list[Figure]:
    before, after = _ports(services), _ports(services + 1)
    figures = [_computed(name, rules, before, times) for name, rules in (
        ("nftables", nftables.table), ("iptables", iptables.rules), ("ipvs", ipvs.rules))]
    there = {mode.name for mode in modes() if mode.applied}
    if "nftables" in there:
        first, second = nftables.table(before, CONTEXT), nftables.table(after, CONTEXT)
        texts = transaction(NOTHING, first), transaction(first, second)
        figures += _written("nftables", ["nft", "-f", "-"], texts, times, before, seconds)
    if "iptables" in there:
        old, new = iptables.rules(before, CONTEXT), iptables.rules(after, CONTEXT)
        texts = restore_input(Tables(), old), restore_input(old, new)
        figures += _written("iptables", ["iptables-restore", "--noflush"], texts, times, before, seconds)
    return figures


def _ports(count: int) -> list[ServicePort]:
    """10.96.X.Y, with endpoints of three nodes."""
    services: list[dict[str, Any]] = []
    slices: list[dict[str, Any]] = []
    for number in range(count):
        meta: dict[str, Any] = {"name": f"web-{number}", "namespace": "bench"}
        place = f"{number // 250}.{1 + number % 250}"
        services.append({"metadata": meta, "spec": {"clusterIP": f"10.96.{place}", "type": "ClusterIP",
                                                    "ports": [{"port": 80, "protocol": "TCP"}]}})
        endpoints = [{"addresses": [f"10.{244 + node}.{place}"], "conditions": {"ready": True},
                      "nodeName": f"node-{node + 1}"} for node in range(ENDPOINTS)]
        slices.append({"metadata": {**meta, "labels": {"kubernetes.io/service-name": meta["name"]}},
                       "addressType": "IPv4", "endpoints": endpoints,
                       "ports": [{"name": "", "port": 8080, "protocol": "TCP"}]})
    return service_ports(services, slices)


def _computed(name: str, rules: Callable[[list[ServicePort], RuleContext], Any], ports: list[ServicePort],
              times: int) -> Figure:
    return median(f"{name} rules of {len(ports):,} Services computed",
                  [_seconds(lambda: rules(ports, CONTEXT)) for _ in range(times)], "s",
                  note=f"{ENDPOINTS} endpoints each")


def _written(name: str, command: Sequence[str], texts: tuple[str, str], times: int, ports: Sequence[ServicePort],
             seconds: float) -> list[Figure]:
    """Into a new namespace each time: all of it, and one Service more; then connections through it."""
    whole, more, rates = [], [], []
    for _ in range(times):
        with _Namespace() as namespace:
            whole.append(_seconds(lambda: namespace.run(command, texts[0])))
            rates.append(_connections(namespace, ports[-1], seconds))
            more.append(_seconds(lambda: namespace.run(command, texts[1])))
    sizes = [f"{len(text.splitlines()):,} lines" for text in texts]
    return [median(f"{name} rules of {len(ports):,} Services written", whole, "s", note=sizes[0]),
            median(f"{name} rules of one Service more written", more, "s", note=sizes[1]),
            median(f"connections to the last of {len(ports):,} Services, {name}", rates, "1/s", at_most=False,
                   note="one after the other, in one network namespace")]


def _connections(namespace: _Namespace, port: ServicePort, seconds: float) -> float:
    """The endpoints are addresses of this very namespace, so that a connection has nothing else to pay for."""
    lines = ["link set lo up", f"route add {port.cluster_ips[0]}/32 dev lo",
             *(f"addr add {endpoint.ip}/32 dev lo" for endpoint in port.endpoints)]
    namespace.run(["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))
    said = namespace.run([sys.executable, "-m", "kitlib.bench.connects", f"0.0.0.0:{port.endpoints[0].port}",
                          f"{port.cluster_ips[0]}:{port.port}", str(seconds)], "")
    return float(said)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class _Namespace:
    """A network namespace that lives as long as the process in it, which lives as long as its standard input."""

    def __enter__(self) -> _Namespace:
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self._holder = subprocess.Popen(["unshare", *user, "--net", "sh", "-c", "echo ready; exec cat"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            raise KitError("the kernel gives no network namespace to measure in.")
        self._enter = ["nsenter", f"--target={self._holder.pid}", "--net",
                       *(["--user", "--preserve-credentials"] if user else [])]
        return self

    def run(self, command: Sequence[str], text: str) -> str:
        done = subprocess.run([*self._enter, *command], input=text, text=True, capture_output=True, check=False)
        if done.returncode:
            raise KitError(f"{command[0]} in the namespace: {done.stderr.strip().splitlines()[-1]}")
        return done.stdout

    def __exit__(self, *_: object) -> None:
        self._holder.communicate()
