"""The loop: a toy ReplicaSet controller of twenty lines, and all that can happen to it."""

from __future__ import annotations

from typing import Any

from client_fakes import FakeApi

from kitlib.client import Action, Controller, Create, Delete, Emit, Manager, RequeueAfter
from kitlib.objects.clock import rfc3339_micro
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import owner_reference


class Copies(Controller):
    """Keeps spec.replicas Pods."""

    name, resource, owns = "copies", "replicasets.apps", ("pods",)

    def observe(self, key: str) -> Any:
        rs = self.get(key)
        return rs and (rs, self.owned("pods", rs))

    def diff(self, observed: Any) -> list[Action]:
        rs, pods = observed
        missing = rs["spec"]["replicas"] - len(pods)
        meta = {"generateName": "web-", "namespace": "default", "ownerReferences": [owner_reference(rs)]}
        pod = {"kind": "Pod", "apiVersion": "v1", "metadata": meta}
        created = Emit(rs, "SuccessfulCreate", "Created pod: {name}")
        return [Create("pods", pod, then=created)] * missing + [
            Delete("pods", "default", p["metadata"]["name"], uid=p["metadata"]["uid"]) for p in pods[:max(0, -missing)]]


def replicaset(name: str = "web", replicas: int = 3) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"replicas": replicas}}


def running(controller: Controller | None = None, **options: Any) -> tuple[FakeApi, Manager]:
    api = FakeApi()
    manager = Manager(api.client, api.clock, **options)
    manager.add(controller or Copies())
    manager.run_until_idle()
    return api, manager


def pods(api: FakeApi) -> int:
    return api.store.count("pods")


def test_it_creates_what_is_missing_and_deletes_what_is_too_much():
    api, manager = running()
    api.client().create("replicasets.apps", "default", replicaset())
    manager.run_until_idle()
    assert pods(api) == 3
    api.client().patch("replicasets.apps", "default", "web", {"spec": {"replicas": 1}})
    manager.run_until_idle()
    assert pods(api) == 1


def test_in_the_steady_state_it_does_nothing():
    api, manager = running()
    api.client().create("replicasets.apps", "default", replicaset())
    manager.run_until_idle()
    before = len(api.requests)
    manager.run_until_idle()
    assert len(api.requests) == before
    assert manager.next_due() is None


def test_a_key_rests_until_the_cache_has_seen_the_keys_own_writes():
    api, manager = running()
    client = api.client()
    client.create("replicasets.apps", "default", replicaset())
    manager.run_once()
    pod_stream = next(s for s in api.streams if s._watch.resource == "pods")
    pod_stream.hold = True
    client.patch("replicasets.apps", "default", "web", {"metadata": {"labels": {"touched": "yes"}}})
    manager.run_once()
    api.clock.advance(0.01)
    manager.run_once()
    assert pods(api) == 3, "the cache knows of no Pod yet, but the key waits instead of creating three more"
    pod_stream.hold = False
    manager.run_until_idle()
    assert pods(api) == 3


def test_if_its_own_write_never_shows_up_it_goes_on_after_five_seconds():
    api, manager = running()
    client = api.client()
    next(s for s in api.streams if s._watch.resource == "pods").lose(1)
    client.create("replicasets.apps", "default", replicaset(replicas=1))
    manager.run_once()
    client.patch("replicasets.apps", "default", "web", {"metadata": {"labels": {"touched": "yes"}}})
    for _ in range(4):
        api.clock.advance(1)
        manager.run_once()
    assert pods(api) == 1
    api.clock.advance(2)
    manager.run_until_idle()
    assert pods(api) == 2, "it believes what it sees"


def test_every_write_carries_the_revision_that_woke_the_loop():
    api, manager = running()
    made = api.client().create("replicasets.apps", "default", replicaset(replicas=2))
    manager.run_until_idle()
    creates = [r for r in api.requests if r.method == "POST" and r.path.endswith("/pods")]
    assert [r.cause for r in creates] == [int(made["metadata"]["resourceVersion"])] * 2
    assert creates[0].headers["user-agent"] == "kube-controller-manager/copies"


def test_the_record_tells_what_one_turn_saw_decided_and_did():
    api, manager = running()
    made = api.client().create("replicasets.apps", "default", replicaset(replicas=2))
    manager.run_once()
    record = manager.records_since()[0].as_json()
    assert record["woke"] == {"type": "ADDED", "resource": "replicasets.apps", "key": "default/web",
                              "revision": int(made["metadata"]["resourceVersion"])}
    assert record["observed"] == [f"ReplicaSet default/web @{made['metadata']['resourceVersion']}", []]
    assert record["actions"] == ["create pods web-*", "create pods web-*"]
    assert [(w["verb"], w["resource"]) for w in record["writes"]] == [("create", "pods"), ("create", "events")] * 2
    assert record["error"] == ""


def test_a_paused_controller_does_nothing_until_it_is_stepped_or_resumed():
    api, manager = running()
    manager.pause("copies")
    api.client().create("replicasets.apps", "default", replicaset("a", 1))
    api.client().create("replicasets.apps", "default", replicaset("b", 1))
    manager.run_until_idle()
    assert pods(api) == 0
    assert manager.status()[0]["state"] == "paused"
    assert manager.status()[0]["queue"] == 2
    record = manager.step("copies")
    assert record is not None
    assert (record.key, pods(api)) == ("default/a", 1)
    manager.resume("copies")
    manager.run_until_idle()
    assert pods(api) == 2


def test_an_error_brings_the_key_back_with_a_growing_pause():
    api, manager = running()
    api.fail = lambda r: StatusError(500, "InternalError", "no luck") if r.path.endswith("/pods") else None
    api.client().create("replicasets.apps", "default", replicaset())
    manager.run_until_idle()
    assert manager.records[-1].error == "StatusError: no luck"
    first = manager.next_due() - api.clock.monotonic()
    api.clock.advance(first)
    manager.run_until_idle()
    assert round(manager.next_due() - api.clock.monotonic(), 4) == round(2 * first, 4)
    api.fail = lambda r: None
    api.clock.advance(1)
    manager.run_until_idle()
    assert pods(api) == 3


def test_a_programming_error_in_one_controller_does_not_stop_the_others():
    class Broken(Copies):
        name = "broken"

        def diff(self, observed: Any) -> list[Action]:
            raise KeyError("spec")

    api, manager = running(Broken())
    manager.add(Copies())
    api.client().create("replicasets.apps", "default", replicaset())
    manager.run_once()
    manager.run_once()
    assert pods(api) == 3
    assert "KeyError" in next(r for r in manager.records if r.controller == "broken").error


def test_requeue_after_looks_again_although_nothing_happened():
    class Later(Copies):
        def diff(self, observed: Any) -> list[Action]:
            return [RequeueAfter(30)]

    api, manager = running(Later())
    api.client().create("replicasets.apps", "default", replicaset())
    manager.run_until_idle()
    assert len(manager.records) == 1
    assert manager.next_due() == api.clock.monotonic() + 30
    api.clock.advance(30)
    manager.run_until_idle()
    assert len(manager.records) == 2


def lease(api: FakeApi, holder: str) -> dict[str, Any]:
    return {"metadata": {"name": "kit-controller-copies", "namespace": "kube-system"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": rfc3339_micro(api.clock.now())}}


def test_while_somebody_holds_the_lease_the_built_in_controller_rests():
    api, manager = running(leases=True)
    api.client().create("leases.coordination.k8s.io", "kube-system", lease(api, "alice"))
    api.client().create("replicasets.apps", "default", replicaset())
    manager.run_until_idle()
    assert pods(api) == 0
    assert (manager.status()[0]["state"], manager.status()[0]["holder"]) == ("replaced", "alice")
    api.clock.advance(15.1)
    manager.run_until_idle()
    assert pods(api) == 3, "the lease ran out"


def test_a_lease_given_back_lets_the_built_in_controller_go_on_at_once():
    api, manager = running(leases=True)
    manager.replace("copies")
    api.client().create("leases.coordination.k8s.io", "kube-system", lease(api, "alice"))
    api.client().create("replicasets.apps", "default", replicaset())
    manager.run_until_idle()
    assert pods(api) == 0
    api.client().delete("leases.coordination.k8s.io", "kube-system", "kit-controller-copies")
    manager.run_until_idle()
    assert pods(api) == 3


def test_an_owner_with_the_same_name_but_another_uid_is_not_woken():
    api, manager = running()
    api.client().create("replicasets.apps", "default", replicaset(replicas=0))
    manager.run_until_idle()
    turns = len(manager.records)
    stranger = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "other", "controller": True}
    api.client().create("pods", "default", {"metadata": {"name": "x", "namespace": "default",
                                                         "ownerReferences": [stranger]}})
    manager.run_until_idle()
    assert len(manager.records) == turns
