"""Who may do what: tokens, ServiceAccounts, impersonation, RBAC, escalation."""

from __future__ import annotations

import base64

import pytest
from api_world import CONFIGMAPS, PODS, SECRETS, World, config_map, pod, read

from kitlib.objects.clock import parse_time

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REQUEST = base64.b64encode(b"-----BEGIN CERTIFICATE REQUEST-----\nMA==\n-----END CERTIFICATE REQUEST-----\n").decode()


@pytest.fixture
def world() -> World:
    return World()


def token_of(world: World, account: str, **spec: object) -> str:
    world.post(ACCOUNTS, {"metadata": {"name": account}})
    return read(world.post(f"{ACCOUNTS}/{account}/token", {"spec": spec}))["status"]["token"]


def grant(world: World, name: str, rules: list[dict[str, object]], subject: dict[str, str]) -> None:
    world.post(f"{RBAC}/namespaces/default/roles", {"metadata": {"name": name}, "rules": rules})
    world.post(f"{RBAC}/namespaces/default/rolebindings", {
        "metadata": {"name": name}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}})


def test_nobody_without_a_credential_reads_anything_but_version_and_health(world):
    for path in ("/version", "/version/", "/healthz", "/livez", "/readyz"):
        assert world.get(path, token=None).code == 200, path
    for path in ("/api", "/apis", "/openapi/v3", "/metrics", CONFIGMAPS, "/api/v1/namespaces", "/kit/status", "/odd"):
        assert world.get(path, token=None).code == 403, path


def test_a_wrong_token_is_401(world):
    assert world.get(CONFIGMAPS, token="wrong").code == 401


def test_a_service_account_gets_just_what_rbac_grants(world):
    token = token_of(world, "robot")
    world.post(CONFIGMAPS, config_map("a"))
    assert world.get(f"{CONFIGMAPS}/a", token=token).code == 403
    grant(world, "reader", [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
          {"kind": "ServiceAccount", "name": "robot", "namespace": "default"})
    assert world.get(f"{CONFIGMAPS}/a", token=token).code == 200
    assert world.get(CONFIGMAPS, token=token).code == 403
    assert world.get(SECRETS, token=token).code == 403
    world.delete(f"{RBAC}/namespaces/default/rolebindings/reader")
    assert world.get(f"{CONFIGMAPS}/a", token=token).code == 403


def test_a_token_dies_with_its_account_and_in_time(world):
    token = token_of(world, "robot", expirationSeconds=600)
    assert world.get("/api", token=token).code == 200
    world.clock.advance(601)
    assert world.get("/api", token=token).code == 401
    token = token_of(world, "other")
    world.delete(f"{ACCOUNTS}/other")
    world.post(ACCOUNTS, {"metadata": {"name": "other"}})
    assert world.get("/api", token=token).code == 401


def test_a_token_bound_to_a_pod_dies_with_it(world):
    world.post(PODS, pod("a"))
    token = token_of(world, "default", boundObjectRef={"apiVersion": "v1", "kind": "Pod", "name": "a"})
    user = world.api.authenticator.by_token(token)
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("a",)
    world.delete(f"{PODS}/a")
    assert world.get("/api", token=token).code == 401


def test_the_token_of_every_pod_holds_for_a_year_but_says_that_it_is_to_be_renewed_in_an_hour(world):
    world.post(PODS, pod("a"))
    about = {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "a"}}
    answer = read(world.post(f"{ACCOUNTS}/default/token", {"spec": about | {"expirationSeconds": 3607}}))
    assert parse_time(answer["status"]["expirationTimestamp"]) == int(world.clock.now()) + 3607
    shorter = token_of(world, "default", expirationSeconds=3600, **about)
    world.clock.advance(3608)
    assert world.get("/api", token=answer["status"]["token"]).code == 200
    assert world.get("/api", token=shorter).code == 401


def test_a_forged_token_is_refused(world):
    head, claims, signature = token_of(world, "robot").split(".")
    unsigned = f"eyJhbGciOiJub25lIn0.{claims}."
    for forged in (f"{head}.{claims}.{signature[:-4]}AAAA", unsigned, f"{head}.{claims}", "a.b.c"):
        assert world.get("/api", token=forged).code == 401


def test_who_may_impersonate_acts_as_the_other(world):
    answer = world.send("GET", CONFIGMAPS, headers={"impersonate-user": "jane"})
    assert (answer.code, "jane" in read(answer)["message"]) == (403, True)
    token = token_of(world, "robot")
    refused = world.send("GET", CONFIGMAPS, token=token, headers={"impersonate-user": "admin",
                                                                  "impersonate-group": "system:masters"})
    assert refused.code == 403


def test_nobody_grants_what_he_does_not_have(world):
    rules = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create"]}]
    grant(world, "granter", rules, {"kind": "ServiceAccount", "name": "robot", "namespace": "default"})
    token = token_of(world, "robot")
    role = {"metadata": {"name": "x"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    assert world.post(f"{RBAC}/namespaces/default/roles", role, token=token).code == 403
    assert world.post(f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "y"}, "rules": rules},
                      token=token).code == 201


def test_a_role_that_collects_others_is_written_by_those_who_may_do_everything(world):
    rules = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["create", "update"]}]
    world.post(f"{RBAC}/clusterroles", {"metadata": {"name": "granter"}, "rules": rules})
    world.post(f"{RBAC}/clusterrolebindings", {
        "metadata": {"name": "granter"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "granter"}})
    role = {"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    refused = world.post(f"{RBAC}/clusterroles", role, token=token_of(world, "robot"))
    assert (refused.code, "permissions not currently held" in read(refused)["message"]) == (403, True)
    made = read(world.post(f"{RBAC}/clusterroles", role))
    made["metadata"]["labels"] = {"changed": "yes"}
    assert world.put(f"{RBAC}/clusterroles/all", made, token=token_of(world, "robot")).code == 403


def test_a_client_certificate_says_who_one_is(world):
    from kitlib.api.request import Request

    request = Request("GET", CONFIGMAPS, client_cert=("jane", ("system:masters",)))
    assert world.api.handle(request).code == 200
    assert world.api.handle(Request("GET", CONFIGMAPS, client_cert=("jane", ("people",)))).code == 403


def test_kit_paths_are_for_masters_only(world):
    from kitlib.api import respond

    world.api.extra["/kit/"] = lambda request: respond.text("here")
    assert world.get("/kit/status").body == b"here"
    assert world.get("/kit/status", token=token_of(world, "robot")).code == 403


def test_a_lasting_token_is_as_good_as_the_secret_that_holds_it(world):
    world.post(ACCOUNTS, {"metadata": {"name": "robot"}})
    world.post(SECRETS, {"metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "robot"}},
                         "type": "kubernetes.io/service-account-token"})
    secret = read(world.get(f"{SECRETS}/t"))
    token = base64.b64decode(secret["data"]["token"]).decode()
    assert sorted(secret["data"]) == ["ca.crt", "namespace", "token"]
    world.clock.advance(10 * 365 * 86400)
    assert world.api.authenticator.by_token(token).name == "system:serviceaccount:default:robot"
    world.delete(f"{SECRETS}/t")
    assert world.get("/api", token=token).code == 401


def test_a_signing_request_says_who_asks_and_is_approved_at_its_own_path(world):
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    made = world.post(path, {"metadata": {"name": "jane"}, "spec": {
        "request": REQUEST, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"],
        "username": "somebody-else"}})
    assert (made.code, read(made)["spec"]["username"]) == (201, "admin")
    approved = {**read(made), "status": {"conditions": [{"type": "Approved", "status": "True", "reason": "R"}]}}
    world.patch(f"{path}/jane/approval", {"status": approved["status"]})
    [condition] = read(world.get(f"{path}/jane"))["status"]["conditions"]
    assert (condition["type"], condition["lastUpdateTime"]) == ("Approved", "2023-11-14T22:13:20Z")
    signed = {"status": {"certificate": base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()}}
    world.patch(f"{path}/jane/status", signed)
    assert read(world.get(f"{path}/jane"))["status"]["conditions"] == [condition]
