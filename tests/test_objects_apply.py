"""Server-side apply: owners, conflicts, removal; and the record that ordinary writes leave."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitlib.objects import fieldset
from kitlib.objects.apply import apply, track_update, without_new_times
from kitlib.objects.errors import StatusError
from kitlib.objects.schema import TypeNode
from kitlib.objects.schema.custom import from_openapi
from kitlib.objects.schema.schema import schema_for

CONFIG = schema_for("", "v1", "ConfigMap").node
POD = schema_for("", "v1", "PodTemplate").node
T0, T1 = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"

Obj = dict[str, Any]


def config(data: Obj | None = None, **more: Any) -> Obj:
    made: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **more}}
    if data is not None:
        made["data"] = data
    return made


def stored(obj: Obj) -> Obj:
    """As the server would have it after a create."""
    return {**obj, "metadata": {**obj["metadata"], "uid": "u", "namespace": "d", "creationTimestamp": T0}}


def applied(live: Obj | None, manager: str, data: Obj | None, time: str = T0, **options: Any) -> Obj:
    before = copy.deepcopy(live)
    made = apply(live, config(data), manager, CONFIG, time=time, **options)
    assert before == live, "the live object was changed"
    return made if live else stored(made)


def owners(obj: Obj) -> dict[str, Obj]:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"].get("managedFields") or ()}


def keys(*names: str) -> Obj:
    return {"f:data": {f"f:{name}": {} for name in names}}


def test_the_first_apply_creates_and_owns_what_it_says() -> None:
    made = applied(None, "one", {"k": "v"})
    assert made["data"] == {"k": "v"}
    assert made["metadata"]["managedFields"] == [{
        "manager": "one", "operation": "Apply", "apiVersion": "v1", "time": T0, "fieldsType": "FieldsV1",
        "fieldsV1": keys("k")}]


def test_another_value_of_somebody_elses_field_is_a_conflict_that_names_all_fields() -> None:
    live = applied(None, "one", {"k": "v", "l": "w"})
    with pytest.raises(StatusError) as caught:
        applied(live, "two", {"k": "x", "l": "y", "m": "z"})
    status = caught.value.status
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert [(c["reason"], c["field"]) for c in status["details"]["causes"]] == [
        ("FieldManagerConflict", ".data.k"), ("FieldManagerConflict", ".data.l")]
    assert status["message"] == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.k\n- .data.l'


def test_one_conflict_is_told_in_one_line() -> None:
    live = track_update(None, stored(config({"k": "v"})), "maker", CONFIG, time=T0)
    with pytest.raises(StatusError, match=r'1 conflict: conflict with "maker" using v1: \.data\.k$'):
        applied(live, "one", {"k": "x"})


def test_force_takes_the_fields_over() -> None:
    live = applied(None, "one", {"k": "v", "l": "w"})
    made = applied(live, "two", {"k": "x"}, force=True)
    assert made["data"] == {"k": "x", "l": "w"}
    assert owners(made) == {"one": keys("l"), "two": keys("k")}


def test_the_same_value_is_shared_and_survives_until_both_let_go() -> None:
    live = applied(applied(None, "one", {"k": "v"}), "two", {"k": "v"}, T1)
    assert owners(live) == {"one": keys("k"), "two": keys("k")}
    times = {entry["manager"]: entry.get("time") for entry in live["metadata"]["managedFields"]}
    assert times == {"one": T0, "two": None}, "two changed nothing, so there is no time of its change"
    live = applied(live, "one", {})
    assert live["data"] == {"k": "v"}
    live = applied(live, "two", {})
    assert "data" not in live


def test_a_field_no_longer_applied_is_removed() -> None:
    live = applied(None, "one", {"k": "v", "l": "w"})
    made = applied(live, "one", {"k": "v"}, T1)
    assert made["data"] == {"k": "v"}
    assert made["metadata"]["managedFields"][0]["time"] == T1


def test_a_field_that_an_update_set_since_is_not_removed() -> None:
    live = applied(None, "one", {"k": "v", "l": "w"})
    changed = {**live, "data": {"k": "v", "l": "mine"}}
    live = track_update(live, changed, "editor", CONFIG, time=T1)
    assert owners(live) == {"one": keys("k"), "editor": keys("l")}
    assert applied(live, "one", {"k": "v"})["data"] == {"k": "v", "l": "mine"}


def test_applying_nothing_leaves_no_owner_behind() -> None:
    live = applied(applied(None, "one", {"k": "v"}), "two", {"m": "z"})
    assert set(owners(applied(live, "two", None))) == {"one"}


def test_applying_the_same_again_changes_nothing() -> None:
    live = applied(None, "one", {"k": "v"}, T0)
    assert applied(live, "one", {"k": "v"}, T1) == live


def test_an_object_without_a_record_gets_one_before_the_first_apply() -> None:
    made = applied(stored(config({"k": "v"})), "one", {"l": "w"})
    assert set(owners(made)) == {"before-first-apply", "one"}
    assert made["data"] == {"k": "v", "l": "w"}


def test_a_body_with_managed_fields_is_refused() -> None:
    with pytest.raises(StatusError) as caught:
        apply(None, config({}, managedFields=[{}]), "one", CONFIG, time=T0)
    assert caught.value.code == 400


def test_kubectls_server_side_apply_takes_over_from_its_client_side_one() -> None:
    text = '{"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap","metadata":{"name":"a"}}'
    note = {"kubectl.kubernetes.io/last-applied-configuration": text}
    sent = stored(config({"k": "v"}, annotations=note))
    live = track_update(None, sent, "kubectl-client-side-apply", CONFIG, time=T0)
    made = applied(live, "kubectl", {"k": "x"})
    assert made["data"] == {"k": "x"}
    assert '"data":{"k":"x"}' in made["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    with pytest.raises(StatusError):
        applied(live, "helm", {"k": "x"})


def pod(*containers: Obj, **spec: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"},
            "template": {"spec": {"containers": list(containers), **spec}}}


def test_elements_of_a_list_are_owned_by_their_keys() -> None:
    live = apply(None, pod({"name": "a", "image": "x", "ports": [{"containerPort": 53}]}), "one", POD, time=T0)
    assert owners(live)["one"] == {"f:template": {"f:spec": {"f:containers": {'k:{"name":"a"}': {
        ".": {}, "f:image": {}, "f:name": {},
        "f:ports": {'k:{"containerPort":53,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}}}}}}
    with pytest.raises(StatusError) as caught:
        apply(live, pod({"name": "a", "image": "y"}), "two", POD, time=T0)
    assert caught.value.status["details"]["causes"][0]["field"] == '.template.spec.containers[name="a"].image'


def test_managers_of_different_elements_do_not_meet() -> None:
    live = apply(None, pod({"name": "a", "image": "x"}), "one", POD, time=T0)
    live = apply(live, pod({"name": "b", "image": "y"}), "two", POD, time=T0)
    assert [c["name"] for c in live["template"]["spec"]["containers"]] == ["a", "b"]
    live = apply(live, pod(), "two", POD, time=T1)
    assert [c["name"] for c in live["template"]["spec"]["containers"]] == ["a"]


def test_the_applied_order_holds_and_others_elements_stay() -> None:
    live = apply(None, pod({"name": "a"}, {"name": "b"}, {"name": "c"}), "one", POD, time=T0)
    live = apply(live, pod({"name": "x"}), "two", POD, time=T0)
    live = apply(live, pod({"name": "c"}, {"name": "a"}, {"name": "b"}), "one", POD, time=T0)
    assert [c["name"] for c in live["template"]["spec"]["containers"]] == ["c", "x", "a", "b"]


def test_one_element_twice_in_an_applied_list_is_refused() -> None:
    with pytest.raises(StatusError) as caught:
        apply(None, pod({"name": "a"}, {"name": "a"}), "one", POD, time=T0)
    assert caught.value.code == 500


def test_atomic_fields_are_owned_and_replaced_as_a_whole() -> None:
    live = apply(None, pod({"name": "a"}, nodeSelector={"x": "1"}, tolerations=[{"key": "t"}]), "one", POD, time=T0)
    fields = owners(live)["one"]["f:template"]["f:spec"]
    assert fields["f:nodeSelector"] == {}
    assert fields["f:tolerations"] == {}
    with pytest.raises(StatusError):
        apply(live, pod(nodeSelector={"y": "2"}), "two", POD, time=T0)


# -- ordinary writes ------------------------------------------------------------------------------------

def test_a_create_owns_all_of_it_but_what_the_server_sets() -> None:
    made = track_update(None, stored(config({"k": "v"}, labels={"l": "1"})), "maker", CONFIG, time=T0)
    assert owners(made) == {"maker": {"f:data": {".": {}, "f:k": {}},
                                      "f:metadata": {"f:labels": {".": {}, "f:l": {}}}}}


def test_structs_by_value_are_nobodys() -> None:
    deployment = schema_for("apps", "v1", "Deployment")
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [
            {"name": "c", "image": "i"}]}}, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    spec = owners(track_update(None, obj, "m", deployment.node, time=T0))["m"]["f:spec"]
    assert "." not in spec
    assert "." not in spec["f:template"]["f:spec"]["f:containers"]
    assert spec["f:strategy"] == {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}}
    assert spec["f:selector"] == {}


def test_a_custom_resource_owns_its_spec_as_such() -> None:
    node: TypeNode = from_openapi({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "n": {"type": "integer"}}}}})
    obj = {"apiVersion": "e/v1", "kind": "W", "metadata": {"name": "a"}, "spec": {"n": 1}}
    assert owners(track_update(None, obj, "m", node, time=T0)) == {"m": {"f:spec": {".": {}, "f:n": {}}}}


def test_an_update_without_a_change_keeps_the_record() -> None:
    live = track_update(None, stored(config({"k": "v"})), "maker", CONFIG, time=T0)
    again = track_update(live, stored(config({"k": "v"})), "other", CONFIG, time=T1)
    assert again == live


def test_a_removed_field_has_no_owner() -> None:
    live = applied(None, "one", {"k": "v", "l": "w"})
    made = track_update(live, {**live, "data": {"l": "w"}}, "other", CONFIG, time=T1)
    assert owners(made) == {"one": keys("l")}


def test_one_empty_entry_clears_the_record_and_then_nothing_is_tracked() -> None:
    live = applied(None, "one", {"k": "v"})
    sent = {**live, "metadata": {**live["metadata"], "managedFields": [{}]}}
    cleared = track_update(live, sent, "x", CONFIG, time=T1)
    assert "managedFields" not in cleared["metadata"]
    assert "managedFields" not in track_update(cleared, {**cleared, "data": {}}, "x", CONFIG, time=T1)["metadata"]


def test_a_client_may_edit_the_record_but_not_break_it() -> None:
    live = applied(None, "one", {"k": "v"})
    entry = {"operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": keys("k")}

    def written(record: list[Obj]) -> Obj:
        sent = {**live, "metadata": {**live["metadata"], "managedFields": record}}
        return track_update(live, sent, "x", CONFIG, time=T1)

    assert written([entry])["metadata"]["managedFields"] == [entry]
    for broken in ([{**entry, "fieldsV1": {"k": {}}}], [{**entry, "operation": "Odd"}], ["x"], []):
        assert written(broken) == live


def test_ignored_parts_and_subresources_have_their_own_entries() -> None:
    schema = schema_for("", "v1", "Pod").node
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": "n"},
           "status": {"phase": "Pending"}}
    live = track_update(None, obj, "maker", schema, time=T0, ignored=("status",))
    assert owners(live) == {"maker": {"f:spec": {"f:nodeName": {}}}}
    live = track_update(live, {**live, "status": {"phase": "Running"}}, "kubelet", schema, time=T1,
                        subresource="status", ignored=("spec",))
    entry = live["metadata"]["managedFields"][1]
    assert (entry["subresource"], entry["fieldsV1"]) == ("status", {"f:status": {"f:phase": {}}})


def test_more_than_ten_updaters_share_one_entry() -> None:
    live = track_update(None, stored(config({"k0": "v"})), "m0", CONFIG, time=T0)
    for number in range(1, 15):
        data = {**live["data"], f"k{number}": "v"}
        time = f"2026-01-01T00:00:{number:02}Z"
        live = track_update(live, {**live, "data": data}, f"m{number:02}", CONFIG, time=time)
    record = owners(live)
    assert len(record) == 10
    everything: Obj = {}
    for fields in record.values():
        everything = fieldset.union(everything, fields)
    assert set(everything["f:data"]) == {".", *(f"f:k{number}" for number in range(15))}
    assert "f:k0" in record["ancient-changes"]["f:data"]


def test_a_write_that_would_only_change_times_is_none() -> None:
    live = applied(None, "one", {"k": "v"})
    later = copy.deepcopy(live)
    later["metadata"]["managedFields"][0]["time"] = T1
    assert without_new_times(live, later) is live
    other = {**later, "data": {"k": "x"}}
    assert without_new_times(live, other) is other


data = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), max_size=4)
steps = st.lists(st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(["apply", "update"]), data), max_size=6)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_what_an_applier_says_is_so_and_every_key_it_owned_alone_goes(history: list[tuple[str, str, Obj]]) -> None:
    """After a forced apply its values are there, and each key has an owner or comes from an update."""
    live = stored(track_update(None, config({}), "maker", CONFIG, time=T0))
    updated: set[str] = set()
    for manager, kind, wanted in history:
        if kind == "update":
            updated |= set(wanted)
            live = track_update(live, {**live, "data": dict(wanted)}, manager, CONFIG, time=T1)
            assert live["data"] == wanted
            continue
        others = [entry["fieldsV1"].get("f:data", {}) for entry in live["metadata"].get("managedFields") or ()
                  if (entry["manager"], entry["operation"]) != (manager, "Apply")]
        live = apply(live, config(wanted), manager, CONFIG, time=T1, force=True)
        found = live.get("data") or {}
        assert wanted.items() <= found.items()
        for key in set(found) - set(wanted):
            assert key in updated or any(f"f:{key}" in fields for fields in others)
