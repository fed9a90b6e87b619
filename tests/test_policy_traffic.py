"""The cases of the Kubernetes project's suite once more, on whole clusters of both runtimes: policies through the API,
Pods that really run, and what traffic says beside what the policies say."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest
from policy_cases import CASES, NAMESPACES, PODS, PORTS
from support import Kubectl, busybox, pod

from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.interface import Settings
from kitlib.cluster.reachability import Reachability
from kitlib.traffic.attempts import measure
from kitlib.views.policy_figure import PolicyFigure

CHOSEN = [
    "default deny ingress", "default deny all", "from Pods of the own namespace", "from namespaces by expressions",
    "PodSelector OR NamespaceSelector", "PodSelector AND NamespaceSelector", "by port", "a range of ports",
    "a named port", "a named port on the way out", "policies are added up", "an allow-all makes a deny-all void",
    "denied on the client's side, whatever the server allows"]
SERVER = "httpd -p 80 -h /tmp; exec httpd -f -p 81 -h /tmp"
NAMED = [{"name": f"serve-{number}-{kind.lower()}", "containerPort": number, "protocol": kind}
         for number in PORTS for kind in ("TCP", "UDP")]


def _settle(cluster: EmbeddedCluster, wanted: Callable[[PolicyFigure], bool]) -> PolicyFigure:
    """Measure until it is as wanted; a policy takes a moment, and a busy machine is slow."""
    client, end = cluster.client("test"), time.monotonic() + 30
    while True:
        matrix = Reachability(client).matrix(NAMESPACES)
        cells = [cell for cell in matrix["cells"] if cell["protocol"] == "TCP"]
        figure = PolicyFigure({**matrix, "cells": cells}, measure(client, cells, seconds=1))
        if wanted(figure) or time.monotonic() > end:
            return figure


@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", ["process", pytest.param("oci", marks=pytest.mark.needs("oci", "busybox"))])
def test_traffic_is_what_the_policies_say(new_cluster: Callable[..., EmbeddedCluster], runtime: str,
                                          kubectl_of: Callable[[EmbeddedCluster], Kubectl]) -> None:
    cluster = new_cluster()
    cluster.start(Settings(nodes=2, ephemeral=True, parent_pid=os.getpid(), runtime=runtime))
    kubectl = kubectl_of(cluster)
    for namespace in NAMESPACES:
        kubectl("create", "namespace", namespace)
        kubectl("label", "namespace", namespace, f"ns={namespace}")
        pods = [pod(name, busybox(SERVER, ports=NAMED)) for name in PODS]
        for each in pods:
            each["metadata"]["labels"] = {"pod": each["metadata"]["name"]}
        kubectl("-n", namespace, "apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": pods})
    for namespace in NAMESPACES:
        kubectl("-n", namespace, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s")
    cases = {case.name: case for case in CASES}
    for name in CHOSEN:
        for each in cases[name].policies:
            kubectl("-n", each["metadata"]["namespace"], "apply", "-f", "-", stdin=json.dumps(each))
        figure = _settle(cluster, lambda found: not found.differences)
        assert figure.differences == [], (runtime, name)
        seen = {(cell["from"], cell["to"], cell["port"]): cell["allowed"] for cell in figure.matrix["cells"]}
        assert len(seen) == 9 * 8 * 2
        assert seen == {way: cases[name].passes(*way, "TCP") for way in seen}, (runtime, name)
        for each in cases[name].policies:
            kubectl("-n", each["metadata"]["namespace"], "delete", "networkpolicy", each["metadata"]["name"])
    figure = _settle(cluster, lambda found: all(found.outcome(cell) == "connected" for cell in found.matrix["cells"]))
    assert figure.differences == [], f"{runtime}: the policies have gone, and so have their walls"
