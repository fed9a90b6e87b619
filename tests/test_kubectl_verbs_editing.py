"""Stock kubectl changes what is there: edit, replace, set, apply's record of itself, patch of a subresource, prune."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import SIMULATED, Kubectl, busybox, deployment, eventually, pod, replica_set

SLEEP = busybox("sleep 600")
CONFIG: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
                          "data": {"colour": "blue"}}


@pytest.fixture
def editor(kubectl: Kubectl, tmp_path: Path) -> Path:
    """$EDITOR is a script that makes `blue` red, and keeps a copy of the file it was given."""
    script, seen = tmp_path / "editor", tmp_path / "seen"
    script.write_text(f'#!/bin/sh\ncp "$1" {seen}\nsed -i s/blue/red/ "$1"\n')
    script.chmod(0o755)
    kubectl.env["EDITOR"] = str(script)
    kubectl.env.pop("KUBE_EDITOR", None)
    return seen


def container_of(kubectl: Kubectl, what: str) -> dict[str, Any]:
    return kubectl.get(what)["spec"]["template"]["spec"]["containers"][0]


def test_edit_opens_an_editor_and_saves(kubectl: Kubectl, editor: Path) -> None:
    kubectl("create", "-f", "-", stdin=CONFIG)
    assert kubectl("edit", "configmap", "settings") == "configmap/settings edited\n"
    assert kubectl.get("configmap", "settings")["data"] == {"colour": "red"}
    assert "# Please edit the object below." in editor.read_text()


def test_edit_without_a_change_is_cancelled(kubectl: Kubectl, editor: Path) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=colour=green")
    before = kubectl.get("configmap", "settings")
    done = kubectl.run("edit", "configmap", "settings")
    assert "Edit cancelled, no changes made." in done.stderr + done.stdout
    assert kubectl.get("configmap", "settings") == before


def test_edit_shows_why_a_change_is_refused(kubectl: Kubectl, editor: Path) -> None:
    kubectl("create", "-f", "-", stdin=CONFIG | {"immutable": True})
    done = kubectl.run("edit", "configmap", "settings")
    assert done.returncode == 1
    assert 'configmaps "settings" is invalid' in done.stderr
    second = editor.read_text()  # kubectl opens it again, with the reason on top
    assert "# configmaps \"settings\" was not valid:" in second
    assert "field is immutable when `immutable` is set" in second
    assert kubectl.get("configmap", "settings")["data"] == {"colour": "blue"}


def test_edit_of_the_status_alone(kubectl: Kubectl, editor: Path) -> None:
    claim = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
             "spec": {"containers": [SLEEP], "nodeSelector": {"no": "such-node"}}}
    kubectl("create", "-f", "-", stdin=claim)
    patch = {"status": {"message": "blue"}}
    kubectl("patch", "pod", "web", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    kubectl("edit", "pod", "web", "--subresource=status")
    assert kubectl.get("pod", "web")["status"]["message"] == "red"


def test_replace_puts_a_new_object_in_the_place(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=CONFIG)
    kubectl("replace", "-f", "-", stdin=CONFIG | {"data": {"size": "big"}})
    assert kubectl.get("configmap", "settings")["data"] == {"size": "big"}


def test_replace_by_force_deletes_and_creates(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", SLEEP, **SIMULATED))
    before = kubectl.get("pod", "web")["metadata"]["uid"]
    other = pod("web", busybox("sleep 700"), **SIMULATED)
    refused = kubectl.run("replace", "-f", "-", stdin=other)
    assert refused.returncode == 1
    assert "pod updates may not change fields other than" in refused.stderr
    kubectl("replace", "--force", "-f", "-", stdin=other)
    assert kubectl.get("pod", "web")["metadata"]["uid"] != before


def test_replace_of_what_is_not_there_is_not_found(kubectl: Kubectl) -> None:
    done = kubectl.run("replace", "-f", "-", stdin=CONFIG)
    assert done.returncode == 1
    assert 'configmaps "settings" not found' in done.stderr


def test_set_image_resources_and_environment(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 1, SLEEP, **SIMULATED))
    kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
    kubectl("set", "image", "deployment/web", "main=busybox:1.36")
    kubectl("set", "resources", "deployment/web", "--limits=cpu=200m,memory=64Mi", "--requests=cpu=100m")
    kubectl("set", "env", "deployment/web", "SIZE=big")
    kubectl("set", "env", "deployment/web", "--from=configmap/settings")
    container = container_of(kubectl, "deployment/web")
    assert container["image"] == "busybox:1.36"
    assert container["resources"] == {"limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "100m"}}
    source = {"configMapKeyRef": {"key": "colour", "name": "settings"}}
    assert container["env"] == [{"name": "SIZE", "value": "big"}, {"name": "COLOUR", "valueFrom": source}]
    assert "SIZE=big" in kubectl("set", "env", "deployment/web", "--list")
    kubectl("set", "env", "deployment/web", "SIZE-")
    assert [each["name"] for each in container_of(kubectl, "deployment/web")["env"]] == ["COLOUR"]


def test_set_serviceaccount_selector_and_subject(kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "-f", "-", stdin=deployment("web", 0, SLEEP))
    kubectl("set", "serviceaccount", "deployment/web", "robot")
    assert kubectl.get("deployment/web")["spec"]["template"]["spec"]["serviceAccountName"] == "robot"
    kubectl("create", "service", "clusterip", "web", "--tcp=80")
    kubectl("set", "selector", "service/web", "app=other")
    assert kubectl.get("service/web")["spec"]["selector"] == {"app": "other"}
    kubectl("create", "rolebinding", "readers", "--clusterrole=view", "--user=anna")
    kubectl("set", "subject", "rolebinding/readers", f"--serviceaccount={kubectl.namespace}:robot")
    assert [each["name"] for each in kubectl.get("rolebinding/readers")["subjects"]] == ["anna", "robot"]


def test_apply_remembers_what_was_applied(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=CONFIG)
    shown = json.loads(kubectl("apply", "view-last-applied", "configmap/settings", "-o", "json"))
    assert shown["data"] == {"colour": "blue"}


def test_the_record_of_apply_can_be_set_and_edited(kubectl: Kubectl, editor: Path, tmp_path: Path) -> None:
    kubectl("create", "-f", "-", stdin=CONFIG)
    manifest = tmp_path / "settings.json"
    manifest.write_text(json.dumps(CONFIG))
    kubectl("apply", "set-last-applied", "--create-annotation", "-f", str(manifest))
    kubectl("apply", "edit-last-applied", "configmap/settings")
    shown = json.loads(kubectl("apply", "view-last-applied", "configmap/settings", "-o", "json"))
    assert shown["data"] == {"colour": "red"}
    assert kubectl.get("configmap", "settings")["data"] == {"colour": "blue"}


def test_apply_prunes_what_the_manifests_no_longer_name(kubectl: Kubectl) -> None:
    def config(name: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": "one"}}}

    both = {"apiVersion": "v1", "kind": "List", "items": [config("a"), config("b")]}
    kubectl("apply", "-f", "-", stdin=both)
    out = kubectl("apply", "--prune", "-l", "set=one", "--prune-allowlist=core/v1/ConfigMap", "-f", "-",
                  stdin=config("a"))
    assert "configmap/b pruned" in out
    assert kubectl("get", "configmap", "-l", "set=one", "-o", "name").split() == ["configmap/a"]


def test_an_apply_set_prunes_by_its_label(kubectl: Kubectl) -> None:
    kubectl.env["KUBECTL_APPLYSET"] = "true"
    manifests = [CONFIG | {"metadata": {"name": name}} for name in ("a", "b")]
    apply = ("apply", "--prune", "--applyset=secrets/parts", "-f", "-")
    kubectl(*apply, stdin="\n---\n".join(map(json.dumps, manifests)))
    assert "configmap/b pruned" in kubectl(*apply, stdin=manifests[0])
    assert kubectl.run("get", "configmap", "b").returncode == 1
    assert "applyset.kubernetes.io/id" in kubectl.get("secret", "parts")["metadata"]["labels"]


def test_diff_by_server_side_apply_changes_nothing(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "-f", "-", stdin=CONFIG)
    assert kubectl.run("diff", "--server-side", "-f", "-", stdin=CONFIG).returncode == 0
    done = kubectl.run("diff", "--server-side", "-f", "-", stdin=CONFIG | {"data": {"colour": "red"}})
    assert done.returncode == 1
    assert "+  colour: red" in done.stdout
    assert kubectl.get("configmap", "settings")["data"] == {"colour": "blue"}


def test_wait_for_something_to_be_created(kubectl: Kubectl) -> None:
    waiting = kubectl.popen("wait", "--for=create", "configmap/later", "--timeout=30s")
    kubectl("create", "configmap", "later")
    out, errors = waiting.communicate(timeout=40)
    assert out == "configmap/later condition met\n", errors


def test_a_whole_directory_is_applied_and_deleted(kubectl: Kubectl, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(CONFIG | {"metadata": {"name": name}}))
    kubectl("apply", "-f", str(tmp_path))
    assert kubectl("get", "configmap", "a", "b", "-o", "name").split() == ["configmap/a", "configmap/b"]
    kubectl("delete", "-f", str(tmp_path))
    assert kubectl.run("get", "configmap", "a", "b").returncode == 1


def test_delete_by_label_and_all_at_once(kubectl: Kubectl) -> None:
    for name in ("a", "b", "c"):
        kubectl("create", "configmap", name)
    kubectl("label", "configmap", "a", "b", "gone=soon")
    kubectl("delete", "configmap", "-l", "gone=soon")
    assert "configmap/c" in kubectl("get", "configmap", "-o", "name").split()
    kubectl("create", "-f", "-", stdin=replica_set("web", 2, SLEEP, **SIMULATED))
    kubectl("delete", "rs,configmaps", "--all")
    eventually(lambda: not kubectl("get", "rs,pods", "-o", "name").split())
    assert "configmap/c" not in kubectl("get", "configmap", "-o", "name").split()


def test_delete_of_nothing_can_be_fine(kubectl: Kubectl) -> None:
    assert kubectl.run("delete", "configmap", "ghost").returncode == 1
    assert kubectl.run("delete", "configmap", "ghost", "--ignore-not-found").returncode == 0


def test_patch_can_add_to_a_list_by_its_merge_key(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 0, SLEEP))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox"}]}}}}
    kubectl("patch", "deployment", "web", "-p", json.dumps(patch))
    containers = kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert sorted(each["name"] for each in containers) == ["main", "side"]


def test_patch_of_the_scale(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 0, SLEEP, **SIMULATED))
    kubectl("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p", '{"spec": {"replicas": 2}}')
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 2


def test_overwriting_a_label_must_be_meant(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings")
    kubectl("label", "configmap", "settings", "tier=front")
    refused = kubectl.run("label", "configmap", "settings", "tier=back")
    assert refused.returncode == 1
    assert "--overwrite is false" in refused.stderr
    kubectl("label", "configmap", "settings", "tier=back", "--overwrite")
    kubectl("annotate", "configmap", "settings", "a=1")
    kubectl("annotate", "configmap", "settings", "a=2", "--overwrite")
    assert kubectl("label", "configmap", "settings", "--list") == "tier=back\n"
    assert kubectl("annotate", "configmap", "settings", "--list") == "a=2\n"


def test_a_rollout_goes_back_to_a_named_revision(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 1, SLEEP, **SIMULATED))
    for tag in ("1", "2"):
        kubectl("set", "image", "deployment/web", f"main=busybox:{tag}")
        kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    shown = kubectl("rollout", "history", "deployment/web", "--revision=2")
    assert "busybox:1" in shown
    kubectl("rollout", "undo", "deployment/web", "--to-revision=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert container_of(kubectl, "deployment/web")["image"] == "busybox:1"


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
def test_rollouts_of_the_other_workloads(kubectl: Kubectl, kind: str) -> None:
    manifest = deployment("web", 2, SLEEP, **SIMULATED) | {"kind": kind}
    if kind == "DaemonSet":
        del manifest["spec"]["replicas"]
    what = f"{kind.lower()}/web"
    kubectl("create", "-f", "-", stdin=manifest)
    kubectl("rollout", "status", what, "--timeout=60s")
    kubectl("set", "image", what, "main=busybox:1.36")
    kubectl("rollout", "status", what, "--timeout=60s")
    assert "REVISION" in kubectl("rollout", "history", what)
    kubectl("rollout", "undo", what)
    kubectl("rollout", "status", what, "--timeout=60s")
    assert container_of(kubectl, what)["image"] == "busybox"
    kubectl("rollout", "restart", what)
    kubectl("rollout", "status", what, "--timeout=60s")
    images = {each["spec"]["containers"][0]["image"] for each in kubectl.get("pods")["items"]}
    assert images == {"busybox"}
