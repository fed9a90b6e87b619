"""authorization.k8s.io: may I?  May they?  Questions: they are answered, not stored.

Source: pkg/registry/authorization/rest/storage_authorization.go.
"""

from __future__ import annotations

from kitlib.api.kind import Kind

GROUP = "authorization.k8s.io"


def _review(kind: str, plural: str, namespaced: bool = False) -> Kind:
    return Kind(GROUP, "v1", kind, plural, namespaced=namespaced, verbs=("create",), virtual=True)


KINDS = (
    _review("LocalSubjectAccessReview", "localsubjectaccessreviews", namespaced=True),
    _review("SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    _review("SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    _review("SubjectAccessReview", "subjectaccessreviews"),
)
