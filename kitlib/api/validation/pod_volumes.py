"""Volumes of a Pod: each has a name and exactly one source.

Source: k8s.io/kubernetes/pkg/apis/core/validation/validation.go (ValidateVolumes, validateVolumeSource).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kitlib.api.validation.common import Errors, Obj, each, file_mode, no_backsteps, one_of, relative_path
from kitlib.api.validation.pod_env import VOLUME_FIELDS, field_ref, resource_ref
from kitlib.objects import field, names, quantity

_HOST_TYPES = ("BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")

# What the sources that only name something elsewhere need; the kit mounts none of them.
_REMOTE: dict[str, tuple[str, ...]] = {
    "gcePersistentDisk": ("pdName",), "awsElasticBlockStore": ("volumeID",), "gitRepo": ("repository",),
    "iscsi": ("targetPortal", "iqn"), "glusterfs": ("endpoints", "path"), "rbd": ("monitors", "image"),
    "cephfs": ("monitors",), "cinder": ("volumeID",), "fc": (), "flocker": (), "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"), "azureDisk": ("diskName", "diskURI"), "vsphereVolume": ("volumePath",),
    "quobyte": ("registry", "volume"), "photonPersistentDisk": ("pdID",), "portworxVolume": ("volumeID",),
    "scaleIO": ("gateway", "system", "volumeName"), "storageos": (), "local": ("path",),
}


def volumes(errs: Errors, path: str, found: list[dict[str, Any]] | None) -> dict[str, Obj]:
    """The valid volumes by name: a mount of an invalid one is an error of its own."""
    valid: dict[str, Obj] = {}
    for index, volume in enumerate(found or ()):
        at = f"{path}[{index}]"
        before = len(errs)
        volume_source(errs, at, volume, _SOURCES)
        name = volume.get("name", "")
        if not name:
            errs.append(field.required(f"{at}.name"))
        else:
            each(errs, f"{at}.name", name, names.dns_label(name))
        if name in valid:
            errs.append(field.duplicate(f"{at}.name", name))
        if len(errs) == before:
            valid[name] = volume
    return valid


def volume_source(errs: Errors, path: str, volume: Obj, known: dict[str, Callable[[Errors, str, Obj], None]]) -> None:
    """Exactly one of the known sources, itself valid.  Of several, the first one in the known order counts."""
    count = 0
    for name in (name for name in known if name in volume):
        source = volume[name]
        if source is None:
            continue
        count += 1
        if count > 1:
            errs.append(field.forbidden(f"{path}.{name}", "may not specify more than 1 volume type"))
        else:
            known[name](errs, f"{path}.{name}", source)
    if not count:
        errs.append(field.required(path, "must specify a volume type"))


def _empty_dir(errs: Errors, path: str, source: Obj) -> None:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        errs.append(field.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity"))


def host_path(errs: Errors, path: str, source: Obj) -> None:
    place = source.get("path", "")
    if not place:
        errs.append(field.required(f"{path}.path"))
        return
    no_backsteps(errs, f"{path}.path", place)
    one_of(errs, f"{path}.type", source.get("type"), _HOST_TYPES, False)


def _items(errs: Errors, path: str, source: Obj) -> None:
    file_mode(errs, f"{path}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{index}]"
        if not item.get("key"):
            errs.append(field.required(f"{at}.key"))
        _target(errs, at, item)


def _target(errs: Errors, path: str, item: Obj) -> None:
    """Where a file of a projection goes, and its mode."""
    place = item.get("path", "")
    if not place:
        errs.append(field.required(f"{path}.path"))
    else:
        relative_path(errs, f"{path}.path", place)
        if place.startswith("..") and not place.startswith("../"):
            errs.append(field.invalid(f"{path}.path", place, "must not start with '..'"))
    file_mode(errs, f"{path}.mode", item.get("mode"))


def _secret(errs: Errors, path: str, source: Obj) -> None:
    if not source.get("secretName"):
        errs.append(field.required(f"{path}.secretName"))
    _items(errs, path, source)


def _config_map(errs: Errors, path: str, source: Obj) -> None:
    if not source.get("name"):
        errs.append(field.required(f"{path}.name"))
    _items(errs, path, source)


def _downward(errs: Errors, path: str, source: Obj) -> None:
    file_mode(errs, f"{path}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{index}]"
        _target(errs, at, item)
        if item.get("fieldRef") is not None:
            field_ref(errs, f"{at}.fieldRef", item["fieldRef"], VOLUME_FIELDS)
            if item.get("resourceFieldRef") is not None:
                errs.append(field.invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified "
                                          "simultaneously"))
        elif item.get("resourceFieldRef") is not None:
            resource_ref(errs, f"{at}.resourceFieldRef", item["resourceFieldRef"], of_volume=True)
        else:
            errs.append(field.required(at, "one of fieldRef and resourceFieldRef is required"))


def _projected(errs: Errors, path: str, source: Obj) -> None:
    file_mode(errs, f"{path}.defaultMode", source.get("defaultMode"))
    for index, projection in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{index}]"
        kinds = [name for name in ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle",
                                   "podCertificate") if projection.get(name) is not None]
        for number, name in enumerate(kinds):
            if number:
                errs.append(field.forbidden(f"{at}.{name}", "may not specify more than 1 volume type per source"))
                continue
            _projection(errs, f"{at}.{name}", name, projection[name])
        if not kinds:
            errs.append(field.required(at, "must specify a volume type"))


def _projection(errs: Errors, path: str, kind: str, source: Obj) -> None:
    if kind == "downwardAPI":
        _downward(errs, path, source)
    elif kind == "serviceAccountToken":
        seconds = source.get("expirationSeconds", 3600)
        if seconds < 600:
            errs.append(field.invalid(f"{path}.expirationSeconds", seconds,
                                      "may not specify a duration less than 10 minutes"))
        if seconds > 1 << 32:
            errs.append(field.invalid(f"{path}.expirationSeconds", seconds,
                                      "may not specify a duration larger than 2^32 seconds"))
        if not source.get("path"):
            errs.append(field.required(f"{path}.path"))
        else:
            relative_path(errs, f"{path}.path", source["path"])
    elif kind in ("secret", "configMap"):
        if not source.get("name"):
            errs.append(field.required(f"{path}.name"))
        _items(errs, path, source)


def _claim(errs: Errors, path: str, source: Obj) -> None:
    if not source.get("claimName"):
        errs.append(field.required(f"{path}.claimName"))


def nfs(errs: Errors, path: str, source: Obj) -> None:
    for name in ("server", "path"):
        if not source.get(name):
            errs.append(field.required(f"{path}.{name}"))
    if not source.get("path", "").startswith("/"):
        errs.append(field.invalid(f"{path}.path", source.get("path", ""), "must be an absolute path"))


def _csi(errs: Errors, path: str, source: Obj) -> None:
    csi_driver_name(errs, f"{path}.driver", source.get("driver", ""))
    secret = source.get("nodePublishSecretRef")
    if secret is not None and not secret.get("name"):
        errs.append(field.required(f"{path}.nodePublishSecretRef.name"))


def csi_driver_name(errs: Errors, path: str, name: str) -> None:
    if not name:
        errs.append(field.required(path))
        return
    if len(name) > 63:
        errs.append(field.too_long(path, 63))
    each(errs, path, name, names.dns_subdomain(name.lower()))


def _ephemeral(errs: Errors, path: str, source: Obj) -> None:
    from kitlib.api.validation.volumes import claim_spec  # the two refer to each other

    template = source.get("volumeClaimTemplate")
    if template is None:
        errs.append(field.required(f"{path}.volumeClaimTemplate"))
    else:
        claim_spec(errs, f"{path}.volumeClaimTemplate.spec", template.get("spec") or {})


def _image(errs: Errors, path: str, source: Obj) -> None:
    one_of(errs, f"{path}.pullPolicy", source.get("pullPolicy"), ("Always", "IfNotPresent", "Never"))


def remote(name: str) -> Callable[[Errors, str, Obj], None]:
    """The rule of a source that needs certain fields and no more."""

    def rule(errs: Errors, path: str, source: Obj) -> None:
        for key in _REMOTE[name]:
            if not source.get(key):
                errs.append(field.required(f"{path}.{key}"))

    return rule


_SOURCES: dict[str, Callable[[Errors, str, Obj], None]] = {
    "emptyDir": _empty_dir, "hostPath": host_path, "gitRepo": remote("gitRepo"), "secret": _secret, "nfs": nfs,
    "persistentVolumeClaim": _claim, "downwardAPI": _downward, "configMap": _config_map, "projected": _projected,
    "csi": _csi, "ephemeral": _ephemeral, "image": _image,
    **{name: remote(name) for name in _REMOTE if name not in ("gitRepo", "local")},
}
