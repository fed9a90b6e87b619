"""The scheduler in a cluster: binding, waiting, explaining, preempting."""

from __future__ import annotations

from typing import Any

from controller_world import World, node, pod, replica_set

from kitlib.client import Emit, Patch
from kitlib.controllers.replicaset import ReplicaSet
from kitlib.objects.clock import FakeClock
from kitlib.scheduler.queue import SchedulingQueue


def world(nodes: int = 0, **options: Any) -> World:
    made = World(ReplicaSet(), nodes=nodes, **options)
    made.settle(1)
    return made


def demanding(name: str, cpu: str, **spec: Any) -> dict[str, Any]:
    made = pod(name, **spec)
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return made


def where(w: World) -> dict[str, str]:
    return {p["metadata"]["name"]: p["spec"].get("nodeName", "") for p in w.list("pods")}


def scheduled(w: World, name: str) -> dict[str, Any]:
    return next(c for c in w.get("pods", name)["status"]["conditions"] if c["type"] == "PodScheduled")


def test_a_pod_is_bound_and_the_event_says_where():
    w = world(1)
    w.create("pods", pod("p"))
    w.calm()
    assert where(w) == {"p": "node-0"}
    assert scheduled(w, "p")["status"] == "True"
    (event,) = [e for e in w.list("events") if e["reason"] == "Scheduled"]
    assert event["message"] == "Successfully assigned default/p to node-0"
    assert (event["reportingComponent"], event["action"]) == ("default-scheduler", "Binding")


def test_when_all_pods_have_a_node_it_does_nothing():
    w = world(2)
    w.create("pods", pod("p"))
    w.settle(5)
    before = w.store.revision
    w.settle(1000)
    assert w.store.revision == before


def test_the_pods_of_a_replica_set_spread_over_the_nodes():
    w = world(3)
    w.create("replicasets.apps", replica_set("web", 9))
    w.calm()
    assert sorted(list(where(w).values()).count(f"node-{n}") for n in range(3)) == [3, 3, 3]


def test_a_burst_never_overfills_a_node_although_the_cache_is_behind():
    w = world()
    for name in ("a", "b"):
        w.add_node(node(name, cpu="2"))
    for number in range(6):
        w.create("pods", demanding(f"p{number}", "1"))
    w.calm()
    assert sorted(where(w).values()) == ["", "", "a", "a", "b", "b"]


def test_one_that_fits_nowhere_is_told_why_and_waits_for_a_change():
    w = world(1)
    w.create("pods", pod("p", nodeSelector={"disk": "ssd"}))
    w.calm()
    text = ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. "
            "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for "
            "scheduling.")
    condition = scheduled(w, "p")
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "Unschedulable", text)
    assert ("Warning", "FailedScheduling", text) in w.events("p")
    turns = len(w.scheduling.records)
    w.settle(30)
    assert len(w.scheduling.records) == turns, "nothing that could help has happened"
    w.patch("nodes", "node-0", {"metadata": {"labels": {"disk": "ssd"}}}, namespace="")
    w.settle(1)
    assert where(w) == {"p": "node-0"}


def test_without_any_node_it_says_so():
    w = world()
    w.create("pods", pod("p"))
    w.calm()
    assert scheduled(w, "p")["message"] == "no nodes available to schedule pods"
    w.add_node(node("a"))
    w.settle(2)
    assert where(w) == {"p": "a"}


def test_a_gated_pod_waits_until_its_gates_are_gone():
    w = world(1)
    w.create("pods", pod("p", schedulingGates=[{"name": "example.com/g"}]))
    w.settle(5)
    assert where(w) == {"p": ""}
    assert scheduled(w, "p")["reason"] == "SchedulingGated"
    w.patch("pods", "p", {"spec": {"schedulingGates": None}})
    w.calm()
    assert where(w) == {"p": "node-0"}


def test_pods_of_another_scheduler_are_left_alone():
    w = world(1)
    w.create("pods", pod("p", schedulerName="mine"))
    w.settle(5)
    assert where(w) == {"p": ""}
    assert w.events("p") == []


def priorities(w: World) -> None:
    for name, value in (("low", 10), ("high", 1000), ("polite", 1000)):
        polite = {"preemptionPolicy": "Never"} if name == "polite" else {}
        w.create("priorityclasses.scheduling.k8s.io", {
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            **polite})


def test_the_important_preempts_the_least_important_it_needs_to():
    w = world()
    priorities(w)
    w.add_node(node("a", cpu="2"))
    for name in ("low1", "low2"):
        w.create("pods", demanding(name, "900m", priorityClassName="low"))
        w.settle(5)
    w.create("pods", demanding("high", "900m", priorityClassName="high"))
    w.calm()
    assert w.get("pods", "high")["status"]["nominatedNodeName"] == "a"
    going = [p for p in w.list("pods") if "deletionTimestamp" in p["metadata"]]
    assert [p["metadata"]["name"] for p in going] == ["low2"], "it started last"
    assert "PreemptionByScheduler" in [c.get("reason") for c in going[0]["status"]["conditions"]]
    assert w.events("low2")[-1][1] == "Preempted"
    w.settle(10)
    assert where(w) == {"low1": "a", "high": "a"}


def test_a_polite_pod_preempts_nobody():
    w = world()
    priorities(w)
    w.add_node(node("a", cpu="1"))
    w.create("pods", demanding("low", "900m", priorityClassName="low"))
    w.calm()
    w.create("pods", demanding("high", "900m", priorityClassName="polite"))
    w.settle(10)
    assert where(w) == {"low": "a", "high": ""}
    assert scheduled(w, "high")["message"].endswith("preemption: not eligible due to preemptionPolicy=Never.")


def test_a_nominated_node_is_kept_free_from_the_less_important():
    w = world()
    priorities(w)
    w.add_node(node("a", cpu="1"))
    w.create("pods", demanding("low", "900m", priorityClassName="low"))
    w.settle(3)
    w.create("pods", demanding("high", "900m", priorityClassName="high"))
    w.calm()
    w.create("pods", demanding("late", "900m", priorityClassName="low"))
    w.settle(10)
    assert where(w) == {"high": "a", "late": ""}


def test_the_queue_gives_out_the_important_first_and_then_who_came_first():
    queue = SchedulingQueue(FakeClock())
    for key, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
        queue.priority[key] = priority
        queue.add(key)
    taken = []
    while (key := queue.get()) is not None:
        taken.append(key)
        queue.done(key)
    assert taken == ["b", "d", "a", "c"]


def test_a_pod_that_failed_backs_off_longer_each_time():
    clock = FakeClock()
    queue = SchedulingQueue(clock)
    pauses = []
    for _ in range(6):
        queue.wait("a", frozenset({"node-added"}))
        queue.happened("pod-gone")
        assert queue.get() is None
        queue.happened("node-added")
        pauses.append((queue.next_due() or 0) - clock.monotonic())
        clock.advance(pauses[-1])
        assert queue.get() == "a"
        queue.done("a")
    assert pauses == [1, 2, 4, 8, 10, 10]


def test_diff_states_what_would_be_written():
    w = world(1)
    w.scheduling.pause("scheduler")
    w.create("pods", pod("p", nodeSelector={"disk": "ssd"}))
    w.calm()
    observed = w.scheduler.observe("default/p")
    assert observed is not None
    actions = w.scheduler.diff(observed)
    assert [type(action) for action in actions] == [Emit, Patch]
    assert where(w) == {"p": ""}
