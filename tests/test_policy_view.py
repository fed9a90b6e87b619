"""`kit policy` and `kit.policy`: the matrix, computed and measured; one connection, explained; the picture."""

from __future__ import annotations

import json
import xml.dom.minidom
from typing import Any

import pytest
from policy_cases import peers, policy
from support import Kubectl, busybox, pod

from kitlib.cli.main import main
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.network.policy import Policy, PolicyPod, World, verdict
from kitlib.traffic.attempts import attempts
from kitlib.views import deck_policy
from kitlib.views.policy_figure import PolicyFigure


def _matrix(**measured: str) -> PolicyFigure:
    cells = [{"from": f"n/{a}", "to": f"n/{b}", "ip": f"10.0.0.{b}", "port": 80, "protocol": "TCP", "egress": True,
              "allowed": allowed, "ingress": allowed} for a, b, allowed in (("1", "2", True), ("2", "1", False))]
    pods = [{"key": f"n/{a}", "namespace": "n", "name": a, "ip": f"10.0.0.{a}", "labels": {}} for a in "12"]
    outcomes = {("n/" + key[1], "10.0.0." + key[2] + ":80"): value for key, value in measured.items()}
    rules = {"name": "n/p<1>", "selects": ["n/1"], "ingress": [], "egress": None}
    return PolicyFigure({"namespaces": {"n": {}}, "pods": pods, "cells": cells, "policies": [rules]},
                        outcomes if measured else None)


def test_the_figure_says_where_traffic_and_policies_disagree() -> None:
    agree = _matrix(m12="refused", m21="timeout")
    assert agree.differences == []
    assert agree.passed("1", "2")
    assert not agree.allowed("2", "1", 80)
    assert str(agree).splitlines()[1:3] == ["1          ·     80✓✓", "2          80✗✗  ·"]
    differ = _matrix(m12="timeout", m21="connected")
    assert differ.differences == ["n/1 → n/2:80 is allowed by the policies, but measured: timeout",
                                  "n/2 → n/1:80 is denied by the policies, but measured: connected"]
    with pytest.raises(KeyError, match="no pair 1 → 3"):
        agree.passed("1", "3")


def test_the_picture_is_well_formed_and_has_its_words() -> None:
    for figure in (_matrix(), _matrix(m12="connected", m21="connected")):
        picture = xml.dom.minidom.parseString(figure.svg)
        words = " ".join(node.firstChild.data for node in picture.getElementsByTagName("text") if node.firstChild)
        assert "isolated: ingress" in words
        assert "policy n/p<1>: 1 Pod, ingress nothing" in words
        assert picture.getElementsByTagName("desc")[0].firstChild.data.startswith("2 Pods in n; 1 network policies")
    assert 'stroke="#f0e442"' in figure.svg, "a disagreement stands out"


def test_the_command_computes_measures_and_explains(kubectl: Kubectl, cluster: EmbeddedCluster, tmp_path: Any,
                                                    monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    namespace = kubectl.namespace
    echo = {"name": "main", "image": "kit/echo", "ports": [{"containerPort": 8080}]}
    kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": [
        pod("web", echo), pod("box", busybox("sleep 1000")),
        policy("web", namespace, {"matchLabels": {"app": "web"}}, ingress=peers(
            {"podSelector": {"matchLabels": {"app": "box"}}}))]})
    kubectl("expose", "pod", "web", "--port=80", "--target-port=8080")
    kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=30s")
    svg = tmp_path / "who.svg"
    assert main(["policy", "-n", namespace, "--measure", "--json"]) == 0
    cells = {(cell["from"].rpartition("/")[2], cell["to"].rpartition("/")[2]): cell
             for cell in json.loads(capsys.readouterr().out)["cells"]}
    assert (cells["box", "web"]["allowed"], cells["box", "web"]["measured"]) == (True, "connected")
    assert (cells["web", "box"]["allowed"], cells["web", "box"]["measured"]) == (True, "refused")
    assert main(["policy", "-n", namespace, "--svg", str(svg)]) == 0
    assert svg.read_text().startswith("<svg")
    assert main(["policy", "-n", namespace, "--from", "box", "--to", "svc/web"]) == 0
    said = capsys.readouterr().out
    assert "8080/TCP: allowed" in said
    assert f"{namespace}/web: ingress rule 1 (from Pods with app=box of this namespace, on every port)" in said
    assert main(["policy", "-n", namespace, "--from", "203.0.113.9", "--to", "web"]) == 1
    said = capsys.readouterr().out
    assert "✗ ingress" in said
    assert "203.0.113.9 is no Pod" in said
    assert main(["policy", "-n", namespace, "--from", "box"]) == 2
    assert main(["policy", "-n", namespace, "--from", "nobody", "--to", "web"]) == 2
    assert f"no running Pod of namespace {namespace}; there is: box, web" in capsys.readouterr().err
    kubectl("label", "pod", "box", "--overwrite", "app=other")
    client, address = cluster.client("test"), kubectl.get("pod", "web")["status"]["podIP"]
    outcomes = attempts(client, namespace, "box", [f"{address}:8080", "127.0.0.1:9"], seconds=1)
    assert outcomes == {f"{address}:8080": "timeout", "127.0.0.1:9": "refused"}


@pytest.mark.parametrize("step", list(deck_policy.STEPS))
def test_what_slides_show_is_what_policies_mean(step: str) -> None:
    pods = [PolicyPod(namespace, name, f"10.0.0.{number}", {"app": name})
            for number, (name, namespace) in enumerate(deck_policy.PODS.items(), start=1)]
    world = World(map(Policy.of, deck_policy.STEPS[step][0]), deck_policy.NAMESPACES, pods)
    cells = deck_policy.matrix(step)["cells"]
    assert len(cells) == 35
    for cell in cells:
        found = verdict(world, world.place(cell["from"]), world.place(cell["to"]), cell["port"])
        assert found.allowed == cell["allowed"], found.lines()
