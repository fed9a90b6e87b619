"""ValidatingAdmissionPolicy: rules in CEL about any write."""

from __future__ import annotations

from typing import Any

import pytest
from api_world import CONFIGMAPS, DEPLOYMENTS, World, config_map, deployment, read

ROOT = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture
def world() -> World:
    return World()


def install(world: World, validations: list[dict[str, Any]], binding: dict[str, Any] | None = None,
            resource: str = "deployments", operations: tuple[str, ...] = ("CREATE", "UPDATE"), **policy: Any) -> None:
    group = "apps" if resource == "deployments" else ""
    made = world.post(f"{ROOT}/validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": [group], "apiVersions": ["v1"], "resources": [resource],
                                                "operations": list(operations)}]},
        "validations": validations, **policy}})
    assert made.code == 201, read(made)
    bound = world.post(f"{ROOT}/validatingadmissionpolicybindings", {"metadata": {"name": "b"}, "spec": {
        "policyName": "p", "validationActions": ["Deny"], **(binding or {})}})
    assert bound.code == 201, read(bound)


def test_a_write_that_breaks_a_rule_is_refused(world):
    install(world, [{"expression": "object.spec.replicas <= 5", "message": "too many"}])
    assert world.post(DEPLOYMENTS, deployment("small", 5)).code == 201
    refused = world.post(DEPLOYMENTS, deployment("big", 6))
    assert (refused.code, "too many" in read(refused)["message"]) == (422, True)
    assert world.patch(f"{DEPLOYMENTS}/small", {"spec": {"replicas": 9}}).code == 422


def test_a_policy_without_a_binding_does_nothing(world):
    install(world, [{"expression": "false"}])
    world.delete(f"{ROOT}/validatingadmissionpolicybindings/b")
    assert world.post(DEPLOYMENTS, deployment("web")).code == 201


def test_a_binding_may_only_warn(world):
    install(world, [{"expression": "false", "messageExpression": "'replicas: ' + string(object.spec.replicas)"}],
            {"validationActions": ["Warn"]})
    answer = world.post(DEPLOYMENTS, deployment("web", 3))
    assert answer.code == 201
    assert answer.warnings[0].endswith("replicas: 3")


def test_old_and_new_object_request_and_variables_are_there(world):
    install(world, [{"expression": "!variables.grows || request.userInfo.username == 'nobody'", "reason": "Forbidden"}],
            variables=[{"name": "grows", "expression":
                        "request.operation == 'UPDATE' && object.spec.replicas > oldObject.spec.replicas"}])
    world.post(DEPLOYMENTS, deployment("web", 3))
    assert world.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 2}}).code == 200
    assert world.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 4}}).code == 403


def test_parameters_come_out_of_another_object(world):
    world.post(CONFIGMAPS, config_map("limits", {"max": "4"}))
    install(world, [{"expression": "object.spec.replicas <= int(params.data.max)"}],
            {"paramRef": {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}},
            paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    assert world.post(DEPLOYMENTS, deployment("four", 4)).code == 201
    assert world.post(DEPLOYMENTS, deployment("five", 5)).code == 422
    world.delete(f"{CONFIGMAPS}/limits")
    assert world.post(DEPLOYMENTS, deployment("one", 1)).code == 422


def test_deletions_are_writes_too(world):
    install(world, [{"expression": "!('keep' in oldObject.data)"}], resource="configmaps", operations=("DELETE",))
    world.post(CONFIGMAPS, config_map("a"))
    world.post(CONFIGMAPS, config_map("b", {"keep": "me"}))
    assert world.delete(f"{CONFIGMAPS}/a").code == 200
    assert world.delete(f"{CONFIGMAPS}/b").code == 422


@pytest.mark.parametrize(("failure_policy", "code"), [("Fail", 422), ("Ignore", 201)])
def test_what_cannot_be_evaluated_follows_the_failure_policy(world, failure_policy, code):
    install(world, [{"expression": "object.spec.missing == 1"}], failurePolicy=failure_policy)
    assert world.post(DEPLOYMENTS, deployment("web")).code == code


def test_selectors_narrow_a_binding(world):
    install(world, [{"expression": "false"}],
            {"matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}})
    assert world.post(DEPLOYMENTS, deployment("web")).code == 201
