"""scheduling.k8s.io: which Pod goes first when there is not room for all.

Source: pkg/registry/scheduling/rest/storage_scheduling.go.
"""

from __future__ import annotations

from kitlib.api.kind import Kind

KINDS = (
    Kind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "priorityclass", ("pc",), namespaced=False,
         generation=True),
)
