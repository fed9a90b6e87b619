"""Roles and bindings: nobody grants what he does not have himself.

Who writes a Role must hold every rule in it, or the verb "escalate"; who writes a binding must hold
every rule of the role it refers to, or the verb "bind" on it.  A ClusterRole with an aggregationRule can
come to hold anything at all, so only those who may do everything write one.

Source: k8s.io/kubernetes/pkg/registry/rbac/{role,rolebinding}/policybased/storage.go.
"""

from __future__ import annotations

from kitlib.api.auth.rbac import RBAC
from kitlib.api.auth.rules import Rule
from kitlib.api.call import Call
from kitlib.api.strategies.base import Causes, Obj, Strategy

EVERYTHING: list[Rule] = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                          {"nonResourceURLs": ["*"], "verbs": ["*"]}]


class RoleStrategy(Strategy):
    """The strategy of Roles and ClusterRoles."""

    def validate_create(self, call: Call, obj: Obj) -> Causes:
        self._check(call, obj, obj.get("rules") or [])
        if obj.get("aggregationRule"):
            self._check(call, obj, EVERYTHING)
        return []

    def validate_update(self, call: Call, obj: Obj, old: Obj) -> Causes:
        if obj.get("rules") != old.get("rules"):
            self._check(call, obj, obj.get("rules") or [])
        if obj.get("aggregationRule") or old.get("aggregationRule"):
            self._check(call, obj, EVERYTHING)
        return []

    @staticmethod
    def _check(call: Call, obj: Obj, rules: list[Rule]) -> None:
        name = obj["metadata"].get("name", "")
        may = call.api.authorizer.may
        if may(call.user, "escalate", RBAC, call.kind.plural, "", call.namespace, name):
            return
        missing = call.api.authorizer.check_escalation(call.user, rules, call.namespace)
        if missing:
            raise call.forbidden(f'user "{call.user.name}" is attempting to grant RBAC permissions not currently held: '
                                 f"{missing}", name)


class BindingStrategy(Strategy):
    """The strategy of RoleBindings and ClusterRoleBindings."""

    def validate_create(self, call: Call, obj: Obj) -> Causes:
        self._check(call, obj)
        return []

    def validate_update(self, call: Call, obj: Obj, old: Obj) -> Causes:
        if obj.get("subjects") != old.get("subjects") or obj.get("roleRef") != old.get("roleRef"):
            self._check(call, obj)
        return []

    @staticmethod
    def _check(call: Call, obj: Obj) -> None:
        authorizer, reference = call.api.authorizer, obj.get("roleRef") or {}
        plural = "roles" if reference.get("kind") == "Role" else "clusterroles"
        role = reference.get("name", "")
        if authorizer.may(call.user, "bind", RBAC, plural, "", call.namespace, role):
            return
        rules = authorizer.rules_of(reference.get("kind", ""), role, call.namespace)
        missing = authorizer.check_escalation(call.user, rules, call.namespace)
        if missing:
            raise call.forbidden(f'user "{call.user.name}" is attempting to grant RBAC permissions not currently held: '
                                 f"{missing}", obj["metadata"].get("name", ""))
