"""Cache: one kind's objects as last seen, with indexes.

A controller asks "which Pods does this ReplicaSet own?" thousands of times.  Going through all Pods for each
answer would make the work grow with the square of the cluster; so the cache keeps, beside the objects, indexes
from a value to the keys that have it:

    "namespace"  metadata.namespace
    "owner"      the uid of every owner reference
    "orphan"     the namespace, of objects that no controller owns (those that may be adopted)

and any other a controller adds with `add_index` or `add_label_index`.

What comes out of a cache belongs to everybody: it is never changed.

Source: k8s.io/client-go/tools/cache/thread_safe_store.go (Indexer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kitlib.objects.meta import controller_of, object_key

Object = dict[str, Any]
Objects = list[Object]
IndexFunction = Callable[[Object], Iterable[str]]


def _by_namespace(obj: Object) -> Iterable[str]:
    return (obj["metadata"].get("namespace", ""),)


def _by_owner(obj: Object) -> Iterable[str]:
    return [owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()]


def _orphans(obj: Object) -> Iterable[str]:
    return () if controller_of(obj) else (obj["metadata"].get("namespace", ""),)


class Cache:
    def __init__(self) -> None:
        self._objects: dict[str, Object] = {}
        self._functions: dict[str, IndexFunction] = {}
        self._indexes: dict[str, dict[str, dict[str, Object]]] = {}   # index → value → key → object
        self.add_index("namespace", _by_namespace)
        self.add_index("owner", _by_owner)
        self.add_index("orphan", _orphans)

    def __iter__(self) -> Iterator[Object]:
        return iter(self._objects.values())

    def keys(self) -> set[str]:
        return set(self._objects)

    def get(self, key: str) -> Object | None:
        return self._objects.get(key)

    def list(self, namespace: str | None = None) -> Objects:
        return list(self._objects.values()) if namespace is None else self.by_index("namespace", namespace)

    def by_index(self, index: str, value: str) -> Objects:
        found = self._indexes[index].get(value)
        return list(found.values()) if found else []

    def index_values(self, index: str) -> set[str]:
        return set(self._indexes[index])

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Index the objects by what `function` returns for them.  Adding the same index twice is harmless."""
        if name in self._functions:
            return
        self._functions[name] = function
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._enter(name, key, obj)

    def add_label_index(self, label: str) -> None:
        """`by_index("label:" + label, "NAMESPACE/VALUE")`."""
        def function(obj: Object) -> Iterable[str]:
            value = (obj["metadata"].get("labels") or {}).get(label)
            return () if value is None else (f"{obj['metadata'].get('namespace', '')}/{value}",)

        self.add_index(f"label:{label}", function)

    def put(self, obj: Object) -> Object | None:
        """Take the object in; what was there before, if anything, comes back."""
        key = object_key(obj)
        old = self._objects.get(key)
        if old is not None:
            self._leave(key, old)
        self._objects[key] = obj
        for name in self._functions:
            self._enter(name, key, obj)
        return old

    def remove(self, key: str) -> Object | None:
        old = self._objects.pop(key, None)
        if old is not None:
            self._leave(key, old)
        return old

    def _enter(self, name: str, key: str, obj: Object) -> None:
        index = self._indexes[name]
        for value in self._functions[name](obj):
            index.setdefault(value, {})[key] = obj

    def _leave(self, key: str, old: Object) -> None:
        for name, function in self._functions.items():
            index = self._indexes[name]
            for value in function(old):
                members = index.get(value)
                if members is not None:
                    members.pop(key, None)
                    if not members:
                        del index[value]
