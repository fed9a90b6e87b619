"""coordination.k8s.io: who leads, and whose heart still beats.

Source: pkg/registry/coordination/lease/strategy.go.
"""

from __future__ import annotations

from kitlib.api.kind import Kind

KINDS = (
    Kind("coordination.k8s.io", "v1", "Lease", "leases", create_on_update=True, unconditional_update=False),
)
