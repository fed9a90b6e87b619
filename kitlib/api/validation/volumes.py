"""PersistentVolumes and claims: what storage there is and who asks for it.

A claim's spec hardly ever changes: a bound claim may ask for more room, an unbound one may be given its
volume and its class.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidatePersistentVolume, ...VolumeClaim and updates).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kitlib.api.validation.common import (
    Errors,
    Obj,
    each,
    immutable,
    label_selector,
    no_backsteps,
    one_of,
    positive_quantity,
)
from kitlib.api.validation.placement import node_selector
from kitlib.api.validation.pod_volumes import csi_driver_name, host_path, nfs, remote
from kitlib.objects import field, names, quantity

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_FIXED = ("spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n")
_NOT_SOURCES = ("accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
                "storageClassName", "volumeAttributesClassName", "volumeMode")


def _csi(errs: Errors, path: str, source: Obj) -> None:
    csi_driver_name(errs, f"{path}.driver", source.get("driver", ""))
    if not source.get("volumeHandle"):
        errs.append(field.required(f"{path}.volumeHandle"))


    for name in ("controllerPublishSecretRef", "nodeStageSecretRef", "nodePublishSecretRef",
                 "controllerExpandSecretRef", "nodeExpandSecretRef"):
        secret = source.get(name)
        if secret is not None:
            for key in ("name", "namespace"):
                if not secret.get(key):
                    errs.append(field.required(f"{path}.{name}.{key}"))


def _local(errs: Errors, path: str, source: Obj) -> None:
    if source.get("path"):
        no_backsteps(errs, f"{path}.path", source["path"])
    else:
        errs.append(field.required(f"{path}.path"))


_SOURCES: dict[str, Callable[[Errors, str, Obj], None]] = {
    "hostPath": host_path, "nfs": nfs, "csi": _csi, "local": _local,
    **{name: remote(name) for name in (
        "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "rbd", "quobyte", "cephfs", "iscsi",
        "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume",
        "azureDisk", "scaleIO", "storageos")},
}


def create_persistentvolume(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    _access_modes(errs, spec)
    capacity = spec.get("capacity") or {}
    if not capacity:
        errs.append(field.required("spec.capacity"))
    if "storage" not in capacity or len(capacity) > 1:
        errs.append(field.not_supported("spec.capacity", capacity, ("storage",)))
    for name, value in capacity.items():
        positive_quantity(errs, f"spec.capacity[{name}]", value)
    one_of(errs, "spec.persistentVolumeReclaimPolicy", spec.get("persistentVolumeReclaimPolicy"),
           ("Delete", "Recycle", "Retain"), False)
    _source(errs, spec)
    _class_and_mode(errs, spec)
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        if affinity.get("required") is None:
            errs.append(field.required("spec.nodeAffinity.required", "must specify required node constraints"))
        else:
            node_selector(errs, "spec.nodeAffinity.required", affinity["required"])
    elif spec.get("local") is not None:
        errs.append(field.required("spec.nodeAffinity", "Local volume requires node affinity"))


def _source(errs: Errors, spec: Obj) -> None:
    count = 0
    for name, rule in _SOURCES.items():
        if spec.get(name) is None:
            continue
        count += 1
        if count > 1:
            errs.append(field.forbidden(f"spec.{name}", "may not specify more than 1 volume type"))
        else:
            rule(errs, f"spec.{name}", spec[name])
    if not count:
        errs.append(field.required("spec", "must specify a volume type"))
    place = (spec.get("hostPath") or {}).get("path", "")
    if place and not place.strip("/") and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        errs.append(field.forbidden("spec.persistentVolumeReclaimPolicy",
                                    "may not be 'recycle' for a hostPath mount of '/'"))


def _access_modes(errs: Errors, spec: Obj) -> None:
    modes = spec.get("accessModes") or []
    if not modes:
        errs.append(field.required("spec.accessModes", "at least 1 access mode is required"))
    _known_modes(errs, "spec.accessModes", modes)


def _known_modes(errs: Errors, path: str, modes: list[str]) -> None:
    for mode in modes:
        if mode not in _MODES:
            errs.append(field.not_supported(path, mode, _MODES))
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        errs.append(field.forbidden(path, "may not use ReadWriteOncePod with other access modes"))


def _class_and_mode(errs: Errors, spec: Obj, path: str = "spec") -> None:
    for name in ("storageClassName", "volumeAttributesClassName"):
        if spec.get(name):
            each(errs, f"{path}.{name}", spec[name], names.dns_subdomain(spec[name]))
    one_of(errs, f"{path}.volumeMode", spec.get("volumeMode"), ("Block", "Filesystem"), False)


def update_persistentvolume(errs: Errors, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if _volume_source(spec) != _volume_source(before):
        errs.append(field.forbidden("spec.persistentvolumesource",
                                    "spec.persistentvolumesource is immutable after creation"))
    immutable(errs, "volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    if before.get("nodeAffinity") is not None:
        immutable(errs, "nodeAffinity", spec.get("nodeAffinity"), before["nodeAffinity"])


def _volume_source(spec: Obj) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in _NOT_SOURCES}


def create_persistentvolumeclaim(errs: Errors, obj: Obj) -> None:
    claim_spec(errs, "spec", obj.get("spec") or {})


def claim_spec(errs: Errors, path: str, spec: Obj) -> None:
    """The spec of a claim, or of the claim that an ephemeral volume makes."""
    modes = spec.get("accessModes") or []
    if not modes:
        errs.append(field.required(f"{path}.accessModes", "at least 1 access mode is required"))
    _known_modes(errs, f"{path}.accessModes", modes)
    label_selector(errs, f"{path}.selector", spec.get("selector"))
    room = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if room is None:
        errs.append(field.required(f"{path}.resources[storage]"))
    else:
        positive_quantity(errs, f"{path}.resources[storage]", room)
    _class_and_mode(errs, spec, path)
    for name in ("dataSource", "dataSourceRef"):
        source = spec.get(name)
        if source is None:
            continue
        for key in ("name", "kind"):
            if not source.get(key):
                errs.append(field.required(f"{path}.{name}.{key}"))
        if not source.get("apiGroup") and source.get("kind") not in (None, "", "PersistentVolumeClaim"):
            errs.append(field.invalid(f"{path}.{name}", source.get("kind"), "must be 'PersistentVolumeClaim' when "
                                      "referencing the default apiGroup"))


def update_persistentvolumeclaim(errs: Errors, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    fixed, was = dict(spec), dict(before)
    if not before.get("volumeName"):
        fixed["volumeName"] = was["volumeName"] = None  # the binder sets it once
    if not before.get("storageClassName") and spec.get("storageClassName"):
        fixed["storageClassName"] = was["storageClassName"] = None  # a default class that came later
    if (new.get("status") or {}).get("phase") == "Bound":
        fixed["resources"], was["resources"] = _but_storage(spec), _but_storage(before)
    fixed["volumeAttributesClassName"] = was["volumeAttributesClassName"] = None
    if {k: v for k, v in fixed.items() if v is not None} != {k: v for k, v in was.items() if v is not None}:
        errs.append(field.forbidden("spec", _FIXED))
    immutable(errs, "volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    size, size_before = (((s.get("resources") or {}).get("requests") or {}).get("storage") for s in (spec, before))
    granted = ((old.get("status") or {}).get("capacity") or {}).get("storage")
    if not size or not size_before or quantity.parse(size) >= quantity.parse(size_before):
        return
    if granted and quantity.parse(size) <= quantity.parse(granted):
        errs.append(field.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))


def _but_storage(spec: Obj) -> dict[str, Any]:
    resources = spec.get("resources") or {}
    requests = {key: value for key, value in (resources.get("requests") or {}).items() if key != "storage"}
    return {**resources, "requests": requests}


def status_persistentvolumeclaim(errs: Errors, new: Obj, old: Obj) -> None:
    status = new.get("status") or {}
    for name, value in (status.get("capacity") or {}).items():
        positive_quantity(errs, f"status.capacity[{name}]", value)
