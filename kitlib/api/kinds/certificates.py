"""certificates.k8s.io: asking the cluster's CA for a certificate.

Source: pkg/registry/certificates/rest/storage_certificates.go.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind, SelectableField, Subresource

KINDS = (
    Kind("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", short_names=("csr",),
         namespaced=False, subresources=(Subresource("approval"), STATUS),
         selectable=(SelectableField("spec.signerName"),)),
)
