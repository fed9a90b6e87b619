"""`TypeNode`: what the API knows about one place in an object.

Every rule that depends on a field's type reads it from here: strategic merge (merge keys), server-side
apply (list types), decoding, pruning, OpenAPI.  A built-in kind's nodes are built from generated tables
and a custom resource's from its openAPIV3Schema; the readers cannot tell the difference.

        Deployment  kind="object"
          └─ spec   kind="object"
               └─ template.spec.containers   kind="list"  list_type="map"  list_keys=("name",)
                    │                        merge_key="name"  patch_strategy={"merge"}
                    └─ items: Container      kind="object"

A node describes a field *in its place*: `containers` carries the list's keys, its `items` the element.

Source: the `+listType`, `+listMapKey`, `+mapType`, `+structType` markers and the `patchStrategy` and
`patchMergeKey` tags of Kubernetes' Go types; KEP-555 (server-side apply) for their meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

NO_FIELDS: Mapping[str, TypeNode] = {}
NO_STRATEGY: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class TypeNode:
    """One place's type.  Nodes of recursive types (JSONSchemaProps) refer to themselves: never walk all of them.

    kind            "object" (known fields), "map" (any key, values are `items`), "list" (elements are `items`),
                    "scalar", or "any" (whatever JSON there is: RawExtension, preserve-unknown-fields)
    fields          for objects: JSON name -> node
    items           for lists and maps: the element
    list_type       "atomic", "set", "map", or None where the type does not say (then apply treats it as atomic)
    list_keys       for list_type "map": the fields that together name an element
    merge_key       strategic merge: the field that names an element
    patch_strategy  strategic merge: any of "merge", "replace", "retainKeys"
    atomic          objects and maps that apply replaces as a whole
    scalar          string, int32, int64, bool, double, quantity, time, microtime, int-or-string, bytes
    nullable        custom resources only: null is a value of its own
    preserve        custom resources only: an object that keeps fields it does not know
    default         what the place holds when it is not sent, or None; part of a list's keys (protocol: TCP)
    by_value        built-in objects that Go embeds by value (spec, metadata): there even when nobody sent them
    name            for objects: the type's name in its Go package ("PodSpec"), else ""
    definition      for objects: the OpenAPI definition's name ("io.k8s.api.core.v1.PodSpec"), else ""
    """

    kind: str
    fields: Mapping[str, TypeNode] = field(default_factory=lambda: NO_FIELDS)
    items: TypeNode | None = None
    list_type: str | None = None
    list_keys: tuple[str, ...] = ()
    merge_key: str | None = None
    patch_strategy: frozenset[str] = NO_STRATEGY
    atomic: bool = False
    scalar: str = ""
    nullable: bool = False
    preserve: bool = False
    default: Any = None
    by_value: bool = False
    name: str = ""
    definition: str = ""

    def child(self, name: str) -> TypeNode | None:
        """The node under a key (of an object or map), or None if the type has no such field."""
        if self.kind == "object":
            return self.fields.get(name) or (ANY if self.preserve else None)
        if self.kind == "map":
            return self.items
        return ANY if self.kind == "any" else None

    def walk(self, path: Iterator[str] | list[str] | tuple[str, ...]) -> TypeNode | None:
        """Follow a path of keys; a list is entered silently, so ("spec", "containers", "ports") works."""
        node: TypeNode | None = self
        for name in path:
            while node is not None and node.kind == "list":
                node = node.items
            node = node.child(name) if node is not None else None
            if node is None:
                return None
        return node


ANY = TypeNode("any")
