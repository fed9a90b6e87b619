"""Helm v4, by way of helm-sdkpy: installs, upgrades, rolls back and uninstalls the chart in tests/charts."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clients import helm_environment
from support import Kubectl, eventually

HERE = Path(__file__).parent
CHART, DRIVER = HERE / "charts" / "web", HERE / "clients" / "helm_driver.py"
pytestmark = pytest.mark.needs("python3.11")


@pytest.fixture(scope="session")
def helm_python(request: pytest.FixtureRequest) -> str:
    return helm_environment.make(request.config.cache.mkdir("helm"))


class Helm:
    """One release, `shop`, in the test's namespace."""

    def __init__(self, python: str, kubectl: Kubectl, home: Path) -> None:
        self._python, self._kubectl = python, kubectl
        self._env = {**kubectl.env, "HELM_CACHE_HOME": str(home), "HELM_CONFIG_HOME": str(home),
                     "HELM_DATA_HOME": str(home)}

    def __call__(self, action: str, **arguments: Any) -> Any:
        done = subprocess.run([self._python, str(DRIVER), self._kubectl.namespace, action],
                              input=json.dumps(arguments), capture_output=True, text=True, check=False, env=self._env,
                              timeout=100)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def change(self, action: str, chart: Path = CHART, **arguments: Any) -> Any:
        """Install or Upgrade, strictly: validated against the served OpenAPI, and waited for."""
        made = self(action, release_name="shop", chart_path=str(chart), disable_openapi_validation=False, timeout=60,
                    **arguments)
        assert "error" not in made, made
        return made


@pytest.fixture
def helm(helm_python: str, kubectl: Kubectl, tmp_path: Path) -> Helm:
    return Helm(helm_python, kubectl, tmp_path)


def colour(kubectl: Kubectl) -> str:
    return kubectl("get", "configmap", "shop-settings", "-o", "jsonpath={.data.colour}")


def ready(kubectl: Kubectl) -> tuple[int, int]:
    found = kubectl.get("deployment", "shop")
    return found["spec"]["replicas"], found["status"].get("readyReplicas", 0)


def broken_chart(directory: Path, template: str, old: str, new: str) -> Path:
    """A copy of the chart with something wrong in it."""
    copy = directory / "web"
    shutil.copytree(CHART, copy)
    file = copy / "templates" / template
    file.write_text(file.read_text().replace(old, new))
    return copy


def test_install_makes_everything_and_waits_for_it(helm: Helm, kubectl: Kubectl) -> None:
    helm.change("Install", values={"replicas": 2})
    assert ready(kubectl) == (2, 2)
    assert colour(kubectl) == "blue"
    assert kubectl("get", "configmap", "shop-settings", "-o", "jsonpath={.data.server}").startswith("v1.36.")
    assert kubectl.get("service", "shop")["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert helm("Status", release_name="shop")["info"]["status"] == "deployed"


def test_the_release_is_a_secret_that_helm_can_read_again(helm: Helm, kubectl: Kubectl) -> None:
    helm.change("Install", values={"colour": "green"})
    secret = kubectl.get("secret", "sh.helm.release.v1.shop.v1")
    assert (secret["type"], secret["metadata"]["labels"]["status"]) == ("helm.sh/release.v1", "deployed")
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    assert release["config"] == {"colour": "green"}
    assert helm("GetValues", release_name="shop") == {"colour": "green"}
    assert [each.get("name", each.get("Name")) for each in helm("List")] == ["shop"]


@pytest.mark.parametrize("server_side", [False, True])
def test_upgrade_makes_it_as_written_whatever_others_did(helm: Helm, kubectl: Kubectl, server_side: bool) -> None:
    helm.change("Install", values={"replicas": 1}, server_side_apply=server_side)
    helm.change("Upgrade", values={"replicas": 3, "colour": "red", "autoscaling": True})
    assert (ready(kubectl), colour(kubectl)) == ((3, 3), "red")
    assert kubectl.get("hpa", "shop")["spec"]["maxReplicas"] == 5
    kubectl("delete", "hpa", "shop")  # what Helm finds missing it makes anew, and what it finds changed it mends
    kubectl("scale", "deployment/shop", "--replicas=2")
    helm.change("Upgrade", values={"replicas": 3, "colour": "red", "autoscaling": True}, force_conflicts=server_side)
    assert ready(kubectl) == (3, 3)
    assert kubectl.get("hpa", "shop")
    helm.change("Upgrade", values={"replicas": 1}, force_conflicts=server_side)
    assert (ready(kubectl), colour(kubectl)) == ((1, 1), "blue")
    assert kubectl.run("get", "hpa", "shop").returncode == 1


def test_server_side_apply_does_not_overrule_others_unasked(helm: Helm, kubectl: Kubectl) -> None:
    helm.change("Install", values={"replicas": 1}, server_side_apply=True)
    kubectl("scale", "deployment/shop", "--replicas=2")
    refused = helm("Upgrade", release_name="shop", chart_path=str(CHART), values={"replicas": 3}, timeout=30)
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas' in refused["error"]
    assert kubectl.get("deployment", "shop")["spec"]["replicas"] == 2


def test_a_failed_upgrade_is_rolled_back(helm: Helm, kubectl: Kubectl, tmp_path: Path) -> None:
    """Helm's own rollback, as the last act of an upgrade (the SDK's Rollback forgets Helm's wait strategy)."""
    helm.change("Install", values={"replicas": 2})
    broken = broken_chart(tmp_path, "deployment.yaml", "kit/echo", "no/such-image")
    refused = helm("Upgrade", release_name="shop", chart_path=str(broken), timeout=5, rollback_on_failure=True,
                   values={"replicas": 3, "colour": "red", "autoscaling": True})
    assert refused["kind"] == "UpgradeError"
    eventually(lambda: ready(kubectl) == (2, 2))
    assert colour(kubectl) == "blue"
    assert kubectl.run("get", "hpa", "shop").returncode == 1
    assert "Rollback to 1" in json.dumps(helm("History", release_name="shop"))
    images = {each["spec"]["containers"][0]["image"] for each in kubectl.get("pods")["items"]
              if not each["metadata"].get("deletionTimestamp")}
    assert images == {"kit/echo"}


def test_a_hook_runs_before_the_upgrade_and_is_tidied_away(helm: Helm, kubectl: Kubectl) -> None:
    helm.change("Install")
    helm.change("Upgrade", values={"colour": "red"})
    found = kubectl.get("events", "--field-selector=involvedObject.name=shop-before")["items"]
    assert "Started" in {each["reason"] for each in found}
    assert kubectl.run("get", "pod", "shop-before").returncode == 1


def test_uninstall_leaves_nothing(helm: Helm, kubectl: Kubectl) -> None:
    helm.change("Install")
    assert "error" not in helm("Uninstall", release_name="shop", timeout=60)
    assert kubectl("get", "deployments,services,secrets,hpa", "-o", "name").split() == []
    assert kubectl.run("get", "configmap", "shop-settings").returncode == 1
    assert helm("Status", release_name="shop")["kind"] == "ReleaseNotFoundError"


def test_what_the_server_refuses_helm_tells(helm: Helm, kubectl: Kubectl) -> None:
    refused = helm("Install", release_name="shop", chart_path=str(CHART), values={"replicas": -1}, timeout=20)
    assert refused["kind"] == "InstallError"
    assert "spec.replicas: Invalid value: -1: must be greater than or equal to 0" in refused["error"]
    assert kubectl.run("get", "deployment", "shop").returncode == 1


def test_a_release_that_never_gets_ready_fails_in_time(helm: Helm, kubectl: Kubectl, tmp_path: Path) -> None:
    broken = broken_chart(tmp_path, "deployment.yaml", "kit/echo", "no/such-image")
    refused = helm("Install", release_name="shop", chart_path=str(broken), timeout=5)
    assert refused["kind"] == "InstallError"
    assert kubectl("get", "secrets", "-l", "owner=helm,status=failed", "-o", "name").split() == [
        "secret/sh.helm.release.v1.shop.v1"]
