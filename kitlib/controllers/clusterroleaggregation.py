"""ClusterRole aggregation: a role whose rules are those of other roles.

    view   aggregationRule: clusterRoleSelectors: [rbac.authorization.k8s.io/aggregate-to-view: "true"]
             ▲
             └── every ClusterRole with that label: system:aggregate-to-view, and what an operator brings along

So nobody has to edit `view`, `edit` and `admin` when a CustomResourceDefinition is installed.  RBAC knows nothing of
all this: it reads `rules`, and this controller writes them.  What stood there before, by whomever, is replaced.

An aggregated role may be selected by another one (view by edit, edit by admin): each change wakes all of them, until
nothing changes any more.

Source: k8s.io/kubernetes/pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.client.actions import Action, Update
from kitlib.client.controller import Controller
from kitlib.objects.selectors import LabelSelector

Object = dict[str, Any]

ROLES = "clusterroles.rbac.authorization.k8s.io"


class ClusterRoleAggregation(Controller):
    name = "clusterrole-aggregation"
    resource = ROLES

    def watch_own(self) -> None:
        """Whatever role changes, it may be part of any aggregated one; there are few of them."""
        self.watch(ROLES, lambda changed: [role["metadata"]["name"] for role in (*self.cache(ROLES).list(), changed)
                                           if role.get("aggregationRule")])

    def observe(self, key: str) -> tuple[Object, list[Object]] | None:
        """(the aggregated role, all others that it selects)."""
        role = self.get(key)
        if role is None or not role.get("aggregationRule"):
            return None
        selectors = [LabelSelector.of(told) for told in role["aggregationRule"].get("clusterRoleSelectors") or ()]
        return role, [other for other in self.cache(ROLES).list() if other["metadata"]["name"] != key and any(
            selector.matches(other["metadata"].get("labels")) for selector in selectors)]

    def diff(self, observed: tuple[Object, list[Object]]) -> list[Action]:
        role, selected = observed
        rules: list[Object] = []
        for other in sorted(selected, key=lambda other: str(other["metadata"]["name"])):
            rules += [rule for rule in other.get("rules") or () if rule not in rules]
        if rules == (role.get("rules") or []):
            return []
        return [Update(ROLES, role | {"rules": rules})]
