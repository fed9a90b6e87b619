"""Stock kubectl looks: get in all its forms, describe, explain, api-resources, get -w, logs."""

from __future__ import annotations

import json
import re
import time

import pytest
from support import SIMULATED, Kubectl, busybox, eventually, pod, replica_set


def test_get_prints_the_servers_columns(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", busybox("sleep 600"), **SIMULATED))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=30s")
    header, row = kubectl("get", "pods").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == ["web", "1/1", "Running", "0"]


def test_get_wide_shows_address_and_node(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", busybox("sleep 600"), **SIMULATED))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=30s")
    header, row = kubectl("get", "pods", "-o", "wide").splitlines()
    assert header.split()[5:7] == ["IP", "NODE"]
    live = kubectl.get("pod", "web")
    assert row.split()[5:7] == [live["status"]["podIP"], live["spec"]["nodeName"]]


def test_get_nodes_says_ready(kubectl: Kubectl) -> None:
    rows = [row.split() for row in kubectl("get", "nodes", "--no-headers").splitlines()]
    assert [row[1] for row in rows] == ["Ready"] * 5
    assert all(row[4].startswith("v1.36") for row in rows)


def test_simulated_nodes_carry_the_kwok_label(kubectl: Kubectl) -> None:
    assert len(kubectl("get", "nodes", "-l", "type=kwok", "-o", "name").splitlines()) == 2
    assert len(kubectl("get", "nodes", "-l", "type!=kwok", "-o", "name").splitlines()) == 3


@pytest.mark.parametrize(("form", "expected"), [
    ("name", "configmap/settings\n"), ("jsonpath={.data.colour}", "blue"),
    ("go-template={{.data.colour}}", "blue"), ("custom-columns=N:.metadata.name,C:.data.colour",
                                               "N          C\nsettings   blue\n")])
def test_get_in_every_form(kubectl: Kubectl, form: str, expected: str) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
    assert kubectl("get", "configmap", "settings", "-o", form) == expected


def test_get_yaml_can_be_applied_again(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
    text = kubectl("get", "configmap", "settings", "-o", "yaml")
    assert "configmap/settings configured" in kubectl("apply", "-f", "-", stdin=text)
    assert kubectl.get("configmap", "settings")["data"] == {"colour": "blue"}


def test_selectors_by_label_and_field(kubectl: Kubectl) -> None:
    for name, tier in (("a", "front"), ("b", "back"), ("c", "back")):
        kubectl("create", "configmap", name)
        kubectl("label", "configmap", name, f"tier={tier}")
    assert kubectl("get", "cm", "-l", "tier=back", "-o", "name").split() == ["configmap/b", "configmap/c"]
    assert kubectl("get", "cm", "-l", "tier notin (back),tier", "-o", "name").split() == ["configmap/a"]
    assert kubectl("get", "cm", "--field-selector=metadata.name=c", "-o", "name").split() == ["configmap/c"]


def test_several_kinds_at_once_and_all(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=replica_set("web", 1, busybox("sleep 600"), **SIMULATED))
    eventually(lambda: "pod/web-" in kubectl("get", "all"))
    assert "replicaset.apps/web" in kubectl("get", "rs,pods", "-o", "name")


def test_all_namespaces_has_a_column_for_them(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings")
    rows = kubectl("get", "configmaps", "-A").splitlines()
    assert rows[0].split()[:2] == ["NAMESPACE", "NAME"]
    assert [kubectl.namespace, "settings"] in [row.split()[:2] for row in rows]


def test_what_is_not_there_is_not_found(kubectl: Kubectl) -> None:
    done = kubectl.run("get", "pod", "nobody")
    assert done.returncode == 1
    assert done.stderr == 'Error from server (NotFound): pods "nobody" not found\n'


def test_an_unknown_kind_is_named(kubectl: Kubectl) -> None:
    done = kubectl.run("get", "sprockets")
    assert done.returncode == 1
    assert 'the server doesn\'t have a resource type "sprockets"' in done.stderr


def test_describe_shows_events_of_the_object(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=replica_set("web", 2, busybox("sleep 600"), **SIMULATED))
    eventually(lambda: kubectl("describe", "rs", "web").count("SuccessfulCreate") == 2)
    text = kubectl("describe", "rs", "web")
    assert re.search(r"Replicas:\s+2 current / 2 desired", text)
    assert "replicaset-controller" in text


@pytest.mark.parametrize("kind", ["node", "namespace", "service", "pod"])
def test_describe_works_for_each_kind(kubectl: Kubectl, kind: str) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", busybox("sleep 600"), **SIMULATED))
    kubectl("expose", "pod", "web", "--port=80")
    text = kubectl("describe", kind)
    assert text.startswith("Name:")
    assert "<unknown>" not in text.split("Events:")[0]


def test_explain_tells_a_field_with_its_type(kubectl: Kubectl) -> None:
    text = kubectl("explain", "replicaset.spec.replicas")
    assert "KIND:       ReplicaSet" in text
    assert "FIELD: replicas <integer>" in text
    assert len(text.split("DESCRIPTION:")[1].strip()) > 20


def test_explain_recursive_lists_the_tree(kubectl: Kubectl) -> None:
    text = kubectl("explain", "pod.spec.containers", "--recursive")
    assert "readinessProbe\t<Probe>" in text
    assert "periodSeconds\t<integer>" in text


def test_api_resources_have_short_names_and_verbs(kubectl: Kubectl) -> None:
    rows = [row.split() for row in kubectl("api-resources", "-o", "wide").splitlines()]
    assert next(row for row in rows if row[0] == "replicasets")[1:5] == ["rs", "apps/v1", "true", "ReplicaSet"]
    pods = next(row for row in rows if row[:2] == ["pods", "po"])
    assert {"get", "list", "watch", "create", "update", "patch", "delete"} <= set(pods[5].split(","))


def test_version_answers(kubectl: Kubectl) -> None:
    found = json.loads(kubectl("version", "-o", "json"))
    assert found["serverVersion"]["minor"] == "36"


def test_watching_shows_every_step_as_it_happens(kubectl: Kubectl) -> None:
    watcher = kubectl.popen("get", "configmaps", "-w", "--output-watch-events", "--no-headers")
    try:
        time.sleep(0.7)  # kubectl has no way to say that it watches now
        kubectl("create", "configmap", "seen")
        kubectl("label", "configmap", "seen", "step=two")
        kubectl("delete", "configmap", "seen")
        eventually(lambda: kubectl.run("get", "configmap", "seen").returncode == 1)
        time.sleep(0.3)
    finally:
        watcher.terminate()
        out, _ = watcher.communicate(timeout=10)
    steps = [line.split()[0] for line in out.splitlines() if "seen" in line]
    assert steps == ["ADDED", "MODIFIED", "DELETED"]


def test_logs_of_a_real_container(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("talker", busybox("echo one; echo two >&2; echo three; sleep 600")))
    eventually(lambda: "three" in kubectl.run("logs", "talker").stdout)
    assert sorted(kubectl("logs", "talker").split()) == ["one", "three", "two"]
    assert len(kubectl("logs", "talker", "--tail=1").splitlines()) == 1
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z ", kubectl("logs", "talker", "--timestamps"))


def test_logs_can_be_followed_until_the_container_ends(kubectl: Kubectl) -> None:
    container = busybox("for i in 1 2 3; do echo line $i; sleep 0.2; done")
    kubectl("create", "-f", "-", stdin=pod("counter", container, restartPolicy="Never"))
    eventually(lambda: kubectl.run("logs", "counter").returncode == 0)
    assert kubectl("logs", "-f", "counter", timeout=30).splitlines() == ["line 1", "line 2", "line 3"]


def test_logs_of_the_container_before(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("crasher", busybox("echo once; exit 3")))
    eventually(lambda: "once" in kubectl.run("logs", "crasher", "--previous").stdout)
