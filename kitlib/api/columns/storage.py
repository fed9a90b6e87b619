"""Volumes, claims and classes; and what is stored in the API itself: ConfigMaps and Secrets.

Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.columns.printer import AGE, NAME, Column, Obj, number, prints, wide
from kitlib.api.columns.text import NONE, UNSET, age, name, part

_MODES = (("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"))
_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _modes(modes: Any) -> str:
    return ",".join(short for mode, short in _MODES if mode in (modes or ()))


def _phase(obj: Obj) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else part(obj, "status", "phase") or ""


def _class(obj: Obj) -> str:
    beta = (obj["metadata"].get("annotations") or {}).get(_CLASS)
    return beta if beta is not None else part(obj, "spec", "storageClassName") or ""


_CLASSES = (Column("StorageClass"), Column("VolumeAttributesClass"))


@prints("", "PersistentVolume", NAME, Column("Capacity"), Column("Access Modes"), Column("Reclaim Policy"),
        Column("Status"), Column("Claim", description="Who uses it."), *_CLASSES, Column("Reason"), AGE,
        wide("VolumeMode"))
def volume(obj: Obj, now: float) -> list[Any]:
    spec, claim = obj.get("spec") or {}, part(obj, "spec", "claimRef") or {}
    return [name(obj), part(spec, "capacity", "storage") or "", _modes(spec.get("accessModes")),
            spec.get("persistentVolumeReclaimPolicy", ""), _phase(obj),
            f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "", _class(obj),
            spec.get("volumeAttributesClassName") or UNSET, part(obj, "status", "reason") or "", age(obj, now),
            spec.get("volumeMode") or UNSET]


@prints("", "PersistentVolumeClaim", NAME, Column("Status"), Column("Volume"), Column("Capacity"),
        Column("Access Modes"), *_CLASSES, AGE, wide("VolumeMode"))
def claim(obj: Obj, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    bound = spec.get("volumeName", "")
    return [name(obj), _phase(obj), bound, (part(status, "capacity", "storage") or "0") if bound else "",
            _modes(status.get("accessModes")) if bound else "", _class(obj),
            spec.get("volumeAttributesClassName") or UNSET, age(obj, now), spec.get("volumeMode") or UNSET]


@prints("storage.k8s.io", "StorageClass", NAME, Column("Provisioner"), Column("ReclaimPolicy"),
        Column("VolumeBindingMode"), Column("AllowVolumeExpansion"), AGE)
def storage_class(obj: Obj, now: float) -> list[Any]:
    annotations = obj["metadata"].get("annotations") or {}
    default = " (default)" if any(annotations.get(key) == "true" for key in _DEFAULT) else ""
    return [name(obj) + default, obj.get("provisioner", ""), obj.get("reclaimPolicy") or "Delete",
            obj.get("volumeBindingMode") or "Immediate", bool(obj.get("allowVolumeExpansion")), age(obj, now)]


@prints("storage.k8s.io", "VolumeAttributesClass", NAME, Column("DriverName"), AGE)
def attributes_class(obj: Obj, now: float) -> list[Any]:
    return [name(obj), obj.get("driverName", ""), age(obj, now)]


@prints("storage.k8s.io", "VolumeAttachment", NAME, Column("Attacher"), Column("PV"), Column("Node"),
        Column("Attached"), AGE)
def attachment(obj: Obj, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    return [name(obj), spec.get("attacher", ""), part(spec, "source", "persistentVolumeName") or "",
            spec.get("nodeName", ""), bool(part(obj, "status", "attached")), age(obj, now)]


@prints("storage.k8s.io", "CSIDriver", NAME, Column("AttachRequired", "boolean"), Column("PodInfoOnMount", "boolean"),
        Column("StorageCapacity", "boolean"), Column("TokenRequests"), Column("RequiresRepublish", "boolean"),
        Column("Modes"), AGE)
def csi_driver(obj: Obj, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    audiences = [request.get("audience", "") for request in spec.get("tokenRequests") or ()]
    return [name(obj), spec.get("attachRequired", True), bool(spec.get("podInfoOnMount")),
            bool(spec.get("storageCapacity")), ",".join(audiences) or UNSET, bool(spec.get("requiresRepublish")),
            ",".join(spec.get("volumeLifecycleModes") or ()) or NONE, age(obj, now)]


@prints("storage.k8s.io", "CSINode", NAME, number("Drivers"), AGE)
def csi_node(obj: Obj, now: float) -> list[Any]:
    return [name(obj), len(part(obj, "spec", "drivers") or ()), age(obj, now)]


@prints("", "ConfigMap", NAME, Column("Data", description="Number of keys."), AGE)
def config_map(obj: Obj, now: float) -> list[Any]:
    return [name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)]


@prints("", "Secret", NAME, Column("Type"), Column("Data", description="Number of keys."), AGE)
def secret(obj: Obj, now: float) -> list[Any]:
    return [name(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj, now)]
