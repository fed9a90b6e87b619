"""policy: how much disruption an application stands.  (Eviction is a subresource of the Pod.)

Source: pkg/registry/policy/rest/storage_policy.go.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind

KINDS = (
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", short_names=("pdb",), generation=True,
         unconditional_update=False, subresources=(STATUS,)),
)
