"""Roles and bindings: rules that say something, references that can be followed.

Source: k8s.io/kubernetes/pkg/apis/rbac/validation.
"""

from __future__ import annotations

from kitlib.api.validation.common import Errors, Obj, each, label_selector, named
from kitlib.objects import field, names

GROUP = "rbac.authorization.k8s.io"


def create_role(errs: Errors, obj: Obj) -> None:
    for index, rule in enumerate(obj.get("rules") or ()):
        _rule(errs, f"rules[{index}]", rule, namespaced=True)


def create_clusterrole(errs: Errors, obj: Obj) -> None:
    for index, rule in enumerate(obj.get("rules") or ()):
        _rule(errs, f"rules[{index}]", rule, namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is not None:
        selectors = aggregation.get("clusterRoleSelectors") or []
        if not selectors:
            errs.append(field.required("aggregationRule.clusterRoleSelectors",
                                       "at least one clusterRoleSelector required if aggregationRule is non-nil"))
        for index, selector in enumerate(selectors):
            label_selector(errs, f"aggregationRule.clusterRoleSelectors[{index}]", selector)


def _rule(errs: Errors, path: str, rule: Obj, *, namespaced: bool) -> None:
    if not rule.get("verbs"):
        errs.append(field.required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            errs.append(field.invalid(f"{path}.nonResourceURLs", urls,
                                      "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            errs.append(field.invalid(f"{path}.nonResourceURLs", urls,
                                      "rules cannot apply to both regular resources and non-resource URLs"))
        return
    if not rule.get("apiGroups"):
        errs.append(field.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        errs.append(field.required(f"{path}.resources", "resource rules must supply at least one resource"))


def create_rolebinding(errs: Errors, obj: Obj) -> None:
    _binding(errs, obj, ("ClusterRole", "Role"))


def create_clusterrolebinding(errs: Errors, obj: Obj) -> None:
    _binding(errs, obj, ("ClusterRole",))


def _binding(errs: Errors, obj: Obj, kinds: tuple[str, ...]) -> None:
    role = obj.get("roleRef") or {}
    if role.get("apiGroup") != GROUP:
        errs.append(field.not_supported("roleRef.apiGroup", role.get("apiGroup", ""), (GROUP,)))
    if role.get("kind") not in kinds:
        errs.append(field.not_supported("roleRef.kind", role.get("kind", ""), kinds))
    named(errs, "roleRef.name", role.get("name"), names.path_segment)
    for index, subject in enumerate(obj.get("subjects") or ()):
        _subject(errs, f"subjects[{index}]", subject)


def _subject(errs: Errors, path: str, subject: Obj) -> None:
    kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        errs.append(field.required(f"{path}.name"))
    if kind == "ServiceAccount":
        if name:
            each(errs, f"{path}.name", name, names.dns_subdomain(name))
        if group:
            errs.append(field.not_supported(f"{path}.apiGroup", group, ("",)))
        if not subject.get("namespace"):
            errs.append(field.required(f"{path}.namespace"))
    elif kind in ("User", "Group"):
        if group != GROUP:
            errs.append(field.not_supported(f"{path}.apiGroup", group, (GROUP,)))
    else:
        errs.append(field.not_supported(f"{path}.kind", kind, ("Group", "ServiceAccount", "User")))


def update_rolebinding(errs: Errors, new: Obj, old: Obj) -> None:
    if new.get("roleRef") != old.get("roleRef"):
        errs.append(field.invalid("roleRef", new.get("roleRef"), "cannot change roleRef"))


def update_clusterrolebinding(errs: Errors, new: Obj, old: Obj) -> None:
    update_rolebinding(errs, new, old)
