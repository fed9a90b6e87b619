"""rbac.authorization.k8s.io: who may do what.

Source: pkg/registry/rbac/rest/storage_rbac.go.
"""

from __future__ import annotations

from kitlib.api.kind import Kind

GROUP = "rbac.authorization.k8s.io"

KINDS = (
    Kind(GROUP, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False, create_on_update=True),
    Kind(GROUP, "v1", "ClusterRole", "clusterroles", namespaced=False, create_on_update=True),
    Kind(GROUP, "v1", "RoleBinding", "rolebindings", create_on_update=True),
    Kind(GROUP, "v1", "Role", "roles", create_on_update=True),
)
