"""networking.k8s.io: traffic from outside, between Pods, and the addresses of Services.

Source: pkg/registry/networking/rest/storage_settings.go.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind, SelectableField

GROUP = "networking.k8s.io"

KINDS = (
    Kind(GROUP, "v1", "IngressClass", "ingressclasses", "ingressclass", namespaced=False, generation=True),
    Kind(GROUP, "v1", "Ingress", "ingresses", "ingress", ("ing",), generation=True, subresources=(STATUS,)),
    Kind(GROUP, "v1", "IPAddress", "ipaddresses", "ipaddress", ("ip",), namespaced=False,
         selectable=(SelectableField("spec.parentRef"),)),
    Kind(GROUP, "v1", "NetworkPolicy", "networkpolicies", "networkpolicy", ("netpol",), generation=True),
    Kind(GROUP, "v1", "ServiceCIDR", "servicecidrs", "servicecidr", namespaced=False, subresources=(STATUS,)),
)
