"""Each plugin alone: which nodes it refuses and with which words, and how it rates the others."""

from __future__ import annotations

import json
from typing import Any

from controller_world import node, pod

from kitlib.scheduler.framework import Framework, Rejection, enough, scale
from kitlib.scheduler.nodeinfo import NodeCache, NodeInfo
from kitlib.scheduler.plugins import default_plugins
from kitlib.scheduler.plugins.balanced_allocation import BalancedAllocation
from kitlib.scheduler.plugins.image_locality import ImageLocality
from kitlib.scheduler.plugins.node_resources_fit import NodeResourcesFit
from kitlib.scheduler.podinfo import PodInfo


def info(name: str = "p", app: str = "web", requests: dict[str, str] | None = None, **spec: Any) -> PodInfo:
    made = pod(name, app, **spec)
    made["metadata"] |= {"namespace": "default", "uid": f"uid-{name}"}
    if requests:
        made["spec"]["containers"][0]["resources"] = {"requests": requests}
    return PodInfo(made)


def nodes(*given: dict[str, Any], **on: list[PodInfo]) -> list[NodeInfo]:
    """NodeInfos of Node objects, with Pods on them by node name (dashes as underscores)."""
    cache = NodeCache()
    for one in given:
        cache.set_node(one)
    for name, pods in on.items():
        for one in pods:
            cache.add_pod(one.pod, name.replace("_", "-"))
    return cache.nodes


def refused(candidate: PodInfo, among: list[NodeInfo]) -> dict[str, tuple[str, ...]]:
    decision = Framework(default_plugins()).decide(candidate, among)
    return {name: refusal.reasons for name, refusal in decision.refused.items()}


def tainted(name: str, effect: str = "NoSchedule") -> dict[str, Any]:
    return node(name) | {"spec": {"taints": [{"key": "k", "value": "v", "effect": effect}]}}


def test_a_pod_without_wishes_may_go_anywhere():
    assert refused(info(), nodes(node("a"), node("b"))) == {}


def test_resources_are_counted_by_requests():
    full = info("full", requests={"cpu": "3500m", "memory": "7Gi"})
    among = nodes(node("a"), node("b"), a=[full])
    assert refused(info(requests={"cpu": "1"}), among) == {"a": ("Insufficient cpu",)}
    assert refused(info(requests={"cpu": "1", "memory": "2Gi"}), among) == {"a": ("Insufficient cpu",
                                                                                "Insufficient memory")}
    assert refused(info(), nodes(node("a", pods="1"), a=[full])) == {"a": ("Too many pods",)}


def test_a_request_larger_than_the_whole_node_cannot_be_helped_by_preemption():
    (one,) = nodes(node("a"))
    assert NodeResourcesFit().filter({}, info(requests={"cpu": "8"}), one) == Rejection(("Insufficient cpu",), True)
    assert NodeResourcesFit().filter({}, info(requests={"example.com/gpu": "1"}), one) == Rejection(
        ("Insufficient example.com/gpu",), True)


def test_what_leaves_a_node_makes_room_on_it():
    cache = NodeCache()
    cache.set_node(node("a"))
    cache.add_pod(info("x", requests={"cpu": "3"}).pod, "a")
    cache.add_pod(info("y", requests={"cpu": "1"}).pod, "a")
    cache.remove_pod("default/x")
    assert cache.nodes[0].requested["cpu"] == 1000
    assert refused(info(requests={"cpu": "3"}), cache.nodes) == {}


def test_a_pod_requests_its_containers_or_its_largest_init_container_whichever_is_more():
    spec = {
        "containers": [{"name": "a", "resources": {"requests": {"cpu": "300m"}}},
                       {"name": "b", "resources": {"requests": {"cpu": "200m"}}}],
        "initContainers": [{"name": "i", "resources": {"requests": {"cpu": "600m"}}},
                           {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "150m"}}}],
    }
    assert info(**spec).requests == {"cpu": 650}
    spec["initContainers"].reverse()
    assert info(**spec).requests == {"cpu": 750}, "the sidecar runs beside the init container now"


def test_node_selector_and_affinity():
    among = nodes(node("a", disk="ssd", size="5"), node("b", disk="hdd", size="50"))
    reason = ("node(s) didn't match Pod's node affinity/selector",)
    assert refused(info(nodeSelector={"disk": "ssd"}), among) == {"b": reason}

    def requiring(*expressions: dict[str, Any]) -> PodInfo:
        terms = [{"matchExpressions": [e]} for e in expressions]
        return info(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": terms}}})

    assert refused(requiring({"key": "size", "operator": "Gt", "values": ["10"]}), among) == {"a": reason}
    assert refused(requiring({"key": "disk", "operator": "In", "values": ["ssd"]},
                             {"key": "size", "operator": "Gt", "values": ["10"]}), among) == {}, "any term will do"
    assert refused(requiring({"key": "nothing", "operator": "Exists"}), among) == {"a": reason, "b": reason}


def test_taints_and_tolerations():
    among = nodes(tainted("a"), node("b"))
    assert refused(info(), among) == {"a": ("node(s) had untolerated taint(s)",)}
    assert refused(info(tolerations=[{"key": "k", "operator": "Exists"}]), among) == {}
    assert refused(info(tolerations=[{"key": "k", "value": "other", "effect": "NoSchedule"}]), among) != {}


def test_a_soft_taint_only_costs_points():
    decision = Framework(default_plugins()).decide(info(), nodes(tainted("a", "PreferNoSchedule"), node("b")))
    assert (decision.refused, decision.chosen) == ({}, "b")


def test_a_cordoned_node_takes_no_new_pods():
    among = nodes(node("a") | {"spec": {"unschedulable": True}})
    assert refused(info(), among) == {"a": ("node(s) were unschedulable",)}
    tolerant = [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}]
    assert refused(info(tolerations=tolerant), among) == {}


def test_a_host_port_can_be_had_once_per_node():
    def with_port(name: str, port: int, ip: str = "") -> PodInfo:
        return info(name, containers=[{"name": "c", "ports": [{"containerPort": 1, "hostPort": port, "hostIP": ip}]}])

    among = nodes(node("a"), a=[with_port("x", 80, "10.0.0.1")])
    reason = ("node(s) didn't have free ports for the requested pod ports",)
    assert refused(with_port("y", 80), among) == {"a": reason}
    assert refused(with_port("y", 80, "10.0.0.2"), among) == {}
    assert refused(with_port("y", 81), among) == {}


def spread(when: str = "DoNotSchedule", key: str = "zone", skew: int = 1) -> list[dict[str, Any]]:
    return [{"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": when,
             "labelSelector": {"matchLabels": {"app": "web"}}}]


def test_topology_spread_keeps_the_skew():
    among = nodes(node("a", zone="1"), node("b", zone="2"), node("c"), a=[info("x")])
    assert refused(info(topologySpreadConstraints=spread()), among) == {
        "a": ("node(s) didn't match pod topology spread constraints",),
        "c": ("node(s) didn't match pod topology spread constraints (missing required label)",)}
    assert list(refused(info(topologySpreadConstraints=spread(skew=2)), among)) == ["c"]


def test_soft_topology_spread_prefers_the_emptier_domain():
    among = nodes(node("a", zone="1"), node("b", zone="2"), a=[info("x"), info("y")])
    decision = Framework(default_plugins()).decide(info(topologySpreadConstraints=spread("ScheduleAnyway")), among)
    assert (decision.refused, decision.chosen) == ({}, "b")


def near(kind: str, app: str = "db", key: str = "zone", namespaces: list[str] | None = None) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}
    if namespaces is not None:
        term["namespaces"] = namespaces
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_pod_affinity_and_anti_affinity():
    among = nodes(node("a", zone="1"), node("b", zone="2"), a=[info("x", "db")])
    assert refused(info(affinity=near("podAffinity")), among) == {"b": ("node(s) didn't match pod affinity rules",)}
    assert refused(info(affinity=near("podAntiAffinity")), among) == {
        "a": ("node(s) didn't match pod anti-affinity rules",)}
    elsewhere = near("podAffinity", namespaces=["other"])
    assert set(refused(info(affinity=elsewhere), among)) == {"a", "b"}


def test_a_pod_that_wants_to_be_alone_stays_alone():
    hermit = info("x", "db", affinity=near("podAntiAffinity", "web"))
    among = nodes(node("a", zone="1"), node("b", zone="2"), a=[hermit])
    assert refused(info(), among) == {"a": ("node(s) didn't satisfy existing pods anti-affinity rules",)}


def test_the_first_of_a_group_that_wants_to_be_together_may_go_anywhere():
    assert refused(info(affinity=near("podAffinity", "web")), nodes(node("a", zone="1"))) == {}


def test_least_allocated_prefers_the_emptier_node():
    empty, busy = nodes(node("empty"), node("busy"), busy=[info("x", requests={"cpu": "2", "memory": "4Gi"})])
    plugin = NodeResourcesFit()
    candidate = info(requests={"cpu": "1", "memory": "2Gi"})
    assert (plugin.score({}, candidate, empty), plugin.score({}, candidate, busy)) == (75, 25)


def test_balanced_allocation_prefers_equal_shares():
    (one,) = nodes(node("a"))
    plugin = BalancedAllocation()
    assert plugin.score({}, info(requests={"cpu": "2", "memory": "4Gi"}), one) == 100
    assert plugin.score({}, info(requests={"cpu": "4"}), one) == 50
    assert plugin.pre_score({}, info(), [one]) is False


def test_image_locality_prefers_nodes_that_have_the_image():
    has = node("has")
    has["status"]["images"] = [{"names": ["busybox:1.36"], "sizeBytes": 600 * 1024 * 1024}]
    among = nodes(has, node("hasnot"))
    state: dict[str, Any] = {}
    plugin = ImageLocality()
    assert plugin.pre_score(state, info(), among) is True
    assert [plugin.score(state, info(), n) for n in among] == [28, 0]


def test_normalising_makes_the_best_100():
    assert scale([0, 5, 10]) == [0, 50, 100]
    assert scale([0, 5, 10], reverse=True) == [100, 50, 0]
    assert scale([0, 0], reverse=True) == [100, 100]


def test_in_a_large_cluster_not_every_node_is_looked_at():
    assert [enough(n) for n in (3, 100, 200, 1000, 5000, 10000)] == [3, 100, 100, 420, 500, 500]


def test_a_decision_can_be_explained_node_by_node():
    among = nodes(tainted("a"), node("b"), node("c"))
    decision = Framework(default_plugins()).decide(info(requests={"cpu": "1"}), among)
    told = decision.as_json()
    assert told["nodes"]["a"] == {"plugin": "TaintToleration", "reasons": ["node(s) had untolerated taint(s)"]}
    best = told["nodes"][decision.chosen]
    assert best["total"] == sum(s["normalized"] * s["weight"] for s in best["scores"].values())
    assert {name: s["weight"] for name, s in best["scores"].items()} == {
        "TaintToleration": 3, "NodeResourcesFit": 1, "NodeResourcesBalancedAllocation": 1}


def test_a_decision_has_the_simulators_annotations():
    told = Framework(default_plugins()).decide(info(requests={"cpu": "1"}), nodes(tainted("a"), node("b"), node("c")))
    notes = {key.rpartition("/")[2]: value for key, value in told.annotations().items()}
    filters, final = json.loads(notes["filter-result"]), json.loads(notes["finalscore-result"])
    assert filters["a"] == {"TaintToleration": "node(s) had untolerated taint(s)"}
    assert set(filters["b"].values()) == {"passed"}
    assert sum(map(int, final["b"].values())) == told.totals()[told.feasible.index("b")]
    assert notes["selected-node"] == told.chosen
