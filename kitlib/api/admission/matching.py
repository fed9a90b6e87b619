"""Which writes a policy or a webhook is about: operations, resources, scopes and selectors.

Source: k8s.io/apiserver/pkg/admission/plugin/{policy/matching,webhook/predicates}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kitlib.api.call import Call
from kitlib.objects.selectors import LabelSelector

Obj = dict[str, Any]
ALL = "*"


@dataclass(frozen=True, slots=True)
class Attributes:
    """One write, as admission sees it."""

    operation: str  # CREATE, UPDATE, DELETE
    group: str
    version: str
    resource: str
    subresource: str
    namespace: str
    name: str
    obj: Obj | None
    old: Obj | None
    labels_of_namespace: Mapping[str, str]

    @classmethod
    def of(cls, call: Call, obj: Obj | None, old: Obj | None) -> Attributes:
        kind, meta = call.kind, (obj or old or {}).get("metadata") or {}
        operation = "DELETE" if obj is None else "CREATE" if old is None else "UPDATE"
        namespace = call.namespace or (meta.get("name", "") if kind.storage == "namespaces" else "")
        found = call.api.store.get("namespaces", "", namespace) if namespace else None
        labels = (found.obj["metadata"].get("labels") or {}) if found else {}
        return cls(operation, kind.group, kind.version, kind.plural, call.subresource, call.namespace,
                   meta.get("name", "") or call.name, obj, old, labels)


def matches(rules: Mapping[str, Any] | None, about: Attributes) -> bool:
    """Whether matchConstraints or matchResources (None: everything) select a write."""
    if rules is None:
        return True
    if not _selected(rules.get("namespaceSelector"), about.labels_of_namespace):
        return False
    selector = rules.get("objectSelector")
    if selector and not any(_selected(selector, (obj.get("metadata") or {}).get("labels") or {})
                            for obj in (about.obj, about.old) if obj is not None):
        return False
    if any(rule_matches(rule, about) for rule in rules.get("excludeResourceRules") or ()):
        return False
    included = rules.get("resourceRules")
    return not included or any(rule_matches(rule, about) for rule in included)


def _selected(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    return not selector or LabelSelector.of(selector).matches(labels)


def rule_matches(rule: Mapping[str, Any], about: Attributes) -> bool:
    """Whether one rule (operations × groups × versions × resources, scope, names) is about a write."""
    if not _has(rule.get("operations"), about.operation) or not _has(rule.get("apiGroups"), about.group):
        return False
    if not _has(rule.get("apiVersions"), about.version):
        return False
    scope = rule.get("scope", ALL)
    if scope not in (ALL, "Namespaced" if about.namespace else "Cluster"):
        return False
    names = rule.get("resourceNames")
    if names and about.name not in names:
        return False
    return any(_is_resource(pattern, about) for pattern in rule.get("resources") or ())


def _has(values: Any, wanted: str) -> bool:
    return ALL in (values or ()) or wanted in (values or ())


def _is_resource(pattern: str, about: Attributes) -> bool:
    resource, _, subresource = pattern.partition("/")
    if resource not in (ALL, about.resource):
        return False
    if pattern == ALL:
        return not about.subresource
    return subresource in (ALL, about.subresource)
