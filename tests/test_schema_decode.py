"""What an API server makes of a body: unknown fields, zero values, canonical forms, type errors."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitlib.objects.schema import TypeNode, schema_for
from kitlib.objects.schema.tables import folders, table

DEPLOYMENT = schema_for("apps", "v1", "Deployment")
POD = schema_for("", "v1", "Pod")


def plain(kind: str, obj: dict[str, Any], group: str = "", version: str = "v1") -> dict[str, Any]:
    """The object without defaults, as Go's decode and encode leave it."""
    decoded = schema_for(group, version, kind).decode(obj, defaults=False)
    assert decoded.problems == []
    return decoded.obj


def test_unknown_fields_are_named_with_their_place_and_dropped() -> None:
    decoded = POD.decode({"metadata": {"nam": "a"}, "spec": {"containers": [{"name": "a"}, {"imagee": "b"}], "x": {}}})
    assert decoded.unknown == ["metadata.nam", "spec.containers[1].imagee", "spec.x"]
    assert "x" not in decoded.obj["spec"]
    assert decoded.problems == []


def test_the_input_is_not_changed() -> None:
    containers = [{"name": "c", "ports": [{"containerPort": 1}]}]
    body = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}
    before = copy.deepcopy(body)
    decoded = POD.decode(body)
    decoded.obj["metadata"]["labels"]["x"] = "y"
    decoded.obj["spec"]["containers"][0]["ports"][0]["name"] = "z"
    assert body == before


def test_nulls_and_empty_optional_values_disappear() -> None:
    made = plain("Pod", {"metadata": {"labels": {}, "annotations": None, "name": ""},
                         "spec": {"containers": [], "nodeName": "", "hostNetwork": False, "volumes": []}})
    assert made["metadata"] == {}
    assert made["spec"] == {"containers": None}


def test_pointers_keep_their_zero_values() -> None:
    made = plain("Deployment", {"spec": {"replicas": 0, "paused": False, "minReadySeconds": 0}}, "apps")
    assert made["spec"]["replicas"] == 0
    assert "paused" not in made["spec"]
    assert "minReadySeconds" not in made["spec"]


def test_values_that_go_never_leaves_out_appear() -> None:
    made = plain("Deployment", {}, "apps")
    assert made == {"metadata": {}, "spec": {"selector": None, "strategy": {}, "template": {
        "metadata": {}, "spec": {"containers": None}}}, "status": {}}
    status = {"containerStatuses": [{"name": "c"}], "conditions": [{"type": "Ready", "status": "True"}]}
    made = plain("Pod", {"status": status})
    assert made["status"]["containerStatuses"] == [{
        "name": "c", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": {}, "lastState": {}}]
    assert made["status"]["conditions"] == [{
        "type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": None}]


def test_a_list_that_must_be_there_but_is_empty_is_null_as_after_storage() -> None:
    assert plain("Role", {"rules": []}, "rbac.authorization.k8s.io")["rules"] is None


def test_null_elements_become_zero_values() -> None:
    assert plain("ConfigMap", {"data": {"a": None}})["data"] == {"a": ""}
    assert plain("Service", {"spec": {"ports": [None]}})["spec"]["ports"] == [{"port": 0, "targetPort": 0}]


def test_quantities_times_and_durations_take_their_canonical_form() -> None:
    limits = {"cpu": "1000m", "memory": "1024Mi", "a.b/c": 2, "a.b/d": 0.5}
    made = plain("Pod", {"metadata": {"creationTimestamp": "2020-01-01T01:00:00+01:00"},
                         "spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]}})
    assert made["spec"]["containers"][0]["resources"]["limits"] == {
        "cpu": "1", "memory": "1Gi", "a.b/c": "2", "a.b/d": "500m"}
    assert made["metadata"]["creationTimestamp"] == "2020-01-01T00:00:00Z"
    lease = plain("Lease", {"spec": {"renewTime": "2020-01-01T00:00:00.123456Z"}}, "coordination.k8s.io")
    assert lease["spec"]["renewTime"] == "2020-01-01T00:00:00.123456Z"


def test_free_json_is_kept_as_it_is() -> None:
    data = {"a": None, "b": [1, {"c": ""}]}
    assert plain("ControllerRevision", {"data": data, "revision": 1}, "apps")["data"] == data


@pytest.mark.parametrize(("obj", "message"), [
    ({"spec": {"replicas": "3"}},
     "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
    ({"spec": {"replicas": 2.5}},
     "json: cannot unmarshal number 2.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
    ({"spec": {"replicas": 2**31}},
     "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32"),
    ({"spec": {"paused": "yes"}},
     "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool"),
    ({"spec": []}, "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec"),
    ({"metadata": {"labels": {"a": 1}}},
     "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"),
    ({"spec": {"template": {"spec": {"containers": {}}}}},
     "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"),
    ({"spec": {"template": {"spec": {"containers": [{"name": 1}]}}}},
     "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.name of type string"),
    ({"spec": {"strategy": {"rollingUpdate": {"maxSurge": True}}}},
     "json: cannot unmarshal bool into Go value of type int32"),
    ({"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "1x"}}}]}}}},
     "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ({"metadata": {"creationTimestamp": "yesterday"}},
     'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"'),
])
def test_wrong_types_are_refused_in_gos_words(obj: dict[str, Any], message: str) -> None:
    problems = DEPLOYMENT.check(obj)
    assert [problem.message for problem in problems] == [message]
    assert DEPLOYMENT.refusal(problems[0]) == \
        f'Deployment in version "v1" cannot be handled as a Deployment: {message}'


def test_problems_come_in_the_order_of_the_document_with_their_paths() -> None:
    problems = DEPLOYMENT.check({"spec": {"paused": 1, "replicas": "x"}, "status": 1})
    assert [problem.path for problem in problems] == ["spec.paused", "spec.replicas", "status"]


def test_base64_is_checked() -> None:
    secret = schema_for("", "v1", "Secret")
    assert secret.check({"data": {"a": "aGk="}}) == []
    assert [problem.message for problem in secret.check({"data": {"a": "a b="}})] == [
        "illegal base64 data at input byte 1"]


def test_a_schema_inside_a_schema_is_pruned_without_a_word() -> None:
    crd = schema_for("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    node = {"type": "array", "items": {"type": "object", "additionalProperties": {"typo": 1, "type": "string"}}}
    decoded = crd.decode({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": node}}]}})
    assert decoded.unknown == []
    made = decoded.obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert made == {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}}


def test_a_body_that_is_too_deep_is_a_problem_not_a_crash() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"not": deep}
    crd = schema_for("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    decoded = crd.decode({"spec": {"versions": [{"schema": {"openAPIV3Schema": deep}}]}})
    assert [problem.message for problem in decoded.problems] == ["exceeded max depth"]


def test_every_kind_decodes_nothing_and_decodes_its_own_result_to_itself() -> None:
    seen = 0
    for folder in folders():
        found = table(folder)
        for kind in found.kinds:
            schema = schema_for(found.group, found.version, kind)
            empty = schema.decode({})
            assert empty.problems == []
            again = schema.decode(empty.obj)
            assert (again.obj, again.problems, again.unknown) == (empty.obj, [], []), kind
            seen += 1
    assert seen > 150


def test_an_unknown_kind_is_a_key_error() -> None:
    for group, version, kind in [("apps", "v1", "Podd"), ("apps", "v9", "Deployment"), ("example.com", "v1", "Foo")]:
        with pytest.raises(KeyError):
            schema_for(group, version, kind)


def test_options_belong_to_every_group() -> None:
    assert schema_for("policy", "v1", "DeleteOptions").ref == "meta/v1.DeleteOptions"


# -- whatever comes in -----------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-2**70, 2**70) | st.floats(allow_nan=False) | st.text(max_size=5) | \
    st.sampled_from(["1Gi", "2020-01-01T00:00:00Z", "aGk=", "nginx:1", "Container"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner,
                                                                                      max_size=2), max_leaves=4)


@st.composite
def shaped(draw: st.DrawFn, node: TypeNode, depth: int = 6) -> Any:
    """Something like an object of the type, in which anything may be wrong anywhere."""
    if depth == 0 or draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    if node.kind == "object" and node.fields:
        names = draw(st.lists(st.sampled_from(sorted(node.fields)), max_size=4, unique=True))
        return {name: draw(shaped(node.fields[name], depth - 1)) for name in names}
    if node.kind in ("list", "map") and node.items is not None:
        items = [draw(shaped(node.items, depth - 1)) for _ in range(draw(st.integers(0, 2)))]
        return items if node.kind == "list" else {str(index): item for index, item in enumerate(items)}
    return draw(SCALARS)


KINDS = [("", "v1", "Pod"), ("", "v1", "Service"), ("", "v1", "LimitRange"), ("", "v1", "Node"),
         ("apps", "v1", "StatefulSet"), ("apps", "v1", "Deployment"), ("batch", "v1", "Job"),
         ("batch", "v1", "CronJob"),
         ("autoscaling", "v2", "HorizontalPodAutoscaler"), ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
         ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), ("networking.k8s.io", "v1", "NetworkPolicy"),
         ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration")]


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(KINDS))
def test_whatever_comes_in_is_decoded_or_refused(data: st.DataObject, kind: tuple[str, str, str]) -> None:
    schema = schema_for(*kind)
    body = data.draw(shaped(schema.node))
    before = copy.deepcopy(body)
    decoded = schema.decode(body)
    assert body == before
    if not decoded.problems:
        again = schema.decode(decoded.obj)
        assert (again.obj, again.problems, again.unknown) == (decoded.obj, [], []), "decoding settles at once"
