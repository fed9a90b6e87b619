"""Sets of fields, in the form in which objects carry them: FieldsV1.

`metadata.managedFields[].fieldsV1` is a tree that names the fields a manager owns:

    {"f:data": {".": {}, "f:k": {}}}                 .data and .data.k
    {"f:ports": {"k:{\"port\":80}": {"f:name": {}}}}     .ports[port=80].name

    f:NAME   a field or key      k:{...}   a list element by its keys      v:...   an element of a set

A node is a member if it is empty or has "."; other nodes only lead to members.  All functions here
work on these trees as they are (nothing is decoded), never change them, and share what they can;
an empty tree at the root is the empty set.

Source: sigs.k8s.io/structured-merge-diff/fieldpath (set.go, serialize.go), KEP-555.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Tree = dict[str, Any]

LEAF: Tree = {}
"""A member without children.  One shared dict for all: most nodes of most trees are leaves."""


def _node(member: bool, children: Tree) -> Tree | None:
    """A normal node, or None if nothing is left of it."""
    if not children:
        return LEAF if member else None
    if member:
        return {".": LEAF, **children}
    return children


def _is_member(node: Tree) -> bool:
    return not node or "." in node


def union(a: Tree, b: Tree) -> Tree:
    if a is b or not b:
        return a
    if not a:
        return b
    result = dict(a)
    for key, node in b.items():
        if key == ".":
            continue
        mine = result.get(key)
        result[key] = node if mine is None else _union_nodes(mine, node)
    return dict(sorted(result.items()))


def _union_nodes(a: Tree, b: Tree) -> Tree:
    if a is b:
        return a
    member = _is_member(a) or _is_member(b)
    children = union({k: v for k, v in a.items() if k != "."}, {k: v for k, v in b.items() if k != "."})
    return {".": LEAF, **children} if member and children else children


def difference(a: Tree, b: Tree) -> Tree:
    """What `a` owns and `b` does not.  Exact: taking `.data` away leaves `.data.k`."""
    if not a or not b:
        return a
    return _difference(a, b, False) or {}


def _difference(a: Tree, b: Tree, member: bool) -> Tree | None:
    children = {}
    for key, node in a.items():
        if key == ".":
            continue
        other = b.get(key)
        if other is None:
            children[key] = node
            continue
        left = _difference(node, other, _is_member(node) and not _is_member(other))
        if left is not None:
            children[key] = left
    return _node(member, children)


def intersection(a: Tree, b: Tree) -> Tree:
    if not a or not b:
        return {}
    return _intersection(a, b, False) or {}


def _intersection(a: Tree, b: Tree, member: bool) -> Tree | None:
    children = {}
    for key, node in a.items():
        other = b.get(key) if key != "." else None
        if other is None:
            continue
        both = _intersection(node, other, _is_member(node) and _is_member(other))
        if both is not None:
            children[key] = both
    return _node(member, children)


def without(tree: Tree, *fields: str) -> Tree:
    """The tree without some top-level fields and all that is below them."""
    return {key: node for key, node in tree.items() if key[2:] not in fields} if fields else tree


def paths(tree: Tree, prefix: str = "") -> Iterator[str]:
    """The members as people write them: `.spec.containers[name="a"].image`."""
    for key, node in tree.items():
        if key == ".":
            continue
        path = prefix + _shown(key)
        if _is_member(node):
            yield path
        if node:
            yield from paths(node, path)


def _shown(key: str) -> str:
    kind, rest = key[:2], key[2:]
    if kind == "f:":
        return f".{rest}"
    if kind == "k:":
        pairs = sorted(json.loads(rest).items())
        return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in pairs) + "]"
    return f"[={rest}]" if kind == "v:" else f"[{rest}]"


def valid(tree: Any) -> bool:
    """Whether this is a FieldsV1 tree at all (clients may send anything)."""
    return isinstance(tree, dict) and all(_valid_key(key) and valid(node) for key, node in tree.items())


def _valid_key(key: str) -> bool:
    if key[:2] not in ("k:", "v:"):
        return key == "." or key[:2] in ("f:", "i:")
    try:
        keys = json.loads(key[2:])
    except ValueError:
        return False
    return key[0] == "v" or isinstance(keys, dict)
