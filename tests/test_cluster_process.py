"""The background process: starting, finding, stopping, dying, and what each failure says."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import pytest
from support import Kubectl, eventually

from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import CannotStart, NoCluster, UsageError
from kitlib.cluster.home import ProcessDir
from kitlib.cluster.interface import Settings
from kitlib.objects.errors import StatusError

Make = Callable[..., EmbeddedCluster]
SMALL = Settings(nodes=1)


def config_map(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def kill(cluster: EmbeddedCluster) -> int:
    pid = cluster.status().pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not cluster.directory.is_running())
    return pid


def test_up_returns_when_all_nodes_are_ready(new_cluster: Make) -> None:
    status = new_cluster().start(Settings(nodes=2, simulated_nodes=1))
    assert status.started
    assert [(node["kind"], node["ready"]) for node in status.nodes] == [
        ("process", True), ("process", True), ("simulated", True)]
    assert status.server.startswith("https://127.0.0.1:")


def test_up_twice_is_harmless(new_cluster: Make) -> None:
    first = new_cluster().start(SMALL)
    again = new_cluster().start(SMALL)
    assert not again.started
    assert (again.pid, again.server) == (first.pid, first.server)


def test_two_ups_at_the_same_moment_start_one_process(new_cluster: Make) -> None:
    clusters, statuses = [new_cluster() for _ in range(4)], []
    threads = [threading.Thread(target=lambda c=c: statuses.append(c.start(SMALL))) for c in clusters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status.started for status in statuses) == [False, False, False, True]
    assert len({status.pid for status in statuses}) == 1


def test_up_with_other_numbers_says_what_to_do(new_cluster: Make) -> None:
    new_cluster().start(SMALL)
    with pytest.raises(UsageError, match=r"running with 1 nodes.*kit down"):
        new_cluster().start(Settings(nodes=2))


def test_the_process_survives_its_shell(new_cluster: Make, tmp_path: Path) -> None:
    """A shell starts it and ends with SIGHUP to its whole session, as a closed terminal does."""
    script = f"KIT_HOME={tmp_path} {sys.executable} -m kitlib.cli.main up --name one --nodes 1; kill -HUP 0"
    subprocess.run(["setsid", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)
    cluster = new_cluster()
    pid = cluster.status().pid
    assert cluster.client().list("nodes")["items"]
    assert os.getsid(pid) != os.getsid(0)
    assert Path(f"/proc/{pid}/fd/0").resolve() == Path("/dev/null")


def test_kubeconfig_is_for_its_owner_only(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    assert stat.S_IMODE(cluster.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(cluster.directory.path.stat().st_mode) == 0o700


def test_down_keeps_what_was_there_and_the_address(new_cluster: Make) -> None:
    cluster = new_cluster()
    before = cluster.start(SMALL)
    cluster.client().create("configmaps", "default", config_map("kept"))
    assert cluster.stop()
    assert not cluster.status().running
    after = cluster.start()
    assert after.server == before.server
    assert cluster.client().get("configmaps", "default", "kept")["metadata"]["name"] == "kept"


def test_down_twice_is_harmless(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    assert cluster.stop()
    assert not cluster.stop()


def test_nothing_acknowledged_is_lost_by_kill_9(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    client, acknowledged, stop = cluster.client(), [], threading.Event()

    def write() -> None:
        for number in range(100_000):
            try:
                acknowledged.append(client.create("configmaps", "default", config_map(f"cm-{number}")))
            except (OSError, HTTPException, StatusError):
                return
            if stop.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: len(acknowledged) > 200)
    kill(cluster)
    stop.set()
    writer.join(20)
    assert not writer.is_alive()

    status = cluster.start()
    assert status.started
    assert any("ended without `kit down`" in note for note in status.notes)
    found = {cm["metadata"]["name"]: cm for cm in cluster.client().list("configmaps", "default")["items"]}
    for obj in acknowledged:
        kept = found[obj["metadata"]["name"]]
        assert (kept["metadata"]["uid"], kept["metadata"]["resourceVersion"]) == (
            obj["metadata"]["uid"], obj["metadata"]["resourceVersion"])


def test_revisions_go_on_after_kill_9(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    before = cluster.client().create("configmaps", "default", config_map("before"))
    kill(cluster)
    cluster.start()
    after = cluster.client().create("configmaps", "default", config_map("after"))
    assert int(after["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])


def test_two_clusters_at_once_do_not_touch_each_other(new_cluster: Make,
                                                      kubectl_of: Callable[[EmbeddedCluster], Kubectl]) -> None:
    one, two = new_cluster("one"), new_cluster("two")
    assert one.start(SMALL).server != two.start(SMALL).server
    one.client().create("configmaps", "default", config_map("only-in-one"))
    assert "only-in-one" in kubectl_of(one)("get", "configmaps")
    assert "only-in-one" not in kubectl_of(two)("get", "configmaps")
    addresses = [c.client().get("services", "default", "kubernetes")["spec"]["clusterIP"] for c in (one, two)]
    assert addresses[0] != addresses[1]
    one.stop()
    assert two.client().list("nodes")["items"]


def test_addresses_that_were_taken_meanwhile_move(new_cluster: Make) -> None:
    from kitlib.network.addresses import lease_slice

    cluster = new_cluster()
    cluster.start(SMALL)
    old = cluster.client().get("services", "default", "kubernetes")["spec"]["clusterIP"]
    cluster.stop()
    taken = lease_slice(int(old.split(".")[1]))
    try:
        status = cluster.start()
        new = cluster.client().get("services", "default", "kubernetes")["spec"]
        assert new["clusterIP"] != old
        assert new["clusterIPs"] == [new["clusterIP"]]
        assert "have moved to" in " ".join(status.notes)
        assert [node["ready"] for node in cluster.status().nodes] == [True]
    finally:
        taken.release()


def test_fewer_nodes_than_last_time_leave_none_behind(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(Settings(nodes=2, simulated_nodes=2))
    cluster.stop()
    cluster.start(Settings(nodes=1, simulated_nodes=1))
    assert [(node["name"], node["ready"]) for node in cluster.status().nodes] == [("node-1", True), ("sim-1", True)]


def test_the_token_of_one_cluster_does_not_open_the_other(new_cluster: Make) -> None:
    from kitlib.client.http import HttpTransport
    from kitlib.client.kubeconfig import Access

    one, two = new_cluster("one"), new_cluster("two")
    one.start(SMALL)
    two.start(SMALL)
    token = one.directory.read_config()["token"]
    transport = HttpTransport(Access(two.server, ca=(two.directory.pki / "ca.crt").read_text(), token=token))
    with pytest.raises(StatusError) as refused:
        transport.request("GET", "/api/v1/nodes")
    assert refused.value.code == 401


def test_an_ephemeral_cluster_ends_with_its_parent_and_leaves_nothing(new_cluster: Make) -> None:
    parent = subprocess.Popen(["sleep", "600"])
    cluster = new_cluster()
    try:
        cluster.start(Settings(nodes=1, ephemeral=True, parent_pid=parent.pid))
        assert not cluster.directory.store.exists()
        assert cluster.client().list("nodes")["items"]
    finally:
        parent.kill()
        parent.wait()
    eventually(lambda: not cluster.directory.path.exists())


def test_an_ephemeral_cluster_is_empty_after_kill_9(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(Settings(nodes=1, ephemeral=True))
    cluster.client().create("configmaps", "default", config_map("gone"))
    kill(cluster)
    cluster.start()
    names = [cm["metadata"]["name"] for cm in cluster.client().list("configmaps", "default")["items"]]
    assert "gone" not in names


def test_a_stale_pid_is_explained_and_nobody_else_is_killed(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    kill(cluster)
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        cluster.directory.pid.write_text(str(bystander.pid))
        status = cluster.status()
        assert not status.running
        assert "ended without `kit down`" in status.notes[0]
        assert not cluster.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_cluster_that_does_not_run_says_how_to_start_it(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    cluster.stop()
    with pytest.raises(NoCluster, match="`kit up --name one` starts it"):
        cluster.client()


def test_a_taken_port_that_was_asked_for_is_one_sentence(new_cluster: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"^Port {port} of 127.0.0.1 is taken by another program; [^\n]*$"):
            new_cluster().start(Settings(nodes=1, port=port))


def test_a_port_that_was_taken_meanwhile_moves_and_the_kubeconfig_with_it(
        new_cluster: Make, kubectl_of: Callable[[EmbeddedCluster], Kubectl]) -> None:
    cluster = new_cluster()
    before = cluster.start(SMALL)
    cluster.stop()
    with socket.create_server(("127.0.0.1", int(before.server.rpartition(":")[2]))):
        after = cluster.start()
        assert after.server != before.server
        assert "is taken" in " ".join(after.notes)
        assert kubectl_of(cluster)("get", "nodes", "-o", "name")


def test_a_damaged_store_is_one_sentence_with_a_remedy(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    cluster.stop()
    size = cluster.directory.store.stat().st_size
    with open(cluster.directory.store, "r+b") as file:
        file.seek(min(4096, size // 2))
        file.write(os.urandom(size - min(4096, size // 2)))
    with pytest.raises(CannotStart, match=r"^[^\n]*store\.db is damaged[^\n]*kit down --delete[^\n]*$"):
        cluster.start()


def test_a_store_that_is_no_database_is_one_sentence(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    cluster.stop()
    for path in cluster.directory.path.glob("store.db*"):
        path.unlink()
    cluster.directory.store.write_text("hello " * 5000)
    with pytest.raises(CannotStart, match=r"^[^\n]*store\.db is damaged[^\n]*$"):
        cluster.start()


def test_another_programs_database_is_not_touched(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.directory.create()
    with sqlite3.connect(cluster.directory.store) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    with pytest.raises(CannotStart, match="not a cluster's store"):
        cluster.start(SMALL)


def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run([sys.executable, "-m", "kitlib.cli.main", "up"], capture_output=True, text=True, check=False,
                          env={**os.environ, "KIT_HOME": str(tmp_path / "file")})
    assert done.returncode == 4
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_crash_while_starting_shows_the_last_words(new_cluster: Make, monkeypatch: pytest.MonkeyPatch,
                                                     tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "uvloop.py").write_text("raise RuntimeError('no loop today')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with pytest.raises(CannotStart, match="no loop today"):
        new_cluster().start(SMALL)


def test_state_is_gone_after_down_and_the_log_is_kept(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    assert json.loads(cluster.directory.state.read_text())["pid"] == cluster.status().pid
    cluster.stop()
    assert not cluster.directory.state.exists()
    assert "ready:" in cluster.directory.log.read_text()


def test_delete_forgets_everything(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    assert cluster.delete()
    assert not cluster.directory.path.exists()
    assert not cluster.delete()


def test_down_is_quick(new_cluster: Make) -> None:
    cluster = new_cluster()
    cluster.start(SMALL)
    began = time.monotonic()
    cluster.stop()
    assert time.monotonic() - began < 5


def test_in_a_home_that_is_a_file_nothing_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    below = ProcessDir(tmp_path / "file" / "engine")
    assert (below.read_state(), below.is_running()) == ({}, False)
