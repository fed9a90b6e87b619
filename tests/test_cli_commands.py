"""The command line: what it prints, on which stream, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from kitlib.cli.main import COMMANDS
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.home import ClusterDir


class Kit:
    """`kit` in an environment of its own."""

    def __init__(self, home: Path, kubeconfig: Path | None = None) -> None:
        self.env = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"} | {"KIT_HOME": str(home)}
        if kubeconfig:
            self.env["KUBECONFIG"] = str(kubeconfig)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "kitlib.cli.main", *arguments], env=self.env, capture_output=True,
                              text=True, check=False, timeout=60)

    def __call__(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    def refusal(self, *arguments: str) -> tuple[int, str]:
        """Exit code and the one sentence on stderr; nothing on stdout, no traceback."""
        done = self.run(*arguments)
        assert done.stdout == ""
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.returncode, done.stderr.strip()


@pytest.fixture
def empty(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


@pytest.fixture
def kit(cluster: EmbeddedCluster, shared_home: Path) -> Kit:
    return Kit(shared_home, cluster.kubeconfig)


def test_help_lists_every_command_and_the_exit_codes(empty: Kit) -> None:
    text = empty("--help")
    assert [name for name in COMMANDS if f"\n    {name} " not in text] == []
    assert "no such cluster, or it is not running" in text


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("kubectl", "test")])
def test_every_command_has_help(empty: Kit, name: str) -> None:
    assert empty(name, "--help").startswith(f"usage: kit {name}")


def test_kit_is_up_before_one_can_blink(empty: Kit) -> None:
    empty("status", "--help")
    began = time.perf_counter()
    empty("status", "--help")
    assert time.perf_counter() - began < 0.5


def test_an_unknown_command_is_a_usage_error(empty: Kit) -> None:
    done = empty.run("frobnicate")
    assert done.returncode == 2
    assert "frobnicate" in done.stderr


@pytest.mark.parametrize("command", [("status",), ("env",), ("down",), ("kubectl", "get", "pods"), ("pause", "x")])
def test_without_a_cluster_the_sentence_says_how_to_make_one(empty: Kit, command: tuple[str, ...]) -> None:
    code, sentence = empty.refusal(*command)
    assert code == 3
    assert "kit up" in sentence


def test_a_name_that_does_not_exist_is_exit_code_3(kit: Kit) -> None:
    code, sentence = kit.refusal("status", "--name", "nobody")
    assert code == 3
    assert "shared" in sentence


def test_a_name_that_cannot_be_is_a_usage_error(empty: Kit) -> None:
    assert empty.refusal("up", "--name", "../etc")[0] == 2


def test_a_whole_life(empty: Kit, tmp_path: Path) -> None:
    try:
        up = empty("up", "--nodes", "1")
        assert up.startswith('Cluster "default" is up in')
        assert f"export KUBECONFIG={tmp_path}/clusters/default/kubeconfig" in up
        assert "is up already" in empty("up")
        assert empty("env") == f"export KUBECONFIG={tmp_path}/clusters/default/kubeconfig\n"
        status = empty.json("status")
        assert (status["name"], status["backend"], status["running"]) == ("default", "embedded", True)
        assert "running" in empty("status")
        assert empty("down") == 'Cluster "default" stopped.\n'
        assert empty.run("status").returncode == 3
        assert empty("down", "--delete") == 'Cluster "default" was not running and deleted.\n'
        assert not (tmp_path / "clusters" / "default").exists()
    finally:
        empty.run("down", "--delete")


def test_status_has_what_a_program_needs(kit: Kit, cluster: EmbeddedCluster) -> None:
    status = kit.json("status")
    assert set(status) >= {"name", "backend", "pid", "server", "kubeconfig", "nodes"}
    assert status["kubeconfig"] == str(cluster.kubeconfig)
    assert Path(f"/proc/{status['pid']}").exists()
    assert [node["ready"] for node in status["nodes"]] == [True] * 5


def test_kubectl_is_stock_kubectl_on_this_cluster(kit: Kit) -> None:
    assert "default" in kit("kubectl", "get", "namespaces", "-o", "name")
    assert kit("kubectl", "--name", "shared", "get", "nodes", "-o", "name").count("node/") == 5


def test_kubectls_own_exit_code_and_words_come_through(kit: Kit) -> None:
    done = kit.run("kubectl", "get", "pod", "nobody")
    assert done.returncode == 1
    assert done.stderr == 'Error from server (NotFound): pods "nobody" not found\n'


def test_controllers_can_be_listed_paused_stepped_and_resumed(kit: Kit) -> None:
    names = {c["name"] for c in kit.json("pause")}
    assert {"replicaset", "deployment"} <= names
    manifest = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "stepped"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "stepped"}}, "template": {
            "metadata": {"labels": {"app": "stepped"}},
            "spec": {"containers": [{"name": "main", "image": "busybox"}], "nodeSelector": {"no": "such-node"}}}}}
    try:
        assert kit("pause", "replicaset") == "replicaset is paused\n"
        subprocess.run([sys.executable, "-m", "kitlib.cli.main", "kubectl", "apply", "-f", "-"], env=kit.env,
                       input=json.dumps(manifest), text=True, check=True, capture_output=True)
        time.sleep(0.3)
        assert kit("kubectl", "get", "pods", "-l", "app=stepped", "-o", "name") == ""
        text = kit("step", "replicaset")
        assert "replicaset default/stepped" in text
        assert "create pods" in text
        assert kit("kubectl", "get", "pods", "-l", "app=stepped", "-o", "name").count("pod/") == 1
    finally:
        kit("resume", "replicaset")
        kit("kubectl", "delete", "rs", "stepped")


def test_an_unknown_controller_lists_those_there_are(kit: Kit) -> None:
    code, sentence = kit.refusal("pause", "nobody")
    assert code == 1
    assert "replicaset" in sentence


def test_flow_tells_who_did_what(kit: Kit) -> None:
    kit("kubectl", "create", "deployment", "flowing", "--image=busybox", "--replicas=2")
    try:
        kit("kubectl", "rollout", "status", "deployment/flowing", "--timeout=30s")
    except AssertionError:  # busybox without a command ends at once: the story is told all the same
        time.sleep(1)
    found = kit.json("flow", "deploy/flowing")
    kit("kubectl", "delete", "deployment", "flowing")
    assert {"kube-controller-manager", "kube-scheduler", "kubelet"} <= {step["lane"] for step in found["steps"]}


def test_flow_draws_a_picture(kit: Kit, tmp_path: Path) -> None:
    import xml.etree.ElementTree as ET

    kit("kubectl", "create", "configmap", "drawn")
    kit("flow", "cm/drawn", "--svg", str(tmp_path / "flow.svg"))
    kit("kubectl", "delete", "configmap", "drawn")
    assert ET.parse(tmp_path / "flow.svg").getroot().tag.endswith("svg")


def test_doctor_names_every_tool_and_what_it_costs_to_lack_it(empty: Kit) -> None:
    findings = empty.json("doctor")
    assert {"machine", "python", "KIT_HOME", "kubectl", "seccomp notification", "namespaces"} <= {
        finding["name"] for finding in findings}
    assert [f["name"] for f in findings if not f["ok"] and not f["cost"]] == []
    assert "kubectl" in empty("doctor")


def test_doctor_notices_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    findings = {f["name"]: f for f in Kit(tmp_path / "file" / "home").json("doctor")}
    assert not findings["KIT_HOME"]["ok"]
    assert "set KIT_HOME" in findings["KIT_HOME"]["cost"]


def test_bench_knows_its_parts(empty: Kit) -> None:
    assert empty.refusal("bench", "nothing") == (
        2, "kit: there is no part nothing; there is: up, scale, check, api, node, rules, images.")


def test_the_kubeconfig_merges_with_others(kit: Kit, cluster: EmbeddedCluster, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "prod", "contexts": [
        {"name": "prod", "context": {"cluster": "prod", "user": "prod"}}]}))
    kit.env["KUBECONFIG"] = f"{cluster.kubeconfig}:{other}"
    contexts = subprocess.run([Path(sys.executable).with_name("kubectl"), "config", "get-contexts", "-o", "name"],
                              env=kit.env, capture_output=True, text=True, check=True).stdout.split()
    assert contexts == ["kit-shared", "prod"]


def test_a_bug_in_kit_is_one_sentence_too(empty: Kit, tmp_path: Path) -> None:
    empty.env["PYTHONPATH"] = str(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(
        "import kitlib.cluster.find as f\ndef broken(name=None): raise ZeroDivisionError('oops')\nf.find = broken\n")
    code, sentence = empty.refusal("env")
    assert (code, sentence) == (70, "kit: this is a bug in kit: ZeroDivisionError: oops (KIT_DEBUG=1 shows where)")
    empty.env["KIT_DEBUG"] = "1"
    assert "Traceback" in empty.run("env").stderr


@pytest.mark.parametrize("command", [("rules",), ("walk", "web"), ("policy",), ("flow", "rs/web"), ("timeline", "web")],
                         ids=lambda command: command[0])
def test_a_cluster_that_never_came_up_is_no_bug_in_kit(empty: Kit, tmp_path: Path, command: tuple[str, ...]) -> None:
    made = ClusterDir("late", tmp_path)
    made.create()
    made.config.write_text("{}")
    empty.env["KUBECONFIG"] = str(made.kubeconfig)  # `eval "$(kit env)"` has said so, and nobody has written it yet
    assert empty.refusal(*command, "--name", "late") == empty.refusal(*command)
    code, sentence = empty.refusal(*command)
    assert (code, sentence) == (3, 'kit: Cluster "late" is not running; `kit up --name late` starts it.')
