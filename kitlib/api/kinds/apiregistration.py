"""apiregistration.k8s.io: which API server serves which group (here always this one).

Source: k8s.io/kube-aggregator/pkg/registry/apiservice.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind

KINDS = (
    Kind("apiregistration.k8s.io", "v1", "APIService", "apiservices", categories=("api-extensions",),
         namespaced=False, unconditional_update=False, subresources=(STATUS,)),
)
