"""Services and EndpointSlices in, listeners and their endpoints out."""

from __future__ import annotations

import asyncio
from typing import Any

from node_fakes import run
from node_scenario import Api

from kitlib.client.informer import Informer
from kitlib.network.kubeproxy import KubeProxy
from kitlib.network.service_ports import cluster_endpoints, endpoints_for, needs_proxy, service_ports
from kitlib.network.userspace import ProxyNode, desired_state, nodes_here
from kitlib.node.sources import Pump
from kitlib.objects.clock import FakeClock

NODES = [ProxyNode(f"node-{i}", f"127.64.15.{i}", f"127.64.{16 + i}.0/24", f"zone-{i}") for i in (1, 2)]


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP"}]
    return {"metadata": {"name": name, "namespace": "default"},
            "spec": {"clusterIP": "127.64.0.7", "type": "ClusterIP", "ports": ports, **spec}}


def endpoint(ip: str, node: str = "node-1", **conditions: bool) -> dict[str, Any]:
    return {"addresses": [ip], "nodeName": node, "conditions": {"ready": True, **conditions}}


def slice_of(name: str, *endpoints: dict[str, Any], port_name: str = "", port: int = 8080) -> dict[str, Any]:
    return {"metadata": {"name": f"{name}-abc", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": list(endpoints),
            "ports": [{"name": port_name, "port": port, "protocol": "TCP"}]}


def state(*objects: dict[str, Any]) -> list[tuple[str, list[str]]]:
    services = [o for o in objects if "spec" in o]
    slices = [o for o in objects if "spec" not in o]
    return [(f"{e['ip']}:{e['port']}", e["endpoints"]) for e in desired_state(service_ports(services, slices), NODES)]


def test_a_service_listens_on_its_address_and_leads_to_its_ready_endpoints() -> None:
    slices = slice_of("web", endpoint("127.64.16.2"), endpoint("127.64.16.3"), endpoint("127.64.16.4", ready=False))
    assert state(service(), slices) == [("127.64.0.7:80", ["127.64.16.2:8080", "127.64.16.3:8080"])]


def test_without_any_ready_endpoint_the_terminating_ones_that_still_serve_are_used() -> None:
    dying = endpoint("127.64.16.2", ready=False, serving=True, terminating=True)
    dead = endpoint("127.64.16.3", ready=False, serving=False, terminating=True)
    assert state(service(), slice_of("web", dying, dead)) == [("127.64.0.7:80", ["127.64.16.2:8080"])]
    alive = endpoint("127.64.16.9")
    assert state(service(), slice_of("web", dying, alive)) == [("127.64.0.7:80", ["127.64.16.9:8080"])]


def test_a_service_without_endpoints_is_there_and_leads_nowhere() -> None:
    assert state(service()) == [("127.64.0.7:80", [])]


def test_endpoints_of_several_slices_are_put_together_once_each() -> None:
    both = slice_of("web", endpoint("127.64.16.2"), endpoint("127.64.16.3"))
    assert state(service(), slice_of("web", endpoint("127.64.16.3")), both) == [
        ("127.64.0.7:80", ["127.64.16.2:8080", "127.64.16.3:8080"])]


def test_ports_are_matched_by_name() -> None:
    two = service(ports=[{"name": "http", "port": 80}, {"name": "metrics", "port": 9000}])
    slices = [slice_of("web", endpoint("127.64.16.2"), port_name="http"),
              slice_of("web", endpoint("127.64.16.2"), port_name="metrics", port=9100)]
    assert state(two, *slices) == [("127.64.0.7:80", ["127.64.16.2:8080"]), ("127.64.0.7:9000", ["127.64.16.2:9100"])]


def test_headless_and_external_name_services_have_no_proxy() -> None:
    assert not needs_proxy(service(clusterIP="None"))
    assert not needs_proxy(service(type="ExternalName", clusterIP=""))
    assert needs_proxy(service())


def test_a_node_port_listens_on_every_node_and_local_keeps_to_the_node_itself() -> None:
    spec: dict[str, Any] = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}
    slices = slice_of("web", endpoint("127.64.16.2", "node-1"))
    assert state(service(**spec), slices)[1:] == [
        ("127.64.15.1:30080", ["127.64.16.2:8080"]), ("127.64.15.2:30080", ["127.64.16.2:8080"])]
    assert state(service(**spec, externalTrafficPolicy="Local"), slices) == [
        ("127.64.0.7:80", ["127.64.16.2:8080"]), ("127.64.15.1:30080", ["127.64.16.2:8080"]), ("127.64.15.2:30080", [])]


def entries(slices: dict[str, Any], **spec: Any) -> dict[str, dict[str, Any]]:
    """Of one Service that has endpoints on both nodes."""
    made = service(**spec)
    if spec.get("type") == "LoadBalancer":
        made["status"] = {"loadBalancer": {"ingress": [{"ip": "127.64.255.1"}]}}
    found = desired_state(service_ports([made], [slices]), NODES)
    return {f"{entry['ip']}:{entry['port']}": entry for entry in found}


def by_caller(entry: dict[str, Any]) -> dict[str, tuple[list[str], str]]:
    return {route["from"][0]: (route["endpoints"], route.get("as", "")) for route in entry["routes"]}


BOTH = slice_of("web", endpoint("127.64.17.2", "node-1"), endpoint("127.64.18.2", "node-2"))
ONE, TWO = "127.64.17.2:8080", "127.64.18.2:8080"


def test_an_internal_policy_of_local_has_a_route_for_the_pods_of_each_node() -> None:
    entry = entries(BOTH, internalTrafficPolicy="Local")["127.64.0.7:80"]
    assert by_caller(entry) == {"127.64.17.0/24": ([ONE], ""), "127.64.18.0/24": ([TWO], "")}
    assert entry["endpoints"] == [ONE, TWO]
    plain = entries(BOTH)["127.64.0.7:80"]
    assert "routes" not in plain


def test_who_comes_through_a_node_port_is_masqueraded_unless_the_policy_is_local() -> None:
    ports = [{"port": 80, "nodePort": 30080}]
    entry = entries(BOTH, type="NodePort", ports=ports)["127.64.15.2:30080"]
    assert by_caller(entry) == {"0.0.0.0/0": ([ONE, TWO], "127.64.15.2")}
    local = entries(BOTH, type="NodePort", ports=ports, externalTrafficPolicy="Local")["127.64.15.2:30080"]
    assert local["endpoints"] == [TWO]
    assert by_caller(local) == {"127.64.17.0/24": ([ONE, TWO], "")}
    assert local["routes"][0]["from"] == ["127.64.17.0/24", "127.64.15.1/32", "127.64.18.0/24", "127.64.15.2/32"]


def test_a_load_balancers_address_has_its_policy_ranges_and_health_checks() -> None:
    spec = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["127.0.0.1/32"]}
    entry = entries(BOTH, **spec)["127.64.255.1:80"]
    assert entry["allow"] == ["127.0.0.1/32"]
    assert by_caller(entry)["0.0.0.0/0"] == ([ONE, TWO], "127.64.15.1")
    only = slice_of("web", endpoint("127.64.17.2", "node-1"))
    local = entries(only, **spec, externalTrafficPolicy="Local", healthCheckNodePort=31000)
    assert (local["127.64.255.1:80"]["endpoints"], "routes" in local["127.64.255.1:80"]) == ([ONE], False)
    assert [local[f"127.64.15.{node}:31000"]["health"]["localEndpoints"] for node in (1, 2)] == [1, 0]


def test_hints_send_the_pods_of_each_zone_their_own_way() -> None:
    slices = slice_of("web", hinted("127.64.17.2", "node-1", zones=("zone-1",)),
                      hinted("127.64.18.2", "node-2", zones=("zone-2",)))
    assert by_caller(entries(slices)["127.64.0.7:80"]) == {
        "127.64.17.0/24": ([ONE], ""), "127.64.18.0/24": ([TWO], "")}


def test_a_balancer_that_ends_connections_itself_is_reached_at_its_own_address() -> None:
    balanced = service(type="LoadBalancer")
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "127.64.0.98", "ipMode": "Proxy"}]}}
    assert [address for address, _ in state(balanced)] == ["127.64.0.7:80"]


def test_external_and_load_balancer_addresses_listen_as_well() -> None:
    balanced = service(type="LoadBalancer", externalIPs=["127.64.0.99"])
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "127.64.0.98"}]}}
    assert [address for address, _ in state(balanced)] == ["127.64.0.7:80", "127.64.0.99:80", "127.64.0.98:80"]


def test_session_affinity_is_given_in_seconds() -> None:
    sticky = service(sessionAffinity="ClientIP")
    timed = service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
    ages = [desired_state(service_ports([s], []), [])[0]["session_affinity"] for s in (service(), sticky, timed)]
    assert ages == [0, 10800, 60]


def hinted(ip: str, node: str, *, zones: tuple[str, ...] = (), nodes: tuple[str, ...] = (), **conditions: bool
           ) -> dict[str, Any]:
    hints = {"forZones": [{"name": z} for z in zones], "forNodes": [{"name": n} for n in nodes]}
    return {**endpoint(ip, node, **conditions), "hints": {key: value for key, value in hints.items() if value}}


def chosen(slices: dict[str, Any], node: str, zone: str) -> list[str]:
    (port,) = service_ports([service()], [slices])
    return [e.ip for e in cluster_endpoints(port.endpoints, node, zone)]


def test_hints_keep_traffic_in_its_zone_or_on_its_node() -> None:
    zones = slice_of("web", hinted("10.0.0.1", "n1", zones=("a",)), hinted("10.0.0.2", "n2", zones=("b",)),
                     hinted("10.0.0.3", "n3", zones=("b",)))
    assert chosen(zones, "n1", "a") == ["10.0.0.1"]
    assert chosen(zones, "n9", "b") == ["10.0.0.2", "10.0.0.3"]
    nodes = slice_of("web", hinted("10.0.0.1", "n1", zones=("a",), nodes=("n1",)),
                     hinted("10.0.0.2", "n2", zones=("a",), nodes=("n2",)))
    assert chosen(nodes, "n2", "a") == ["10.0.0.2"]
    assert chosen(nodes, "n3", "a") == ["10.0.0.1", "10.0.0.2"]


def test_hints_that_would_leave_a_caller_with_nothing_are_ignored() -> None:
    zones = slice_of("web", hinted("10.0.0.1", "n1", zones=("a",)), hinted("10.0.0.2", "n2", zones=("b",)))
    assert chosen(zones, "n5", "c") == ["10.0.0.1", "10.0.0.2"]
    assert chosen(zones, "n5", "") == ["10.0.0.1", "10.0.0.2"]
    half = slice_of("web", hinted("10.0.0.1", "n1", zones=("a",)), endpoint("10.0.0.2", "n2"))
    assert chosen(half, "n1", "a") == ["10.0.0.1", "10.0.0.2"]
    unready = slice_of("web", hinted("10.0.0.1", "n1", zones=("a",)), endpoint("10.0.0.2", "n2", ready=False))
    assert chosen(unready, "n1", "a") == ["10.0.0.1"]
    dying = slice_of("web", endpoint("10.0.0.2", "n2", ready=False, serving=True, terminating=True))
    assert chosen(dying, "n1", "a") == ["10.0.0.2"]


def test_each_traffic_policy_is_for_its_own_kind_of_traffic() -> None:
    slices = slice_of("web", endpoint("10.0.0.1", "n1"), endpoint("10.0.0.2", "n2"))
    (inside,) = service_ports([service(internalTrafficPolicy="Local")], [slices])
    (outside,) = service_ports([service(externalTrafficPolicy="Local", type="NodePort")], [slices])
    assert [e.ip for e in endpoints_for(inside, "n1")] == ["10.0.0.1"]
    assert [e.ip for e in endpoints_for(inside, "n3")] == []
    assert [e.ip for e in endpoints_for(inside, "n1", external=True)] == ["10.0.0.1", "10.0.0.2"]
    assert [e.ip for e in endpoints_for(outside, "n1")] == ["10.0.0.1", "10.0.0.2"]
    assert [e.ip for e in endpoints_for(outside, "n1", external=True)] == ["10.0.0.1"]


def test_pods_of_simulated_nodes_are_never_dialled() -> None:
    assert state(service(), slice_of("web", endpoint("10.128.0.2"), endpoint("127.64.16.2"))) == [
        ("127.64.0.7:80", ["127.64.16.2:8080"])]


def test_only_nodes_of_this_machine_have_node_ports() -> None:
    def node(name: str, address: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address},
                                                                     {"type": "Hostname", "address": name}]}}
    here = nodes_here([node("node-1", "127.64.15.1"), node("sim-1", "10.128.0.1")])
    assert here == [ProxyNode("node-1", "127.64.15.1")]


def test_what_the_proxy_cannot_serve_is_told_once_and_tried_again() -> None:
    told: list[str] = []
    clock = FakeClock()
    api = Api(clock)

    async def live() -> None:
        loop = asyncio.get_running_loop()
        pump = Pump(loop, clock)
        informers = [Informer(api.client(), kind, clock=clock)
                     for kind in ("services", "endpointslices.discovery.k8s.io", "nodes")]
        for informer in informers:
            pump.add(informer)
        tries: list[int] = []

        class Refusing:
            def apply(self, services: Any) -> asyncio.Future[dict[str, Any]]:
                report = loop.create_future()
                tries.append(1)
                report.set_result({"failed": {"127.64.0.7:80/TCP": "no"} if len(tries) < 3 else {}})
                return report

        kube_proxy = KubeProxy(*informers, Refusing(), loop,
                               lambda about, why: told.append(f"{about['metadata']['name']}: {why}"))
        kube_proxy.start()
        api.client().create("services", "default", service())
        await asyncio.sleep(30)
        assert len(tries) == 3
        kube_proxy.close()
        pump.close()

    run(clock, live())
    assert told == ["web: cannot serve 127.64.0.7:80/TCP: no"]


class Listed:
    """A proxy that writes down what it was told."""

    def __init__(self) -> None:
        self.states: list[Any] = []

    def apply(self, services: Any) -> None:
        self.states.append([(e["ip"], e["endpoints"]) for e in services])


def test_the_proxy_is_told_once_per_change_and_not_at_all_when_nothing_changes() -> None:
    clock = FakeClock()
    api = Api(clock)
    proxy = Listed()

    async def live() -> None:
        loop = asyncio.get_running_loop()
        pump = Pump(loop, clock)
        informers = [Informer(api.client(), kind, clock=clock)
                     for kind in ("services", "endpointslices.discovery.k8s.io", "nodes")]
        for informer in informers:
            pump.add(informer)
        kube_proxy = KubeProxy(*informers, proxy, loop)
        kube_proxy.start()
        api.client().create("services", "default", service())
        api.client().create("endpointslices.discovery.k8s.io", "default", slice_of("web", endpoint("127.64.16.2")))
        await asyncio.sleep(1)
        fresh = api.client().get("services", "default", "web")
        api.client().update("services", "default", {**fresh, "metadata": {**fresh["metadata"], "labels": {"a": "b"}}})
        await asyncio.sleep(1)
        kube_proxy.close()
        pump.close()
        await asyncio.sleep(1)

    run(clock, live())
    shown = [[e for e in state if e[0] == "127.64.0.7"] for state in proxy.states]
    assert shown[-1] == [("127.64.0.7", ["127.64.16.2:8080"])]
    assert len(proxy.states) == 1
