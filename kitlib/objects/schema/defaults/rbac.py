"""Role bindings: the API groups that go without saying.

Source: pkg/apis/rbac/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"


def binding(obj: Obj) -> None:
    if not obj["roleRef"].get("apiGroup"):
        obj["roleRef"]["apiGroup"] = GROUP


def subject(obj: Obj) -> None:
    if obj.get("kind") in ("User", "Group"):
        obj.setdefault("apiGroup", GROUP)


HOOKS = {"rbac/v1.RoleBinding": binding, "rbac/v1.ClusterRoleBinding": binding, "rbac/v1.Subject": subject}
