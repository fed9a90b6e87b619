"""A whole cluster of the `oci` runtime: real containers, real Services, in every mode of kube-proxy; real policies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Kubectl, eventually

from kitlib.cluster.applied import read
from kitlib.cluster.dataplane import Dataplane
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import UsageError
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings

pytestmark = pytest.mark.needs("oci", "netfilter", "busybox", "curl")
AS_JSON = "Accept: application/json"
MODES = ("nftables", "iptables", "userspace")

WEB = """
apiVersion: v1
kind: Pod
metadata: {name: %(name)s, labels: {app: web, pod: %(name)s}}
spec:
  nodeName: %(node)s
  containers: [{name: echo, image: kit/echo, ports: [{containerPort: 8080}]}]
---
"""
SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  externalIPs: [10.65.0.1]
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  selector: {pod: web-2}
  ports: [{port: 80, targetPort: 8080, nodePort: 30081}]
---
apiVersion: v1
kind: Service
metadata: {name: myself}
spec: {selector: {run: client}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
"""
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-friends}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {friend: "yes"}}}], ports: [{port: 8080}]}]
"""


class World:
    """A running cluster with the objects above, and ways to ask from many places."""

    def __init__(self, cluster: EmbeddedCluster, mode: str, cache: Path) -> None:
        self.cluster, self.mode = cluster, mode
        self.kubectl = Kubectl(cluster.kubeconfig, "default", cache)
        pods = "".join(WEB % {"name": f"web-{i}", "node": f"node-{i}"} for i in (1, 2))
        self.kubectl("apply", "-f", "-", stdin=pods + SERVICES)
        self.kubectl("run", "client", "--image=busybox", "--overrides", json.dumps({"spec": {"nodeName": "node-1"}}),
                     "--", "sh", "-c", "echo it is me > /tmp/index.html; httpd -p 8080 -h /tmp; exec sleep 1000")
        self.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        self.services = {s["metadata"]["name"]: s for s in self.kubectl.get("services")["items"]}
        self.pods = {p["metadata"]["name"]: p["status"]["podIP"] for p in self.kubectl.get("pods")["items"]}
        self.state = cluster.directory.read_state()
        eventually(lambda: self.from_pod("web") != "silence")

    def address(self, service: str) -> str:
        return str(self.services[service]["spec"]["clusterIP"])

    def balancer(self, service: str) -> str:
        return str(self.services[service]["status"]["loadBalancer"]["ingress"][0]["ip"])

    def from_pod(self, host: str, seconds: int = 2) -> Any:
        done = self.kubectl.run("exec", "client", "--", "wget", "-q", "-T", str(seconds), "--header", AS_JSON, "-O",
                                "-", f"http://{host}/")
        return json.loads(done.stdout) if done.returncode == 0 else "refused" if "refused" in done.stderr else "silence"

    def from_node(self, node: str, host: str, seconds: int = 2) -> Any:
        """node "": the fabric."""
        namespace = self.state["namespaces"][node] if node else self.state["fabric"]
        done = subprocess.run(["nsenter", f"--net={namespace}", "curl", "-s", "-m", str(seconds), "-H", AS_JSON,
                               f"http://{host}/"], capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {7: "refused"}.get(done.returncode, "silence")

    def status(self, node: str, host: str) -> str:
        namespace = self.state["namespaces"][node] if node else self.state["fabric"]
        return subprocess.run(["nsenter", f"--net={namespace}", "curl", "-s", "-m", "2", "-o", "/dev/null", "-w",
                               "%{http_code}", f"http://{host}/"], capture_output=True, text=True, check=False).stdout

    def reaches(self, ask: Callable[[], Any], pods: set[str]) -> bool:
        """Whether all of these Pods answer sooner or later, and nobody else."""
        seen: set[str] = set()
        for _ in range(40):   # with two Pods all but 1 in 500,000,000,000 times enough
            answer = ask()
            seen.add(answer["pod"] if isinstance(answer, dict) else answer)
            if seen >= pods or not seen <= pods:
                break
        return seen == pods


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("oci")
    cluster = EmbeddedCluster(ClusterDir("services", home))
    cluster.start(Settings(nodes=2, ephemeral=True, parent_pid=os.getpid(), bare=True, runtime="oci",
                           proxy_mode=request.param))
    try:
        yield World(cluster, request.param, home)
    finally:
        cluster.delete()


in_every_mode = pytest.mark.parametrize("world", MODES, indirect=True)
in_kernel = pytest.mark.parametrize("world", MODES[:2], indirect=True)


@in_every_mode
def test_every_way_to_a_service_leads_to_every_pod(world: World) -> None:
    both = {"web-1", "web-2"}
    assert world.reaches(lambda: world.from_pod("web"), both)
    for place, host in (("node-1", world.address("web")), ("node-2", world.address("web")), ("", "10.10.0.2:30080"),
                        ("", "10.10.0.3:30080"), ("", world.balancer("web")), ("", "10.65.0.1")):
        assert world.reaches(lambda place=place, host=host: world.from_node(place, host), both), (place, host)


@in_kernel
def test_pods_see_pods_as_they_are_and_neighbours_on_one_bridge_reach_each_other(world: World) -> None:
    def ask() -> Any:
        answer = world.from_pod("web")
        assert answer["client"] == world.pods["client"]
        return answer

    assert world.reaches(ask, {"web-1", "web-2"})   # web-1 is on the client's own bridge


@in_every_mode
def test_a_pod_reaches_itself_behind_its_service(world: World) -> None:
    """A hairpin: the packet goes back through the port of the bridge that it came from."""
    assert world.kubectl("exec", "client", "--", "wget", "-q", "-T", "3", "-O", "-", "http://myself/") == "it is me\n"


@in_every_mode
def test_policy_local_keeps_to_the_node_and_the_fabric_knows_the_way(world: World) -> None:
    answer = world.from_node("", world.balancer("local"))
    assert answer["pod"] == "web-2"
    if world.mode != "userspace":
        assert answer["client"] == "10.10.0.1"   # nobody masqueraded it
    assert world.from_node("", "10.10.0.2:30081", 1) in ("silence", "refused")
    assert world.from_pod("local", 1) in ("silence", "refused")   # internal Local: no Pod of it on node-1
    port = world.services["local"]["spec"]["healthCheckNodePort"]
    codes = [world.status("", f"10.10.0.{i}:{port}") for i in (2, 3)]
    assert codes == ["503", "200"]


@in_every_mode
def test_a_service_without_endpoints_refuses(world: World) -> None:
    assert world.from_pod("empty") == "refused"
    assert world.from_node("node-2", world.address("empty")) == "refused"


@in_kernel
def test_a_policy_holds_in_the_kernel_however_the_packet_comes(world: World) -> None:
    world.kubectl("apply", "-f", "-", stdin=POLICY)
    direct = f"{world.pods['web-2']}:8080"
    eventually(lambda: world.from_pod(direct, 1) == "silence")
    assert world.from_pod("web", 1) == "silence"
    world.kubectl("label", "pod", "client", "friend=yes")
    eventually(lambda: world.from_pod(direct, 1) != "silence")
    assert world.reaches(lambda: world.from_pod("web"), {"web-1", "web-2"})
    world.kubectl("label", "pod", "client", "friend-")
    world.kubectl("delete", "networkpolicy", "only-friends")
    eventually(lambda: world.from_pod("web", 1) != "silence")


@in_kernel
def test_the_kernel_has_what_was_computed_and_the_walk_goes_through_it(world: World) -> None:
    plane = Dataplane(world.cluster.client(), "default")
    assert plane.mode == world.mode
    mode, text = read(world.cluster.client(), "node-1")
    assert mode == world.mode
    assert "default/web" in text
    walks = [plane.walk("web", source="client", endpoint=world.pods["web-2"], applied=applied)
             for applied in (True, False)]
    assert walks[0].trace.packet == walks[1].trace.packet
    assert [s.chain for s in walks[0].trace.steps] == [s.chain for s in walks[1].trace.steps]


@in_every_mode
def test_a_running_cluster_keeps_its_mode(world: World) -> None:
    other = next(mode for mode in MODES if mode != world.mode)
    with pytest.raises(UsageError, match=f"is running with proxy mode {world.mode}"):
        world.cluster.start(Settings(nodes=2, ephemeral=True, runtime="oci", proxy_mode=other))


def test_rules_outlive_a_killed_cluster_process_and_its_successor_changes_nothing(tmp_path: Path) -> None:
    cluster = EmbeddedCluster(ClusterDir("killed", tmp_path))
    cluster.start(Settings(nodes=2, bare=True, runtime="oci", proxy_mode="nftables"))
    try:
        world = World(cluster, "nftables", tmp_path)

        def handles() -> str:
            """Every object of the kernel has a number that it never gets again."""
            namespace = world.state["namespaces"]["node-1"]
            command = ["nsenter", f"--net={namespace}", "nft", "-a", "-t", "list", "table", "ip", "kube-proxy"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        before = handles()
        os.kill(world.state["pid"], signal.SIGKILL)
        eventually(lambda: not cluster.directory.is_running())
        assert world.reaches(lambda: world.from_node("", world.balancer("web")), {"web-1", "web-2"})
        cluster.start()
        assert handles() == before
        world.kubectl("delete", "pod", "web-1", "--now")
        eventually(lambda: world.reaches(lambda: world.from_node("", world.balancer("web")), {"web-2"}))
    finally:
        cluster.delete()
