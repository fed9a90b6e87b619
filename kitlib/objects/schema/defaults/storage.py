"""StorageClasses and CSIDrivers.

Source: pkg/apis/storage/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def storage_class(obj: Obj) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def csi_driver_spec(obj: Obj) -> None:
    obj.setdefault("attachRequired", True)
    obj.setdefault("podInfoOnMount", False)
    obj.setdefault("storageCapacity", False)
    obj.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    if not obj.get("volumeLifecycleModes"):
        obj["volumeLifecycleModes"] = ["Persistent"]
    obj.setdefault("requiresRepublish", False)
    obj.setdefault("seLinuxMount", False)


HOOKS = {"storage/v1.StorageClass": storage_class, "storage/v1.CSIDriverSpec": csi_driver_spec}
