"""storage.k8s.io: where volumes come from.

Source: pkg/registry/storage/rest/storage_storage.go.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind

GROUP = "storage.k8s.io"

KINDS = (
    Kind(GROUP, "v1", "CSIDriver", "csidrivers", namespaced=False, unconditional_update=False),
    Kind(GROUP, "v1", "CSINode", "csinodes", namespaced=False, unconditional_update=False),
    Kind(GROUP, "v1", "CSIStorageCapacity", "csistoragecapacities", "csistoragecapacity", unconditional_update=False),
    Kind(GROUP, "v1", "StorageClass", "storageclasses", "storageclass", ("sc",), namespaced=False),
    Kind(GROUP, "v1", "VolumeAttachment", "volumeattachments", namespaced=False, unconditional_update=False,
         subresources=(STATUS,)),
    Kind(GROUP, "v1", "VolumeAttributesClass", "volumeattributesclasses", "volumeattributesclass", ("vac",),
         namespaced=False),
)
