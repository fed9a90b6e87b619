"""Volume binder: a claim says what is needed, a volume is what there is; each may belong to one other only.

    claim    Pending ──▶ Bound ──▶ (volume gone) Lost
    volume   Available ──▶ Bound ──▶ (claim gone) Released ──▶ kept (Retain) or deleted (Delete)

For an unbound claim the smallest volume is taken that is large enough, of the same class, with the wanted access
modes and labels.  If there is none, a class with a provisioner makes one.  A class with `WaitForFirstConsumer` waits
until the scheduler has chosen a node for the first Pod that uses the claim: a volume elsewhere would be of no use.

A binding is two references, claim → volume and volume → claim, written one after the other: first the volume's (nobody
else can take it then), then the claim's.  Every turn repairs what a crash left half done.

Source: k8s.io/kubernetes/pkg/controller/volume/persistentvolume (pv_controller.go), component-helpers/storage/volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Emit, Update, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.objects.meta import object_key, with_annotations
from kitlib.objects.quantity import memory_bytes
from kitlib.objects.selectors import LabelSelector

Object = dict[str, Any]

CLAIMS, VOLUMES, CLASSES = "persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io"
BIND_COMPLETED, BOUND_BY_US = "pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
OLD_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
WAIT = "WaitForFirstConsumer"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


@dataclass(frozen=True)
class Observed:
    """volumes: those that the claim has or could have.  storage_class: the claim's, if it names one that exists."""

    claim: Object
    volumes: list[Object]
    storage_class: Object | None


class VolumeBinder(Controller):
    """Looks after claims; `VolumeReclaimer` after volumes."""

    name = "persistentvolume-binder"
    resource = CLAIMS
    reads = (VOLUMES, CLASSES)
    component = "persistentvolume-controller"

    def setup(self) -> None:
        self.watch(VOLUMES, self._claims_of)
        self.cache(CLASSES).add_handler(self._class_changed)

    def _claims_of(self, volume: Object) -> list[str]:
        """The volume's own claim; of a volume that has none, or lost it, all claims that may be waiting for it."""
        owner = volume["spec"].get("claimRef")
        if owner:
            return [f"{owner['namespace']}/{owner['name']}"]
        wanted, name = volume["spec"].get("storageClassName") or "", volume["metadata"]["name"]
        return [object_key(c) for c in self.cache(CLAIMS).list() if c["spec"].get("volumeName") == name or (
            not c["spec"].get("volumeName") and (c["spec"].get("storageClassName") or "") == wanted)]

    def _class_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        for claim in self.cache(CLAIMS).list():
            if new is not None and claim["spec"].get("storageClassName") == new["metadata"]["name"]:
                self._wake(object_key(claim), kind, CLASSES, new)

    def observe(self, key: str) -> Observed | None:
        claim = self.get(key)
        if claim is None:
            return None
        name = claim["spec"].get("volumeName")
        if name:
            volume = self.cache(VOLUMES).get(name)
            volumes = [volume] if volume else []
        else:
            volumes = self.cache(VOLUMES).list()
        return Observed(claim, volumes, self.cache(CLASSES).get(claim["spec"].get("storageClassName") or ""))

    def diff(self, observed: Observed) -> list[Action]:
        claim = observed.claim
        if claim["spec"].get("volumeName"):
            return self._keep(claim, observed.volumes[0] if observed.volumes else None)
        mine = next((v for v in observed.volumes if is_claimed_by(v, claim)), None)
        volume = mine or (None if self._is_waiting(observed) else find(claim, observed.volumes))
        if volume is not None:
            return bind(claim, volume)
        if "deletionTimestamp" in claim["metadata"]:
            return []
        return [*_phase(claim, "Pending"), *self._provision(observed)]

    @staticmethod
    def _is_waiting(observed: Observed) -> bool:
        """For its first consumer: until then not even an existing volume is taken."""
        storage_class = observed.storage_class
        return (storage_class is not None and storage_class.get("volumeBindingMode") == WAIT
                and SELECTED_NODE not in (observed.claim["metadata"].get("annotations") or {}))

    def _provision(self, observed: Observed) -> list[Action]:
        """Nothing fits: say what happens now, and ask the class's provisioner."""
        claim, storage_class = observed.claim, observed.storage_class
        name = claim["spec"].get("storageClassName")
        if not name:
            return [Emit(claim, "FailedBinding",
                         "no persistent volumes available for this claim and no storage class is set")]
        if storage_class is None:
            return [Emit(claim, "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found', "Warning")]
        if self._is_waiting(observed):
            return [Emit(claim, "WaitForFirstConsumer",
                         "waiting for first consumer to be created before binding")]
        provisioner = storage_class["provisioner"]
        if provisioner == NO_PROVISIONER:
            return [Emit(claim, "FailedBinding", "no persistent volumes available for this claim and no storage class "
                         "is set")]
        asked = {PROVISIONER: provisioner, OLD_PROVISIONER: provisioner}
        if asked.items() <= (claim["metadata"].get("annotations") or {}).items():
            return []
        told = Emit(claim, "ExternalProvisioning", "Waiting for a volume to be created either by the external "
                    f"provisioner '{provisioner}' or manually by the system administrator. If volume creation is "
                    "delayed, please verify that the provisioner is running and correctly registered.")
        return [Update(CLAIMS, with_annotations(claim, asked)), told]

    @staticmethod
    def _keep(claim: Object, volume: Object | None) -> list[Action]:
        """The claim names its volume: see that both sides know."""
        was_bound = BIND_COMPLETED in (claim["metadata"].get("annotations") or {})
        if volume is None:
            if not was_bound:
                return _phase(claim, "Pending")
            lost = Emit(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
                        "Warning")
            return [*_phase(claim, "Lost"), lost] if _phase(claim, "Lost") else []
        owner = volume["spec"].get("claimRef")
        if owner and not is_claimed_by(volume, claim) and not _is_reserved_for(volume, claim):
            if was_bound:
                return _phase(claim, "Lost")
            taken = f'volume "{volume["metadata"]["name"]}" already bound to a different claim.'
            return [*_phase(claim, "Pending"), Emit(claim, "FailedBinding", taken, "Warning")]
        trouble = "" if was_bound else mismatch(volume, claim)
        if trouble:
            told = f'Cannot bind to requested volume "{volume["metadata"]["name"]}": {trouble}'
            return [*_phase(claim, "Pending"), Emit(claim, "VolumeMismatch", told, "Warning")]
        return bind(claim, volume)


class VolumeReclaimer(Controller):
    """Looks after volumes: free, taken, or left behind by a claim that is gone.

    Deleting what a provisioner has made is the provisioner's affair (`localprovisioner.py`).
    """

    name = "persistentvolume-reclaimer"
    resource = VOLUMES
    reads = (CLAIMS,)
    component = "persistentvolume-controller"

    def setup(self) -> None:
        self.watch(CLAIMS, lambda claim: [claim["spec"]["volumeName"]] if claim["spec"].get("volumeName") else [])

    def observe(self, key: str) -> tuple[Object, Object | None] | None:
        """(the volume, its claim)."""
        volume = self.get(key)
        if volume is None:
            return None
        owner = volume["spec"].get("claimRef") or {}
        claim = self.cache(CLAIMS).get(f"{owner.get('namespace')}/{owner.get('name')}") if owner else None
        if claim is not None and owner.get("uid") not in (None, "", claim["metadata"]["uid"]):
            claim = None   # a namesake made later
        return volume, claim

    def diff(self, observed: tuple[Object, Object | None]) -> list[Action]:
        volume, claim = observed
        owner = volume["spec"].get("claimRef")
        if not owner or not owner.get("uid"):
            wanted = "Available"
        elif claim is not None:
            wanted = "Bound"
        else:
            wanted = "Released"
        status = volume.get("status") or {}
        return [] if status.get("phase") == wanted else [
            UpdateStatus(VOLUMES, volume | {"status": status | {"phase": wanted}})]


# -- who fits whom --------------------------------------------------------------------------------------------


def find(claim: Mapping[str, Any], volumes: Sequence[Object]) -> Object | None:
    """The smallest free volume that has all the claim asks for; one that was reserved for it comes first."""
    reserved = [v for v in volumes if _is_reserved_for(v, claim)]
    node = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE, "")
    fitting = [v for v in reserved or volumes if (reserved or not v["spec"].get("claimRef")) and fits(v, claim)
               and (not node or is_on(v, node))]

    def size(volume: Object) -> tuple[int, str]:
        return memory_bytes(volume["spec"]["capacity"]["storage"]), volume["metadata"]["name"]

    return min(fitting, key=size, default=None)


def is_on(volume: Mapping[str, Any], node: str) -> bool:
    """Whether the volume can be used on this node, as far as its affinity speaks of host names."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    terms = (required or {}).get("nodeSelectorTerms") or ()
    hosts = [[e["values"] for e in term.get("matchExpressions") or () if e["key"] == "kubernetes.io/hostname"
              and e["operator"] == "In"] for term in terms]
    return not terms or any(all(node in values for values in named) for named in hosts)


def fits(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether the binder may choose this volume for the claim."""
    wanted = claim["spec"].get("selector")
    return ("deletionTimestamp" not in volume["metadata"] and not mismatch(volume, claim)
            and (not wanted or LabelSelector.of(wanted).matches(volume["metadata"].get("labels"))))


def mismatch(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """Why not even a claim that asks for this volume by name can have it, in the controller's words, or ""."""
    spec, asked = volume["spec"], claim["spec"]
    size = ((asked.get("resources") or {}).get("requests") or {}).get("storage") or "0"
    if memory_bytes(spec["capacity"]["storage"]) < memory_bytes(size):
        return "requested PV is too small"
    if (spec.get("storageClassName") or "") != (asked.get("storageClassName") or ""):
        return "storageClassName does not match"
    if (spec.get("volumeMode") or "Filesystem") != (asked.get("volumeMode") or "Filesystem"):
        return "incompatible volumeMode"
    if not set(asked.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


def is_claimed_by(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    return (volume["spec"].get("claimRef") or {}).get("uid") == claim["metadata"]["uid"]


def _is_reserved_for(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """A person wrote the claim's name (but not its uid) into the volume."""
    owner, meta = volume["spec"].get("claimRef") or {}, claim["metadata"]
    same = (owner.get("namespace"), owner.get("name")) == (meta["namespace"], meta["name"])
    return same and not owner.get("uid")


def bind(claim: Object, volume: Object) -> list[Action]:
    """The next thing that is missing in the binding of these two, in the order volume, claim."""
    meta = claim["metadata"]
    if not is_claimed_by(volume, claim):
        owner = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": meta["namespace"],
                 "name": meta["name"], "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        ours = {} if volume["spec"].get("claimRef") else {BOUND_BY_US: "yes"}
        return [Update(VOLUMES, with_annotations(volume, ours) | {"spec": volume["spec"] | {"claimRef": owner}})]
    known = meta.get("annotations") or {}
    if claim["spec"].get("volumeName") != volume["metadata"]["name"] or BIND_COMPLETED not in known:
        ours = {} if claim["spec"].get("volumeName") else {BOUND_BY_US: "yes"}
        spec = claim["spec"] | {"volumeName": volume["metadata"]["name"]}
        return [Update(CLAIMS, with_annotations(claim, ours | {BIND_COMPLETED: "yes"}) | {"spec": spec})]
    status = {"phase": "Bound", "accessModes": volume["spec"]["accessModes"],
              "capacity": {"storage": volume["spec"]["capacity"]["storage"]}}
    if status.items() <= (claim.get("status") or {}).items():
        return []
    return [UpdateStatus(CLAIMS, claim | {"status": (claim.get("status") or {}) | status})]


def _phase(claim: Object, phase: str) -> list[Action]:
    status = claim.get("status") or {}
    return [] if status.get("phase") == phase else [UpdateStatus(CLAIMS, claim | {"status": status | {"phase": phase}})]
