"""Installing the ingress controller: when the cluster does it by itself, when it must not, and `kit ingress`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import Kubectl, eventually

from kitlib.cli.main import main
from kitlib.client.actions import Create, Emit
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.ingress import gateway_api
from kitlib.cluster.ingress.addon import IngressAddon
from kitlib.cluster.ingress.install import INGRESS_CLASS, install, manifests
from kitlib.cluster.interface import Settings

INGRESS: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
    "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}}


@pytest.mark.parametrize(("spec", "classes", "deployments", "starts"), [
    ({"ingressClassName": "traefik"}, {"traefik": INGRESS_CLASS}, {}, True),
    ({"ingressClassName": "traefik"}, {"traefik": INGRESS_CLASS}, {"traefik/traefik": {"kind": "Deployment"}}, False),
    ({"ingressClassName": "traefik"}, {}, {}, False),
    ({"ingressClassName": "traefik"}, {"traefik": {"metadata": {"name": "traefik"}}}, {}, False),
    ({"ingressClassName": "other"}, {"traefik": INGRESS_CLASS, "other": {"metadata": {"name": "other"}}}, {}, False),
    ({}, {"traefik": INGRESS_CLASS}, {}, False),
], ids=["wanted", "there", "class gone", "class of somebody else", "another class", "no class"])  # fmt: skip
def test_only_a_first_ingress_of_our_class_starts_it(spec: dict[str, Any], classes: dict[str, Any],
                                                     deployments: dict[str, Any], starts: bool) -> None:
    addon = IngressAddon()
    ingress = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    addon._caches = {addon.resource: {"default/web": ingress}, addon.reads[0]: classes,
                     addon.reads[1]: deployments}  # type: ignore[assignment]
    observed = addon.observe("default/web")
    assert (observed is not None) == starts
    if starts:
        first, *rest = addon.diff(observed)
        assert isinstance(first, Emit)
        assert all(isinstance(action, Create) for action in rest)
        assert rest[-1].resource == "deployments.apps"  # type: ignore[union-attr]
    assert addon.observe("default/gone") is None


def test_every_manifest_says_that_it_is_the_kits() -> None:
    assert all(obj["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kit" for obj in manifests())


def kit(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedCluster]:
    monkeypatch.setenv("KIT_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    cluster = EmbeddedCluster(ClusterDir("bare", tmp_path))
    cluster.start(Settings(nodes=1, bare=True, ephemeral=True, parent_pid=os.getpid()))
    yield cluster
    cluster.delete()


def test_a_bare_cluster_has_none_until_it_is_told(bare: EmbeddedCluster, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    kubectl = Kubectl(bare.kubeconfig, "default", tmp_path / "cache")
    kubectl("create", "-f", "-", stdin=INGRESS)
    code, said = kit(capsys, "ingress", "status")
    assert code == 0
    assert "Traefik is not installed: `kit ingress install` does it." in said
    assert "classes: none" in said

    code, said = kit(capsys, "ingress", "install")
    assert code == 0
    assert "Traefik (traefik:v3.7): 1 of 1 Pods ready, at 127." in said
    assert kit(capsys, "ingress", "install")[1].startswith("Everything was there already.")
    kubectl("patch", "ingress", "web", "--type=merge", "-p", '{"spec":{"ingressClassName":"traefik"}}')
    eventually(lambda: kubectl("get", "ingress", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"))
    status = kit(capsys, "ingress", "status")[1]
    assert "classes: traefik (default)" in status
    assert status.splitlines()[-1].split() == ["*", "(default)", "default/web:80", "0", "-", "traefik", "default/web"]

    kubectl("create", "-f", "-", stdin={"apiVersion": f"{gateway_api.GROUP}/v1", "kind": "Gateway",
                                       "metadata": {"name": "mine"}, "spec": {
                                           "gatewayClassName": "traefik",
                                           "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}]}})
    assert kit(capsys, "ingress", "uninstall")[0] == 0
    eventually(lambda: kubectl.run("get", "namespace", "traefik").returncode != 0)
    kinds = kubectl("get", "crd", "-o", "name")
    assert "gateways." in kinds  # somebody's Gateway is left, and so is its kind
    assert "httproutes." not in kinds
    assert kubectl("get", "gateway", "mine", "-o", "name").strip()
    assert "Traefik is not installed" in kit(capsys, "ingress", "status")[1]


def test_a_controller_that_cannot_start_says_why(bare: EmbeddedCluster, capsys: pytest.CaptureFixture[str]) -> None:
    client = bare.client("test")
    install(client)
    broken = {"strategy": {"type": "Recreate", "rollingUpdate": None},
              "template": {"spec": {"containers": [{"name": "traefik", "image": "no/such-image"}]}}}
    client.patch("deployments.apps", "traefik", "traefik", {"spec": broken}, kind="strategic")
    said = eventually(lambda: (text := kit(capsys, "ingress", "status")[1]) and "A Pod waits" in text and text)
    assert "0 of 1 Pods ready" in said
    assert "not found (this cluster runs the images busybox, kit/echo" in said


def test_somebody_elses_class_stays_and_is_said(bare: EmbeddedCluster) -> None:
    client = bare.client("test")
    other = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "spec": {"controller": "k3s.io/own"}}
    client.create("ingressclasses.networking.k8s.io", "", other | {"metadata": {"name": "traefik"}})
    with pytest.raises(KitError, match=r"of somebody else \(k3s.io/own\)"):
        install(client)
    assert client.list("namespaces", None, field_selector="metadata.name=traefik")["items"] == []


def test_another_default_class_stays_the_default(bare: EmbeddedCluster) -> None:
    client = bare.client("test")
    nginx = INGRESS_CLASS | {"metadata": {**INGRESS_CLASS["metadata"], "name": "nginx", "labels": {}}}
    client.create("ingressclasses.networking.k8s.io", "", nginx)
    install(client)
    ours = client.get("ingressclasses.networking.k8s.io", "", "traefik")
    assert not ours["metadata"].get("annotations")


def test_the_manifests_are_what_kubectl_takes(capsys: pytest.CaptureFixture[str], bare: EmbeddedCluster,
                                              tmp_path: Path) -> None:
    code, text = kit(capsys, "ingress", "manifests")
    assert code == 0
    kubectl = Kubectl(bare.kubeconfig, "default", tmp_path / "cache")
    kinds = [obj for obj in yaml.safe_load_all(text) if obj["kind"] == "CustomResourceDefinition"]
    assert len(kinds) == 7
    for kind in kinds:
        kubectl("create", "-f", "-", stdin=kind)
    said = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin="\n---\n".join(
        yaml.safe_dump(obj) for obj in yaml.safe_load_all(text) if obj["kind"] in ("IngressClass", "GatewayClass")))
    assert "gatewayclass.gateway.networking.k8s.io/traefik created (server dry run)" in said
    assert "GatewayClass" in kubectl("explain", "gatewayclass")
