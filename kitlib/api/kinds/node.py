"""node.k8s.io: which container runtime runs a Pod.

Source: pkg/registry/node/rest/runtimeclass_rest.go.
"""

from __future__ import annotations

from kitlib.api.kind import Kind

KINDS = (
    Kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", "runtimeclass", namespaced=False,
         unconditional_update=False),
)
