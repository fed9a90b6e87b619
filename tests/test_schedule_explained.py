"""`kit schedule`: one decision of the scheduler, asked of a cluster, as text and as a picture."""

from __future__ import annotations

from typing import Any

import pytest
from support import Kubectl, busybox, eventually, pod

from kitlib.cluster.decisions import newest
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError
from kitlib.objects.errors import StatusError
from kitlib.views.decision_figure import DecisionFigure, points

SLEEP = busybox("exec sleep 1000")


def decision(rated: dict[str, int], refused: dict[str, str], chosen: str = "", **more: Any) -> dict[str, Any]:
    scored = {name: {"total": 2 * score, "scores": {"Fit": {"raw": 0, "normalized": score, "weight": 2}}}
              for name, score in rated.items()}
    said = {name: {"plugin": "Filter", "reasons": [reason]} for name, reason in refused.items()}
    return {"pod": "default/p", "chosen": chosen, "message": "", "victims": [], "nominated": "", "filters": ["Filter"],
            "lookedAt": len(scored) + len(said), "of": len(scored) + len(said), "nodes": {**said, **scored}, **more}


def test_the_cluster_tells_every_nodes_verdict(cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("p", SLEEP, nodeSelector={"kubernetes.io/hostname": "node-2"}))
    told = eventually(lambda: newest(cluster.client(), "pod/p", kubectl.namespace))
    assert told["chosen"] == "node-2" == told["annotations"]["kube-scheduler-simulator.sigs.k8s.io/selected-node"]
    figure = DecisionFigure(told)
    assert figure.title.startswith(f"Pod {kubectl.namespace}/p: node-2, the only node that can run it (of ")
    assert "node-1" in str(figure)
    assert "NodeAffinity" in str(figure)
    assert "<title>" in figure.svg
    assert "NodeAffinity" in figure.svg


def test_why_there_is_no_decision(cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("held", SLEEP, schedulingGates=[{"name": "example.com/quota"}]))
    kubectl("create", "-f", "-", stdin=pod("by-hand", SLEEP, nodeName="node-1"))
    kubectl("create", "-f", "-", stdin=pod("theirs", SLEEP, schedulerName="mine"))
    for target, sentence in (("held", "its scheduling gates hold it back: example.com/quota."),
                             ("by-hand", "it is on node-1, but"), ("theirs", "it is 'mine''s to decide"),
                             ("nobody", 'pods "nobody" not found'), ("deploy/web", "only Pods are scheduled")):
        with pytest.raises(KitError) as raised:
            newest(cluster.client(), target, kubectl.namespace)
        assert sentence in str(raised.value), target


def test_a_cluster_that_keeps_no_decisions_has_its_events() -> None:
    class Transport:
        def request(self, *_: Any, **__: Any) -> Any:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")

    class Foreign:
        transport = Transport()

        def list(self, *_: Any) -> Any:
            return {"items": [{"involvedObject": {"name": "p"}, "reason": "FailedScheduling", "message": "0/3 nodes"}]}

    with pytest.raises(KitError, match=r"only writes Events\. The last about Pod default/p: 0/3 nodes"):
        newest(Foreign(), "p", "default")  # type: ignore[arg-type]


def test_the_chosen_node_stands_first_and_its_bars_add_up() -> None:
    told = decision({"a": 50, "b": 90, "c": 90}, {"d": "too small"}, "c")
    figure = DecisionFigure(told)
    lines = str(figure).splitlines()
    assert lines[0] == "Pod default/p: c, the best of 3 nodes that can run it (of 4)"
    assert [line.split()[0] for line in lines[3:7]] == ["c", "b", "a", "d"]
    assert lines[3].split()[1:] == ["180", "180", "◀", "chosen"]
    assert lines[-1] == "2 nodes have 180 points: among equals the Pod's uid decides, as chance would."
    assert sum(points(told["nodes"]["c"], plugin) for plugin in figure.plugins()) == told["nodes"]["c"]["total"]


def test_many_nodes_are_counted_by_reason() -> None:
    refused = {f"n{number:03}": "Insufficient cpu" if number % 4 else "Too many pods" for number in range(200)}
    figure = DecisionFigure(decision({}, refused, message="0/200 nodes are available."))
    text = str(figure)
    assert "and 144 more: Filter: Insufficient cpu\nand 48 more: Filter: Too many pods" in text
    assert text.splitlines()[0] == "Pod default/p: no node"
    assert text.splitlines()[-1] == "0/200 nodes are available."
    assert figure.svg.count("✗") == 8
    assert "and 144 more" in figure.svg


def test_who_has_to_make_room_is_named() -> None:
    told = decision({}, {"a": "Insufficient cpu"}, victims=["default/low"], nominated="a", message="preemption")
    assert "To make room on a, these leave: default/low." in str(DecisionFigure(told))
