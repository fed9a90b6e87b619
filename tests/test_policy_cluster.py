"""NetworkPolicies on a whole cluster: stock kubectl applies them, Pods' own programs find out what passes."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from policy_cases import ALL, peers, policy, port
from support import Kubectl, busybox, deployment, eventually, pod

from kitlib.cluster.embedded import EmbeddedCluster

WAIT = 2  # seconds a client waits for an answer


def _echo(**more: Any) -> dict[str, Any]:
    return {"name": "main", "image": "kit/echo", "ports": [{"containerPort": 8080, "name": "http"}]} | more


def _label(**labels: str) -> dict[str, Any]:
    return {"matchLabels": labels}


class Town:
    """A namespace with a web Deployment behind a Service, and clients a and b."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        probe = {"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}
        kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": [
            deployment("web", 1, _echo(**probe)), pod("a", busybox("sleep 1000")), pod("b", busybox("sleep 1000"))]})
        kubectl("expose", "deployment", "web", "--port=80", "--target-port=http", "--type=NodePort")
        kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=30s")
        eventually(lambda: kubectl.get("endpointslices")["items"][0].get("endpoints"))
        self.web = kubectl.get("pods", "-l", "app=web")["items"][0]["status"]["podIP"]
        service = kubectl.get("service", "web")["spec"]
        self.service, self.node_port = service["clusterIP"], service["ports"][0]["nodePort"]

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": list(objects)})

    def policy(self, name: str, pods: dict[str, Any], **sides: Any) -> None:
        self.apply(policy(name, self.kubectl.namespace, pods, **sides))

    def get(self, source: str, url: str, namespace: str = "") -> str:
        """What a Pod's wget says: the answer's first word, or its complaint."""
        arguments = ["-n", namespace] if namespace else []
        done = self.kubectl.run(*arguments, "exec", source, "--", "wget", "-q", "-O-", "-T", str(WAIT), url)
        said = "timed out" if "wget: download timed out" in done.stderr else done.stderr
        return "answered" if done.returncode == 0 and done.stdout else said

    def reaches(self, source: str, place: str, must: bool, namespace: str = "") -> None:
        """It becomes so within a moment (the API is asynchronous), and a denial is a time-out, never a refusal."""
        wanted = "answered" if must else "timed out"
        eventually(lambda: self.get(source, f"http://{place}/", namespace) == wanted, 30)


@pytest.fixture
def town(kubectl: Kubectl) -> Town:
    return Town(kubectl)


def test_default_deny_and_allow_by_label_by_pod_address_and_by_service(town: Town) -> None:
    direct, by_service = f"{town.web}:8080", f"{town.service}:80"
    for place in (direct, by_service):
        town.reaches("a", place, True)
    town.policy("deny", ALL, ingress=[])
    for place in (direct, by_service):
        town.reaches("a", place, False)
    town.policy("web", _label(app="web"), ingress=peers({"podSelector": _label(app="a")}, ports=[port("http")]))
    for place in (direct, by_service):
        town.reaches("a", place, True)
        town.reaches("b", place, False)
    town.kubectl("label", "pod", "b", "--overwrite", "app=a")
    town.reaches("b", direct, True)
    town.kubectl("label", "pod", "a", "--overwrite", "app=c")
    town.reaches("a", by_service, False)
    town.kubectl("delete", "networkpolicy", "deny", "web")
    town.reaches("a", by_service, True)


def test_the_node_gets_in_probes_node_ports_and_port_forward(town: Town) -> None:
    town.policy("deny", ALL, ingress=[], egress=[])
    town.reaches("a", f"{town.web}:8080", False)
    for place in (f"{town.web}:8080", f"127.{town.web.split('.')[1]}.15.1:{town.node_port}"):
        assert urllib.request.urlopen(f"http://{place}/", timeout=5).status == 200
    with town.kubectl.popen("port-forward", "deployment/web", ":8080") as forward:
        assert forward.stdout is not None
        local = forward.stdout.readline().split()[2]
        assert urllib.request.urlopen(f"http://{local}/", timeout=5).status == 200
        forward.send_signal(signal.SIGINT)
    status = town.kubectl.get("pods", "-l", "app=web")["items"][0]["status"]
    assert {"type": "Ready", "status": "True"}.items() <= next(
        c for c in status["conditions"] if c["type"] == "Ready").items()


def test_by_namespace_and_or_and_and(town: Town) -> None:
    other = f"{town.kubectl.namespace}-other"
    town.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other, "labels": {"team": "x"}}})
    try:
        for name in ("a", "b"):
            town.kubectl("-n", other, "apply", "-f", "-", stdin=pod(name, busybox("sleep 1000")))
        town.kubectl("-n", other, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=30s")
        both = {"namespaceSelector": _label(team="x"), "podSelector": _label(app="a")}
        town.policy("web", _label(app="web"), ingress=peers(both))
        place = f"{town.service}:80"
        town.reaches("a", place, True, other)
        town.reaches("b", place, False, other)
        town.reaches("a", place, False)
        town.policy("web", _label(app="web"), ingress=peers(*({key: value} for key, value in both.items())))
        town.reaches("b", place, True, other)
        town.reaches("a", place, True)
        town.reaches("b", place, False)
        town.kubectl("label", "namespace", other, "--overwrite", "team=y")
        town.reaches("b", place, False, other)
    finally:
        town.kubectl("delete", "namespace", other, "--wait=false")


def test_egress_and_the_dns_trap(town: Town) -> None:
    town.reaches("a", "web", True)
    town.policy("deny", ALL, egress=[])
    town.policy("to-web", _label(app="a"), egress=peers({"podSelector": _label(app="web")}, key="to"))
    town.reaches("a", f"{town.service}:80", True)
    done = town.kubectl.run("exec", "a", "--", "timeout", "2", "wget", "-q", "-O-", "http://web/")
    assert done.returncode, "no name without DNS"
    kube_dns = {"namespaceSelector": _label(**{"kubernetes.io/metadata.name": "kube-system"}),
                "podSelector": _label(**{"k8s-app": "kube-dns"})}
    town.policy("dns", ALL, egress=peers(kube_dns, key="to", ports=[port(53, "UDP"), port(53)]))
    town.reaches("a", "web", True)
    looked_up = town.kubectl("exec", "b", "--", "nslookup", "web." + town.kubectl.namespace + ".svc.cluster.local")
    assert town.service in looked_up
    town.reaches("b", f"{town.service}:80", False)


def test_cidr_ports_and_ranges(town: Town) -> None:
    town.policy("out", _label(app="a"), egress=peers({"ipBlock": {"cidr": f"{town.web}/32"}}, key="to"))
    town.reaches("a", f"{town.web}:8080", True)
    town.policy("out", _label(app="a"), egress=peers(
        {"ipBlock": {"cidr": "127.64.0.0/10", "except": [f"{town.web}/32"]}}, key="to"))
    town.reaches("a", f"{town.web}:8080", False)
    town.policy("out", _label(app="a"), egress=[{"ports": [port(8000, end=8100)]}])
    town.reaches("a", f"{town.service}:80", True)
    town.policy("out", _label(app="a"), egress=[{"ports": [port(80)]}])
    town.reaches("a", f"{town.service}:80", False)  # the Service's port is not the Pod's
    town.policy("out", _label(app="a"), egress=[{"ports": [port(8080, "UDP")]}])
    town.reaches("a", f"{town.web}:8080", False)


def test_a_pod_is_isolated_from_its_first_instruction(town: Town) -> None:
    town.policy("deny", ALL, egress=[])
    script = f"wget -q -O- -T 1 http://{town.web}:8080/ > /dev/null 2>&1 && echo open || echo closed"
    town.apply(*(pod(f"early-{i}", busybox(script), restartPolicy="Never") for i in range(5)))
    town.kubectl("wait", "pod", *(f"early-{i}" for i in range(5)), "--timeout=30s",
                 "--for=jsonpath={.status.phase}=Succeeded")
    assert [town.kubectl("logs", f"early-{i}").split()[-1] for i in range(5)] == ["closed"] * 5


def test_a_service_with_one_endpoint_that_is_closed(town: Town) -> None:
    town.kubectl("scale", "deployment", "web", "--replicas=2")
    eventually(lambda: len(town.kubectl.get("endpointslices")["items"][0]["endpoints"]) == 2)
    town.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=30s")
    names = [p["metadata"]["name"] for p in town.kubectl.get("pods", "-l", "app=web")["items"]]
    town.kubectl("label", "pod", names[0], "closed=yes")
    town.policy("deny", _label(closed="yes"), ingress=[])
    seen = [town.get("a", f"http://{town.service}/") for _ in range(6)]
    assert sorted(set(seen)) == ["answered", "timed out"]
    town.kubectl("label", "pod", names[1], "closed=yes")
    town.reaches("a", f"{town.service}:80", False)


UDP_SERVER = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 5000))\n" \
             "while True:\n d, c = s.recvfrom(99); s.sendto(d, c)"
UDP_CLIENT = "import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)\n" \
             "s.sendto(b'x', (sys.argv[1], 5000))\ntry: print(s.recv(9))\nexcept TimeoutError: print('silence')"


def test_udp_by_way_of_a_service(town: Town) -> None:
    def python(name: str, code: str) -> dict[str, Any]:
        return pod(name, {"name": "main", "image": "python", "command": ["python3", "-c", code]})

    town.apply(python("udp", UDP_SERVER), python("client", "import time; time.sleep(1000)"))
    town.kubectl("expose", "pod", "udp", "--port=5000", "--protocol=UDP")
    town.kubectl("wait", "pod", "udp", "client", "--for=condition=Ready", "--timeout=30s")
    address = town.kubectl.get("service", "udp")["spec"]["clusterIP"]

    def ask() -> str:
        return town.kubectl("exec", "client", "--", "python3", "-c", UDP_CLIENT, address).strip()

    eventually(lambda: ask() == "b'x'")
    town.policy("udp", _label(app="udp"), ingress=[{"ports": [port(5000)]}])
    eventually(lambda: ask() == "silence")
    town.policy("udp", _label(app="udp"), ingress=[{"ports": [port(5000, "UDP")]}])
    eventually(lambda: ask() == "b'x'")


def test_policies_hold_after_a_crash_of_the_cluster_of_the_runtime_and_of_the_proxy(
        new_cluster: Callable[..., EmbeddedCluster], kubectl_of: Callable[[EmbeddedCluster], Kubectl]) -> None:
    from kitlib.cluster.interface import Settings

    cluster = new_cluster()
    cluster.start(Settings(nodes=2, parent_pid=os.getpid()))
    town = Town(kubectl_of(cluster))
    town.policy("web", _label(app="web"), ingress=peers({"podSelector": _label(app="a")}))
    for victim in ("pid", "proxy", "runtime"):
        state = json.loads((cluster.directory.run / "state.json").read_text())
        os.kill(state["pid"] if victim == "pid" else state["helpers"][victim], signal.SIGKILL)
        if victim == "pid":
            eventually(lambda: not cluster.directory.is_running())
            cluster.start(Settings(nodes=2, parent_pid=os.getpid()))
        if victim == "runtime":
            eventually(lambda: all(p["status"]["containerStatuses"][0]["restartCount"] == 1
                                   for p in town.kubectl.get("pods")["items"]))
            town.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=30s")
            town.web = town.kubectl.get("pods", "-l", "app=web")["items"][0]["status"]["podIP"]
        for place in (f"{town.web}:8080", f"{town.service}:80"):
            town.reaches("a", place, True)
            town.reaches("b", place, False)
