"""The verbs: create, get, list, update, delete, as one client sees them."""

from __future__ import annotations

import pytest
from api_world import CONFIGMAPS, DEPLOYMENTS, PODS, World, config_map, deployment, pod, read

from kitlib.api.request import Request, Response
from kitlib.store import Store


@pytest.fixture
def world() -> World:
    return World()


def test_a_created_object_gets_what_the_server_decides(world):
    answer = world.post(CONFIGMAPS, config_map("a"))
    meta = read(answer)["metadata"]
    assert answer.code == 201
    assert meta["namespace"] == "default"
    assert meta["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert len(meta["uid"]) == 36
    assert int(meta["resourceVersion"]) == world.store.revision == answer.revision


def test_get_hands_out_the_stored_bytes_themselves(world):
    world.post(CONFIGMAPS, config_map("a"))
    entry = world.store.get("configmaps", "default", "a")
    assert world.get(f"{CONFIGMAPS}/a").body is entry.data


def test_creating_twice_is_a_conflict_and_changes_nothing(world):
    world.post(CONFIGMAPS, config_map("a"))
    before = world.store.revision
    answer = world.post(CONFIGMAPS, config_map("a", {"k": "other"}))
    assert (answer.code, read(answer)["reason"]) == (409, "AlreadyExists")
    assert world.store.revision == before


def test_generated_names_are_distinct_and_have_the_base(world):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}
    names = {read(world.post(CONFIGMAPS, body))["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("x-") and len(name) == 7 for name in names)


def test_items_of_a_built_in_list_carry_no_kind(world):
    world.post(CONFIGMAPS, config_map("a"))
    listed = read(world.get(CONFIGMAPS))
    assert listed["kind"] == "ConfigMapList"
    assert [sorted(item) for item in listed["items"]] == [["data", "metadata"]]


def test_pages_show_one_moment_although_objects_come_and_go(world):
    for name in "abcde":
        world.post(CONFIGMAPS, config_map(name))
    first = read(world.get(CONFIGMAPS, limit="2"))
    world.delete(f"{CONFIGMAPS}/d")
    world.post(CONFIGMAPS, config_map("bb"))
    second = read(world.get(CONFIGMAPS, limit="9", **{"continue": first["metadata"]["continue"]}))
    names = [item["metadata"]["name"] for item in first["items"] + second["items"]]
    assert names == ["a", "b", "c", "d", "e"]
    assert first["metadata"]["remainingItemCount"] == 3
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


def test_an_expired_page_token_is_410_with_a_fresh_one():
    world = World(Store(None, history=10))
    for name in "abc":
        world.post(CONFIGMAPS, config_map(name))
    token = read(world.get(CONFIGMAPS, limit="1"))["metadata"]["continue"]
    for number in range(40):
        world.patch(f"{CONFIGMAPS}/a", {"data": {"k": str(number)}})
    expired = world.get(CONFIGMAPS, limit="1", **{"continue": token})
    assert (expired.code, read(expired)["reason"]) == (410, "Expired")
    again = world.get(CONFIGMAPS, limit="9", **{"continue": read(expired)["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in read(again)["items"]] == ["b", "c"]


def test_an_update_that_changes_nothing_writes_nothing(world):
    made = read(world.post(CONFIGMAPS, config_map("a")))
    world.clock.advance(60)
    same = world.put(f"{CONFIGMAPS}/a", config_map("a"))
    assert (same.code, read(same)["metadata"]["resourceVersion"]) == (200, made["metadata"]["resourceVersion"])
    assert same.revision == 0


def test_an_update_of_an_old_version_is_refused(world):
    old = read(world.post(CONFIGMAPS, config_map("a")))
    world.patch(f"{CONFIGMAPS}/a", {"data": {"k": "new"}})
    answer = world.put(f"{CONFIGMAPS}/a", old)
    assert (answer.code, read(answer)["reason"]) == (409, "Conflict")
    assert read(world.get(f"{CONFIGMAPS}/a"))["data"] == {"k": "new"}


def test_generation_moves_with_the_spec_only(world):
    def generation() -> int:
        return read(world.get(f"{DEPLOYMENTS}/web"))["metadata"]["generation"]

    world.post(DEPLOYMENTS, deployment("web"))
    assert generation() == 1
    world.patch(f"{DEPLOYMENTS}/web", {"metadata": {"labels": {"x": "y"}}})
    world.patch(f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 1}})
    assert generation() == 1
    world.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 5}})
    assert generation() == 2


def test_spec_and_status_have_a_door_each(world):
    world.post(DEPLOYMENTS, deployment("web"))
    world.patch(f"{DEPLOYMENTS}/web", {"status": {"replicas": 9}})
    world.patch(f"{DEPLOYMENTS}/web/status", {"spec": {"replicas": 9}, "status": {"replicas": 2}})
    found = read(world.get(f"{DEPLOYMENTS}/web"))
    assert (found["spec"]["replicas"], found["status"]) == (1, {"replicas": 2})


def test_a_trial_changes_nothing(world):
    before = world.store.revision
    answer = world.post(CONFIGMAPS, config_map("a"), dryRun="All")
    assert (answer.code, read(answer)["data"]) == (201, {"k": "v"})
    assert world.store.revision == before
    assert world.get(f"{CONFIGMAPS}/a").code == 404


def test_a_pod_on_a_node_is_marked_and_goes_when_the_kubelet_says_so(world):
    world.post(PODS, pod("a", nodeName="n1"))
    marked = read(world.delete(f"{PODS}/a"))
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert marked["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:50Z"
    assert world.get(f"{PODS}/a").code == 200
    assert world.delete(f"{PODS}/a", gracePeriodSeconds="0").code == 200
    assert world.get(f"{PODS}/a").code == 404


def test_a_finalizer_keeps_an_object_until_it_is_taken_off(world):
    world.post(CONFIGMAPS, config_map("a", finalizers=["x.example/y"]))
    assert "deletionTimestamp" in read(world.delete(f"{CONFIGMAPS}/a"))["metadata"]
    assert world.get(f"{CONFIGMAPS}/a").code == 200
    world.patch(f"{CONFIGMAPS}/a", {"metadata": {"finalizers": None}})
    assert world.get(f"{CONFIGMAPS}/a").code == 404


def test_a_deletion_of_another_uid_is_refused(world):
    world.post(CONFIGMAPS, config_map("a"))
    answer = world.delete(f"{CONFIGMAPS}/a", {"preconditions": {"uid": "other"}})
    assert answer.code == 409
    assert world.get(f"{CONFIGMAPS}/a").code == 200


def test_a_caller_in_this_process_gets_the_stores_own_object_and_may_send_one(world):
    sent = config_map("a")
    user = world.api.authenticator.by_token("admin-token")
    made = world.api.handle(Request("POST", CONFIGMAPS, obj=sent, user=user))
    assert isinstance(made, Response)
    assert made.obj is world.store.get("configmaps", "default", "a").obj
    assert sent == config_map("a")


def test_every_write_is_told_with_its_actor_and_cause(world):
    seen = []
    world.api.on_write(seen.append)
    headers = {"user-agent": "kube-controller-manager/replicaset extra", "authorization": "Bearer admin-token"}
    world.api.handle(Request("POST", CONFIGMAPS, headers=headers, obj=config_map("a"), cause=7))
    world.delete(f"{CONFIGMAPS}/a")
    assert [(w.actor, w.verb, w.resource, w.name, w.cause) for w in seen] == [
        ("kube-controller-manager/replicaset", "create", "configmaps", "a", 7),
        ("test/1.0", "delete", "configmaps", "a", 0)]


def test_the_ambient_objects_are_there_and_survive_a_restart_of_the_server(world):
    names = {item["metadata"]["name"] for item in read(world.get("/api/v1/namespaces"))["items"]}
    assert names == {"default", "kube-node-lease", "kube-public", "kube-system"}
    service = read(world.get("/api/v1/namespaces/default/services/kubernetes"))
    assert service["spec"]["clusterIP"] == "127.64.0.1"
    before = world.store.revision
    World(world.store)
    assert world.store.revision == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"[" * 5000, b'{"a":' * 5000, b"\xff\xfe",
                                  b'{"metadata":[]}'])
def test_no_body_makes_the_server_fail(world, body):
    answer = world.post(CONFIGMAPS, body)
    assert answer.code == 400
    assert read(answer)["kind"] == "Status"


def test_a_body_beyond_three_megabytes_is_refused(world):
    assert world.post(CONFIGMAPS, b" " * (3 * 1024 * 1024 + 1)).code == 413


def test_paths_that_lead_nowhere(world):
    assert world.get("/api/v1/namespaces/default/odds").code == 404
    assert read(world.get("/apis/apps/v9/deployments"))["kind"] == "Status"
    assert world.get("/apis/odd.example.com/v1/odds").body == b"404 page not found\n"
    assert world.get("/api/v1/namespaces/default/nodes").code == 404
    assert world.post(f"{CONFIGMAPS}/a", config_map("a")).code == 405
