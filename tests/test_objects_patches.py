"""JSON patch and JSON merge patch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitlib.objects import jsonpatch, mergepatch
from kitlib.objects.errors import StatusError

OBJ: dict[str, Any] = {"data": {"k": "v", "a/b": "1", "c~d": "2"}, "list": [1, 2, 3], "deep": {"x": [{"y": 1}]}}


def patched(*operations: dict[str, Any]) -> Any:
    return jsonpatch.apply(OBJ, list(operations))


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **more}


def test_operations_are_done_in_order_and_leave_the_input_alone() -> None:
    before = copy.deepcopy(OBJ)
    result = patched(op("add", "/data/new", value="n"), op("remove", "/data/k"), op("replace", "/list/0", value=9),
                     op("add", "/list/-", value=4), op("add", "/list/1", value=8))
    assert result["data"] == {"a/b": "1", "c~d": "2", "new": "n"}
    assert result["list"] == [9, 8, 2, 3, 4]
    assert before == OBJ


def test_pointers_escape_slashes_and_tildes() -> None:
    result = patched(op("replace", "/data/a~1b", value="x"), op("remove", "/data/c~0d"))
    assert result["data"] == {"k": "v", "a/b": "x"}


def test_replacing_a_key_that_is_not_there_adds_it() -> None:
    assert patched(op("replace", "/data/none", value="x"))["data"]["none"] == "x"


def test_negative_indices_count_from_the_end() -> None:
    assert patched(op("remove", "/list/-1"))["list"] == [1, 2]


def test_copy_and_move() -> None:
    assert patched({"op": "copy", "from": "/data/k", "path": "/data/l"})["data"]["l"] == "v"
    moved = patched({"op": "move", "from": "/deep/x/0", "path": "/y"})
    assert (moved["y"], moved["deep"]["x"]) == ({"y": 1}, [])


def test_a_test_that_holds_lets_the_patch_go_on() -> None:
    assert patched(op("test", "/data/k", value="v"), op("test", "/data/none", value=None)) == OBJ


@pytest.mark.parametrize("operation", [
    op("test", "/data/k", value="x"), op("test", "/list/0", value=True), op("remove", "/data/none"),
    op("remove", "/list/5"), op("add", "/list/9", value=1), op("change", "/data/k", value="x"),
    op("add", "/none/x", value=1), op("add", "data", value=1), op("replace", "/list/x", value=1), op("add", "/data/x"),
])
def test_an_operation_that_cannot_be_done_is_a_422_with_empty_details(operation: dict[str, Any]) -> None:
    with pytest.raises(StatusError) as caught:
        patched(operation)
    assert (caught.value.code, caught.value.reason, caught.value.status["details"]) == (422, "Invalid", {})


def test_what_is_no_list_of_operations_is_a_400() -> None:
    for patch in ({"op": "remove", "path": "/data/k"}, ["x"], None, 1):
        with pytest.raises(StatusError) as caught:
            jsonpatch.apply(OBJ, patch)
        assert caught.value.code == 400


def test_too_many_operations_are_a_413() -> None:
    with pytest.raises(StatusError) as caught:
        jsonpatch.apply(OBJ, [op("test", "/data/k", value="v")] * 10_001)
    assert caught.value.code == 413


def test_a_merge_patch_sets_replaces_and_by_null_removes() -> None:
    result = mergepatch.apply(OBJ, {"data": {"k": None, "new": "n", "none": None}, "list": [], "deep": {"x": {"z": 1}}})
    assert result == {"data": {"a/b": "1", "c~d": "2", "new": "n"}, "list": [], "deep": {"x": {"z": 1}}}


def test_a_merge_patch_that_is_no_object_is_a_400() -> None:
    with pytest.raises(StatusError) as caught:
        mergepatch.apply(OBJ, [])
    assert caught.value.code == 400


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3),
                      lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1), inner,
                                                                                 max_size=3), max_leaves=8)
objects = st.dictionaries(st.text("ab", min_size=1, max_size=2), values.filter(lambda value: value is not None),
                          max_size=4)


def without_nulls(value: Any) -> Any:
    """Merge patches cannot say null inside a map."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


@given(objects, objects)
def test_the_difference_of_two_objects_is_a_merge_patch_between_them(old: Any, new: Any) -> None:
    old, new = without_nulls(old), without_nulls(new)
    before = copy.deepcopy(old)
    assert mergepatch.apply(old, mergepatch.diff(old, new)) == new
    assert mergepatch.diff(new, copy.deepcopy(new)) == {}
    assert old == before
