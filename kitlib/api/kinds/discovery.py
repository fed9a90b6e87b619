"""discovery.k8s.io: which addresses stand behind a Service.

Source: pkg/registry/discovery/rest/storage_discovery.go.
"""

from __future__ import annotations

from kitlib.api.kind import Kind

KINDS = (
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", generation=True),
)
