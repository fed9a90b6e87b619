"""EndpointSlice: which Pods are behind a Service, and in which state."""

from __future__ import annotations

from typing import Any

from controller_world import World, node, pod, replica_set

from kitlib.client import Create, Delete, Update
from kitlib.controllers.endpointslice import FULL, SLICES, EndpointSlice, Observed
from kitlib.controllers.replicaset import ReplicaSet

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default", "uid": "svc"},
           "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]}}
LABELS = {"kubernetes.io/service-name": "web",
          "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}


def backend(number: int, *, ready: bool = True, **spec: Any) -> dict[str, Any]:
    made = pod(f"p{number:03}", **spec)
    made["metadata"] |= {"namespace": "default", "uid": f"u{number}"}
    made["status"] = {"phase": "Running", "podIP": f"10.0.{number // 250}.{number % 250 + 1}",
                      "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return made


def diff(pods: list[dict[str, Any]], slices: list[dict[str, Any]] | None = None,
         service: dict[str, Any] | None = None) -> list[Any]:
    return EndpointSlice().diff(Observed(service or SERVICE, pods, slices or [], {}))


def made(actions: list[Any]) -> list[dict[str, Any]]:
    """What the created slices would look like in the store."""
    return [a.obj | {"metadata": a.obj["metadata"] | {"name": f"web-{n}", "uid": f"s{n}"}}
            for n, a in enumerate(a for a in actions if isinstance(a, Create))]


def test_a_service_without_pods_has_one_empty_slice():
    (action,) = diff([])
    assert isinstance(action, Create)
    assert (action.obj["endpoints"], action.obj["ports"]) == ([], None)
    assert action.obj["metadata"]["labels"] == LABELS
    assert action.obj["metadata"]["ownerReferences"][0]["name"] == "web"
    assert diff([], made([action])) == []


def test_in_the_steady_state_it_does_nothing():
    pods = [backend(n) for n in range(3)]
    slices = made(diff(pods))
    assert diff(pods, slices) == []


def test_an_endpoint_says_ready_serving_and_terminating():
    pods = [backend(0), backend(1, ready=False), backend(2)]
    pods[2]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ((action),) = diff(pods)
    assert [tuple(e["conditions"].values()) for e in action.obj["endpoints"]] == [
        (True, True, False), (False, False, False), (False, True, True)]


def test_not_ready_addresses_may_be_published():
    service = SERVICE | {"spec": SERVICE["spec"] | {"publishNotReadyAddresses": True}}
    ((action),) = diff([backend(0, ready=False)], service=service)
    assert action.obj["endpoints"][0]["conditions"] == {"ready": True, "serving": False, "terminating": False}


def test_a_traffic_distribution_becomes_hints_of_ready_endpoints():
    pods = [backend(0, nodeName="n1"), backend(1, nodeName="n2"), backend(2, nodeName="n1", ready=False)]
    zones = {"n1": "a"}

    def hints(distribution: str) -> list[Any]:
        service = SERVICE | {"spec": SERVICE["spec"] | {"trafficDistribution": distribution}}
        (action,) = EndpointSlice().diff(Observed(service, pods, [], zones))
        return [endpoint.get("hints") for endpoint in action.obj["endpoints"]]

    for_zone, for_node = {"forZones": [{"name": "a"}]}, {"forNodes": [{"name": "n1"}]}
    assert hints("PreferClose") == hints("PreferSameZone") == [for_zone, None, None]
    assert hints("PreferSameNode") == [for_zone | for_node, {"forNodes": [{"name": "n2"}]}, None]


def test_another_zone_of_a_node_is_seen():
    world = World(EndpointSlice(), ReplicaSet(), nodes=1)
    world.create("services", {"metadata": {"name": "web"}, "spec": {
        **SERVICE["spec"], "trafficDistribution": "PreferSameZone"}})
    world.create("replicasets.apps", replica_set("web", 1))
    world.settle()
    world.patch("nodes", "node-0", {"metadata": {"labels": {"topology.kubernetes.io/zone": "east"}}}, namespace="")
    world.settle()
    (found,) = [s for s in world.list(SLICES) if s["metadata"]["name"].startswith("web-")]
    assert found["endpoints"][0]["hints"] == {"forZones": [{"name": "east"}]}


def test_pods_without_an_address_or_ended_and_leaving_are_not_endpoints():
    no_address, ended = backend(0), backend(1)
    del no_address["status"]["podIP"]
    ended["status"]["phase"] = "Succeeded"
    ended["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ((action),) = diff([no_address, ended])
    assert action.obj["endpoints"] == []


def test_a_slice_holds_at_most_100_endpoints():
    actions = diff([backend(n) for n in range(250)])
    assert [len(a.obj["endpoints"]) for a in actions] == [FULL, FULL, 50]


def test_one_pod_more_goes_into_a_free_place_and_nothing_else_moves():
    pods = [backend(n) for n in range(150)]
    slices = made(diff(pods))
    actions = diff([*pods, backend(150)], slices)
    assert [type(a) for a in actions] == [Update]
    assert (actions[0].obj["metadata"]["name"], len(actions[0].obj["endpoints"])) == ("web-1", 51)


def test_a_slice_that_lost_its_last_endpoint_is_deleted_but_for_one():
    pods = [backend(n) for n in range(150)]
    slices = made(diff(pods))
    assert [type(a) for a in diff(pods[:100], slices)] == [Delete]
    actions = diff([], slices)
    assert sorted(type(a).__name__ for a in actions) == ["Delete", "Update"]


def test_a_named_port_may_be_another_number_in_every_pod():
    service = SERVICE | {"spec": SERVICE["spec"] | {"ports": [{"port": 80, "targetPort": "http", "name": "web"}]}}

    def serving_on(number: int, port: int) -> dict[str, Any]:
        return backend(number, containers=[{"name": "c", "ports": [{"name": "http", "containerPort": port}]}])

    actions = diff([serving_on(0, 8080), serving_on(1, 9090), serving_on(2, 8080)], service=service)
    assert [(a.obj["ports"][0]["port"], len(a.obj["endpoints"])) for a in actions] == [(8080, 2), (9090, 1)]
    assert actions[0].obj["ports"] == [{"name": "web", "protocol": "TCP", "port": 8080}]


def test_in_a_cluster_the_slice_follows_the_pods():
    w = World(EndpointSlice(), ReplicaSet(), nodes=0)
    w.add_node(node("n1") | {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}})
    w.settle(1)
    w.create("services", {k: v for k, v in SERVICE.items() if k != "metadata"} | {"metadata": {"name": "web"}})
    w.calm()

    def endpoints() -> list[tuple[str, bool]]:
        (found,) = [s for s in w.list(SLICES) if s["metadata"]["name"].startswith("web-")]
        return [(e["targetRef"]["name"], e["conditions"]["ready"]) for e in found["endpoints"] or ()]

    assert endpoints() == []
    w.create("pods", pod("a"))
    w.settle(3)
    assert endpoints() == [("a", True)]
    (found,) = [s for s in w.list(SLICES) if s["metadata"]["name"].startswith("web-")]
    assert (found["endpoints"][0]["nodeName"], found["endpoints"][0]["zone"]) == ("n1", "z1")
    w.user.delete("pods", "default", "a")
    w.calm()
    assert endpoints() == [("a", False)]
    w.settle(3)
    assert endpoints() == []
    before = w.store.revision
    w.settle(600)
    assert w.store.revision == before


def test_a_headless_services_endpoint_has_the_pods_host_name():
    service = SERVICE | {"spec": SERVICE["spec"] | {"clusterIP": "None"}}
    ((action),) = diff([backend(0, hostname="db-0", subdomain="web")], service=service)
    assert action.obj["endpoints"][0]["hostname"] == "db-0"
    assert action.obj["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
