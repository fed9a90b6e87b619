"""Local provisioner: makes a volume out of a directory on a node when a claim asks for one.

On a real cluster this is a program of its own (kind ships Rancher's local-path-provisioner, whose names are used
here, so that the same manifests work).  A claim names a StorageClass, the class names this provisioner; the volume is a
directory, and because a directory is on one node only, the volume carries an affinity for that node: the Pod must
follow its data.

When the claim is gone and the class says `Delete`, the volume and the directory go as well.

Source: https://github.com/rancher/local-path-provisioner; sigs.k8s.io/sig-storage-lib-external-provisioner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Emit
from kitlib.client.controller import Controller
from kitlib.controllers.volumebinder import CLAIMS, CLASSES, PROVISIONER, SELECTED_NODE, VOLUMES
from kitlib.objects.meta import object_key

Object = dict[str, Any]

NAME = "rancher.io/local-path"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


@dataclass(frozen=True)
class Observed:
    """nodes: where a directory could be made, for a claim whose class does not wait for a consumer."""

    claim: Object
    storage_class: Object
    volume: Object | None
    nodes: list[Object]


class LocalProvisioner(Controller):
    """root: the directory on each node under which volumes are made."""

    name = "local-path-provisioner"
    resource = CLAIMS
    reads = (VOLUMES, CLASSES, "nodes")
    component = f"{NAME}_local-path-provisioner"

    def __init__(self, root: str = "/var/local-path-provisioner") -> None:
        self._root = root.rstrip("/")

    def observe(self, key: str) -> Observed | None:
        claim = self.get(key)
        if claim is None or claim["spec"].get("volumeName") or "deletionTimestamp" in claim["metadata"]:
            return None
        if (claim["metadata"].get("annotations") or {}).get(PROVISIONER) != NAME:
            return None
        storage_class = self.cache(CLASSES).get(claim["spec"].get("storageClassName") or "")
        if storage_class is None:
            return None
        volume = self.cache(VOLUMES).get(volume_name(claim))
        return Observed(claim, storage_class, volume, sorted(self.cache("nodes").list(), key=object_key))

    def diff(self, observed: Observed) -> list[Action]:
        claim, storage_class = observed.claim, observed.storage_class
        node = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE) or next(
            (n["metadata"]["name"] for n in observed.nodes if not (n.get("spec") or {}).get("unschedulable")), "")
        if observed.volume is not None or not node:
            return []
        name, key = volume_name(claim), object_key(claim)
        asked = Emit(claim, "Provisioning", f'External provisioner is provisioning volume for claim "{key}"')
        trouble = refusal(claim)
        if trouble:
            return [asked, Emit(claim, "ProvisioningFailed", trouble, "Warning")]
        made = {
            "kind": "PersistentVolume", "apiVersion": "v1",
            "metadata": {"name": name, "annotations": {PROVISIONED_BY: NAME}},
            "spec": {
                "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
                "accessModes": claim["spec"]["accessModes"],
                "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
                "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
                "storageClassName": storage_class["metadata"]["name"],
                "hostPath": {"path": f"{self._root}/{name}_{key.replace('/', '_')}", "type": "DirectoryOrCreate"},
                "claimRef": {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "uid": claim["metadata"]["uid"],
                             "namespace": claim["metadata"]["namespace"], "name": claim["metadata"]["name"]},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}},
            },
        }
        return [asked,
                Create(VOLUMES, made, Emit(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {name}"),
                       Emit(claim, "ProvisioningFailed", "failed to provision volume: {error}", "Warning"))]


class LocalReclaimer(Controller):
    """Deletes released volumes that the provisioner has made.  remove(path): deletes the directory on the node."""

    name = "local-path-reclaimer"
    resource = VOLUMES
    component = f"{NAME}_local-path-provisioner"

    def __init__(self, remove: Callable[[str], None] = lambda path: None) -> None:
        self._remove = remove

    def observe(self, key: str) -> Object | None:
        volume = self.get(key)
        if volume is None or (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY) != NAME:
            return None
        released = (volume.get("status") or {}).get("phase") == "Released"
        return volume if released and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete" else None

    def diff(self, observed: Object) -> list[Action]:
        meta = observed["metadata"]
        return [] if "deletionTimestamp" in meta else [Delete(VOLUMES, "", meta["name"], uid=meta["uid"])]

    def act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Delete):
                volume = self.get(action.name)
                if volume is not None:
                    self._remove(volume["spec"]["hostPath"]["path"])
            self.perform(action)


def refusal(claim: Object) -> str:
    """Why a directory on one node cannot be what the claim asks for, in the provisioner's words, or ""."""
    spec = claim["spec"]
    if spec.get("volumeMode") == "Block":
        return f"{NAME} does not support block volume provisioning"
    why = ""
    if spec.get("selector"):
        why = "claim.Spec.Selector is not supported"
    elif not set(spec["accessModes"]) <= {"ReadWriteOnce", "ReadWriteOncePod"}:
        why = "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes"
    return f'failed to provision volume with StorageClass "{spec["storageClassName"]}": {why}' if why else ""


def volume_name(claim: Object) -> str:
    return f"pvc-{claim['metadata']['uid']}"
