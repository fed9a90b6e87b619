"""A cluster of real containers, by stock kubectl: limits that hold, privileges, networks, and what a crash leaves."""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Kubectl, busybox, deployment, eventually, pod
from test_oci_network import changes, host

from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings
from kitlib.runtime.oci import cgroups
from kitlib.runtime.oci.leftovers import group_of

pytestmark = [pytest.mark.needs("oci", "busybox"), pytest.mark.timeout(120)]

SLEEP = busybox("exec sleep 1000")
_numbers = itertools.count(1)
HOG = "x=$(head -c 100000000 /dev/zero | tr '\\0' a); echo never"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    """Two nodes with real containers; the host is the same before and after."""
    before = host()
    made = EmbeddedCluster(ClusterDir("real", tmp_path_factory.mktemp("oci")))
    made.start(Settings(nodes=2, runtime="oci", parent_pid=os.getpid()))
    assert changes(before) == []
    yield made
    assert changes(before) == []
    made.delete()
    assert changes(before) == []
    assert not list(cgroups.places(group_of(os.path.realpath(made.directory.runtime))))


@pytest.fixture
def k(real: EmbeddedCluster, kubectl_of: Callable[[EmbeddedCluster], Kubectl]) -> Iterator[Kubectl]:
    tool = kubectl_of(real)
    tool.namespace = f"test-{next(_numbers)}"
    tool("create", "namespace", tool.namespace)
    yield tool
    tool("delete", "namespace", tool.namespace, "--wait=false")


def run(k: Kubectl, name: str, script: str, *, container: dict[str, Any] | None = None, **spec: Any) -> str:
    """What a Pod's script says until it ends."""
    made = {**busybox(script), **(container or {})}
    k("create", "-f", "-", stdin=pod(name, made, restartPolicy="Never", **spec))
    eventually(lambda: k.get("pod", name)["status"].get("phase") in ("Succeeded", "Failed"))
    return k("logs", name).strip()


def ready(k: Kubectl, *names: str) -> None:
    k("wait", "--for=condition=Ready", *(f"pod/{name}" for name in names), "--timeout=60s")


# Limits.


def test_five_times_its_memory_limit_is_the_end_of_a_container(k: Kubectl) -> None:
    limited = {**busybox(HOG), "resources": {"limits": {"memory": "20Mi"}}}
    k("create", "-f", "-", stdin=pod("greedy", limited, restartPolicy="OnFailure"))

    def killed_twice() -> Any:
        [status] = k.get("pod", "greedy")["status"].get("containerStatuses") or [{"restartCount": 0}]
        return status if status["restartCount"] >= 1 and "terminated" in status["lastState"] else None

    status = eventually(killed_twice)
    ended = status["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    assert "never" not in k("logs", "greedy")


def test_a_cpu_limit_is_kept_and_counted(k: Kubectl) -> None:
    """Two loops of two seconds would use up to four seconds of processor time; a fifth of a core is 0.4."""
    script = "for i in 1 2; do timeout 2 sh -c 'while :; do :; done' & done; wait; " + (
        "grep usage_usec /sys/fs/cgroup/cpu.stat | tr -d 'a-z_ '" if cgroups.is_unified()
        else "echo $(($(cat /sys/fs/cgroup/cpuacct/cpuacct.usage) / 1000)); cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    said = run(k, "slow", script, container={"resources": {"limits": {"cpu": "200m"}}}).split()
    assert 0 < int(said[0]) < 1_000_000
    assert said[1:] in ([], ["20000"])


def test_a_running_container_is_resized_in_place(k: Kubectl) -> None:
    k("create", "-f", "-", stdin=pod("elastic", {**SLEEP, "resources": {"limits": {"cpu": "100m", "memory": "50Mi"}}}))
    ready(k, "elastic")
    patch = ('{"spec":{"containers":[{"name":"main","resources":{"limits":{"cpu":"300m","memory":"80Mi"},'
             '"requests":{"cpu":"300m","memory":"80Mi"}}}]}}')
    k("patch", "pod", "elastic", "--subresource=resize", "--patch", patch)
    place = "/sys/fs/cgroup/memory.max" if cgroups.is_unified() else "/sys/fs/cgroup/memory/memory.limit_in_bytes"
    eventually(lambda: k("exec", "elastic", "--", "cat", place).strip() == str(80 << 20))
    assert k.get("pod", "elastic")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_top_reads_the_cgroups(k: Kubectl) -> None:
    k("create", "-f", "-", stdin=pod("eater", busybox("x=$(head -c 20000000 /dev/zero | tr '\\0' a); sleep 1000; :")))
    ready(k, "eater")
    eventually(lambda: re.search(r"eater +\d+m +(1[5-9]|[2-9]\d)Mi", k.run("top", "pod").stdout), 60)


# Privileges.


def test_who_a_container_is_and_what_it_may_do(k: Kubectl) -> None:
    said = run(k, "user", "id; grep CapEff /proc/self/status; touch /x 2>&1", container={"securityContext": {
        "runAsUser": 1234, "runAsGroup": 5678, "readOnlyRootFilesystem": True}}, securityContext={"fsGroup": 99})
    assert "uid=1234 gid=5678 groups=99,5678" in said or "uid=1234 gid=5678 groups=99" in said
    assert "CapEff:\t0000000000000000" in said
    assert "Read-only file system" in said


def test_capabilities_are_dropped_and_added(k: Kubectl) -> None:
    tried = "chown 1 /tmp 2>&1 && echo owned; hostname other 2>&1 && echo renamed; grep NoNewPrivs /proc/self/status"
    assert "owned" in run(k, "usual", tried)
    said = run(k, "other", tried, container={"securityContext": {
        "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "allowPrivilegeEscalation": False}})
    assert "owned" not in said
    assert "renamed" in said
    assert "NoNewPrivs:\t1" in said


def test_a_privileged_container_has_the_machines_devices_and_the_default_profile_forbids(k: Kubectl) -> None:
    assert "loop-control" in run(k, "mighty", "ls /dev; sysctl -w kernel.msgmax=8192",
                                 container={"securityContext": {"privileged": True}}) or os.path.exists("/dev/null")
    said = run(k, "meek", "unshare -m true 2>&1; echo $?", container={"securityContext": {
        "capabilities": {"add": ["SYS_ADMIN"]}, "seccompProfile": {"type": "RuntimeDefault"}}})
    assert "not permitted" in said.lower()


# Files.


def test_volumes_of_all_kinds_and_files_of_its_own(k: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "greeting").write_text("from the host\n")
    k("create", "configmap", "settings", "--from-literal=colour=blue")
    volumes = [{"name": "host", "hostPath": {"path": str(tmp_path)}}, {"name": "scratch", "emptyDir": {}},
               {"name": "memory", "emptyDir": {"medium": "Memory"}},
               {"name": "settings", "configMap": {"name": "settings"}}]
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}", "readOnly": v["name"] == "host"} for v in volumes]
    said = run(k, "files", "cat /host/greeting /settings/colour; echo; echo x > /host/y 2>&1; df /memory | tail -1; "
               "echo kept > /scratch/a && cat /scratch/a; cat /etc/hostname; ls /home /root /var/lib 2>&1",
               container={"volumeMounts": mounts}, volumes=volumes)
    assert said.startswith("from the host\nblue\n")
    assert "ead-only file system" in said
    assert re.search(r"^(tmpfs|shm) ", said, re.M)
    assert "kept\nfiles" in said


# Networks.


def test_low_ports_addresses_names_and_policies(k: Kubectl) -> None:
    k("create", "-f", "-", stdin=deployment("web", 3, {"name": "main", "image": "nginx"}))
    k("expose", "deployment", "web", "--port=80")
    k("rollout", "status", "deployment/web", "--timeout=60s")
    k("create", "-f", "-", stdin=pod("client", SLEEP))
    ready(k, "client")
    addresses = [p["status"]["podIP"] for p in k.get("pods", "-l", "app=web")["items"]]
    for target in (*addresses, "web", f"web.{k.namespace}.svc"):
        assert "Welcome" in k("exec", "client", "--", "wget", "-qO-", "-T2", f"http://{target}/")
    said = k("exec", "client", "--", "nslookup", "kubernetes.default.svc.cluster.local")
    assert "10.96.0.1\n" in said

    def asks(url: str) -> str:
        return k.run("exec", "client", "--", "wget", "-qO-", "-T1", url).stdout

    deny = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}}
    k("create", "-f", "-", stdin=deny)
    eventually(lambda: "Welcome" not in asks("http://web/"))
    k("delete", "networkpolicy", "deny")
    eventually(lambda: "Welcome" in asks("http://web/"))


def test_the_api_server_can_be_reached_with_the_pods_own_token(k: Kubectl) -> None:
    script = ("import ssl, urllib.request as u\n"
              "d = '/var/run/secrets/kubernetes.io/serviceaccount/'\n"
              "c = ssl.create_default_context(cafile=d + 'ca.crt')\n"
              "r = u.Request('https://kubernetes.default.svc/api', headers={'Authorization': 'Bearer ' + open(d + "
              "'token').read()})\n"
              "print(u.urlopen(r, context=c).status, flush=True)\n")
    python = {"name": "main", "image": "python", "command": ["python3", "-c", script]}
    assert run(k, "asks", "", container=python) == "200"


def test_the_nodes_network_and_a_port_of_the_node(k: Kubectl) -> None:
    k("create", "-f", "-", stdin=pod("onnode", {**SLEEP}, hostNetwork=True))
    ready(k, "onnode")
    status = k.get("pod", "onnode")["status"]
    assert status["podIP"] == status["hostIP"]
    assert "cni0" in k("exec", "onnode", "--", "ip", "link")
    server = {"name": "main", "image": "nginx", "ports": [{"containerPort": 80, "hostPort": 8888}]}
    k("create", "-f", "-", stdin=pod("served", server))
    ready(k, "served")
    node = k.get("pod", "served")["status"]["hostIP"]
    k("create", "-f", "-", stdin=pod("client", SLEEP))
    ready(k, "client")
    eventually(lambda: "Welcome" in k.run("exec", "client", "--", "wget", "-qO-", "-T2", f"http://{node}:8888/").stdout)


# Images.


def test_pull_policies_and_what_an_unknown_image_says(k: Kubectl) -> None:
    k("create", "-f", "-", stdin=pod("never", {**SLEEP, "image": "nats:2", "imagePullPolicy": "Never"}))
    k("create", "-f", "-", stdin=pod("unknown", {**SLEEP, "image": "nowhere/nothing:1"}))

    def waiting(name: str) -> dict[str, str]:
        statuses = k.get("pod", name)["status"].get("containerStatuses") or [{}]
        return statuses[0].get("state", {}).get("waiting") or {}

    eventually(lambda: waiting("never").get("reason") == "ErrImageNeverPull")
    eventually(lambda: waiting("unknown").get("reason") in ("ErrImagePull", "ImagePullBackOff"))
    assert "busybox" in waiting("unknown")["message"]


# Crashes.


def test_pods_outlive_a_kill_9_of_the_cluster_process(real: EmbeddedCluster, k: Kubectl) -> None:
    k("create", "-f", "-", stdin=pod("stays", SLEEP))
    ready(k, "stays")
    before = k.get("pod", "stays")["status"]
    os.kill(real.status().pid, signal.SIGKILL)
    eventually(lambda: not real.directory.is_running())
    real.start()
    after = k.get("pod", "stays")["status"]
    same = ("podIP", "startTime")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    [was], [now] = before["containerStatuses"], after["containerStatuses"]
    assert (now["containerID"], now["restartCount"]) == (was["containerID"], 0)
    assert k("exec", "stays", "--", "echo", "still here") == "still here\n"


def test_a_killed_runtime_daemon_is_replaced_and_its_pods_start_again(real: EmbeddedCluster, k: Kubectl) -> None:
    k("create", "-f", "-", stdin=pod("again", {**SLEEP}))
    ready(k, "again")
    address = k.get("pod", "again")["status"]["podIP"]
    os.kill(real.directory.read_state()["helpers"]["runtime"], signal.SIGKILL)
    eventually(lambda: k.get("pod", "again")["status"]["containerStatuses"][0]["restartCount"] == 1, 60)
    ready(k, "again")
    assert k.get("pod", "again")["status"]["podIP"] == address
    eventually(lambda: "10.96.0.1\n" in k.run("exec", "again", "--", "nslookup",
                                              "kubernetes.default.svc.cluster.local").stdout)
