"""Patches, apply, admission, allocation and the smaller subresources."""

from __future__ import annotations

import json

import pytest
from api_world import (
    APPLY_PATCH,
    CONFIGMAPS,
    DEPLOYMENTS,
    JSON_PATCH,
    PODS,
    STRATEGIC_PATCH,
    World,
    config_map,
    deployment,
    pod,
    read,
)

SERVICES = "/api/v1/namespaces/default/services"


@pytest.fixture
def world() -> World:
    return World()


def service(name: str, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


def test_the_three_patches_by_example(world):
    world.post(DEPLOYMENTS, deployment("web"))
    path = f"{DEPLOYMENTS}/web"
    assert world.patch(path, [{"op": "replace", "path": "/spec/replicas", "value": 4}], JSON_PATCH).code == 200
    assert world.patch(path, {"metadata": {"labels": {"x": "y"}}}).code == 200
    answer = world.patch(path, {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "nginx"}]}}}},
                         STRATEGIC_PATCH)
    found = read(answer)
    assert found["spec"]["replicas"] == 4
    assert [c["name"] for c in found["spec"]["template"]["spec"]["containers"]] == ["d", "c"]
    assert world.patch(path, {}, "application/odd").code == 415


def test_applying_a_field_of_somebody_else_is_a_conflict_unless_forced(world):
    world.post(CONFIGMAPS, config_map("a"), fieldManager="one")
    mine = config_map("a", {"k": "mine"})
    refused = world.patch(f"{CONFIGMAPS}/a", mine, APPLY_PATCH, fieldManager="two")
    assert refused.code == 409
    assert [c["field"] for c in read(refused)["details"]["causes"]] == [".data.k"]
    forced = world.patch(f"{CONFIGMAPS}/a", mine, APPLY_PATCH, fieldManager="two", force="true")
    assert read(forced)["data"] == {"k": "mine"}


def test_applying_what_is_not_there_creates_it(world):
    answer = world.patch(f"{CONFIGMAPS}/a", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n",
                         APPLY_PATCH, fieldManager="one")
    assert (answer.code, read(answer)["data"]) == (201, {"k": "v"})


def test_unknown_fields_are_warned_of_refused_or_ignored(world):
    odd = {**config_map("a"), "odd": 1}
    assert world.post(CONFIGMAPS, odd, fieldValidation="Strict").code == 400
    warned = world.post(CONFIGMAPS, odd)
    assert warned.warnings == ('unknown field "odd"',)
    assert "odd" not in read(warned)


def test_a_pod_gets_its_account_its_token_and_its_tolerations(world):
    made = read(world.post(PODS, pod("a")))["spec"]
    assert made["serviceAccountName"] == "default"
    assert [v["name"].startswith("kube-api-access-") for v in made["volumes"]] == [True]
    assert made["containers"][0]["volumeMounts"][0]["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert {t["key"] for t in made["tolerations"]} == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert made["priority"] == 0


def test_a_pod_is_not_made_without_its_account(world):
    assert world.post(PODS, pod("a", serviceAccountName="none")).code == 403


@pytest.mark.parametrize(("resources", "expected"), [
    ({}, "BestEffort"), ({"requests": {"cpu": "1"}}, "Burstable"),
    ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed")])
def test_quality_of_service_follows_from_the_resources(world, resources, expected):
    body = pod("a")
    body["spec"]["containers"][0]["resources"] = resources
    assert read(world.post(PODS, body))["status"]["qosClass"] == expected


def test_a_quota_stops_the_pod_that_would_exceed_it_and_counts_those_that_are(world):
    quotas = "/api/v1/namespaces/default/resourcequotas"
    world.post(quotas, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}})
    assert [world.post(PODS, pod(name)).code for name in "abc"] == [201, 201, 403]
    quota = read(world.get(f"{quotas}/q"))
    assert quota["status"]["used"] == {"pods": "2"}
    world.delete(f"{PODS}/a")
    assert world.post(PODS, pod("c")).code == 201


def test_a_limit_range_refuses_what_is_too_large(world):
    world.post("/api/v1/namespaces/default/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "500m"}}]}})
    assert read(world.post(PODS, pod("a")))["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m"}
    big = pod("b")
    big["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2"}}
    assert world.post(PODS, big).code == 403


def test_pod_security_refuses_a_privileged_pod_where_the_namespace_says_so(world):
    world.post("/api/v1/namespaces", {"metadata": {"name": "safe", "labels": {
        "pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted"}}})
    world.post("/api/v1/namespaces/safe/serviceaccounts", {"metadata": {"name": "default"}})
    bad = pod("bad")
    bad["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    assert world.post("/api/v1/namespaces/safe/pods", bad).code == 403
    fine = world.post("/api/v1/namespaces/safe/pods", pod("fine"))
    assert fine.code == 201
    assert any("runAsNonRoot" in warning for warning in fine.warnings)


def test_nothing_is_made_in_a_namespace_that_is_missing_or_terminating(world):
    assert world.post("/api/v1/namespaces/none/configmaps", config_map("a")).code == 404
    world.post("/api/v1/namespaces", {"metadata": {"name": "gone"}})
    assert read(world.delete("/api/v1/namespaces/gone"))["status"]["phase"] == "Terminating"
    answer = world.post("/api/v1/namespaces/gone/configmaps", config_map("a"))
    assert (answer.code, read(answer)["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    empty = {"metadata": {"name": "gone"}, "spec": {"finalizers": []}}
    assert world.put("/api/v1/namespaces/gone/finalize", empty).code == 200
    assert world.get("/api/v1/namespaces/gone").code == 404


def test_service_addresses_are_given_once_and_taken_back(world):
    first = read(world.post(SERVICES, service("a")))["spec"]["clusterIP"]
    second = read(world.post(SERVICES, service("b")))["spec"]["clusterIP"]
    assert first != second
    assert world.post(SERVICES, service("c", clusterIP=first)).code == 422
    world.delete(f"{SERVICES}/a")
    assert world.post(SERVICES, service("c", clusterIP=first)).code == 201


def test_addresses_in_use_are_known_after_a_restart(world):
    address = read(world.post(SERVICES, service("a", type="NodePort")))["spec"]["clusterIP"]
    again = World(world.store)
    assert again.post(SERVICES, service("b", clusterIP=address)).code == 422
    port = read(again.get(f"{SERVICES}/a"))["spec"]["ports"][0]["nodePort"]
    assert again.post(SERVICES, service("c", type="NodePort", ports=[{"port": 1, "nodePort": port}])).code == 422


def test_a_put_without_the_address_keeps_it(world):
    made = read(world.post(SERVICES, service("a")))
    kept = read(world.put(f"{SERVICES}/a", service("a", ports=[{"port": 81}])))
    assert kept["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    moved = world.put(f"{SERVICES}/a", {**kept, "spec": {**kept["spec"], "clusterIP": "None"}})
    assert moved.code == 422
    assert [cause["field"] for cause in read(moved)["details"]["causes"]] == ["spec.clusterIPs[0]"]


def test_a_pod_is_bound_once(world):
    world.post(PODS, pod("a"))
    binding = {"target": {"kind": "Node", "name": "n1"}}
    assert world.post(f"{PODS}/a/binding", binding).code == 201
    found = read(world.get(f"{PODS}/a"))
    assert found["spec"]["nodeName"] == "n1"
    assert found["status"]["conditions"][0]["type"] == "PodScheduled"
    assert world.post(f"{PODS}/a/binding", binding).code == 409


def test_scale_reads_and_writes_the_replicas(world):
    world.post(DEPLOYMENTS, deployment("web", 2))
    scale = read(world.get(f"{DEPLOYMENTS}/web/scale"))
    assert (scale["spec"], scale["status"]["selector"]) == ({"replicas": 2}, "app=web")
    scale["spec"]["replicas"] = 5
    assert world.put(f"{DEPLOYMENTS}/web/scale", scale).code == 200
    assert read(world.get(f"{DEPLOYMENTS}/web"))["spec"]["replicas"] == 5


def test_an_eviction_spends_the_budget(world):
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    world.post(budgets, {"metadata": {"name": "b"}, "spec": {
        "minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}})
    world.patch(f"{budgets}/b/status", {"status": {"disruptionsAllowed": 1, "observedGeneration": 1}})
    for name in ("p", "q"):
        world.post(PODS, {**pod(name), "metadata": {"name": name, "labels": {"a": "b"}}})
        world.patch(f"{PODS}/{name}/status", {"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True"}]}})
    assert [world.post(f"{PODS}/{name}/eviction", {}).code for name in ("p", "q")] == [201, 429]


def test_logs_lead_to_the_node_with_typed_options(world):
    world.post(PODS, pod("a", nodeName="n1"))
    connect = world.get(f"{PODS}/a/log", follow="true", tailLines="5")
    assert (connect.verb, connect.node) == ("log", "n1")
    assert connect.options == {"follow": True, "tailLines": 5, "container": "c"}


def test_versions_of_one_resource_share_their_objects(world):
    path = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    world.post(path.format("v1"), {"metadata": {"name": "a"}, "spec": {
        "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "targetCPUUtilizationPercentage": 50}})
    new = read(world.get(path.format("v2") + "/a"))
    assert new["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    old = read(world.get(path.format("v1") + "/a"))
    assert (old["apiVersion"], old["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 50)
    stream = world.watch(path.format("v1"))
    assert json.loads(stream.poll()[0][1])["object"]["apiVersion"] == "autoscaling/v1"
