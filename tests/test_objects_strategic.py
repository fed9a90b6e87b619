"""Strategic merge patch: lists by merge key, and every directive."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kitlib.objects import strategic
from kitlib.objects.errors import StatusError
from kitlib.objects.schema.schema import schema_for

NODE = schema_for("", "v1", "PodTemplate").node
TEMPLATE: dict[str, Any] = {
    "metadata": {"name": "a", "finalizers": ["x/1", "x/2"], "labels": {"l": "1"}},
    "template": {"spec": {
        "containers": [{"name": "a", "image": "one", "args": ["1"], "env": [{"name": "A", "value": "1"},
                                                                          {"name": "B", "value": "2"}],
                        "ports": [{"containerPort": 80}, {"containerPort": 81}]},
                       {"name": "b", "image": "two"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "tolerations": [{"key": "t"}], "imagePullSecrets": [{"name": "s"}], "nodeSelector": {"x": "y"}}}}


def patched(spec: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(TEMPLATE)
    result = strategic.apply(TEMPLATE, {"template": {"spec": spec}}, NODE)
    assert before == TEMPLATE
    return result["template"]["spec"]


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


def test_elements_are_merged_by_their_key_and_new_ones_appended() -> None:
    containers = patched({"containers": [{"name": "b", "image": "new"}, {"name": "c", "image": "x"}]})["containers"]
    assert names(containers) == ["a", "b", "c"]
    assert containers[0]["image"] == "one"
    assert containers[1] == {"name": "b", "image": "new"}


def test_inner_lists_are_merged_too_and_plain_lists_replaced() -> None:
    container = patched({"containers": [{"name": "a", "args": ["2"], "env": [{"name": "B", "value": "3"}]}]})[
        "containers"][0]
    assert container["args"] == ["2"]
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}]


def test_lists_without_a_merge_key_are_replaced() -> None:
    assert patched({"tolerations": [{"key": "u"}]})["tolerations"] == [{"key": "u"}]


def test_a_new_element_goes_before_an_untouched_one() -> None:
    ports = patched({"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "w"}, {"containerPort": 82}]}]
                     })["containers"][0]["ports"]
    assert [port["containerPort"] for port in ports] == [80, 82, 81]
    assert names(patched({"imagePullSecrets": [{"name": "t"}]})["imagePullSecrets"]) == ["t", "s"]


def test_delete_takes_an_element_out() -> None:
    assert names(patched({"containers": [{"name": "b", "$patch": "delete"}]})["containers"]) == ["a"]
    assert names(patched({"containers": [{"name": "z", "$patch": "delete"}]})["containers"]) == ["a", "b"]


def test_replace_makes_the_patch_the_whole_list_or_map() -> None:
    assert patched({"containers": [{"$patch": "replace"}, {"name": "z"}]})["containers"] == [{"name": "z"}]
    assert patched({"nodeSelector": {"$patch": "replace", "z": "1"}})["nodeSelector"] == {"z": "1"}


def test_delete_in_a_map_empties_it() -> None:
    assert patched({"nodeSelector": {"$patch": "delete"}})["nodeSelector"] == {}


def test_set_element_order_orders_all_elements() -> None:
    spec = patched({"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
                    "containers": [{"name": "c", "image": "x"}]})
    assert names(spec["containers"]) == ["c", "b", "a"]


def test_set_element_order_alone_reorders() -> None:
    assert names(patched({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]})["containers"]) == ["b", "a"]


def test_retain_keys_drops_the_other_keys() -> None:
    spec = patched({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]})
    assert spec["volumes"] == [{"name": "v", "hostPath": {"path": "/x"}}]


def test_plain_values_are_merged_as_a_set_and_deleted_by_directive() -> None:
    merged = strategic.apply(TEMPLATE, {"metadata": {"finalizers": ["x/3", "x/1"]}}, NODE)["metadata"]["finalizers"]
    assert merged == ["x/3", "x/1", "x/2"]
    left = strategic.apply(TEMPLATE, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/1"]}}, NODE)
    assert left["metadata"]["finalizers"] == ["x/2"]


def test_null_removes_fields_and_keys() -> None:
    spec = patched({"tolerations": None, "nodeSelector": {"x": None, "z": "1"}})
    assert "tolerations" not in spec
    assert spec["nodeSelector"] == {"z": "1"}


def test_directives_in_new_parts_vanish() -> None:
    spec = patched({"securityContext": {"$retainKeys": ["runAsUser"], "runAsUser": 1, "runAsGroup": None}})
    assert spec["securityContext"] == {"runAsUser": 1}


@pytest.mark.parametrize("spec", [
    {"containers": [{"image": "no name"}]},
    {"containers": [{"name": "a", "$patch": "odd"}]},
    {"containers": [{"name": "a", "$patch": "merge"}]},
    {"nodeSelector": {"$patch": "odd"}},
    {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "z"}]},
])
def test_mistakes_in_the_patch_are_a_500_without_a_reason(spec: dict[str, Any]) -> None:
    with pytest.raises(StatusError) as caught:
        patched(spec)
    assert (caught.value.code, caught.value.reason) == (500, None)


def test_a_key_outside_retain_keys_is_a_400() -> None:
    with pytest.raises(StatusError) as caught:
        patched({"nodeSelector": {"$retainKeys": ["a"], "b": "1"}})
    assert caught.value.code == 400
