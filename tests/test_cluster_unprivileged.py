"""Everything works for an ordinary user: no root, no capabilities, no user namespaces.

Two places, as in unprivileged.py: `binder` (Docker's seccomp profile, as on Binder) and `laptop` (a plain host).
"""

from __future__ import annotations

import re
import sys

import pytest
import unprivileged

pytestmark = pytest.mark.needs("docker")

PODS = "tests/test_kubectl_pods.py"
PROCESS = "tests/test_cluster_process.py"
ENDURANCE = "tests/test_node_endurance.py"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("place", ["binder", "laptop"])
def test_pods_and_services_work_as_an_ordinary_user(place: str) -> None:
    done = unprivileged.pytest(place, PODS, "-k", "address_of_its_own or service or exec or exit_code or collide or "
                                                  "configuration")
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout


@pytest.mark.timeout(400)
@pytest.mark.parametrize("place", ["binder", "laptop"])
def test_every_type_and_policy_of_services_works_as_an_ordinary_user(place: str) -> None:
    done = unprivileged.pytest(place, "tests/test_services_types.py", "tests/test_services_policies.py",
                               "tests/test_services_names.py")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "30 passed" in done.stdout


@pytest.mark.timeout(400)
@pytest.mark.parametrize("place", ["binder", "laptop"])
def test_two_clusters_and_kill_9_as_an_ordinary_user(place: str) -> None:
    done = unprivileged.pytest(place, PROCESS, "-k", "two_clusters or kill_9 or survives_its_shell or ready")
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout


@pytest.mark.timeout(400)
@pytest.mark.parametrize("place", ["binder", "laptop"])
def test_nothing_is_lost_or_left_behind_as_an_ordinary_user(place: str) -> None:
    done = unprivileged.pytest(place, ENDURANCE, "tests/test_cluster_power.py", "tests/test_scenarios_real.py")
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout


def test_a_full_disk_is_said_and_survived() -> None:
    done = unprivileged.pytest("binder", "tests/inside_full_disk.py")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "2 passed" in done.stdout


@pytest.mark.parametrize("place", ["binder", "laptop"])
def test_files_are_copied_into_and_out_of_a_pod_as_an_ordinary_user(place: str) -> None:
    done = unprivileged.pytest(place, "tests/test_edge_kubectl.py", "tests/test_kubectl_verbs_streams.py", "-k", "cp_")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "3 passed" in done.stdout


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("place", "which"), [("binder", "dns_trap or first_instruction or udp or closed or label"),
                                              ("laptop", "dns_trap or cidr or traffic")])
def test_network_policies_hold_as_an_ordinary_user(place: str, which: str) -> None:
    done = unprivileged.pytest(place, "tests/test_policy_cluster.py", "tests/test_policy_traffic.py", "-k", which)
    assert done.returncode == 0, done.stdout[-6000:]
    assert re.search(r"[345] passed", done.stdout), done.stdout[-2000:]


_NOT_ENFORCED = """
import os, pathlib, tempfile, time
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings

cluster = EmbeddedCluster(ClusterDir("one", pathlib.Path(tempfile.mkdtemp())))
cluster.start(Settings(nodes=1, ephemeral=True, parent_pid=os.getpid()))
client = cluster.client("test")
client.create("networkpolicies.networking.k8s.io", "default", {
    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
    "spec": {"podSelector": {}}})
for _ in range(500):
    for event in client.list("events", "default")["items"]:
        if event["involvedObject"]["kind"] == "NetworkPolicy":
            raise SystemExit(print(event["type"], event["reason"], event["message"]) or cluster.delete())
    time.sleep(0.02)
"""


def test_a_policy_that_nothing_enforces_says_so() -> None:
    done = unprivileged.run("nothing", [sys.executable, "-c", _NOT_ENFORCED])
    assert done.stdout.startswith("Warning NotEnforced this machine has no seccomp user notification ("), done.stdout
