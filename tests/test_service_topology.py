"""Which endpoints a node may use: readiness, traffic policies, and hints for zones and nodes."""

from __future__ import annotations

from typing import Any

import pytest
from proxy_objects import ports, service

from kitlib.network.service_ports import ServicePort, reachable

A, B, C = "10.244.0.1", "10.244.0.2", "10.244.0.3"


def endpoint(ip: str, node: str, *, zones: tuple[str, ...] = (), nodes: tuple[str, ...] = (),
             **conditions: bool) -> dict[str, Any]:
    hints = {"forZones": [{"name": z} for z in zones], "forNodes": [{"name": n} for n in nodes]}
    return {"addresses": [ip], "nodeName": node, "conditions": {"ready": True, **conditions},
            "hints": {key: value for key, value in hints.items() if value}}


def port(*endpoints: dict[str, Any], **spec: Any) -> ServicePort:
    slice_ = {"metadata": {"name": "web-1", "namespace": "proxy", "labels": {"kubernetes.io/service-name": "web"}},
              "addressType": "IPv4", "endpoints": list(endpoints),
              "ports": [{"name": "", "port": 8080, "protocol": "TCP"}]}
    (found,) = ports(service(**spec), slice_)
    return found


def cluster(found: ServicePort, node: str = "node1", zone: str = "east") -> list[str]:
    return [e.ip for e in reachable(found, node, zone).cluster]


ZONED = (endpoint(A, "node1", zones=("east",)), endpoint(B, "node2", zones=("west",)))


def test_hints_keep_traffic_in_its_zone() -> None:
    assert cluster(port(*ZONED)) == [A]
    assert cluster(port(*ZONED), "node2", "west") == [B]


@pytest.mark.parametrize("zone", ["", "north"])
def test_a_zone_that_no_endpoint_is_meant_for_uses_all(zone: str) -> None:
    assert cluster(port(*ZONED), zone=zone) == [A, B]


def test_one_ready_endpoint_without_a_hint_switches_hints_off() -> None:
    assert cluster(port(*ZONED, endpoint(C, "node1"))) == [A, B, C]
    assert cluster(port(*ZONED, endpoint(C, "node1", ready=False))) == [A]


def test_a_hint_for_the_node_goes_before_one_for_the_zone() -> None:
    both = port(endpoint(A, "node1", zones=("east",), nodes=("node1",)),
                endpoint(B, "node2", zones=("east",), nodes=("node2",)))
    assert cluster(both) == [A]
    assert cluster(both, "node3") == [A, B]   # no endpoint on the node: the zone


def test_terminating_endpoints_are_used_only_when_nothing_is_ready_and_without_hints() -> None:
    going = {"ready": False, "serving": True, "terminating": True}
    first = endpoint(A, "node1", zones=("east",), **going)
    assert cluster(port(first, endpoint(B, "node2", zones=("west",)))) == [B]
    assert cluster(port(first, endpoint(B, "node2", zones=("west",), **going))) == [A, B]


def test_local_looks_at_the_node_alone_and_for_itself() -> None:
    going = {"ready": False, "serving": True, "terminating": True}
    found = reachable(port(endpoint(A, "node1", **going), endpoint(B, "node2"), type="NodePort",
                           externalTrafficPolicy="Local", ports=[{"port": 80, "nodePort": 30080}]), "node1")
    assert ([e.ip for e in found.local], [e.ip for e in found.cluster], [e.ip for e in found.all]) == ([A], [B], [A, B])


def test_policies_are_only_asked_where_they_apply() -> None:
    inside = reachable(port(endpoint(A, "node2"), internalTrafficPolicy="Local"), "node1")
    assert (inside.cluster, inside.local, inside.anywhere) == ([], [], True)
    plain = reachable(port(endpoint(A, "node1"), externalTrafficPolicy="Local"), "node1")   # a ClusterIP Service
    assert plain.local == []


def test_only_this_familys_addresses_count() -> None:
    found = port(endpoint(A, "node1"), clusterIPs=["10.96.50.1", "fd00::1"], externalIPs=["fd00::2", "198.51.100.1"],
                 loadBalancerSourceRanges=["fd00::/8", "203.0.113.0/24 "])
    assert (found.cluster_ips, found.external_ips, found.source_ranges) == (
        ("10.96.50.1",), ("198.51.100.1",), ("203.0.113.0/24",))
    assert ports(service(clusterIP="fd00::1", clusterIPs=["fd00::1"])) == []


def test_a_balancer_that_dials_the_nodes_itself_is_not_short_cut() -> None:
    for mode, expected in (("VIP", ("198.51.100.20",)), ("Proxy", ())):
        made = service(type="LoadBalancer")
        made["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.20", "ipMode": mode}]}}
        assert ports(made)[0].load_balancer_ips == expected
