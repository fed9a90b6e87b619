"""Aggregated ClusterRoles: their rules are those of the roles that they select."""

from __future__ import annotations

from typing import Any

from controller_world import World
from support import Kubectl, eventually

from kitlib.controllers.clusterroleaggregation import ROLES, ClusterRoleAggregation

TO_VIEW = "rbac.authorization.k8s.io/aggregate-to-view"


def role(name: str, resource: str = "", labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    rules = [{"apiGroups": ["example.com"], "resources": [resource], "verbs": ["get"]}] if resource else []
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels or {}}, "rules": rules, **more}


def collecting(name: str, label: str, resource: str = "") -> dict[str, Any]:
    return role(name, resource, aggregationRule={"clusterRoleSelectors": [{"matchLabels": {label: "yes"}}]})


def world() -> World:
    made = World(ClusterRoleAggregation(), nodes=0)
    made.settle(1)
    return made


def resources(w: World, name: str) -> list[str]:
    return [rule["resources"][0] for rule in w.user.get(ROLES, "", name).get("rules") or ()]


def test_the_roles_of_a_new_cluster_are_collected_already():
    w = World(ClusterRoleAggregation(), nodes=0)
    before = {name: w.user.get(ROLES, "", name) for name in ("admin", "edit", "view")}
    w.settle(1)
    assert {name: w.user.get(ROLES, "", name) for name in before} == before
    assert all(found["rules"] and found["aggregationRule"] for found in before.values())


def test_the_rules_of_selected_roles_are_written_in_order_of_their_names():
    w = world()
    for name, resource in (("b", "boats"), ("a", "cars"), ("c", "boats")):
        w.user.create(ROLES, "", role(name, resource, {"vehicles": "yes"}))
    w.user.create(ROLES, "", role("d", "trees"))
    w.user.create(ROLES, "", collecting("all", "vehicles", "its-own"))
    w.settle(1)
    assert resources(w, "all") == ["cars", "boats"], "each rule once; what stood there before is gone"


def test_what_is_selected_no_longer_is_taken_out():
    w = world()
    w.user.create(ROLES, "", role("a", "cars", {"vehicles": "yes"}))
    w.user.create(ROLES, "", role("b", "boats", {"vehicles": "yes"}))
    w.user.create(ROLES, "", collecting("all", "vehicles"))
    w.settle(1)
    w.patch(ROLES, "a", {"metadata": {"labels": {"vehicles": None}}}, namespace="")
    w.settle(1)
    assert resources(w, "all") == ["boats"]
    w.user.delete(ROLES, "", "b")
    w.settle(1)
    assert resources(w, "all") == []


def test_a_collected_role_can_be_part_of_another_one():
    w = world()
    w.user.create(ROLES, "", role("widgets", "widgets", {TO_VIEW: "true"}))
    w.settle(1)
    assert [name for name in ("view", "edit", "admin") if "widgets" in resources(w, name)] == ["view", "edit", "admin"]


def test_nothing_is_written_when_nothing_changes():
    w = world()
    w.user.create(ROLES, "", role("a", "cars", {"vehicles": "yes"}))
    w.user.create(ROLES, "", collecting("all", "vehicles"))
    w.settle(1)
    before = w.store.revision
    w.patch(ROLES, "a", {"metadata": {"annotations": {"seen": "yes"}}}, namespace="")
    w.settle(600)
    assert w.store.revision == before + 1


def test_who_may_view_may_view_what_an_operator_adds(kubectl: Kubectl) -> None:
    kubectl("create", "rolebinding", "jane", "--clusterrole=view", "--user=jane")
    asked = ("auth", "can-i", "get", "secrets", "--as=jane")
    assert kubectl.run(*asked).stdout == "no\n"
    added = role("secret-viewer", "secrets", {TO_VIEW: "true"})
    added["rules"][0]["apiGroups"] = [""]
    kubectl("apply", "-f", "-", stdin=added)
    try:
        eventually(lambda: kubectl.run(*asked).stdout == "yes\n")
        assert "secrets" in kubectl("describe", "clusterrole", "view")
    finally:
        kubectl("delete", "clusterrole", "secret-viewer")
    eventually(lambda: kubectl.run(*asked).stdout == "no\n")
