"""Stock kubectl takes care of nodes: cordon, drain, uncordon, taint, and what a disruption budget says to it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support import Kubectl, busybox, deployment, eventually, pod

SLEEP = busybox("sleep 600")


@pytest.fixture
def node(kubectl: Kubectl) -> Iterator[str]:
    """The second node that runs processes; schedulable again afterwards."""
    name = kubectl("get", "nodes", "-l", "type!=kwok", "-o", "jsonpath={.items[1].metadata.name}")
    yield name
    kubectl("uncordon", name)
    kubectl.run("taint", "node", name, "kit-test-")


def nodes_of(kubectl: Kubectl) -> list[str]:
    return [each["spec"].get("nodeName", "") for each in kubectl.get("pods")["items"]]


def test_a_cordoned_node_gets_no_new_pods(kubectl: Kubectl, node: str) -> None:
    assert kubectl("cordon", node) == f"node/{node} cordoned\n"
    assert "Ready,SchedulingDisabled" in kubectl("get", "node", node)
    selector = {"nodeSelector": {"kubernetes.io/hostname": node}}
    kubectl("create", "-f", "-", stdin=pod("web", SLEEP, **selector))
    messages = ("get", "pod", "web", "-o", "jsonpath={.status.conditions[*].message}")
    eventually(lambda: "unschedulable" in kubectl(*messages))
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")


def test_a_drained_node_is_empty_and_its_pods_live_elsewhere(kubectl: Kubectl, node: str) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 6, SLEEP, nodeSelector={"kit/test": kubectl.namespace}))
    kubectl("label", "nodes", "-l", "type!=kwok", f"kit/test={kubectl.namespace}", "--overwrite")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert node in nodes_of(kubectl)
    out = kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force",
                  "--pod-selector=app=web", "--timeout=60s")
    assert f"node/{node} drained" in out
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    eventually(lambda: len(nodes_of(kubectl)) == 6)
    assert node not in nodes_of(kubectl)


def test_drain_does_not_touch_a_pod_that_nobody_would_replace(kubectl: Kubectl, node: str) -> None:
    kubectl("create", "-f", "-", stdin=pod("alone", SLEEP, nodeName=node))
    done = kubectl.run("drain", node, "--ignore-daemonsets", "--pod-selector=app=alone", "--timeout=10s")
    assert done.returncode == 1
    assert "cannot delete" in done.stderr
    assert "use --force to override" in done.stderr
    assert nodes_of(kubectl) == [node]


def test_drain_waits_for_the_disruption_budget(kubectl: Kubectl, node: str) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 2, SLEEP, nodeSelector={"kubernetes.io/hostname": node}))
    kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    eventually(lambda: kubectl.get("pdb", "web")["status"].get("currentHealthy") == 2)
    assert kubectl.get("pdb", "web")["status"]["disruptionsAllowed"] == 0
    done = kubectl.run("drain", node, "--ignore-daemonsets", "--pod-selector=app=web", "--timeout=3s")
    assert done.returncode == 1
    assert "Cannot evict pod as it would violate the pod's disruption budget." in done.stderr
    assert nodes_of(kubectl) == [node, node]
    kubectl("delete", "pdb", "web")
    kubectl("drain", node, "--ignore-daemonsets", "--pod-selector=app=web", "--timeout=60s")


def test_taints_are_set_changed_and_taken_away(kubectl: Kubectl, node: str) -> None:
    def taints() -> list[dict[str, str]]:
        return [each for each in kubectl.get("node", node)["spec"].get("taints", ()) if each["key"] == "kit-test"]

    kubectl("taint", "node", node, "kit-test=one:NoSchedule")
    refused = kubectl.run("taint", "node", node, "kit-test=two:NoSchedule")
    assert refused.returncode == 1
    assert "already has kit-test taint(s) with same effect(s) and --overwrite is false" in refused.stderr
    kubectl("taint", "node", node, "kit-test=two:NoSchedule", "--overwrite")
    assert taints() == [{"effect": "NoSchedule", "key": "kit-test", "value": "two"}]
    assert "kit-test=two:NoSchedule" in kubectl("describe", "node", node)
    kubectl("taint", "node", node, "kit-test:NoSchedule-")
    assert taints() == []


def test_a_no_execute_taint_drives_pods_away(kubectl: Kubectl, node: str) -> None:
    toleration = {"key": "kit-test", "operator": "Exists", "effect": "NoExecute"}
    kubectl("create", "-f", "-", stdin=pod("leaves", SLEEP, nodeName=node))
    kubectl("create", "-f", "-", stdin=pod("stays", SLEEP, nodeName=node, tolerations=[toleration]))
    kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s")
    kubectl("taint", "node", node, "kit-test=1:NoExecute")
    kubectl("wait", "pod/leaves", "--for=delete", "--timeout=30s")
    assert kubectl("get", "pods", "-o", "name").split() == ["pod/stays"]


def test_an_eviction_asked_for_by_hand(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", SLEEP))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}}
    answer = json.loads(kubectl("create", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/pods/web/eviction", "-f",
                                "-", stdin=body))
    assert answer["status"] == "Success"
    kubectl("wait", "pod/web", "--for=delete", "--timeout=30s")
