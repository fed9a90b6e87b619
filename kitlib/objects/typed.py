"""Walks over objects by their type, as server-side apply needs them.

A merge, a comparison or the set of an object's fields depends on what its lists and maps mean:

    list_type "map"     elements are known by their keys, merged one by one
    list_type "set"     values that are there or not
    atomic, or unknown  one value, replaced and owned as a whole

Structs that Go embeds by value (spec, status, a template) are always there, so nobody owns their
being there; everything else that appears is owned itself (".") as well as what is in it.

Source: sigs.k8s.io/structured-merge-diff/typed (merge.go, compare.go, remove.go, tofieldset.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from kitlib.objects.errors import StatusError
from kitlib.objects.fieldset import LEAF, Tree
from kitlib.objects.schema import ANY, TypeNode

_NUMBERS = frozenset(("int32", "int64", "double"))
_MISSING: Any = object()

# A PodSpec's list of containers has no `omitempty`: like a struct by value, it is there even when empty.
_ALWAYS_THERE = frozenset(("metadata", "containers"))


def _separate(node: TypeNode, value: Any) -> bool:
    """Whether the parts of this value are owned one by one (a map, or a list with keys, that is not empty)."""
    if type(value) is dict:
        return bool(value) and not node.atomic and node.kind != "list"
    return type(value) is list and bool(value) and node.list_type in ("map", "set")


def element_key(node: TypeNode, element: Any) -> str:
    """The path element of a list's element: `k:{"name":"a"}` or `v:"x"`."""
    if node.list_type == "set":
        return "v:" + orjson.dumps(element, option=orjson.OPT_SORT_KEYS).decode()
    if type(element) is not dict:
        raise StatusError(500, None, "associative list with keys may not have non-map elements")
    keys = {}
    for name in sorted(node.list_keys):
        value = element.get(name)
        keys[name] = _key_default(node, name) if value is None else value
    return "k:" + orjson.dumps(keys).decode()


def _key_default(node: TypeNode, name: str) -> Any:
    """A key that an element leaves out: its default, or for built-in types the zero value."""
    items = node.items or ANY
    field = items.child(name) or ANY
    if field.default is not None:
        return field.default
    if not items.definition:
        raise StatusError(500, None, "associative list with keys has an element that omits key field "
                          f'"{name}" (and doesn\'t have default value)')
    return 0 if field.scalar in _NUMBERS else ""


def _indexed(node: TypeNode, items: list[Any]) -> dict[str, Any]:
    """Elements by path element; of those with the same keys the first."""
    found: dict[str, Any] = {}
    for item in items:
        found.setdefault(element_key(node, item), item)
    return found


def check_unique(value: Any, node: TypeNode, path: str = "") -> None:
    """An applied configuration must name each element of a list once."""
    if type(value) is dict:
        for key, item in value.items():
            if type(item) in (dict, list):
                check_unique(item, node.child(key) or ANY, f"{path}.{key}")
    elif type(value) is list and node.kind == "list" and node.list_type in ("map", "set"):
        seen = set()
        for item in value:
            key = element_key(node, item)
            if key in seen:
                raise StatusError(500, None, f"failed to create typed patch object: {path}: duplicate entries for key "
                                  f"{key[2:]}")
            seen.add(key)
            check_unique(item, node.items or ANY, f"{path}[{key[2:]}]")


def everything(value: Any, node: TypeNode) -> Tree:
    """The set of a value that was not there before: all of it, down to the leaves."""
    if not _separate(node, value):
        return LEAF
    tree: Tree = {".": LEAF}
    if type(value) is dict:
        for key in sorted(value):
            item = value[key]
            tree["f:" + key] = (everything(item, node.child(key) or ANY)
                                if type(item) is dict or type(item) is list else LEAF)
        return tree
    items = node.items or ANY
    for key, item in sorted(_indexed(node, value).items()):
        tree[key] = everything(item, items)
    return tree


def field_set(value: Any, node: TypeNode) -> Tree:
    """The fields that a configuration mentions.  A struct that only leads to others is not one of them."""
    tree: Tree = {}
    if type(value) is dict:
        for key in sorted(value):
            item = value[key]
            child = node.child(key) or ANY
            if item is None or item == {} or not _separate(child, item):
                if item != [] or child.list_type not in ("map", "set"):
                    tree["f:" + key] = LEAF
                continue
            below = field_set(item, child)
            tree["f:" + key] = below if node.kind == "object" and key in node.fields else {".": LEAF, **below}
        return tree
    items = node.items or ANY
    for key, item in sorted(_indexed(node, value).items()):
        below = field_set(item, items) if _separate(items, item) else LEAF
        tree[key] = {".": LEAF, **below} if below else LEAF
    return tree


def compare_objects(old: Mapping[str, Any], new: Mapping[str, Any], schema: TypeNode) -> tuple[Tree, Tree]:
    """(added or changed, removed) between two states of an object; {} where there is nothing."""
    changed, removed = _compare_maps(old, new, schema, True)
    return changed or {}, removed or {}


def compare(old: Any, new: Any, node: TypeNode, by_value: bool = False) -> tuple[Tree | None, Tree | None]:
    """(added or changed, removed) between two values at the same place; None where there is nothing.

    by_value: the place and all above it are structs that Go embeds by value.
    """
    if old is new or old == new:
        return None, None
    if _separate(node, old) or _separate(node, new):
        if isinstance(old, (dict, type(None))) and isinstance(new, (dict, type(None))):
            return _compare_maps(old or {}, new or {}, node, by_value)
        if isinstance(old, (list, type(None))) and isinstance(new, (list, type(None))):
            return _compare_lists(old or [], new or [], node)
    return LEAF, None


def _compare_maps(old: Mapping[str, Any], new: Mapping[str, Any], node: TypeNode,
                  by_value: bool) -> tuple[Tree | None, Tree | None]:
    changed: Tree = {}
    removed: Tree = {}
    for key in sorted(new):
        value, before = new[key], old.get(key, _MISSING)
        if before is value:
            continue
        child = node.child(key) or ANY
        there = by_value and (child.by_value or key in _ALWAYS_THERE)
        if before is _MISSING:
            if not there:
                changed["f:" + key] = everything(value, child)
                continue
            before = [] if type(value) is list else {}
        below, gone = compare(before, value, child, there)
        if below is not None:
            changed["f:" + key] = below
        if gone is not None:
            removed["f:" + key] = gone
    for key, value in old.items():
        if key in new:
            continue
        child = node.child(key) or ANY
        if by_value and child.by_value and type(value) is dict:
            gone = _compare_maps(value, {}, child, True)[1]
        else:
            gone = everything(value, child)
        if gone is not None:
            removed["f:" + key] = gone
    return changed or None, removed or None


def _compare_lists(old: list[Any], new: list[Any], node: TypeNode) -> tuple[Tree | None, Tree | None]:
    before, after, items = _indexed(node, old), _indexed(node, new), node.items or ANY
    changed: Tree = {}
    removed: Tree = {}
    for key in sorted(after):
        if key not in before:
            changed[key] = everything(after[key], items)
            continue
        below, gone = compare(before[key], after[key], items)
        if below is not None:
            changed[key] = below
        if gone is not None:
            removed[key] = gone
    for key in before:
        if key not in after:
            removed[key] = everything(before[key], items)
    return changed or None, removed or None


def merge(live: Any, applied: Any, node: TypeNode) -> Any:
    """The live value with the applied one laid over it.  Neither is changed; nulls disappear."""
    if type(applied) is dict and not node.atomic and node.kind != "list":
        result = dict(live) if type(live) is dict else {}
        for key, value in applied.items():
            child = node.child(key) or ANY
            if value is None:
                if not _separate(child, result.get(key)):
                    result.pop(key, None)
            else:
                result[key] = merge(result.get(key), value, child)
        return result
    if type(applied) is list and node.list_type in ("map", "set"):
        return _merge_lists(live if type(live) is list else [], applied, node)
    return applied


def _merge_lists(live: list[Any], applied: list[Any], node: TypeNode) -> list[Any]:
    """Both lists keep their order; elements that only live has stay where they were, as far as that goes."""
    items = node.items or ANY
    left, right = [element_key(node, item) for item in live], [element_key(node, item) for item in applied]
    of_live, of_applied = _indexed(node, live), _indexed(node, applied)
    shared = [key for key in right if key in of_live]
    done: set[str] = set()
    result: list[Any] = []
    at_left = at_right = 0

    def take(key: str) -> None:
        done.add(key)
        result.append(merge(of_live.get(key), of_applied[key], items))
        if shared and shared[0] == key:
            shared.pop(0)

    while at_left < len(left) or at_right < len(right):
        if at_left < len(left):
            key = left[at_left]
            if key not in of_applied:
                result.append(live[at_left])
                at_left += 1
                continue
            if key in done or (at_right < len(right) and key != right[at_right] and shared and shared[0] != key):
                at_left += 1  # it comes, or came, in the order of the applied list
                continue
            if at_right < len(right) and key == right[at_right]:
                at_left += 1
        if at_right < len(right):
            take(right[at_right])
            at_right += 1
    return result


def named_members(tree: Tree, node: TypeNode) -> Tree:
    """The set with the struct fields that only lead to members made members, too."""
    result: Tree = {}
    for key, below in tree.items():
        if key == ".":
            continue
        if key[:2] == "f:":
            child = node.child(key[2:]) or ANY
            named = node.kind == "object" and key[2:] in node.fields
        else:
            child, named = node.items or ANY, False
        inner = named_members(below, child) if below else LEAF
        result[key] = {".": LEAF, **inner} if inner and (named or "." in below) else inner
    return result


def remove(value: Any, tree: Tree, node: TypeNode) -> Any:
    """The value without the set's members.  A map or list that becomes empty is null: there, but nothing in it."""
    if not tree:
        return value
    if type(value) is dict and not node.atomic and node.kind != "list":
        result = {}
        for key, item in value.items():
            below = tree.get("f:" + key)
            if below is None:
                result[key] = item
            elif below and "." not in below:
                result[key] = remove(item, below, node.child(key) or ANY)
        return result or None
    if type(value) is list and node.list_type in ("map", "set"):
        kept = []
        for item in value:
            below = tree.get(element_key(node, item))
            if below is None:
                kept.append(item)
            elif below and "." not in below:
                left = remove(item, below, node.items or ANY)
                if left is not None:
                    kept.append(left)
        return kept or None
    return value


def without_nulls(value: Any) -> Any:
    """What `remove` gives, as an object again."""
    if type(value) is dict:
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if type(value) is list else value
