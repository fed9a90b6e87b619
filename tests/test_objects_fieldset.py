"""The algebra of FieldsV1 trees, checked against plain sets of paths."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kitlib.objects import fieldset

Path = tuple[str, ...]
names = st.sampled_from(["f:a", "f:b", 'k:{"n":1}'])
path_sets = st.sets(st.lists(names, min_size=1, max_size=3).map(tuple), max_size=6)


def tree(members: set[Path]) -> fieldset.Tree:
    root: dict[str, Any] = {}
    for path in members:
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node["."] = {}
    return normal(root)


def normal(node: dict[str, Any]) -> dict[str, Any]:
    made = {key: normal(child) for key, child in node.items() if key != "."}
    return {".": {}, **made} if made and "." in node else made


def members(node: fieldset.Tree, prefix: Path = ()) -> set[Path]:
    found: set[Path] = set()
    for key, child in node.items():
        if key != ".":
            if not child or "." in child:
                found.add((*prefix, key))
            found |= members(child, (*prefix, key))
    return found


@given(path_sets, path_sets)
def test_union_difference_and_intersection_are_those_of_the_paths(a: set[Path], b: set[Path]) -> None:
    left, right = tree(a), tree(b)
    assert members(fieldset.union(left, right)) == a | b
    assert members(fieldset.difference(left, right)) == a - b
    assert members(fieldset.intersection(left, right)) == a & b
    assert (members(left), members(right)) == (a, b), "an operand was changed"


@given(path_sets, path_sets)
def test_results_are_normal_trees(a: set[Path], b: set[Path]) -> None:
    for result in (fieldset.union(tree(a), tree(b)), fieldset.difference(tree(a), tree(b)),
                   fieldset.intersection(tree(a), tree(b))):
        assert normal(result) == result


def test_paths_read_as_people_write_them() -> None:
    fields = {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}}}, "f:x": {'v:"a"': {}}}}
    assert list(fieldset.paths(fields)) == [
        '.spec.ports[port=80,protocol="TCP"]', '.spec.ports[port=80,protocol="TCP"].name', '.spec.x[="a"]']


def test_only_trees_of_fields_are_valid() -> None:
    assert fieldset.valid({"f:a": {".": {}, 'k:{"n":1}': {}}})
    assert not fieldset.valid({"a": {}})
    assert not fieldset.valid({"f:a": 1})
    assert not fieldset.valid(None)
    assert not fieldset.valid({"k:{broken": {}})
    assert not fieldset.valid({"k:[1]": {}})
