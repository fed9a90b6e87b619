"""Stock kubectl makes things out of arguments: create with all its generators, run, expose, autoscale, kustomize."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import SIMULATED, Kubectl, busybox, deployment, eventually, pod, replica_set

SLEEP = busybox("sleep 600")

# what is created, the field to look at, and what must be there
GENERATORS: list[tuple[tuple[str, ...], str, Any]] = [
    (("configmap", "one", "--from-literal=a=1"), "data", {"a": "1"}),
    (("secret", "generic", "one", "--from-literal=a=1"), "data", {"a": "MQ=="}),
    (("secret", "docker-registry", "one", "--docker-username=a", "--docker-password=b"), "type",
     "kubernetes.io/dockerconfigjson"),
    (("job", "one", "--image=busybox", "--", "true"), "spec.template.spec.restartPolicy", "Never"),
    (("cronjob", "one", "--image=busybox", "--schedule=0 4 * * *"), "spec.schedule", "0 4 * * *"),
    (("ingress", "one", "--rule=host.example/path*=web:80"), "spec.rules.0.http.paths.0.pathType", "Prefix"),
    (("service", "nodeport", "one", "--tcp=80:8080"), "spec.type", "NodePort"),
    (("service", "loadbalancer", "one", "--tcp=80:8080"), "spec.type", "LoadBalancer"),
    (("service", "externalname", "one", "--external-name=example.com"), "spec.externalName", "example.com"),
    (("role", "one", "--verb=get", "--resource=pods,deployments.apps"), "rules.1.apiGroups", ["apps"]),
    (("rolebinding", "one", "--clusterrole=view", "--user=anna"), "roleRef.name", "view"),
    (("quota", "one", "--hard=pods=3"), "spec.hard", {"pods": "3"}),
    (("poddisruptionbudget", "one", "--selector=app=web", "--min-available=1"), "spec.minAvailable", 1),
    (("serviceaccount", "one"), "kind", "ServiceAccount"),
]


def at(obj: Any, path: str) -> Any:
    for key in path.split("."):
        obj = obj[int(key)] if isinstance(obj, list) else obj[key]
    return obj


@pytest.mark.parametrize(("arguments", "path", "expected"), GENERATORS, ids=[" ".join(g[0][:2]) for g in GENERATORS])
def test_create_makes_each_kind(kubectl: Kubectl, arguments: tuple[str, ...], path: str, expected: Any) -> None:
    made = json.loads(kubectl("create", "-o", "json", *arguments))
    assert at(made, path) == expected
    assert kubectl.get(made["kind"], "one")["metadata"]["uid"] == made["metadata"]["uid"]


@pytest.mark.parametrize(("arguments", "path", "expected"), [
    (("clusterrole", "{}", "--verb=list", "--resource=nodes"), "rules.0.resources", ["nodes"]),
    (("clusterrolebinding", "{}", "--clusterrole=view", "--group=guests"), "subjects.0.kind", "Group"),
    (("priorityclass", "{}", "--value=1000"), "value", 1000), (("namespace", "{}"), "status.phase", "Active")])
def test_create_makes_each_kind_without_a_namespace(kubectl: Kubectl, arguments: tuple[str, ...], path: str,
                                                    expected: Any) -> None:
    name = f"{kubectl.namespace}-made"
    made = json.loads(kubectl("create", *(each.format(name) for each in arguments), "-o", "json"))
    try:
        assert at(made, path) == expected
    finally:
        kubectl("delete", arguments[0], name, "--wait=false")


def test_create_a_tls_secret_out_of_files(kubectl: Kubectl, cluster: Any) -> None:
    pki = cluster.directory.pki
    kubectl("create", "secret", "tls", "one", f"--cert={pki / 'admin.crt'}", f"--key={pki / 'admin.key'}")
    assert sorted(kubectl.get("secret", "one")["data"]) == ["tls.crt", "tls.key"]


def test_create_a_job_out_of_a_cronjob(kubectl: Kubectl) -> None:
    kubectl("create", "cronjob", "nightly", "--image=busybox", "--schedule=0 4 * * *", "--", "true")
    made = json.loads(kubectl("create", "job", "now", "--from=cronjob/nightly", "-o", "json"))
    assert made["metadata"]["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual"}
    assert made["metadata"]["ownerReferences"][0]["name"] == "nightly"


def test_a_list_creates_all_its_items(kubectl: Kubectl) -> None:
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in ("a", "b")]
    kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": items})
    assert kubectl("get", "configmap", "a", "b", "-o", "name").split() == ["configmap/a", "configmap/b"]


def test_an_unknown_field_in_a_list_is_found_by_kubectl_itself(kubectl: Kubectl) -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dada": {}}
    done = kubectl.run("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": [item]})
    assert done.returncode == 1
    assert 'unknown field "dada"' in done.stderr


def test_run_starts_a_pod(kubectl: Kubectl) -> None:
    kubectl("run", "web", "--image=busybox", "--labels=tier=front", "--env=A=b", "--port=80", "--command", "--",
            "sleep", "600")
    made = kubectl.get("pod", "web")
    assert made["metadata"]["labels"] == {"tier": "front"}
    container = made["spec"]["containers"][0]
    assert (container["command"], container["env"], container["ports"][0]["containerPort"]) == (
        ["sleep", "600"], [{"name": "A", "value": "b"}], 80)


def test_run_attached_gives_back_the_exit_code(kubectl: Kubectl) -> None:
    done = kubectl.run("run", "once", "--image=busybox", "--rm", "-i", "--restart=Never", "--quiet", "--", "sh", "-c",
                       "read line; echo got $line; exit 3", stdin="hello\n")
    assert (done.stdout, done.returncode) == ("got hello\n", 3)
    assert "couldn't attach" not in done.stderr
    assert kubectl.run("get", "pod", "once").returncode == 1


def test_expose_takes_the_selector_of_what_it_exposes(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 0, SLEEP))
    kubectl("create", "-f", "-", stdin=pod("alone", SLEEP | {"ports": [{"containerPort": 9000}]}, **SIMULATED))
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080", "--name=front", "--type=NodePort")
    kubectl("expose", "pod", "alone")
    front, alone = kubectl.get("service", "front")["spec"], kubectl.get("service", "alone")["spec"]
    assert (front["selector"], front["ports"][0]["targetPort"], front["type"]) == ({"app": "web"}, 8080, "NodePort")
    assert 30000 <= front["ports"][0]["nodePort"] <= 32767
    assert (alone["selector"], alone["ports"][0]["port"]) == ({"app": "alone"}, 9000)


def test_a_service_can_be_exposed_once_more(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=replica_set("web", 0, SLEEP))
    kubectl("expose", "rs", "web", "--port=80")
    kubectl("expose", "service", "web", "--port=8080", "--target-port=80", "--name=again")
    assert kubectl.get("service", "again")["spec"]["selector"] == {"app": "web"}


def test_autoscale_makes_a_horizontal_pod_autoscaler(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 1, SLEEP, **SIMULATED))
    kubectl("autoscale", "deployment", "web", "--min=1", "--max=5", "--cpu=80%")
    made = kubectl.get("hpa", "web")["spec"]
    assert made["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    assert (made["minReplicas"], made["maxReplicas"]) == (1, 5)
    assert made["metrics"] == [{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]
    assert kubectl.get("horizontalpodautoscalers.v1.autoscaling", "web")["spec"]["targetCPUUtilizationPercentage"] == 80
    assert "Deployment/web" in kubectl("get", "hpa")


@pytest.fixture
def kustomization(tmp_path: Path) -> str:
    base, overlay = tmp_path / "base", tmp_path / "overlay"
    for directory in (base, overlay):
        directory.mkdir()
    (base / "deployment.yaml").write_text(json.dumps(deployment("web", 1, SLEEP, **SIMULATED)))
    (base / "kustomization.yaml").write_text("resources: [deployment.yaml]\n")
    (overlay / "kustomization.yaml").write_text(
        "resources: [../base]\nnamePrefix: big-\nreplicas: [{name: web, count: 2}]\n"
        "configMapGenerator: [{name: settings, literals: [colour=blue]}]\n")
    return str(overlay)


def test_kustomize_builds_and_apply_takes_it(kubectl: Kubectl, kustomization: str) -> None:
    assert "name: big-web" in kubectl("kustomize", kustomization)
    kubectl("apply", "-k", kustomization)
    eventually(lambda: len(kubectl("get", "pods", "-o", "name").split()) == 2)
    names = kubectl("get", "configmap", "-o", "name").split()
    assert [name for name in names if name.startswith("configmap/big-settings-")]
    assert kubectl.run("diff", "-k", kustomization).returncode == 0
    kubectl("delete", "-k", kustomization)
    assert kubectl.run("get", "deployment", "big-web").returncode == 1


def test_a_job_runs_to_its_end(kubectl: Kubectl) -> None:
    kubectl("create", "job", "sum", "--image=busybox", "--", "sh", "-c", "echo $((40 + 2))")
    kubectl("wait", "job/sum", "--for=condition=Complete", "--timeout=60s")
    assert kubectl("logs", "job/sum") == "42\n"
