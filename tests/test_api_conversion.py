"""Conversion webhooks: custom resources whose versions differ by more than their names."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_world import ADMIN, World, read
from conversion_webhook import Webhook, definition, gauge
from support import Kubectl, eventually

from kitlib.api.edge import callouts
from kitlib.api.request import Callout, Request

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
V1, V2 = (f"/apis/example.com/{version}/namespaces/default/gauges" for version in ("v1", "v2"))


class Converting(World):
    """A World whose every request is carried through as the edge does it: webhooks are really asked."""

    def send(self, *arguments: Any, **how: Any) -> Any:
        answer = super().send(*arguments, **how)
        for _ in range(8):
            if not isinstance(answer, Callout):
                return answer
            asyncio.run(callouts.run(answer))
            answer = self.again()
        raise AssertionError("it never ends")


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Webhook]:
    made = Webhook(tmp_path)
    yield made
    made.close()


@pytest.fixture
def world(webhook: Webhook) -> Converting:
    made = Converting()
    made.api.callouts.start = lambda callout: asyncio.run(callouts.run(callout))
    assert made.post(DEFINITIONS, definition(webhook.client_config())).code == 201
    return made


def stored(world: World, name: str = "a") -> Any:
    entry = world.store.get("gauges.example.com", "default", name)
    assert entry is not None
    return entry.obj


def test_a_write_through_another_version_is_stored_converted(world):
    made = world.post(V1, gauge("a", size=3))
    assert (made.code, read(made)["apiVersion"], read(made)["spec"]) == (201, "example.com/v1", {"size": 3})
    assert (stored(world)["apiVersion"], stored(world)["spec"]) == ("example.com/v2", {"range": {"max": 3}})


def test_each_version_shows_the_object_in_its_own_form(world):
    world.post(V2, gauge("a", "v2", 5))
    assert read(world.get(f"{V1}/a"))["spec"] == {"size": 5}
    assert read(world.get(f"{V2}/a"))["spec"] == {"range": {"max": 5}}


def test_of_metadata_only_labels_and_annotations_are_the_webhooks(world):
    made = read(world.post(V2, gauge("a", "v2", labels={"mine": "yes"})))["metadata"]
    shown = read(world.get(f"{V1}/a"))["metadata"]
    assert shown["labels"] == {"mine": "yes", "converted-to": "v1"}
    assert {name: shown[name] for name in ("uid", "resourceVersion", "creationTimestamp")} == {
        name: made[name] for name in ("uid", "resourceVersion", "creationTimestamp")}


def test_a_list_asks_once_about_all_that_is_missing(world, webhook):
    for number in range(20):
        world.post(V2, gauge(f"g{number}", "v2", number))
    webhook.reviews.clear()
    items = read(world.get(V1))["items"]
    assert sorted(item["spec"]["size"] for item in items) == list(range(20))
    assert webhook.sizes() == [20]
    world.post(V2, gauge("g20", "v2", 20))
    webhook.reviews.clear()
    assert len(read(world.get(V1, labelSelector="!nothing"))["items"]) == 21
    assert webhook.sizes() == [1]


def test_updates_patches_status_and_apply_work_through_either_version(world):
    world.post(V2, gauge("a", "v2", 1))
    assert read(world.patch(f"{V1}/a", {"spec": {"size": 2}}))["spec"] == {"size": 2}
    assert stored(world)["spec"] == {"range": {"max": 2}}
    whole = read(world.get(f"{V1}/a"))
    whole["spec"]["size"] = 4
    assert read(world.put(f"{V1}/a", whole))["spec"] == {"size": 4}
    assert read(world.get(f"{V2}/a"))["spec"] == {"range": {"max": 4}}
    applied = world.patch(f"{V1}/b", gauge("b", size=7), "application/apply-patch+yaml", fieldManager="me")
    assert (applied.code, stored(world, "b")["spec"]) == (201, {"range": {"max": 7}})
    world.check_frozen()


def test_nothing_is_written_twice_while_the_webhook_is_asked(world):
    before = world.store.revision
    world.post(V1, gauge("a"))
    assert world.store.revision == before + 1
    world.patch(f"{V1}/a", {"metadata": {"finalizers": ["example.com/wait"]}})
    world.patch(f"{V1}/a", {"spec": {"size": 9}})
    assert world.store.revision == before + 3
    marked = read(world.delete(f"{V1}/a"))
    assert (marked["spec"], "deletionTimestamp" in marked["metadata"]) == ({"size": 9}, True)
    assert read(world.get(f"{V1}/a"))["metadata"]["generation"] == marked["metadata"]["generation"]
    assert world.patch(f"{V1}/a", {"metadata": {"finalizers": None}}).code == 200
    assert world.get(f"{V1}/a").code == 404


def test_a_collection_is_deleted_through_a_converted_version(world):
    for number in range(3):
        world.post(V2, gauge(f"g{number}", "v2", number))
    gone = read(world.delete(V1))
    assert [item["spec"]["size"] for item in gone["items"]] == [0, 1, 2]
    assert read(world.get(V2))["items"] == []


def test_objects_of_an_earlier_stored_version_are_converted_when_they_are_read(world, webhook):
    world.delete(f"{DEFINITIONS}/gauges.example.com")
    world.post(DEFINITIONS, definition(webhook.client_config(), "v1"))
    world.post(V1, gauge("old", size=6))
    found = read(world.get(f"{DEFINITIONS}/gauges.example.com"))
    found["spec"] = definition(webhook.client_config(), "v2")["spec"]
    assert read(world.put(f"{DEFINITIONS}/gauges.example.com", found))["status"]["storedVersions"] == ["v1", "v2"]
    assert stored(world, "old")["apiVersion"] == "example.com/v1"
    assert read(world.get(f"{V2}/old"))["spec"] == {"range": {"max": 6}}
    assert read(world.get(f"{V1}/old"))["spec"] == {"size": 6}
    world.patch(f"{V2}/old", {"metadata": {"annotations": {"touched": "yes"}}})
    assert stored(world, "old")["apiVersion"] == "example.com/v2"


def test_a_watch_shows_events_converted_and_in_order(world, webhook):
    world.post(V2, gauge("first", "v2", 1))
    stream = world.watch(V1)
    calls: list[None] = []
    stream.on_ready(lambda: calls.append(None))
    for number in (2, 3):
        world.post(V2, gauge(f"g{number}", "v2", number))
    world.delete(f"{V2}/first")
    seen: list[tuple[str, Any]] = []
    for _ in range(3):
        seen += [(event["type"], event["object"]["spec"]["size"]) for event in map(json.loads, (
            line for _, line in stream.poll()))]
    assert seen == [("ADDED", 1), ("ADDED", 2), ("ADDED", 3), ("DELETED", 1)]
    assert calls


def test_a_watch_with_a_selection_sees_converted_labels(world):
    stream = world.watch(V1, labelSelector="converted-to=v1,colour=red")
    world.post(V2, gauge("a", "v2", 1, labels={"colour": "red"}))
    world.patch(f"{V2}/a", {"metadata": {"labels": {"colour": "blue"}}})
    seen = [json.loads(line)["type"] for _ in range(4) for _, line in stream.poll()]
    assert seen == ["ADDED", "DELETED"]


@pytest.mark.parametrize(("answer", "why"), [
    (lambda r: {"uid": r["uid"], "result": {"status": "Failure", "message": "I do not know how"}},
     "failed: I do not know how"),
    (lambda r: {"uid": "another", "result": {"status": "Success"}}, "failed: expected response.uid="),
    (lambda r: {"uid": r["uid"], "result": {"status": "Success"}, "convertedObjects": []},
     "returned 0 objects, expected 1"),
    (lambda r: {"uid": r["uid"], "result": {"status": "Success"}, "convertedObjects": r["objects"]},
     "invalid groupVersion (expected example.com/v1, received example.com/v2)"),
    (lambda r: {"uid": r["uid"], "result": {"status": "Success"}, "convertedObjects": [
        {**r["objects"][0], "apiVersion": "example.com/v1", "metadata": {"name": "another"}}]},
     "must have the same name: a != another"),
])
def test_an_answer_that_cannot_be_used_is_an_error_that_says_why(world, webhook, answer, why):
    world.post(V2, gauge("a", "v2"))
    webhook.answer = answer
    for request in (f"{V1}/a", V1):
        refused = read(world.get(request))
        assert (refused["code"], refused.get("reason")) == (500, None)
        assert refused["message"].startswith("conversion webhook for example.com/v2, Kind=Gauge ")
        assert why in refused["message"]
    webhook.answer = webhook.converted
    assert world.get(f"{V1}/a").code == 200


def test_a_write_that_cannot_be_converted_is_not_written(world, webhook):
    webhook.answer = lambda r: {"uid": r["uid"], "result": {"status": "Failure", "message": "no"}}
    before = world.store.revision
    assert world.post(V1, gauge("a")).code == 500
    assert world.store.revision == before
    assert world.post(V2, gauge("a", "v2")).code == 201


def test_a_webhook_that_nobody_answers_for_is_an_error(world, webhook):
    world.post(V2, gauge("a", "v2"))
    webhook.close()
    refused = read(world.get(f"{V1}/a"))
    assert refused["message"].startswith(
        f'conversion webhook for example.com/v2, Kind=Gauge failed: Post "https://127.0.0.1:{webhook.port}/convert": ')


def test_a_watch_ends_with_an_error_when_the_webhook_fails(world, webhook):
    stream = world.watch(V1)
    webhook.answer = lambda r: {"uid": r["uid"], "result": {"status": "Failure", "message": "no"}}
    world.post(V2, gauge("a", "v2"))
    seen = [json.loads(line) for _ in range(3) for _, line in stream.poll()]
    assert [event["type"] for event in seen] == ["ERROR"]
    assert seen[0]["object"]["message"] == "conversion webhook for example.com/v2, Kind=Gauge failed: no"
    assert stream.closed


def test_a_service_that_does_not_exist_is_named(world):
    found = read(world.get(f"{DEFINITIONS}/gauges.example.com"))
    found["spec"]["conversion"]["webhook"]["clientConfig"] = {"service": {"name": "conv", "namespace": "default"}}
    world.post(V2, gauge("a", "v2"))
    assert world.put(f"{DEFINITIONS}/gauges.example.com", found).code == 200
    assert read(world.get(f"{V1}/a"))["message"].endswith('service "conv" not found')


def test_a_caller_in_this_process_comes_again(world, webhook):
    waiting: list[Callout] = []
    world.api.callouts.start = waiting.append

    def create() -> Any:
        return world.api.handle(Request("POST", V1, obj=gauge("a", size=3), user=ADMIN))

    codes = []
    for _ in range(4):
        codes.append(create().code)
        for callout in waiting:
            asyncio.run(callouts.run(callout))
        waiting.clear()
    assert codes == [503, 503, 201, 409]
    assert webhook.sizes() == [1, 1]


def test_kubectl_uses_both_versions_of_a_running_cluster(kubectl: Kubectl, webhook: Webhook) -> None:
    kubectl("apply", "-f", "-", stdin=definition(webhook.client_config()))
    kubectl("wait", "--for=condition=Established", "crd/gauges.example.com", "--timeout=20s")
    try:
        kubectl("apply", "-f", "-", stdin=gauge("a", "v1", 3))
        with kubectl.popen("get", "gauges.v1.example.com", "-w", "--request-timeout=20s", "-o",
                           "jsonpath={.spec.size} ") as watching:
            kubectl("apply", "-f", "-", stdin=gauge("b", "v2", 4))
            kubectl("patch", "gauges.v2.example.com", "a", "--type=merge", "-p", '{"spec":{"range":{"max":8}}}')
            assert watching.stdout is not None
            seen = ""
            while not {"3", "4", "8"} <= set(seen.split()):  # kubectl's own end, were they not to come
                seen += watching.stdout.read(1) or pytest.fail(f"kubectl has ended, having seen {seen}")
            watching.terminate()
        assert kubectl("get", "gauges.v1.example.com", "-o", "jsonpath={.items[*].spec.size}") == "8 4"
        assert kubectl("get", "gauges.v2.example.com", "-o", "jsonpath={.items[*].spec.range.max}") == "8 4"
        kubectl("delete", "gauges.v1.example.com", "--all", "--timeout=20s")
    finally:
        kubectl("delete", "crd", "gauges.example.com", "--timeout=20s")
    eventually(lambda: kubectl.run("get", "gauges").returncode != 0)


def test_controllers_work_on_objects_that_lie_in_another_version(kubectl: Kubectl, webhook: Webhook) -> None:
    """The garbage collector and the Namespace controller ask for v2, which is preferred; all is stored as v1."""
    kubectl("apply", "-f", "-", stdin=definition(webhook.client_config(), "v1"))
    kubectl("wait", "--for=condition=Established", "crd/gauges.example.com", "--timeout=20s")
    try:
        kubectl("create", "configmap", "owner")
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
                 "uid": kubectl("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")}
        kubectl("apply", "-f", "-", stdin=gauge("owned", "v1", 3, ownerReferences=[owner]))
        kubectl("delete", "configmap", "owner")
        eventually(lambda: kubectl("get", "gauges", "-o", "name") == "")
        kubectl("create", "namespace", "gauged")
        kubectl("create", "-n", "gauged", "-f", "-", stdin=gauge("left", "v1", 3, finalizers=[]))
        kubectl("delete", "namespace", "gauged", "--timeout=30s")
        assert {request["desiredAPIVersion"] for request in webhook.reviews} == {"example.com/v2"}
    finally:
        kubectl("delete", "crd", "gauges.example.com", "--timeout=20s")
