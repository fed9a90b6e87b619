"""authentication.k8s.io: who am I, and whose token is this?  Questions: they are answered, not stored.

Source: pkg/registry/authentication/rest/storage_authentication.go.
"""

from __future__ import annotations

from kitlib.api.kind import Kind

GROUP = "authentication.k8s.io"

KINDS = (
    Kind(GROUP, "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False, verbs=("create",), virtual=True),
    Kind(GROUP, "v1", "TokenReview", "tokenreviews", namespaced=False, verbs=("create",), virtual=True),
)
