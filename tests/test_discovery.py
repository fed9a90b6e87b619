"""Discovery says what is served, in the form the client asks for."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from kitlib.api.discovery import discovery
from kitlib.api.kind import STATUS, Kind, Registry, scale
from kitlib.api.kinds import BUILTIN
from kitlib.api.kinds.autoscaling import to_v1, to_v2
from kitlib.api.kinds.events import from_core, to_core
from kitlib.api.request import Request
from kitlib.objects.errors import StatusError

AGGREGATED = ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
              "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json")


@pytest.fixture
def api():
    return SimpleNamespace(registry=Registry(BUILTIN), config=SimpleNamespace(
        git_version="v1.36.2", address="127.0.0.1", port=6443))


def get(api, path, accept="application/json", **headers):
    response = discovery(api, Request("GET", path, headers={"accept": accept, **headers}))
    assert response is not None
    return response, json.loads(response.body) if response.body else None


def test_the_aggregated_form_is_named_in_the_content_type(api):
    for path in ("/api", "/apis", "/apis/"):
        response, body = get(api, path, AGGREGATED)
        assert response.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        assert (body["kind"], body["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")


def test_the_aggregated_form_shows_resources_with_their_subresources(api):
    _, body = get(api, "/apis", AGGREGATED)
    apps = next(group for group in body["items"] if group["metadata"]["name"] == "apps")
    assert [version["version"] for version in apps["versions"]] == ["v1"]
    deployments = next(r for r in apps["versions"][0]["resources"] if r["resource"] == "deployments")
    assert deployments == {
        "resource": "deployments", "responseKind": {"group": "", "version": "", "kind": "Deployment"},
        "scope": "Namespaced", "singularResource": "deployment", "shortNames": ["deploy"], "categories": ["all"],
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "subresources": [
            {"subresource": "scale", "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
             "verbs": ["get", "patch", "update"]},
            {"subresource": "status", "responseKind": {"group": "", "version": "", "kind": "Deployment"},
             "verbs": ["get", "patch", "update"]}]}


def test_the_core_group_is_under_api_and_all_others_under_apis(api):
    core = get(api, "/api", AGGREGATED)[1]["items"]
    others = get(api, "/apis", AGGREGATED)[1]["items"]
    assert [group["metadata"] for group in core] == [{}]
    assert "" not in [group["metadata"].get("name", "") for group in others]


def test_the_older_form_lists_subresources_beside_resources(api):
    _, body = get(api, "/api/v1")
    by_name = {resource["name"]: resource for resource in body["resources"]}
    assert by_name["pods"]["shortNames"] == ["po"]
    assert by_name["pods/eviction"] == {"name": "pods/eviction", "singularName": "", "namespaced": True,
                                        "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"]}
    assert by_name["pods/exec"]["kind"] == "PodExecOptions"
    assert "group" not in by_name["pods/exec"]
    assert by_name["nodes"]["namespaced"] is False


def test_the_preferred_version_is_one_of_the_versions(api):
    _, body = get(api, "/apis")
    for group in body["groups"]:
        assert group["preferredVersion"] == group["versions"][0]
    autoscaling = get(api, "/apis/autoscaling/")[1]
    assert [version["version"] for version in autoscaling["versions"]] == ["v2", "v1"]


def test_the_metrics_group_comes_after_the_core_group_so_that_pods_means_pods(api):
    names = [group["name"] for group in get(api, "/apis")[1]["groups"]]
    assert names[-1] == "metrics.k8s.io"


def test_a_custom_resource_appears_and_disappears(api):
    before, _ = get(api, "/apis")
    api.registry.add(Kind("example.com", "v1", "Widget", "widgets", custom=object(), subresources=(scale(), STATUS)))
    _, body = get(api, "/apis/example.com/v1")
    assert [resource["name"] for resource in body["resources"]] == ["widgets", "widgets/status", "widgets/scale"]
    assert body["resources"][0]["verbs"][0] == "delete"
    _, aggregated = get(api, "/apis", AGGREGATED)
    widget = aggregated["items"][-1]["versions"][0]["resources"][0]
    assert widget["responseKind"] == {"group": "example.com", "version": "v1", "kind": "Widget"}
    api.registry.remove("example.com", "v1", "widgets")
    assert get(api, "/apis")[0].body == before.body
    assert discovery(api, Request("GET", "/apis/example.com/v1")) is None


def test_unknown_groups_and_versions_are_not_discovery(api):
    for path in ("/apis/none.example.com", "/apis/apps/v9", "/api/v2", "/apis/apps/v1/x/y", "/nothing"):
        assert discovery(api, Request("GET", path)) is None


def test_discovery_is_not_to_be_had_as_a_table_or_by_other_methods(api):
    with pytest.raises(StatusError) as refused:
        get(api, "/apis/apps/v1", "application/json;as=Table;v=v1;g=meta.k8s.io")
    assert refused.value.code == 406
    with pytest.raises(StatusError) as refused:
        discovery(api, Request("POST", "/apis"))
    assert refused.value.code == 405


def test_a_client_that_has_the_answer_already_gets_304(api):
    response, _ = get(api, "/apis", AGGREGATED)
    again, body = get(api, "/apis", AGGREGATED, **{"if-none-match": response.headers["ETag"]})
    assert (again.code, body) == (304, None)


def test_no_two_kinds_claim_one_name():
    names = [(kind.group, kind.version, kind.plural) for kind in BUILTIN]
    assert len(names) == len(set(names)) > 50


V1_HPA = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1", "metadata": {"name": "a"},
          "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50}}


def test_an_autoscaler_written_as_v1_is_a_cpu_metric_in_v2_and_comes_back():
    stored = to_v2(V1_HPA)
    assert stored["spec"]["metrics"] == [{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]
    assert to_v1(stored)["spec"] == V1_HPA["spec"]
    assert V1_HPA["spec"] == {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50}


def test_what_v1_has_no_field_for_survives_a_round_trip():
    stored = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata": {"name": "a"},
              "spec": {"maxReplicas": 3, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}, "metrics": [
                  {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization",
                                                                              "averageUtilization": 70}}},
                  {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization",
                                                                                 "averageUtilization": 60}}}]},
              "status": {"currentReplicas": 1, "desiredReplicas": 2, "conditions": [{"type": "AbleToScale"}]}}
    assert to_v2(to_v1(stored)) == stored


def test_a_broken_annotation_is_no_metric():
    broken = {**V1_HPA, "metadata": {"name": "a", "annotations": {
        "autoscaling.alpha.kubernetes.io/metrics": "{not json", "mine": "x"}}}
    assert to_v2(broken)["metadata"] == {"name": "a", "annotations": {"mine": "x"}}


def test_an_event_has_two_faces():
    new = {"kind": "Event", "metadata": {"name": "a"}, "eventTime": "2024-01-01T00:00:00.000000Z", "note": "n",
           "regarding": {"kind": "Pod"}, "reportingController": "x", "reportingInstance": "i", "reason": "R",
           "type": "Normal", "action": "A"}
    core = to_core(new)
    assert (core["message"], core["involvedObject"], core["reportingComponent"]) == ("n", {"kind": "Pod"}, "x")
    assert (core["source"], core["firstTimestamp"]) == ({}, None)
    assert from_core(core) == {**new, "deprecatedSource": {}, "deprecatedFirstTimestamp": None,
                               "deprecatedLastTimestamp": None}
