"""Volumes, persistent volumes and their claims.  (RBD, iSCSI, AzureDisk and ScaleIO have theirs in the tables.)

Source: pkg/apis/core/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.objects.schema.defaults.core_pod import image_tag

Obj = dict[str, Any]
DEFAULT_MODE = 0o644


def volume(obj: Obj) -> None:
    """A volume of no kind is an emptyDir."""
    if len(obj) == 1 and "name" in obj:
        obj["emptyDir"] = {}


def _mode(obj: Obj) -> None:
    obj.setdefault("defaultMode", DEFAULT_MODE)


def host_path(obj: Obj) -> None:
    obj.setdefault("type", "")


def token_projection(obj: Obj) -> None:
    obj.setdefault("expirationSeconds", 3600)


def image_volume(obj: Obj) -> None:
    if "pullPolicy" not in obj:
        obj["pullPolicy"] = "Always" if image_tag(obj.get("reference", "")) == "latest" else "IfNotPresent"


def persistent_volume(obj: Obj) -> None:
    obj["status"].setdefault("phase", "Pending")
    obj["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")


def volume_mode(obj: Obj) -> None:
    obj.setdefault("volumeMode", "Filesystem")


def claim(obj: Obj) -> None:
    obj["status"].setdefault("phase", "Pending")


HOOKS = {
    "core/v1.Volume": volume, "core/v1.SecretVolumeSource": _mode, "core/v1.ConfigMapVolumeSource": _mode,
    "core/v1.DownwardAPIVolumeSource": _mode, "core/v1.ProjectedVolumeSource": _mode,
    "core/v1.HostPathVolumeSource": host_path, "core/v1.ServiceAccountTokenProjection": token_projection,
    "core/v1.ImageVolumeSource": image_volume, "core/v1.PersistentVolume": persistent_volume,
    "core/v1.PersistentVolumeSpec": volume_mode, "core/v1.PersistentVolumeClaim": claim,
    "core/v1.PersistentVolumeClaimSpec": volume_mode,
}
