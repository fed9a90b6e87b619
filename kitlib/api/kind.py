"""What a resource is, said once: the declarations that every part of the API server reads.

In Kubernetes a resource is a REST storage (`pkg/registry/*`), a strategy, a Go type, printer columns
and conversion functions, wired together in code.  Here it is one `Kind`: plain data that routing,
discovery, OpenAPI, tables, defaulting and deletion all look at.  A custom resource is the same `Kind`,
made at run time from its CustomResourceDefinition.

One `Kind` is one *version* of a resource.  Versions of the same resource share `storage_resource`,
the name under which objects lie in the store, and exactly one of them is the storage version:

    autoscaling/v1 HorizontalPodAutoscaler ─┐ from_storage / to_storage
                                            ├──▶ store "horizontalpodautoscalers.autoscaling" (as v2)
    autoscaling/v2 HorizontalPodAutoscaler ─┘

What a resource *does* beyond the common rules (a Service gets an address, a Pod a QoS class) is its
strategy, in `api/strategies/`, found by `storage_resource`; so declarations stay data.  The built-in
declarations are `api.kinds.BUILTIN`, a tuple of `Kind`.

Source: k8s.io/apiserver/pkg/registry/generic/registry, k8s.io/apimachinery/pkg/apis/meta/v1.APIResource.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Subresource:
    """`/pods/NAME/log` and the like.

    group, version, kind: of the body, where it is not the parent's own (autoscaling/v1 Scale).
    spec_path, status_path, selector_path: only for `scale`: where the replicas lie in the parent,
    as dotted paths (`spec.replicas`, `status.replicas`, `spec.selector` or, as text, `status.selector`).
    """

    name: str
    verbs: tuple[str, ...] = ("get", "patch", "update")
    group: str = ""
    version: str = ""
    kind: str = ""
    spec_path: str = ""
    status_path: str = ""
    selector_path: str = ""


STATUS = Subresource("status")


def scale(status_path: str = "status.replicas", selector_path: str = "spec.selector") -> Subresource:
    """The scale subresource of the built-in workloads."""
    return Subresource("scale", group="autoscaling", version="v1", kind="Scale", spec_path="spec.replicas",
                       status_path=status_path, selector_path=selector_path)


@dataclass(frozen=True, slots=True)
class SelectableField:
    """One label that `?fieldSelector=` may name.  `read` is for values that are not simply at `path`."""

    label: str
    path: str = ""  # dotted; default: the label itself
    default: str = ""  # what a missing value compares as ("false" for an absent bool)
    read: Callable[[Mapping[str, Any]], str] | None = None

    def value(self, obj: Mapping[str, Any]) -> str:
        if self.read is not None:
            return self.read(obj)
        node: Any = obj
        for part in (self.path or self.label).split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        if node is None:
            return self.default
        if isinstance(node, bool):
            return "true" if node else "false"
        return str(node)


Convert = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Kind:
    """One version of one resource.  Identity compares and hashes: two equal declarations are two kinds."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ALL
    subresources: tuple[Subresource, ...] = ()
    selectable: tuple[SelectableField, ...] = ()  # besides metadata.name and metadata.namespace
    name_selectable: bool = True

    # -- storage and versions
    storage: str = ""  # default "plural.group"; shared by the versions of one resource
    storage_version: bool = True  # objects lie in the store in this version's form
    to_storage: Convert | None = None  # None: the forms differ in apiVersion alone
    from_storage: Convert | None = None

    # -- how it behaves
    virtual: bool = False  # nothing is stored: reviews, componentstatuses, metrics
    generation: bool = False  # metadata.generation is 1 at creation and moves when the spec does
    create_on_update: bool = False  # PUT creates what is not there (Lease)
    unconditional_update: bool = True  # PUT without a resourceVersion is allowed
    graceful: bool = False  # deletion waits for somebody to confirm it (Pod)
    orphan_by_default: bool = False  # DELETE without a policy leaves dependents alone (Job)
    typed_items: bool = False  # custom resources: list items carry kind and apiVersion

    # -- shape; None: built in, `objects.schema` knows it by group, version, kind
    custom: Any = None  # api.crd.CustomVersion: the shape of a CRD's version
    columns: tuple[Mapping[str, Any], ...] = ()  # additionalPrinterColumns of a CRD

    # -- derived
    api_version: str = field(init=False, default="")
    list_kind: str = ""
    resource: str = field(init=False, default="")  # "plural" or "plural.group"
    direct: bool = field(init=False, default=True)  # what lies in the store is this version's form already
    json_head: bytes = field(init=False, default=b"")  # how the JSON of every stored object of this kind begins
    fields: Mapping[str, SelectableField] = field(init=False, default_factory=dict)
    by_subresource: Mapping[str, Subresource] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)
        put(self, "resource", f"{self.plural}.{self.group}" if self.group else self.plural)
        put(self, "direct", self.storage_version and not getattr(self.custom, "several", False))
        put(self, "json_head", f'{{"kind":"{self.kind}","apiVersion":"{self.api_version}",'.encode())
        put(self, "singular", self.singular or self.kind.lower())
        put(self, "list_kind", self.list_kind or self.kind + "List")
        put(self, "storage", self.storage or self.resource)
        fields = {f.label: f for f in self.selectable}
        if self.name_selectable:
            fields["metadata.name"] = SelectableField("metadata.name")
            if self.namespaced:
                fields["metadata.namespace"] = SelectableField("metadata.namespace")
        put(self, "fields", fields)
        put(self, "by_subresource", {s.name: s for s in self.subresources})

    @property
    def storage_resource(self) -> str:
        """The store's resource string: "pods", "replicasets.apps"."""
        return self.storage

    @property
    def has_status(self) -> bool:
        return "status" in self.by_subresource


@dataclass(frozen=True, slots=True)
class Group:
    """One API group as discovery shows it: the versions served, the preferred one first."""

    name: str
    versions: tuple[str, ...]

    @property
    def preferred(self) -> str:
        return self.versions[0]


_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def version_priority(version: str) -> tuple[int, int, int, str]:
    """A sort key, best first: GA before beta before alpha, newer first, then anything else by name."""
    match = _VERSION.fullmatch(version)
    if not match:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0), version)


class Registry:
    """All kinds that are served now.  `changes` counts additions and removals, for caches built on it."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self.changes = 0
        self._by_plural: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str, str], Kind] = {}
        self._stored: dict[str, Kind] = {}
        self._group_versions: dict[str, set[str]] = {}
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Serve a kind; one that was there under the same group, version and plural is replaced."""
        self._by_plural[kind.group, kind.version, kind.plural] = kind
        if not kind.virtual or (kind.group, kind.version, kind.kind) not in self._by_kind:
            self._by_kind[kind.group, kind.version, kind.kind] = kind
        if kind.storage_version and not kind.virtual:
            self._stored[kind.storage] = kind
        self._index()

    def add_stored(self, kind: Kind) -> None:
        """Note a storage version that is not served itself."""
        self._stored[kind.storage] = kind

    def remove(self, group: str, version: str, plural: str) -> None:
        kind = self._by_plural.pop((group, version, plural), None)
        if kind is None:
            return
        if self._by_kind.get((group, version, kind.kind)) is kind:
            del self._by_kind[group, version, kind.kind]
        if self._stored.get(kind.storage) is kind:
            del self._stored[kind.storage]
        self._index()

    def _index(self) -> None:
        self.changes += 1
        self._group_versions = {}
        for group, version, _ in self._by_plural:
            self._group_versions.setdefault(group, set()).add(version)

    def lookup(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_plural.get((group, version, plural))

    def by_kind(self, group: str, version: str, kind: str) -> Kind | None:
        return self._by_kind.get((group, version, kind))

    def stored(self, storage_resource: str) -> Kind | None:
        """The storage version of what lies in the store under this resource string."""
        return self._stored.get(storage_resource)

    def has_group(self, group: str) -> bool:
        return group in self._group_versions

    def has_version(self, group: str, version: str) -> bool:
        return version in self._group_versions.get(group, ())

    def groups(self) -> list[Group]:
        """Every group served, the core group ("") first, then by name; versions in order of preference."""
        return [Group(name, tuple(sorted(versions, key=version_priority)))
                for name, versions in sorted(self._group_versions.items())]

    def kinds(self, group: str | None = None, version: str | None = None) -> list[Kind]:
        """All kinds, or those of one group or group version, by plural."""
        found = [kind for (g, v, _), kind in self._by_plural.items()
                 if (group is None or g == group) and (version is None or v == version)]
        return sorted(found, key=lambda k: (k.group, version_priority(k.version), k.plural))
