"""RBAC rules: does this rule allow that request, and do these rules cover those?

A rule is a product of sets, (apiGroups × resources × verbs [× resourceNames]) or (nonResourceURLs ×
verbs), with "*" for everything.  `covers` is what keeps people from granting more than they have.

Source: k8s.io/kubernetes/pkg/registry/rbac/validation, pkg/apis/rbac/v1/evaluation_helpers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Rule = Mapping[str, Any]
EVERY = "*"


def allows(rule: Rule, verb: str, group: str, resource: str, subresource: str, name: str) -> bool:
    """Whether a rule allows a request about a resource."""
    verbs, groups = rule.get("verbs") or (), rule.get("apiGroups") or ()
    if verb not in verbs and EVERY not in verbs:
        return False
    if group not in groups and EVERY not in groups:
        return False
    names = rule.get("resourceNames")
    return _has_resource(rule, resource, subresource) and (not names or name in names)


def _has_resource(rule: Rule, resource: str, subresource: str) -> bool:
    resources = rule.get("resources") or ()
    combined = f"{resource}/{subresource}" if subresource else resource
    return EVERY in resources or combined in resources or (bool(subresource) and f"{EVERY}/{subresource}" in resources)


def allows_path(rule: Rule, verb: str, path: str) -> bool:
    """Whether a rule allows a request for a path that is no resource."""
    verbs = rule.get("verbs") or ()
    if verb not in verbs and EVERY not in verbs:
        return False
    return any(_path_matches(pattern, path) for pattern in rule.get("nonResourceURLs") or ())


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in (EVERY, path) or (pattern.endswith(EVERY) and path.startswith(pattern[:-1]))


def not_covered(owned: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """Those parts of `wanted` that `owned` does not allow."""
    have = list(owned)
    return [part for rule in wanted for part in _parts(rule) if not any(_covers(rule, part) for rule in have)]


def _parts(rule: Rule) -> Iterator[dict[str, Any]]:
    """A rule as rules of one group, resource, verb and name each."""
    for verb in rule.get("verbs") or ():
        for path in rule.get("nonResourceURLs") or ():
            yield {"verbs": [verb], "nonResourceURLs": [path]}
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                part = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                if rule.get("resourceNames"):
                    yield from ({**part, "resourceNames": [name]} for name in rule["resourceNames"])
                else:
                    yield part


def _covers(owner: Rule, part: Rule) -> bool:
    verb, verbs = part["verbs"][0], owner.get("verbs") or ()
    if verb not in verbs and EVERY not in verbs:
        return False
    if "nonResourceURLs" in part:
        return any(_path_matches(pattern, part["nonResourceURLs"][0]) for pattern in owner.get("nonResourceURLs") or ())
    groups = owner.get("apiGroups") or ()
    if part["apiGroups"][0] not in groups and EVERY not in groups:
        return False
    resource, _, subresource = part["resources"][0].partition("/")
    if not _has_resource(owner, resource, subresource):
        return False
    names = owner.get("resourceNames")
    return not names or (bool(part.get("resourceNames")) and part["resourceNames"][0] in names)
