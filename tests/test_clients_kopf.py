"""A kopf operator, unmodified: it watches a custom kind, patches status, sets finalizers, runs timers, posts events."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Kubectl, eventually

from kitlib.cluster.embedded import EmbeddedCluster

OPERATOR = Path(__file__).parent / "clients" / "kopf_operator.py"
FINALIZER = "kit.example/gardener"
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "gardens.kit.example"},
    "spec": {"group": "kit.example", "scope": "Namespaced",
             "names": {"plural": "gardens", "singular": "garden", "kind": "Garden", "shortNames": ["gd"]},
             "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                           "additionalPrinterColumns": [{"name": "Plants", "type": "integer",
                                                         "jsonPath": ".status.planted"}],
                           "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                               "spec": {"type": "object", "required": ["plants"], "properties": {
                                   "plants": {"type": "integer", "minimum": 0}}},
                               "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}}}]}}


def garden(name: str, plants: int) -> dict[str, Any]:
    return {"apiVersion": "kit.example/v1", "kind": "Garden", "metadata": {"name": name}, "spec": {"plants": plants}}


class Operator:
    """`kopf run` in the background, and the namespace that it looks after."""

    def __init__(self, kubectl: Kubectl, log: Path) -> None:
        self.kubectl, self._log = kubectl, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kopf", "run", str(OPERATOR), f"--namespace={self.kubectl.namespace}",
                 "--standalone", "--verbose"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.kubectl.env)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)

    def words(self) -> str:
        return self._log.read_text()

    def plants(self, name: str) -> str:
        """What the operator has written into its ConfigMap."""
        return self.kubectl.run("get", "configmap", f"{name}-plants", "-o", "jsonpath={.data.plants}").stdout

    def status(self, name: str) -> dict[str, Any]:
        return self.kubectl.get("garden", name).get("status", {})

    def create(self, name: str, plants: int) -> None:
        """A Garden that the operator has taken care of."""
        self.kubectl("create", "-f", "-", stdin=garden(name, plants))
        eventually(lambda: self.status(name).get("planted") == plants, within=60)


@pytest.fixture(scope="module")
def operator(cluster: EmbeddedCluster, shared_home: Path) -> Iterator[Operator]:
    kubectl = Kubectl(cluster.kubeconfig, "kopf", shared_home / "cache")
    kubectl("create", "namespace", "kopf")
    kubectl("apply", "-f", "-", stdin=DEFINITION)
    kubectl("wait", "crd/gardens.kit.example", "--for=condition=Established", "--timeout=30s")
    running = Operator(kubectl, shared_home / "operator.log")
    running.start()
    yield running
    kubectl("delete", "gardens", "--all", "--timeout=30s")
    running.stop()
    kubectl("delete", "crd/gardens.kit.example", "namespace/kopf", "--wait=false")


def test_an_operator_builds_what_its_object_wants(operator: Operator) -> None:
    operator.create("rose", 3)
    assert operator.plants("rose") == "3"
    owner = operator.kubectl.get("configmap", "rose-plants")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Garden", "rose", True)
    assert operator.kubectl("get", "gd", "rose", "--no-headers").split()[:2] == ["rose", "3"]
    assert operator.status("rose")["plant"] == {"done": 3}


def test_a_change_reaches_the_operator_with_old_and_new(operator: Operator) -> None:
    operator.create("lily", 3)
    operator.kubectl("patch", "garden", "lily", "--type=merge", "-p", '{"spec": {"plants": 5}}')
    eventually(lambda: operator.plants("lily") == "5")
    eventually(lambda: [operator.status("lily").get(name) for name in ("planted", "before")] == [5, 3])


def test_a_timer_goes_on(operator: Operator) -> None:
    operator.create("tulip", 1)
    before = operator.status("tulip").get("watered", 0)
    eventually(lambda: operator.status("tulip").get("watered", 0) >= before + 3)


def test_a_finalizer_holds_the_object_until_the_operator_is_done(operator: Operator) -> None:
    operator.create("poppy", 1)
    assert operator.kubectl.get("garden", "poppy")["metadata"]["finalizers"] == [FINALIZER]
    operator.kubectl("delete", "garden", "poppy", "--timeout=30s")
    assert operator.kubectl.get("configmap", "poppy-grave")
    assert "it resists" in operator.words()
    eventually(lambda: operator.kubectl.run("get", "configmap", "poppy-plants").returncode == 1)


def test_the_operator_tells_what_it_did_as_an_event(operator: Operator) -> None:
    operator.create("daisy", 4)
    selector = "--field-selector=involvedObject.kind=Garden,involvedObject.name=daisy,reason=Planted"
    [event] = eventually(lambda: operator.kubectl.get("events", selector)["items"])
    assert (event["message"], event["type"]) == ("4 plants", "Normal")
    assert "Planted" in operator.kubectl("describe", "garden", "daisy")


def test_without_its_operator_an_object_cannot_go(operator: Operator) -> None:
    operator.create("aster", 2)
    operator.stop()
    operator.kubectl("delete", "garden", "aster", "--wait=false")
    assert operator.kubectl.run("wait", "garden/aster", "--for=delete", "--timeout=1s").returncode == 1
    assert operator.kubectl.get("garden", "aster")["metadata"]["deletionTimestamp"]
    operator.start()
    operator.kubectl("wait", "garden/aster", "--for=delete", "--timeout=40s")
    assert operator.kubectl.get("configmap", "aster-grave")
