"""Nodes that are switched off and on: in order, by pulling the plug, and what becomes of their Pods."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support import Kubectl, busybox, deployment, eventually, pod

from kitlib.cluster import notebook
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.cluster.interface import Settings

SLEEP = busybox("exec sleep 1000")
HERE = {"nodeName": "node-2", "restartPolicy": "Always"}


@pytest.fixture
def two_nodes(new_cluster: Callable[..., EmbeddedCluster], monkeypatch: pytest.MonkeyPatch) -> EmbeddedCluster:
    cluster = new_cluster()
    cluster.start(Settings(nodes=2, simulated_nodes=1))
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return cluster


def ready(kubectl: Kubectl, node: str) -> dict[str, Any]:
    [found] = [c for c in kubectl.get("node", node)["status"]["conditions"] if c["type"] == "Ready"]
    return found


def test_a_node_without_power_is_silent_and_comes_back_with_its_pods(
        two_nodes: EmbeddedCluster, kubectl_of: Callable[..., Kubectl]) -> None:
    kubectl = kubectl_of(two_nodes)
    kubectl("create", "-f", "-", stdin=pod("a", SLEEP, **HERE))
    kubectl("wait", "pod/a", "--for=condition=Ready", "--timeout=30s")
    before = kubectl.get("pod", "a")["status"]
    notebook.kill_node("node-2")
    assert kubectl.get("pod", "a")["status"] == before  # nobody has told
    assert ready(kubectl, "node-2")["status"] == "True"
    assert "no route to host" in kubectl.run("logs", "a").stderr
    notebook.start_node("node-2")
    after = eventually(lambda: (s := kubectl.get("pod", "a")["status"])["containerStatuses"][0]["restartCount"] and s)
    assert (after["podIP"], after["phase"]) == (before["podIP"], "Running")
    assert after["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137


def test_a_node_that_is_shut_down_hands_its_pods_over(two_nodes: EmbeddedCluster,
                                                      kubectl_of: Callable[..., Kubectl]) -> None:
    kubectl = kubectl_of(two_nodes)
    kubectl("create", "-f", "-", stdin=deployment("web", 4, SLEEP, terminationGracePeriodSeconds=1, nodeSelector={
        "kit/runtime": "process"}))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    there = {p["metadata"]["name"] for p in kubectl.get("pods")["items"] if p["spec"]["nodeName"] == "node-2"}
    assert there
    notebook.stop_node("node-2", seconds=6)
    condition = ready(kubectl, "node-2")
    assert (condition["status"], condition["message"]) == ("False", "node is shutting down")
    ended = {p["metadata"]["name"]: p["status"] for p in kubectl.get("pods")["items"] if p["metadata"]["name"] in there}
    assert {(s["phase"], s["reason"]) for s in ended.values()} == {("Failed", "Terminated")}
    eventually(lambda: [p["spec"]["nodeName"] for p in kubectl.get("pods")["items"]
                        if p["status"]["phase"] == "Running"] == ["node-1"] * 4)
    notebook.start_node("node-2")
    assert ready(kubectl, "node-2")["status"] == "True"


def test_what_makes_no_sense_is_said_in_a_sentence(two_nodes: EmbeddedCluster) -> None:
    for name, verb, sentence in (("node-9", "stop", 'node "node-9" does not exist; nodes that can be switched: '
                                                    "node-1, node-2"),
                                 ("sim-1", "kill", "is simulated: nothing runs there"),
                                 ("node-1", "start", 'node "node-1" is running: it cannot start now'),
                                 ("node-1", "dance", "not to \"dance\"")):
        with pytest.raises(KitError, match="node") as caught:
            notebook.power(name, verb)
        assert sentence in str(caught.value)
    with pytest.raises(KitError, match="seconds must be a number"):
        notebook.stop_node("node-1", seconds=-1)


def test_the_command_line_switches_nodes_too(two_nodes: EmbeddedCluster) -> None:
    def kit(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "kitlib.cli.main", "node", *arguments], capture_output=True,
                              text=True, check=False,
                              env={**os.environ, "KIT_HOME": str(two_nodes.directory.path.parents[1])})

    assert kit("kill", "node-2").stdout == "node-2 is stopped\n"
    assert json.loads(kit("--json").stdout) == {"node-1": "running", "node-2": "stopped"}
    assert kit("start", "node-2").stdout == "node-2 is running\n"
    refused = kit("stop")
    assert (refused.returncode, refused.stderr) == (2, "kit: `kit node stop` needs the name of a node: `kit node` "
                                                       "lists them.\n")
