"""flowcontrol.apiserver.k8s.io: whose requests wait when the API server is busy.

Source: pkg/registry/flowcontrol/rest/storage_flowcontrol.go.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind

GROUP = "flowcontrol.apiserver.k8s.io"

KINDS = (
    Kind(GROUP, "v1", "FlowSchema", "flowschemas", namespaced=False, generation=True, subresources=(STATUS,)),
    Kind(GROUP, "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", namespaced=False, generation=True,
         subresources=(STATUS,)),
)
