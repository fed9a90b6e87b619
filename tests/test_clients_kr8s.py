"""kr8s, the Python client on httpx, unmodified: lists, watches, patches, scaling, exec, logs, port-forward."""

from __future__ import annotations

import time
from typing import Any

import httpx
import kr8s
import pytest
from kr8s.objects import ConfigMap, Deployment, Namespace, Pod, Service, new_class
from support import SIMULATED, Kubectl, busybox, deployment, eventually, pod

SLEEP = busybox("sleep 600")


@pytest.fixture
def api(kubectl: Kubectl) -> Any:
    return kr8s.api(kubeconfig=str(kubectl.kubeconfig), namespace=kubectl.namespace)


def test_it_knows_the_server(api: Any) -> None:
    assert api.version()["minor"] == "36"
    assert {"pods", "deployments"} <= {each["name"] for each in api.api_resources()}
    assert api.whoami() == "kubernetes-admin"


def test_it_creates_reads_patches_and_deletes(api: Any) -> None:
    settings = ConfigMap({"metadata": {"name": "settings", "namespace": api.namespace}, "data": {"a": "1"}}, api=api)
    settings.create()
    assert settings.exists()
    settings.patch({"data": {"b": "2"}})
    settings.label({"tier": "front"})
    settings.annotate({"note": "hello"})
    again = ConfigMap.get("settings", namespace=api.namespace, api=api)
    assert (again.data.to_dict(), again.labels.to_dict()["tier"]) == ({"a": "1", "b": "2"}, "front")
    settings.patch([{"op": "remove", "path": "/data/a"}], type="json")
    assert settings.data.to_dict() == {"b": "2"}
    settings.delete()
    eventually(lambda: not settings.exists())


def test_it_selects_by_label_and_field(api: Any) -> None:
    for name, tier in (("a", "front"), ("b", "back")):
        ConfigMap({"metadata": {"name": name, "namespace": api.namespace, "labels": {"tier": tier}}}, api=api).create()
    assert [each.name for each in api.get("configmaps", label_selector={"tier": "back"})] == ["b"]
    assert [each.name for each in api.get("configmaps", field_selector="metadata.name=a")] == ["a"]


def test_it_scales_a_deployment_and_waits_for_it(api: Any) -> None:
    web = Deployment(deployment("web", 1, SLEEP, **SIMULATED), namespace=api.namespace, api=api)
    web.create()
    web.wait("condition=Available", timeout=30)
    web.scale(3)
    eventually(lambda: (web.refresh(), web.ready())[1])
    assert len(web.pods()) == 3
    assert web.replicas == 3


def test_it_watches(api: Any) -> None:
    seen: list[tuple[str, str]] = []
    ConfigMap({"metadata": {"name": "before", "namespace": api.namespace}}, api=api).create()
    for event, found in api.watch("configmaps"):
        seen.append((event, found.name))
        if (event, found.name) == ("ADDED", "before"):
            ConfigMap({"metadata": {"name": "after", "namespace": api.namespace}}, api=api).create()
        if ("ADDED", "after") in seen and event == "ADDED" and found.name == "after":
            found.delete()
        if (event, found.name) == ("DELETED", "after"):
            break
    assert [each for each in seen if each[1] == "after"] == [("ADDED", "after"), ("DELETED", "after")]


def test_it_runs_a_pod_reads_its_log_and_executes(api: Any) -> None:
    web = Pod(pod("web", busybox("echo hello; sleep 600")), namespace=api.namespace, api=api)
    web.create()
    web.wait("condition=Ready", timeout=60)
    eventually(lambda: list(web.logs()) == ["hello"])
    answer = web.exec(["sh", "-c", "echo out; echo err >&2"])  # kr8s 0.20 speaks v4 only, which cannot end stdin
    assert (answer.stdout, answer.stderr) == (b"out\n", b"err\n")
    assert web.exec(["sh", "-c", "exit 3"], check=False).returncode == 3


def test_it_forwards_a_port_to_a_service(api: Any) -> None:
    echo = {"name": "main", "image": "kit/echo", "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}
    web = Deployment(deployment("web", 1, echo), namespace=api.namespace, api=api)
    web.create()
    web.wait("condition=Available", timeout=60)
    service = Service({"metadata": {"name": "web", "namespace": api.namespace},
                       "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}, api=api)
    service.create()
    eventually(service.ready_pods)
    with service.portforward(remote_port=8080) as port:
        assert "web-" in httpx.get(f"http://127.0.0.1:{port}/", timeout=10).text


def test_it_serves_custom_kinds(api: Any, kubectl: Kubectl) -> None:
    group = f"{kubectl.namespace}.example"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    kubectl("create", "-f", "-", stdin={
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"ships.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "ships", "kind": "Ship"},
                 "versions": [{"name": "v1", "served": True, "storage": True,
                               "schema": {"openAPIV3Schema": schema}}]}})
    try:
        kubectl("wait", f"crd/ships.{group}", "--for=condition=Established", "--timeout=30s")
        ship = new_class(kind="Ship", version=f"{group}/v1", namespaced=True)
        made = ship({"metadata": {"name": "argo", "namespace": api.namespace}, "spec": {"crew": 50}}, api=api)
        made.create()
        assert [each.spec.crew for each in api.get(f"ships.{group}")] == [50]
    finally:
        kubectl("delete", "crd", f"ships.{group}")


def test_a_refusal_is_its_own_exception(api: Any) -> None:
    with pytest.raises(kr8s.NotFoundError):
        Pod.get("nobody", namespace=api.namespace, api=api)
    wrong = Pod({"metadata": {"name": "No Name", "namespace": api.namespace}, "spec": {"containers": [SLEEP]}}, api=api)
    with pytest.raises(kr8s.ServerError, match=r"metadata\.name"):
        wrong.create()


def test_it_makes_and_removes_a_namespace(api: Any, kubectl: Kubectl) -> None:
    other = Namespace({"metadata": {"name": f"{kubectl.namespace}-kr8s"}}, api=api)
    other.create()
    other.delete()
    began = time.monotonic()
    other.wait("delete", timeout=30)
    assert time.monotonic() - began < 30
    assert not other.exists()
