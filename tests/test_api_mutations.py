"""MutatingAdmissionPolicy: changes in CEL of any write."""

from __future__ import annotations

from typing import Any

import pytest
from api_world import CONFIGMAPS, DEPLOYMENTS, PODS, World, config_map, deployment, pod, read

ROOT = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture
def world() -> World:
    return World()


def apply(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patch(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def install(world: World, *mutations: dict[str, Any], name: str = "p", resource: str = "configmaps",
            binding: dict[str, Any] | None = None, **policy: Any) -> None:
    group = "apps" if resource == "deployments" else ""
    made = world.post(f"{ROOT}/mutatingadmissionpolicies", {"metadata": {"name": name}, "spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": [group], "apiVersions": ["v1"], "resources": [resource],
                                                "operations": ["CREATE", "UPDATE"]}]},
        "reinvocationPolicy": "Never", "mutations": list(mutations), **policy}})
    assert made.code == 201, read(made)
    bound = world.post(f"{ROOT}/mutatingadmissionpolicybindings", {
        "metadata": {"name": name}, "spec": {"policyName": name, **(binding or {})}})
    assert bound.code == 201, read(bound)


def test_an_apply_configuration_is_laid_over_the_object(world):
    install(world, apply('Object{metadata: Object.metadata{labels: {"team": "a"}}, data: {"added": "x"}}'))
    made = read(world.post(CONFIGMAPS, config_map("a", {"k": "v"}, labels={"mine": "yes"})))
    assert made["metadata"]["labels"] == {"mine": "yes", "team": "a"}
    assert made["data"] == {"k": "v", "added": "x"}
    world.check_frozen()


def test_lists_are_merged_by_their_keys(world):
    install(world, apply('''Object{spec: Object.spec{initContainers: [Object.spec.initContainers.item{
        name: "mesh", image: "mesh:1", restartPolicy: "Always"}],
        containers: [Object.spec.containers.item{name: "c", imagePullPolicy: "Never"}]}}'''), resource="pods")
    spec = read(world.post(PODS, pod("p")))["spec"]
    assert [(c["name"], c["image"], c["imagePullPolicy"]) for c in spec["containers"]] == [("c", "busybox", "Never")]
    [sidecar] = spec["initContainers"]
    assert (sidecar["name"], sidecar["terminationMessagePath"]) == ("mesh", "/dev/termination-log"), "it is defaulted"


def test_a_json_patch_is_applied_in_order(world):
    install(world, patch('''[JSONPatch{op: "test", path: "/data/k", value: "v"},
        JSONPatch{op: "add", path: "/metadata/annotations", value: {}},
        JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("example.com/by"),
                  value: request.userInfo.username}]'''))
    made = read(world.post(CONFIGMAPS, config_map("a", {"k": "v"})))
    assert made["metadata"]["annotations"] == {"example.com/by": "admin"}


def test_mutations_see_those_before_them(world):
    install(world, apply('Object{data: {"n": object.data.n + "1"}}'), apply('Object{data: {"n": object.data.n + "2"}}'))
    install(world, apply('Object{data: {"n": object.data.n + "3"}}'), name="q")
    assert read(world.post(CONFIGMAPS, config_map("a", {"n": "0"})))["data"] == {"n": "0123"}


def test_conditions_variables_and_parameters_are_those_of_validating_policies(world):
    world.post(CONFIGMAPS, config_map("limits", {"most": "3"}))
    install(world, apply("Object{spec: Object.spec{replicas: variables.most}}"), resource="deployments",
            matchConditions=[{"name": "big", "expression": "object.spec.replicas > int(params.data.most)"}],
            paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
            variables=[{"name": "most", "expression": "int(params.data.most)"}],
            binding={"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}})
    assert read(world.post(DEPLOYMENTS, deployment("big", 9)))["spec"]["replicas"] == 3
    assert read(world.post(DEPLOYMENTS, deployment("small", 2)))["spec"]["replicas"] == 2


@pytest.mark.parametrize(("mutation", "why"), [
    (apply('Object{data: {"n": object.data.missing}}'), "missing"),
    (apply('Object{metadata: Object.metadata{name: "b"}}'), "must not change metadata.name"),
    (apply('Object{oddity: "x"}'), "oddity"),
    (patch('[JSONPatch{op: "remove", path: "/data/missing"}]'), "rejected our request"),
    (patch('"text"'), "does not give a list of JSONPatch"),
])
def test_a_mutation_that_fails_refuses_the_write_unless_it_may_be_ignored(world, mutation, why):
    install(world, mutation)
    refused = read(world.post(CONFIGMAPS, config_map("a", {"k": "v"})))
    assert (refused["code"], refused["reason"]) == (422, "Invalid")
    assert "policy 'p' with binding 'p' denied request" in refused["message"]
    assert why in refused["message"]
    world.patch(f"{ROOT}/mutatingadmissionpolicies/p", {"spec": {"failurePolicy": "Ignore"}})
    assert read(world.post(CONFIGMAPS, config_map("a", {"k": "v"})))["data"] == {"k": "v"}


def test_what_a_policy_adds_is_validated(world):
    install(world, apply("Object{spec: Object.spec{replicas: -1}}"), resource="deployments")
    assert world.post(DEPLOYMENTS, deployment("web")).code == 422


def test_a_policy_without_a_binding_changes_nothing(world):
    install(world, apply('Object{data: {"added": "x"}}'))
    world.delete(f"{ROOT}/mutatingadmissionpolicybindings/p")
    assert read(world.post(CONFIGMAPS, config_map("a", {"k": "v"})))["data"] == {"k": "v"}
