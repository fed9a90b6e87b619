"""Stock kubectl changes things: create, apply, edit by patch, scale, rollout, wait, delete."""

from __future__ import annotations

import json

import pytest
from support import SIMULATED, Kubectl, busybox, deployment, eventually, pod, replica_set

SLEEP = busybox("sleep 600")


def test_create_the_same_twice_already_exists(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings")
    done = kubectl.run("create", "configmap", "settings")
    assert done.returncode == 1
    assert 'configmaps "settings" already exists' in done.stderr


@pytest.mark.parametrize("arguments", [
    ("deployment", "web", "--image=busybox"), ("secret", "generic", "web", "--from-literal=a=b"),
    ("serviceaccount", "web"), ("service", "clusterip", "web", "--tcp=80:8080")])
def test_create_from_arguments(kubectl: Kubectl, arguments: tuple[str, ...]) -> None:
    assert "created" in kubectl("create", *arguments)
    assert kubectl("get", arguments[0], "web", "-o", "jsonpath={.metadata.name}") == "web"


@pytest.mark.parametrize("mode", ["--server-side=false", "--server-side"])
def test_apply_creates_changes_and_leaves_alone(kubectl: Kubectl, mode: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
                "data": {"colour": "blue", "size": "big"}}
    kubectl("apply", mode, "-f", "-", stdin=manifest)
    first = kubectl.get("configmap", "settings")
    kubectl("apply", mode, "-f", "-", stdin=manifest)
    assert kubectl.get("configmap", "settings")["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    kubectl("apply", mode, "-f", "-", stdin={**manifest, "data": {"colour": "red"}})
    assert kubectl.get("configmap", "settings")["data"] == {"colour": "red"}


def test_apply_keeps_what_another_one_wrote(kubectl: Kubectl) -> None:
    manifest = deployment("web", 1, SLEEP, **SIMULATED)
    del manifest["spec"]["replicas"]
    kubectl("apply", "-f", "-", stdin=manifest)
    kubectl("scale", "deployment/web", "--replicas=3")
    kubectl("apply", "-f", "-", stdin=manifest)
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 3


def test_server_side_apply_names_whom_it_would_overrule(kubectl: Kubectl) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"colour": "blue"}}
    kubectl("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=manifest)
    other = {**manifest, "data": {"colour": "red"}}
    done = kubectl.run("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=other)
    assert done.returncode != 0
    assert 'conflict with "one"' in done.stderr
    assert ".data.colour" in done.stderr
    kubectl("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", stdin=other)
    assert kubectl.get("configmap", "settings")["data"]["colour"] == "red"


def test_diff_shows_what_apply_would_change(kubectl: Kubectl) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"colour": "blue"}}
    kubectl("apply", "-f", "-", stdin=manifest)
    done = kubectl.run("diff", "-f", "-", stdin={**manifest, "data": {"colour": "red"}})
    assert done.returncode == 1
    assert "-  colour: blue" in done.stdout
    assert "+  colour: red" in done.stdout


def test_a_wrong_field_is_refused_with_its_path(kubectl: Kubectl) -> None:
    wrong = pod("web", {**SLEEP, "imagePullPolicy": "Sometimes"})
    done = kubectl.run("create", "-f", "-", stdin=wrong)
    assert done.returncode == 1
    assert "spec.containers[0].imagePullPolicy" in done.stderr
    assert '"Sometimes"' in done.stderr


def test_an_unknown_field_is_refused_by_strict_validation(kubectl: Kubectl) -> None:
    done = kubectl.run("apply", "-f", "-", stdin=pod("web", {**SLEEP, "imagee": "x"}))
    assert done.returncode == 1
    assert 'unknown field "spec.containers[0].imagee"' in done.stderr


def test_a_dry_run_writes_nothing(kubectl: Kubectl) -> None:
    assert "dry run" in kubectl("create", "configmap", "ghost", "--dry-run=server")
    assert kubectl.run("get", "configmap", "ghost").returncode == 1


@pytest.mark.parametrize(("kind", "patch"), [
    ("merge", '{"data": {"colour": "red"}}'), ("strategic", '{"data": {"colour": "red"}}'),
    ("json", '[{"op": "replace", "path": "/data/colour", "value": "red"}]')])
def test_patch_in_each_kind(kubectl: Kubectl, kind: str, patch: str) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=colour=blue", "--from-literal=size=big")
    kubectl("patch", "configmap", "settings", f"--type={kind}", "-p", patch)
    assert kubectl.get("configmap", "settings")["data"] == {"colour": "red", "size": "big"}


def test_label_and_annotate(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings")
    kubectl("label", "configmap", "settings", "tier=front")
    kubectl("annotate", "configmap", "settings", "note=hello")
    kubectl("label", "configmap", "settings", "tier-")
    meta = kubectl.get("configmap", "settings")["metadata"]
    assert (meta.get("labels"), meta["annotations"]) == (None, {"note": "hello"})


def test_a_stale_replace_is_a_conflict(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings")
    old = kubectl.get("configmap", "settings")
    kubectl("label", "configmap", "settings", "tier=front")
    done = kubectl.run("replace", "-f", "-", stdin=old)
    assert done.returncode == 1
    assert "the object has been modified" in done.stderr


def test_scale_a_replicaset_up_and_down(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=replica_set("web", 1, SLEEP, **SIMULATED))
    for wanted in (5, 2):
        kubectl("scale", "rs/web", f"--replicas={wanted}")
        eventually(lambda w=wanted: len(kubectl("get", "pods", "-o", "name").split()) == w)
        eventually(lambda w=wanted: kubectl.get("rs", "web")["status"].get("readyReplicas") == w)


def test_scale_only_if_it_is_as_expected(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 1, SLEEP, **SIMULATED))
    assert kubectl.run("scale", "deployment/web", "--current-replicas=7", "--replicas=2").returncode == 1
    kubectl("scale", "deployment/web", "--current-replicas=1", "--replicas=2")
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 2


def test_a_rollout_ends_undoes_and_has_a_history(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 3, SLEEP, **SIMULATED))
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("set", "image", "deployment/web", "main=busybox:1.36")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert [row.split()[0] for row in kubectl("rollout", "history", "deployment/web").splitlines()[2:] if row] == [
        "1", "2"]
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox"


def test_a_rollout_can_be_restarted(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 2, SLEEP, **SIMULATED))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    before = set(kubectl("get", "pods", "-o", "name").split())
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    eventually(lambda: not before & set(kubectl("get", "pods", "-o", "name").split()))


def test_a_paused_rollout_waits(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 1, SLEEP, **SIMULATED))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("rollout", "pause", "deployment/web")
    kubectl("set", "image", "deployment/web", "main=busybox:1.36")
    eventually(lambda: kubectl.get("deployment", "web")["status"]["observedGeneration"] ==
               kubectl.get("deployment", "web")["metadata"]["generation"])
    assert len(kubectl("get", "rs", "-o", "name").split()) == 1
    kubectl("rollout", "resume", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert len(kubectl("get", "rs", "-o", "name").split()) == 2


def test_wait_for_a_condition_a_value_and_a_deletion(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", SLEEP, **SIMULATED))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=30s")
    kubectl("wait", "pod/web", "--for=jsonpath={.status.phase}=Running", "--timeout=30s")
    kubectl("delete", "pod", "web", "--wait=false")
    kubectl("wait", "pod/web", "--for=delete", "--timeout=30s")
    assert kubectl.run("get", "pod", "web").returncode == 1


def test_wait_gives_up_in_time(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", SLEEP, nodeSelector={"no": "such-node"}))
    done = kubectl.run("wait", "pod/web", "--for=condition=Ready", "--timeout=1s")
    assert done.returncode == 1
    assert "timed out waiting" in done.stderr


def test_deleting_an_owner_takes_what_it_owns(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 2, SLEEP, **SIMULATED))
    eventually(lambda: len(kubectl("get", "pods", "-o", "name").split()) == 2)
    kubectl("delete", "deployment", "web")
    eventually(lambda: not kubectl("get", "rs,pods", "-o", "name").split())


def test_orphans_outlive_their_owner(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=replica_set("web", 2, SLEEP, **SIMULATED))
    eventually(lambda: len(kubectl("get", "pods", "-o", "name").split()) == 2)
    kubectl("delete", "rs", "web", "--cascade=orphan")
    pods = kubectl.get("pods")["items"]
    assert len(pods) == 2
    assert [p["metadata"].get("ownerReferences") for p in pods] == [None, None]


def test_foreground_deletion_ends_the_children_first(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=replica_set("web", 2, SLEEP, **SIMULATED))
    eventually(lambda: len(kubectl("get", "pods", "-o", "name").split()) == 2)
    kubectl("delete", "rs", "web", "--cascade=foreground")
    assert not kubectl("get", "pods", "-o", "name").split()


def test_deleting_a_namespace_empties_it(kubectl: Kubectl) -> None:
    other = kubectl.namespace + "-b"
    kubectl("create", "namespace", other)
    kubectl("create", "configmap", "settings", f"--namespace={other}")
    kubectl("delete", "namespace", other, "--timeout=60s")
    assert kubectl.run("get", "configmap", "settings", f"--namespace={other}").returncode == 1


def test_a_killed_pod_is_replaced(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=replica_set("web", 3, SLEEP, **SIMULATED))
    eventually(lambda: kubectl.get("rs", "web")["status"].get("readyReplicas") == 3)
    before = set(kubectl("get", "pods", "-o", "name").split())
    kubectl("delete", sorted(before)[0])
    eventually(lambda: kubectl.get("rs", "web")["status"].get("readyReplicas") == 3)
    assert len(before & set(kubectl("get", "pods", "-o", "name").split())) == 2


def test_a_relabelled_pod_is_let_go_and_replaced(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=replica_set("web", 2, SLEEP, **SIMULATED))
    eventually(lambda: kubectl.get("rs", "web")["status"].get("readyReplicas") == 2)
    orphan = kubectl("get", "pods", "-o", "name").split()[0]
    kubectl("label", orphan, "app=other", "--overwrite")
    eventually(lambda: len(kubectl("get", "pods", "-o", "name").split()) == 3)
    eventually(lambda: "ownerReferences" not in kubectl.get(orphan)["metadata"])


def test_an_event_can_be_created_and_read(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", SLEEP, **SIMULATED))
    rows = eventually(lambda: [row for row in kubectl("get", "events").splitlines() if "Scheduled" in row])
    assert "pod/web" in rows[0]


def test_a_token_can_be_asked_for_and_used(kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot").strip()
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = json.loads(kubectl("create", "--validate=false", "-f", "-", "-o", "json", stdin=review))
    assert answer["status"]["user"]["username"] == f"system:serviceaccount:{kubectl.namespace}:robot"
