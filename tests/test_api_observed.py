"""What the server tells about itself: metrics and the audit log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_world import ADMIN, CONFIGMAPS, TOKEN, World, config_map, read

from kitlib.api.config import ApiConfig
from kitlib.api.request import Request, User
from kitlib.api.server import ApiServer
from kitlib.objects.clock import FakeClock
from kitlib.store import Store


@pytest.fixture
def world() -> World:
    return World()


def lines_of(world: World, start: str) -> list[str]:
    text = world.get("/metrics").body.decode()
    return [line for line in text.splitlines() if line.startswith(start)]


def test_requests_are_counted_by_verb_resource_and_code(world):
    world.post(CONFIGMAPS, config_map("a"))
    world.post(CONFIGMAPS, config_map("a"))
    for name in ("a", "b"):
        world.get(f"{CONFIGMAPS}/{name}")
    counted = [line for line in lines_of(world, "apiserver_request_total") if 'resource="configmaps"' in line]
    told = [(line.split('verb="')[1].split('"')[0], line.split('code="')[1][:3], line[-1]) for line in counted]
    assert told == [("CREATE", "201", "1"), ("CREATE", "409", "1"), ("GET", "200", "1"), ("GET", "404", "1")]


def test_stored_objects_are_counted_by_resource(world):
    world.post(CONFIGMAPS, config_map("a"))
    assert 'apiserver_storage_objects{resource="configmaps"} 1' in lines_of(world, "apiserver_storage_objects")


def test_the_last_bucket_of_a_histogram_is_its_count(world):
    world.post(CONFIGMAPS, config_map("a"))
    for _ in range(3):
        world.get(f"{CONFIGMAPS}/a")
    name, about = "apiserver_request_duration_seconds", 'verb="GET",group="",version="v1",resource="configmaps"'
    last = [line for line in lines_of(world, f"{name}_bucket{{{about}") if 'le="+Inf"' in line]
    count = lines_of(world, f"{name}_count{{{about}")
    assert [line.rsplit(" ", 1)[1] for line in last] == [line.rsplit(" ", 1)[1] for line in count] == ["3"]


def test_every_request_is_audited_with_who_what_and_the_outcome():
    told: list[dict[str, object]] = []
    api = ApiServer(Store(None), ApiConfig(tokens={TOKEN: ADMIN}, audit=told.append), FakeClock())
    told.clear()
    headers = {"authorization": f"Bearer {TOKEN}", "user-agent": "kubectl/v1.37.0", "impersonate-user": "jane"}
    api.handle(Request("GET", f"{CONFIGMAPS}/a", {"pretty": ["true"]}, headers))
    [event] = told
    assert event["requestURI"] == f"{CONFIGMAPS}/a?pretty=true"
    assert (event["verb"], event["stage"], event["level"]) == ("get", "ResponseComplete", "Metadata")
    assert event["user"]["username"] == "admin"
    assert event["impersonatedUser"]["username"] == "jane"
    assert event["objectRef"] == {"resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"}
    assert (event["responseStatus"]["code"], event["annotations"]["authorization.k8s.io/decision"]) == (403, "forbid")


def audited(*requests: Request) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    api = ApiServer(Store(None), ApiConfig(tokens={TOKEN: ADMIN}, audit=told.append), FakeClock())
    api.handle(Request("POST", "/api/v1/namespaces/default/serviceaccounts", obj={"metadata": {"name": "default"}},
                       user=ADMIN))
    told.clear()
    for request in requests:
        request.headers |= {"authorization": f"Bearer {TOKEN}"}
        api.handle(request)
    return told


def test_the_audit_log_has_the_bodies_of_writes():
    body = json.dumps(config_map("a", {"k": "v"})).encode()
    yaml = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {k: v}\n"
    made, applied, read_ = audited(
        Request("POST", CONFIGMAPS, body=body),
        Request("PATCH", f"{CONFIGMAPS}/b", {"fieldManager": ["me"]}, {"content-type": "application/apply-patch+yaml"},
                yaml),
        Request("GET", f"{CONFIGMAPS}/a"))
    assert (made["level"], made["requestObject"]["data"], made["responseObject"]["data"]) == (
        "RequestResponse", {"k": "v"}, {"k": "v"})
    assert "managedFields" not in made["responseObject"]["metadata"]
    assert (applied["requestObject"]["metadata"], applied["responseStatus"]["code"]) == ({"name": "b"}, 201)
    assert (read_["level"], "responseObject" in read_) == ("Metadata", False)


def test_the_audit_log_never_has_the_content_of_a_secret():
    secret = {"metadata": {"name": "s"}, "stringData": {"password": "open sesame"}}
    told = audited(Request("POST", "/api/v1/namespaces/default/secrets", body=json.dumps(secret).encode()),
                   Request("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", body=b"{}"),
                   Request("POST", "/apis/authentication.k8s.io/v1/tokenreviews",
                           body=b'{"spec": {"token": "open sesame"}}'))
    assert [(event["level"], event["responseStatus"]["code"]) for event in told] == [("Metadata", 201)] * 3
    assert "open sesame" not in json.dumps(told)


def test_a_body_that_cannot_be_read_is_left_out_of_the_audit_log():
    [event] = audited(Request("POST", CONFIGMAPS, body=b"{not json"))
    assert (event["responseStatus"]["code"], "requestObject" in event) == (400, False)
    assert event["responseObject"]["reason"] == "BadRequest"


def test_a_watch_is_audited_when_it_starts_and_probes_never():
    [event] = audited(Request("GET", CONFIGMAPS, {"watch": ["true"]}), Request("GET", "/readyz"))
    assert (event["verb"], event["stage"]) == ("watch", "ResponseStarted")


def test_the_audit_log_names_the_binding_that_allowed_a_request():
    told: list[dict[str, Any]] = []
    api = ApiServer(Store(None), ApiConfig(tokens={TOKEN: ADMIN}, audit=told.append), FakeClock())
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    api.handle(Request("POST", f"{rbac}/namespaces/default/rolebindings", obj={
        "metadata": {"name": "readers"}, "roleRef": role, "subjects": [{"kind": "User", "name": "jane"}]}, user=ADMIN))
    jane = User("jane", ("system:authenticated",))
    for method in ("GET", "DELETE"):
        api.handle(Request(method, CONFIGMAPS, user=jane))
    prefix = "authorization.k8s.io"
    assert [event["annotations"] for event in told[-2:]] == [
        {f"{prefix}/decision": "allow", f"{prefix}/reason": 'RBAC: allowed by RoleBinding "readers/default" of '
                                                            'ClusterRole "view" to User "jane"'},
        {f"{prefix}/decision": "forbid", f"{prefix}/reason": ""}]


def test_events_are_forgotten_after_an_hour(world):
    from kitlib.api.expiry import expire

    events = "/api/v1/namespaces/default/events"
    about = {"involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}, "reason": "R", "type": "Normal"}
    world.post(events, {"metadata": {"name": "old"}, **about})
    world.clock.advance(1800)
    world.post(events, {"metadata": {"name": "new"}, **about})
    assert expire(world.api) == 0
    world.clock.advance(1801)
    assert expire(world.api) == 1
    assert [item["metadata"]["name"] for item in read(world.get(events))["items"]] == ["new"]


def test_others_can_check_tokens_with_the_published_key(world):
    configuration = read(world.get("/.well-known/openid-configuration"))
    assert configuration["issuer"] == world.api.config.issuer
    [key] = read(world.get("/openid/v1/jwks"))["keys"]
    assert (key["kty"], key["alg"]) == ("EC", configuration["id_token_signing_alg_values_supported"][0])
