"""Many Pods, sudden ends and hostile ones: nothing is lost, nothing is left behind, everything is said.

The same tests run as an ordinary user without capabilities (test_cluster_unprivileged.py).
"""

from __future__ import annotations

import os
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import Kubectl, busybox, deployment, eventually, pod

from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.interface import Settings
from kitlib.objects import lowports

SLEEP = busybox("exec sleep 1000")
ROUNDS, AT_ONCE = 4, 50  # two hundred starts and stops


@pytest.fixture
def alone(new_cluster: Callable[..., EmbeddedCluster]) -> EmbeddedCluster:
    """A cluster that nobody else puts Pods into."""
    cluster = new_cluster()
    cluster.start(Settings(nodes=2))
    return cluster


def below(pid: int) -> Iterator[int]:
    """A process's descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it ended meanwhile
        return
    for child in children:
        yield int(child)
        yield from below(int(child))


def program_of(pid: int) -> bytes:
    """What the process runs; nothing, if it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return b""


def helpers(cluster: EmbeddedCluster) -> dict[str, int]:
    return cluster.directory.read_state()["helpers"]


def traces(cluster: EmbeddedCluster) -> dict[str, object]:
    """What Pods could leave: processes, open descriptors, mounts, files, memory volumes."""
    pids = {"cluster": cluster.status().pid, **helpers(cluster)}
    state = cluster.directory.path
    places = (*state.glob("nodes/*/pods/*"), *state.glob("nodes/*/logs/*"), *state.glob("runtime/containers/*"),
              *Path("/dev/shm").glob(f"kit-{os.geteuid()}/*/*"))
    return {"processes": sorted(below(pids["runtime"])), "places": sorted(map(str, places)),
            "mounts": Path("/proc/self/mountinfo").read_text().count("\n"),
            "descriptors": {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in pids.items()}}


@pytest.mark.timeout(240)
def test_two_hundred_starts_and_stops_leave_nothing_behind(alone: EmbeddedCluster,
                                                           kubectl_of: Callable[..., Kubectl]) -> None:
    kubectl = kubectl_of(alone)
    volume = {"volumes": [{"name": "m", "emptyDir": {"medium": "Memory"}}]}
    kubectl("create", "-f", "-", stdin=deployment("web", 1, SLEEP, **volume))
    kubectl("expose", "deployment", "web", "--port=80")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("scale", "deployment/web", "--replicas=0")
    eventually(lambda: not kubectl.get("pods")["items"])
    before = eventually(lambda: (t := traces(alone)) and not t["processes"] and not t["places"] and t)
    for _ in range(ROUNDS):
        kubectl("scale", "deployment/web", f"--replicas={AT_ONCE}")
        kubectl("rollout", "status", "deployment/web", "--timeout=100s", timeout=110)
        kubectl("scale", "deployment/web", "--replicas=0")
        eventually(lambda: not kubectl.get("pods")["items"], 100)

    def clean() -> bool:
        now = traces(alone)
        opened = {name: now["descriptors"][name] - count for name, count in before["descriptors"].items()}  # type: ignore[index]
        return {**now, "descriptors": 0} == {**before, "descriptors": 0} and max(opened.values()) <= 2

    eventually(clean)


def kill(cluster: EmbeddedCluster) -> None:
    os.kill(cluster.status().pid, signal.SIGKILL)
    eventually(lambda: not cluster.directory.is_running())


def running(kubectl: Kubectl) -> dict[str, tuple[str, int]]:
    """uid → address and restarts, of the Pods that are Ready."""
    return {p["metadata"]["uid"]: (p["status"]["podIP"], p["status"]["containerStatuses"][0]["restartCount"])
            for p in kubectl.get("pods")["items"] if "deletionTimestamp" not in p["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", ()))}


@pytest.mark.timeout(240)
def test_the_cluster_process_dies_under_load_and_pods_do_not_notice(alone: EmbeddedCluster,
                                                                    kubectl_of: Callable[..., Kubectl]) -> None:
    kubectl = kubectl_of(alone)
    kubectl("create", "-f", "-", stdin=deployment("web", 6, {"name": "e", "image": "kit/echo"}))
    kubectl("expose", "deployment", "web", "--port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    address = kubectl.get("service", "web")["spec"]["clusterIP"]
    answered, over = [0], threading.Event()

    def load() -> None:
        while not over.is_set():
            try:
                with urllib.request.urlopen(f"http://{address}:8080/", timeout=5) as page:
                    answered[0] += page.status == 200
            except OSError:
                over.wait(0.01)  # the proxy is away for a moment

    clients = [threading.Thread(target=load) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        eventually(lambda: answered[0] > 100)
        before, processes = running(kubectl), sorted(below(helpers(alone)["runtime"]))
        kill(alone)
        alone.start()
        eventually(lambda: running(kubectl) == before)
        assert sorted(below(helpers(alone)["runtime"])) == processes
        seen = answered[0]
        eventually(lambda: answered[0] > seen + 100)
    finally:
        over.set()
        for client in clients:
            client.join()


@pytest.mark.timeout(240)
def test_a_death_in_the_middle_of_starting_and_stopping_loses_no_pod_and_orphans_no_process(
        alone: EmbeddedCluster, kubectl_of: Callable[..., Kubectl]) -> None:
    kubectl = kubectl_of(alone)
    kubectl("create", "-f", "-", stdin=deployment("stays", 10, SLEEP))
    kubectl("create", "-f", "-", stdin=deployment("goes", 10, SLEEP))
    kubectl("rollout", "status", "deployment/goes", "--timeout=60s")
    kubectl("scale", "deployment/goes", "--replicas=0")
    kubectl("scale", "deployment/stays", "--replicas=25")
    kill(alone)
    alone.start()
    found = eventually(lambda: len(now := running(kubectl)) == 25 and len(kubectl.get("pods")["items"]) == 25 and now)
    assert len({address for address, _ in found.values()}) == 25

    def one_process_each() -> bool:
        return sum(program_of(pid).endswith(b"sleep") for pid in below(helpers(alone)["runtime"])) == 25

    eventually(one_process_each)


def test_two_containers_of_a_pod_that_want_one_port(kubectl: Kubectl) -> None:
    """They share an address, so the second cannot have it: it crashes, and its log says why."""
    second = {"name": "second", "image": "kit/echo"}
    given = pod("rivals", {"name": "main", "image": "kit/echo", "readinessProbe": {"tcpSocket": {"port": 8080}}})
    given["spec"]["containers"].append(second)
    kubectl("create", "-f", "-", stdin=given)

    def crashed() -> list[str]:
        return [s["name"] for s in kubectl.get("pod", "rivals")["status"].get("containerStatuses", ())
                if s["restartCount"] > 0]

    [loser] = eventually(crashed)
    said = kubectl("logs", "rivals", "-c", loser, "--previous")
    assert "in use" in said.lower(), said


def test_a_line_of_a_hundred_megabytes_fills_neither_memory_nor_disk(kubectl: Kubectl,
                                                                     cluster: EmbeddedCluster) -> None:
    script = "head -c 104857600 /dev/zero | tr '\\0' x; echo; echo the end"
    kubectl("create", "-f", "-", stdin=pod("talker", busybox(script), restartPolicy="Never"))
    kubectl("wait", "pod/talker", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert kubectl("logs", "talker", "--tail=1") == "the end\n"
    kept = sum(f.stat().st_size for f in cluster.directory.path.glob("nodes/*/logs/*talker*/**/*") if f.is_file())
    assert kept < 60_000_000  # five files of ten MiB
    peak = next(line for line in Path(f"/proc/{helpers(cluster)['runtime']}/status").read_text().splitlines()
                if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 200_000, peak


def test_host_paths_that_cannot_be_had_are_said(kubectl: Kubectl) -> None:
    """A directory that is none, and one that cannot be made (below a file, so that root cannot either)."""
    def with_path(name: str, path: str, kind: str) -> dict[str, object]:
        container = {**SLEEP, "volumeMounts": [{"name": "h", "mountPath": "/h"}]}
        return pod(name, container, volumes=[{"name": "h", "hostPath": {"path": path, "type": kind}}])

    kubectl("create", "-f", "-", stdin=with_path("none", "/no/such/place", "Directory"))
    kubectl("create", "-f", "-", stdin=with_path("unmade", "/proc/version/below", "DirectoryOrCreate"))

    def complaint(name: str) -> str:
        return "".join(e["message"] for e in kubectl.get("events", f"--field-selector=involvedObject.name={name}")[
            "items"] if e["reason"] == "FailedMount")

    assert "hostPath type check failed: /no/such/place is not a directory" in eventually(lambda: complaint("none"))
    assert 'MountVolume.SetUp failed for volume "h"' in eventually(lambda: complaint("unmade"))
    assert kubectl.get("pod", "unmade")["status"]["phase"] == "Pending"


def test_who_ignores_sigterm_is_killed_after_the_grace_period(kubectl: Kubectl) -> None:
    stubborn = pod("stubborn", busybox("trap '' TERM; while true; do sleep 0.1; done"),
                   terminationGracePeriodSeconds=1)
    kubectl("create", "-f", "-", stdin=stubborn)
    kubectl("wait", "pod/stubborn", "--for=condition=Ready", "--timeout=30s")
    watching = kubectl.popen("get", "pod", "stubborn", "--watch", "-o",
                             "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}{'\\n'}")
    kubectl("delete", "pod", "stubborn", "--timeout=30s")
    watching.terminate()
    assert "137" in watching.communicate()[0].split()


def test_low_ports_are_those_of_the_pod(kubectl: Kubectl) -> None:
    """nginx listens on 0.0.0.0:80, three times on one machine, whoever we are."""
    kubectl("create", "-f", "-", stdin=deployment("web", 3, {"name": "n", "image": "nginx"}))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    port = lowports.reachable(80, lowports.unprivileged_port_start())
    addresses = [p["status"]["podIP"] for p in kubectl.get("pods")["items"]]
    assert len(set(addresses)) == 3
    for address in addresses:
        def served(at: str = address) -> bool:
            with urllib.request.urlopen(f"http://{at}:{port}/", timeout=5) as page:
                return b"nginx" in page.read()

        eventually(served)
