"""Real Pods: processes with an address of their own, exit codes, restarts, readiness, and Services in front."""

from __future__ import annotations

import ipaddress
import json
import re
import urllib.request
from collections import Counter
from typing import Any

from support import Kubectl, busybox, deployment, eventually, pod

from kitlib.objects import lowports

ECHO = {"name": "main", "image": "kit/echo", "ports": [{"containerPort": 8080}]}


def fetch(address: str, port: int) -> str:
    """GET / there.  Where ports under 1024 are root's, the cluster's are mapped; `kit doctor` says how."""
    port = lowports.reachable(port, lowports.unprivileged_port_start())
    with urllib.request.urlopen(f"http://{address}:{port}/", timeout=5) as answer:
        return answer.read().decode()


def _answers(address: str, port: int) -> str:
    """The name of the Pod that answers (kit/echo's first line), or "" if nobody does."""
    try:
        return fetch(address, port).splitlines()[0]
    except OSError:
        return ""


def status_of(kubectl: Kubectl, name: str) -> dict[str, Any]:
    return kubectl.get("pod", name)["status"]


def test_each_pod_has_an_address_of_its_own_that_answers(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 3, ECHO))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    pods = {p["metadata"]["name"]: p["status"]["podIP"] for p in kubectl.get("pods")["items"]}
    assert len(set(pods.values())) == 3
    for name, address in pods.items():
        assert ipaddress.ip_address(address) in ipaddress.ip_network("127.64.0.0/10")
        assert eventually(lambda a=address: _answers(a, 8080)) == name


def test_a_service_spreads_its_connections_over_all_pods(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 3, ECHO))
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    address = kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    names = {p["metadata"]["name"] for p in kubectl.get("pods")["items"]}

    eventually(lambda: {_answers(address, 80) for _ in range(6)} == names)
    seen = Counter(_answers(address, 80) for _ in range(30))
    assert set(seen) == names
    assert min(seen.values()) >= 8


def test_a_pod_that_is_not_ready_gets_no_connections(kubectl: Kubectl) -> None:
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
    container = {**ECHO, "readinessProbe": probe}
    kubectl("create", "-f", "-", stdin=deployment("web", 1, container))
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    eventually(lambda: kubectl.get("pods")["items"][0]["status"].get("phase") == "Running")
    slices = kubectl.get("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
    ready = [e["conditions"]["ready"] for s in slices for e in s.get("endpoints") or ()]
    assert True not in ready
    assert "READY" in kubectl("get", "pods")
    assert kubectl("get", "pods", "--no-headers").split()[1] == "0/1"


def test_pods_of_one_port_on_one_node_do_not_collide(kubectl: Kubectl) -> None:
    node = kubectl("get", "nodes", "-l", "type!=kwok", "-o", "jsonpath={.items[0].metadata.name}")
    kubectl("create", "-f", "-", stdin=deployment("web", 3, ECHO, nodeName=node))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert {p["spec"]["nodeName"] for p in kubectl.get("pods")["items"]} == {node}
    assert [p["status"]["containerStatuses"][0]["restartCount"] for p in kubectl.get("pods")["items"]] == [0, 0, 0]


def test_the_exit_code_decides_between_succeeded_and_failed(kubectl: Kubectl) -> None:
    for name, code in (("good", 0), ("bad", 7)):
        kubectl("create", "-f", "-", stdin=pod(name, busybox(f"exit {code}"), restartPolicy="Never"))
    assert eventually(lambda: status_of(kubectl, "good").get("phase") == "Succeeded")
    eventually(lambda: status_of(kubectl, "bad").get("phase") == "Failed")
    terminated = status_of(kubectl, "bad")["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (7, "Error")


def test_a_crashing_container_backs_off(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("crasher", busybox("exit 1")))
    eventually(lambda: "CrashLoopBackOff" in kubectl("get", "pods"))
    assert status_of(kubectl, "crasher")["containerStatuses"][0]["restartCount"] >= 1


def test_an_unknown_image_says_which_there_are(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("lost", {"name": "main", "image": "no/such:image"}))
    eventually(lambda: re.search(r"ErrImagePull|ImagePullBackOff", kubectl("get", "pods")))
    assert "busybox" in eventually(lambda: "\n".join(row for row in kubectl("describe", "pod", "lost").splitlines()
                                                     if "Failed" in row and "busybox" in row))


def test_nginx_is_the_real_one(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", {"name": "main", "image": "nginx"}))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
    address = status_of(kubectl, "web")["podIP"]
    assert "nginx" in eventually(lambda: _try(address, 80))


def _try(address: str, port: int) -> str:
    try:
        return fetch(address, port).lower()
    except OSError:
        return ""


def test_exec_runs_in_the_container(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", busybox("sleep 600", env=[{"name": "COLOUR", "value": "blue"}])))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
    assert kubectl("exec", "web", "--", "sh", "-c", "echo $COLOUR") == "blue\n"
    assert kubectl.run("exec", "web", "--", "sh", "-c", "exit 5").returncode == 5
    assert kubectl("exec", "-i", "web", "--", "cat", stdin="from outside") == "from outside"


def test_a_pod_sees_its_name_and_its_configuration(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
    env = [{"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
           {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
           {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}}]
    kubectl("create", "-f", "-", stdin=pod("web", busybox("echo $ME $IP $COLOUR; sleep 600", env=env)))
    eventually(lambda: kubectl.run("logs", "web").stdout)
    assert kubectl("logs", "web").split() == ["web", status_of(kubectl, "web")["podIP"], "blue"]


def test_a_deleted_pod_takes_its_process_with_it(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", ECHO))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
    address = status_of(kubectl, "web")["podIP"]
    assert _try(address, 8080)
    kubectl("delete", "pod", "web", "--timeout=30s")
    eventually(lambda: not _try(address, 8080))


def test_the_scheduler_says_why_a_pod_has_no_place(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("big", busybox("sleep 600", resources={"requests": {"cpu": "4000"}})))
    text = eventually(lambda: next((c["message"] for c in status_of(kubectl, "big").get("conditions", ())
                                    if c["type"] == "PodScheduled" and c["status"] == "False"), ""))
    assert re.search(r"0/5 nodes are available: .*Insufficient cpu", text)


def test_a_tainted_node_gets_no_pods_without_a_toleration(kubectl: Kubectl) -> None:
    node = kubectl("get", "nodes", "-l", "type!=kwok", "-o", "jsonpath={.items[2].metadata.name}")
    kubectl("taint", "node", node, "kit-test=1:NoSchedule")
    try:
        selector = {"nodeSelector": {"kubernetes.io/hostname": node}}
        kubectl("create", "-f", "-", stdin=pod("kept-out", busybox("sleep 600"), **selector))
        toleration = {"tolerations": [{"key": "kit-test", "operator": "Exists"}]}
        kubectl("create", "-f", "-", stdin=pod("let-in", busybox("sleep 600"), **selector, **toleration))
        kubectl("wait", "pod/let-in", "--for=condition=Ready", "--timeout=60s")
        assert status_of(kubectl, "kept-out")["phase"] == "Pending"
    finally:
        kubectl("taint", "node", node, "kit-test-")
    kubectl("wait", "pod/kept-out", "--for=condition=Ready", "--timeout=60s")


def test_port_forward_reaches_a_pod(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", ECHO))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
    forwarding = kubectl.popen("port-forward", "pod/web", ":8080")
    try:
        assert forwarding.stdout is not None
        port = re.search(r"127.0.0.1:(\d+)", forwarding.stdout.readline())
        assert port is not None
        assert "web" in fetch("127.0.0.1", int(port.group(1)))
    finally:
        forwarding.terminate()
        forwarding.communicate(timeout=10)


def test_a_pods_events_tell_its_story(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", busybox("sleep 600")))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")

    def reasons() -> list[str]:
        found = json.loads(kubectl("get", "events", "--field-selector=involvedObject.name=web", "-o", "json"))
        return [event["reason"] for event in found["items"]]

    eventually(lambda: {"Scheduled", "Created", "Started"} <= set(reasons()))
