"""Claims, volumes, and the Pods that need them."""

from __future__ import annotations

from typing import Any

import pytest
from controller_world import World, pod

from kitlib.controllers.localprovisioner import NAME, LocalProvisioner, LocalReclaimer
from kitlib.controllers.volumebinder import CLAIMS, CLASSES, VOLUMES, VolumeBinder, VolumeReclaimer, find
from kitlib.controllers.volumeprotection import ClaimProtection, VolumeProtection


class Storage(World):
    def __init__(self) -> None:
        self.removed: list[str] = []
        super().__init__(VolumeBinder(), VolumeReclaimer(), ClaimProtection(), VolumeProtection(),
                         LocalProvisioner("/data"), LocalReclaimer(self.removed.append), nodes=3)
        self.settle(1)

    def storage_class(self, name: str, binding: str = "Immediate", provisioner: str = NAME) -> None:
        self.user.create(CLASSES, "", {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                                       "metadata": {"name": name}, "provisioner": provisioner,
                                       "volumeBindingMode": binding, "reclaimPolicy": "Delete"})

    def claim(self, name: str, size: str = "1Gi", storage_class: str = "", **spec: Any) -> None:
        self.create(CLAIMS, claim(name, size, storage_class, **spec))

    def volume(self, name: str, size: str = "1Gi", storage_class: str = "") -> None:
        self.user.create(VOLUMES, "", volume(name, size, storage_class))

    def phase(self, resource: str, name: str) -> str:
        return self.get(resource, name, "" if resource == VOLUMES else "default")["status"]["phase"]

    def bound_to(self, name: str) -> str:
        return self.get(CLAIMS, name)["spec"].get("volumeName", "")

    def reasons(self, name: str) -> list[str]:
        return [reason for _, reason, _ in self.events(name)]


def claim(name: str, size: str = "1Gi", storage_class: str = "", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class,
                     "resources": {"requests": {"storage": size}}, **spec}}


def volume(name: str, size: str = "1Gi", storage_class: str = "", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class,
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": f"/srv/{name}"}, **spec}}


def using(name: str, claim_name: str) -> dict[str, Any]:
    return pod(name, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}])


def test_the_smallest_volume_that_is_large_enough_is_taken():
    volumes = [volume("large", "10Gi"), volume("small", "500Mi"), volume("right", "2Gi"), volume("x", "2Gi", "fast")]
    found = find(claim("c"), volumes)
    assert found is not None
    assert found["metadata"]["name"] == "right"
    assert find(claim("c", accessModes=["ReadWriteMany"]), volumes) is None
    assert find(claim("c", "20Gi"), volumes) is None


def test_a_claim_and_a_volume_are_bound_to_each_other_and_then_there_is_peace():
    w = Storage()
    w.volume("v", "2Gi")
    w.settle(1)
    assert w.phase(VOLUMES, "v") == "Available"
    w.claim("c")
    w.settle(1)
    assert (w.bound_to("c"), w.phase(CLAIMS, "c"), w.phase(VOLUMES, "v")) == ("v", "Bound", "Bound")
    assert w.get(CLAIMS, "c")["status"]["capacity"] == {"storage": "2Gi"}
    assert w.get(VOLUMES, "v", "")["spec"]["claimRef"]["name"] == "c"
    before = w.store.revision
    w.settle(600)
    assert w.store.revision == before


def test_a_claim_that_nothing_fits_waits_and_says_why():
    w = Storage()
    w.claim("c")
    w.claim("d", storage_class="nowhere")
    w.settle(1)
    assert (w.phase(CLAIMS, "c"), w.reasons("c")) == ("Pending", ["FailedBinding"])
    assert w.reasons("d") == ["ProvisioningFailed"]
    w.volume("late")
    w.settle(1)
    assert w.phase(CLAIMS, "c") == "Bound"


def test_a_class_with_a_provisioner_makes_a_volume():
    w = Storage()
    w.storage_class("standard")
    w.claim("c", "3Gi", "standard")
    w.settle(1)
    made = w.get(VOLUMES, w.bound_to("c"), "")
    assert made["metadata"]["name"] == f"pvc-{w.get(CLAIMS, 'c')['metadata']['uid']}"
    assert made["spec"]["capacity"] == {"storage": "3Gi"}
    assert made["spec"]["hostPath"]["path"].startswith("/data/pvc-")
    assert (w.phase(CLAIMS, "c"), w.reasons("c")) == (
        "Bound", ["ExternalProvisioning", "Provisioning", "ProvisioningSucceeded"])
    before = w.store.revision
    w.settle(300)
    assert w.store.revision == before


@pytest.mark.parametrize(("asked", "words"), [
    ({"accessModes": ["ReadWriteMany"]}, 'failed to provision volume with StorageClass "standard": NodePath only '
     "supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes"),
    ({"volumeMode": "Block"}, "rancher.io/local-path does not support block volume provisioning"),
    ({"selector": {"matchLabels": {"disk": "ssd"}}}, 'failed to provision volume with StorageClass "standard": '
     "claim.Spec.Selector is not supported")])
def test_what_a_directory_on_one_node_cannot_be_is_refused_in_the_provisioners_words(asked, words):
    w = Storage()
    w.storage_class("standard")
    w.claim("c", storage_class="standard", **asked)
    w.settle(30)
    assert (w.phase(CLAIMS, "c"), w.names(VOLUMES, None)) == ("Pending", [])
    assert w.reasons("c") == ["ExternalProvisioning", "Provisioning", "ProvisioningFailed"]
    assert w.events("c")[-1] == ("Warning", "ProvisioningFailed", words)


def test_waiting_for_the_first_consumer_the_volume_is_made_where_the_pod_will_be():
    w = Storage()
    w.storage_class("local", "WaitForFirstConsumer")
    w.claim("c", storage_class="local")
    w.settle(2)
    assert (w.phase(CLAIMS, "c"), w.reasons("c")) == ("Pending", ["WaitForFirstConsumer"])
    w.create("pods", using("p", "c"))
    w.settle(3)
    node = w.get("pods", "p")["spec"]["nodeName"]
    terms = w.get(VOLUMES, w.bound_to("c"), "")["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == [node]
    assert w.phase(CLAIMS, "c") == "Bound"
    for name in ("q", "r", "s"):
        w.create("pods", using(name, "c"))
    w.settle(3)
    assert {p["spec"]["nodeName"] for p in w.list("pods")} == {node}, "Pods follow their data"


def test_a_pod_without_its_claim_is_told_so():
    w = Storage()
    w.create("pods", using("p", "none"))
    w.settle(1)
    (condition,) = w.get("pods", "p")["status"]["conditions"]
    assert condition["message"].startswith('0/3 nodes are available: persistentvolumeclaim "none" not found. ')
    w.claim("none")
    w.settle(2)
    (condition,) = w.get("pods", "p")["status"]["conditions"]
    assert condition["message"].startswith("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
    w.volume("v")
    w.settle(15)
    assert w.get("pods", "p")["spec"]["nodeName"]


def test_a_claim_in_use_is_kept_until_its_pod_is_gone():
    w = Storage()
    w.volume("v")
    w.claim("c")
    w.create("pods", using("p", "c"))
    w.settle(5)
    w.user.delete(CLAIMS, "default", "c")
    w.settle(30)
    assert "deletionTimestamp" in w.get(CLAIMS, "c")["metadata"]
    w.user.delete("pods", "default", "p")
    w.settle(5)
    assert not w.exists(CLAIMS, "c")
    assert w.phase(VOLUMES, "v") == "Released", "Retain: somebody has to look at it"


def test_what_was_provisioned_is_deleted_with_its_claim():
    w = Storage()
    w.storage_class("standard")
    w.claim("c", storage_class="standard")
    w.settle(2)
    name = w.bound_to("c")
    w.user.delete(CLAIMS, "default", "c")
    w.settle(5)
    assert (w.names(CLAIMS), w.names(VOLUMES, None)) == ([], [])
    assert w.removed == [f"/data/{name}_default_c"]


def test_a_claim_that_names_its_volume_waits_until_it_is_set_free():
    w = Storage()
    w.volume("v")
    w.claim("c")
    w.settle(2)
    w.user.delete(CLAIMS, "default", "c")
    w.settle(2)
    w.claim("again", volumeName="v")
    w.settle(2)
    assert (w.phase(VOLUMES, "v"), w.phase(CLAIMS, "again")) == ("Released", "Pending")
    assert w.events("again") == [("Warning", "FailedBinding", 'volume "v" already bound to a different claim.')]
    w.user.patch(VOLUMES, "", "v", {"spec": {"claimRef": None}})
    w.settle(1)
    assert (w.phase(VOLUMES, "v"), w.phase(CLAIMS, "again"), w.bound_to("again")) == ("Bound", "Bound", "v")


def test_a_volume_can_be_kept_for_a_claim_that_comes_later():
    w = Storage()
    w.user.create(VOLUMES, "", volume("v", claimRef={"namespace": "default", "name": "mine"}))
    w.claim("other")
    w.claim("mine", volumeName="v")
    w.settle(2)
    assert (w.phase(CLAIMS, "other"), w.phase(CLAIMS, "mine"), w.bound_to("mine")) == ("Pending", "Bound", "v")


@pytest.mark.parametrize(("asked", "trouble"), [
    ({"size": "5Gi"}, "requested PV is too small"), ({"storage_class": "x"}, "storageClassName does not match"),
    ({"volumeMode": "Block"}, "incompatible volumeMode"),
    ({"accessModes": ["ReadWriteMany"]}, "incompatible accessMode")])
def test_a_volume_that_was_asked_for_by_name_has_to_fit(asked, trouble):
    w = Storage()
    w.volume("v")
    w.claim("c", volumeName="v", **asked)
    w.settle(2)
    assert w.phase(CLAIMS, "c") == "Pending"
    assert w.events("c") == [("Warning", "VolumeMismatch", f'Cannot bind to requested volume "v": {trouble}')]


def test_a_claim_whose_volume_is_lost_says_so():
    w = Storage()
    w.volume("v")
    w.claim("c")
    w.settle(2)
    w.user.delete(VOLUMES, "", "v")
    w.settle(1)
    assert w.exists(VOLUMES, "v", ""), "it is protected while it is bound"
    w.user.patch(VOLUMES, "", "v", {"metadata": {"finalizers": None}})
    w.settle(1)
    assert w.phase(CLAIMS, "c") == "Lost"
    assert "ClaimLost" in w.reasons("c")
