"""The rules of a cluster and the walks through them: from Python, on the command line and as a figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from proxy_objects import PODS, service, slice_of

from kitlib.book import deck_walks, slides
from kitlib.cluster import dataplane
from kitlib.cluster.dataplane import Dataplane
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError, UsageError
from kitlib.objects.errors import StatusError
from kitlib.views import walk_svg, walk_text
from kitlib.views.walk_figure import WalkFigure

MODES = ("iptables", "nftables", "ipvs", "userspace")


def node(name: str, address: str, cidr: str, zone: str = "") -> dict[str, Any]:
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
    return {"metadata": {"name": name, "labels": labels}, "spec": {"podCIDR": cidr}, "status": {"addresses": addresses}}


def pod(name: str, address: str, where: str = "node1", namespace: str = "proxy") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"nodeName": where},
            "status": {"podIP": address}}


class Answers:
    """A client of a foreign cluster: it lists, and has no ServiceCIDR.  config: kube-proxy's, if it can be read."""

    def __init__(self, *objects: dict[str, Any], config: str = "") -> None:
        self.transport, self.config = self, config
        nodes = [node("node1", "192.0.2.2", "10.244.0.0/24"), node("node2", "192.0.2.3", "10.244.1.0/24")]
        pods = [pod(f"web-{i}", address) for i, address in enumerate(PODS)] + [pod("client", "10.244.1.7", "node2")]
        self.found = {"nodes": nodes, "pods": pods, "services": [o for o in objects if "spec" in o],
                      "endpointslices.discovery.k8s.io": [o for o in objects if "spec" not in o],
                      "networkpolicies.networking.k8s.io": [], "namespaces": [{"metadata": {"name": "proxy"}}]}

    def list(self, resource: str) -> dict[str, Any]:
        return {"items": self.found[resource]}

    def get(self, resource: str, *_name: str) -> dict[str, Any]:
        if resource == "configmaps" and self.config:
            return {"data": {"config.conf": self.config}}
        raise StatusError(404, "NotFound", "the server could not find the requested resource")


    def request(self, *_what: str) -> dict[str, Any]:
        raise StatusError(404, "NotFound", "the server could not find the requested resource")


WEB = (service(type="NodePort", ports=[{"port": 80, "nodePort": 30080, "name": "http"}]),
       slice_of("web", *PODS, port_name="http"))
BARE = service("bare", clusterIP="None")


@pytest.fixture
def plane() -> Dataplane:
    return Dataplane(Answers(*WEB, BARE), "proxy")   # type: ignore[arg-type]


def test_a_node_knows_what_kube_proxy_there_would_know(plane: Dataplane) -> None:
    context = plane.context("node2")
    assert (context.node, context.cluster_cidr, list(context.node_addresses), context.service_cidr) == (
        "node2", "10.244.0.0/23", ["192.0.2.3"], "10.96.0.0/12")


@pytest.mark.parametrize("destination", ["web", "web:80", "web:http", "web.proxy.svc.cluster.local:80", "proxy/web",
                                         "10.96.50.1:80"])
def test_a_service_can_be_named_in_many_ways(plane: Dataplane, destination: str) -> None:
    walk = plane.walk(destination)
    assert (walk.packet.to, walk.service, walk.outcome) == ("10.96.50.1:80", "proxy/web:http", "endpoint")


@pytest.mark.parametrize(("source", "expected"), [
    ("", ("node2", "10.244.1.7", "Pod proxy/client")), ("client", ("node2", "10.244.1.7", "Pod proxy/client")),
    ("pod/web-0", ("node1", PODS[0], "Pod proxy/web-0")), (PODS[0], ("node1", PODS[0], "Pod proxy/web-0")),
    ("node2", ("node2", "192.0.2.3", "node node2")), ("192.0.2.3", ("node2", "192.0.2.3", "node node2")),
    ("203.0.113.9", ("node1", "203.0.113.9", "outside the cluster"))])
def test_the_senders_node_has_the_rules(plane: Dataplane, source: str, expected: tuple[str, str, str]) -> None:
    walk = plane.walk("web", source=source)
    assert (walk.node, walk.packet.source, walk.source_name) == expected


def test_a_node_port_is_met_on_the_node_it_was_sent_to(plane: Dataplane) -> None:
    walk = plane.walk("node2:30080", source="203.0.113.9")
    assert (walk.node, walk.packet.to, walk.source_after) == ("node2", "192.0.2.3:30080", "192.0.2.3")


def test_chance_can_be_told_what_to_choose(plane: Dataplane) -> None:
    for asked in ("web-1", PODS[1], f"{PODS[1]}:8080"):
        chosen = plane.walk("web", endpoint=asked).chosen
        assert chosen is not None
        assert (chosen.address, chosen.pod, chosen.node) == (f"{PODS[1]}:8080", "proxy/web-1", "node1")


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"destination": "webb"}, 'there is no Service "webb" in namespace proxy; there is: web, bare.'),
    ({"destination": "bare"}, "Service proxy/bare has no address of its own (it is headless, or only a name), so "
                              "kube-proxy writes no rules for it."),
    ({"destination": "web:81"}, "which port of Service proxy/web? It has 80 (http)."),
    ({"destination": "10.96.50.1"}, "which port of 10.96.50.1? Write 10.96.50.1:80."),
    ({"destination": "node1"}, "node1 is a node: say which node port, as in node1:30080."),
    ({"destination": "web", "source": "nobody"}, '"nobody" is no node, no address, and no Pod in namespace proxy.'),
    ({"destination": "web", "mode": "ebpf"}, '"ebpf" is no mode of kube-proxy; there is iptables, ipvs, nftables, '
                                             "userspace."),
    ({"destination": "web", "source": "203.0.113.9", "node": "node9"}, 'there is no node "node9"; there is: node1, '
                                                                       "node2."),
    ({"destination": "web", "endpoint": "client"}, "this packet never reaches 10.244.1.7; the endpoints it may reach: "
     "10.244.0.201:8080, 10.244.0.202:8080, 10.244.0.203:8080.")])
def test_what_cannot_be_walked_is_one_sentence(plane: Dataplane, arguments: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError) as refusal:
        plane.walk(**arguments)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(("mode", "there"), [
    ("iptables", ":KUBE-SVC-"), ("nftables", "chain service-"), ("ipvs", "-A -t 10.96.50.1:80 -s rr"),
    ("userspace", "listen 10.96.50.1:80/TCP -> 10.244.0.201:8080 |")])
def test_rules_are_all_of_a_node_or_what_one_service_adds(plane: Dataplane, mode: str, there: str) -> None:
    whole, added = plane.rules(mode), plane.rules(mode, service="web")
    assert there in whole
    assert there in added
    assert set(added.splitlines()) <= set(whole.splitlines())
    if mode != "userspace":
        assert len(added) < len(whole)


@pytest.mark.parametrize(("config", "mode"), [
    ("", "iptables"), ('mode: ""\n', "iptables"), ("mode: nftables\n", "nftables"), ('a: b\nmode: "ipvs"\n', "ipvs")])
def test_the_clusters_own_mode_is_taken_where_none_is_named(config: str, mode: str) -> None:
    plane = Dataplane(Answers(*WEB, config=config), "proxy")   # type: ignore[arg-type]
    assert (plane.mode, plane.walk("web").mode) == (mode, mode)


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_rules_that_a_kernel_has_are_walked_like_computed_ones(plane: Dataplane, mode: str,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    text = plane.rules(mode)
    monkeypatch.setattr(dataplane, "read", lambda client, node: (mode, text))
    read, computed = (plane.walk("web", mode=mode, endpoint="web-2", applied=applied) for applied in (True, False))
    assert (read.computed, computed.computed) == (False, True)
    assert read.trace == computed.trace
    assert read.choices == computed.choices
    assert "read from the node's kernel" in str(WalkFigure(read.json()))


def test_a_cluster_without_kernels_of_its_own_has_nothing_to_read(cluster: EmbeddedCluster) -> None:
    with pytest.raises(KitError, match=r"no rules are applied on node-1: .* \(`kit up --runtime oci` makes some"):
        Dataplane(cluster.client()).walk("kubernetes", source="node-1", applied=True)


@pytest.mark.parametrize("mode", MODES[:3])
def test_a_policy_has_the_last_word_about_a_walk(mode: str) -> None:
    def walk(*peers: dict[str, Any]) -> Any:
        answers = Answers(*WEB)
        rules = [{"from": list(peers)}] if peers else []
        answers.found["networkpolicies.networking.k8s.io"] = [{
            "metadata": {"name": "guard", "namespace": "proxy"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules}}]
        plane = Dataplane(answers, "proxy")   # type: ignore[arg-type]
        return plane.walk("web", source="client", mode=mode, endpoint="web-1").json()

    denied = walk()
    assert (denied["outcome"], denied["endpoint"]) == ("DROP", "")
    assert denied["steps"][-1]["chain"] == "ingress: proxy/guard"
    assert "has no ingress rule, so it allows nothing" in denied["steps"][-1]["rule"]
    assert walk({"podSelector": {}})["outcome"] == "endpoint"
    assert "may these two talk?" in walk_text.render(denied)
    assert "DROP" in walk_svg.render(denied)


# -- figure and text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_figure_shows_every_step_and_every_endpoint(plane: Dataplane, mode: str) -> None:
    figure = WalkFigure(plane.walk("web", mode=mode, endpoint="web-1").json())
    root = ET.fromstring(figure.svg)
    shown = " ".join(root.itertext())
    for choice in figure.walk["choices"]:
        assert choice["pod"].rpartition("/")[2] in shown
    assert shown.count("33 %") == 3
    for step in figure.walk["steps"]:
        assert f"{step['number']}. {step['chain']}: {step['verdict']}." in shown   # its alternative text
        assert step["rule"] in str(figure)
    assert figure._repr_mimebundle_()["text/plain"] == str(figure)
    assert "Pod proxy/web-1 (10.244.0.202:8080) on node1   ← this time" in str(figure)


def test_a_packet_that_goes_nowhere_is_drawn_as_well() -> None:
    plane = Dataplane(Answers(service()), "proxy")   # type: ignore[arg-type]
    refused = plane.walk("web").json()
    assert walk_text.ending(refused) == "Refused: the sender is told at once."
    assert "REJECT" in walk_svg.render(refused)
    assert "goes its own way" in walk_svg.render(plane.walk("8.8.8.8:53", protocol="udp", mode="nftables").json())


def test_many_endpoints_stay_readable_and_the_chosen_one_is_among_them() -> None:
    addresses = [f"10.244.2.{i}" for i in range(1, 41)]
    plane = Dataplane(Answers(service(), slice_of("web", *addresses)), "proxy")   # type: ignore[arg-type]
    svg = walk_svg.render(plane.walk("web", endpoint="10.244.2.40").json())
    assert "and 28 more endpoints" in svg
    assert "10.244.2.40:8080" in svg


@pytest.mark.parametrize("story", ["clusterip", "nodeport", "refused"])
@pytest.mark.parametrize("mode", MODES)
def test_a_slide_tells_the_same_walk_every_time(story: str, mode: str) -> None:
    svg = deck_walks.walk(story, mode)
    assert svg == deck_walks.walk(story, mode)
    shown = " ".join(ET.fromstring(svg).itertext())
    assert ("REJECT" if story == "refused" else "33 %") in shown
    assert len(deck_walks.walk(story, mode, "words")) > len(svg)


def test_a_slide_with_a_walk_that_there_is_not_says_which_there_are() -> None:
    with pytest.raises(KitError, match=r"there is clusterip, nodeport, refused"):
        slides._figure("walk external iptables")
    with pytest.raises(KitError, match="is no mode of kube-proxy"):
        slides._figure("walk clusterip ebpf")


# -- on a running cluster -------------------------------------------------------------------------------------


def kit(cluster: EmbeddedCluster, home: Path, *arguments: str) -> str:
    env = {**os.environ, "KIT_HOME": str(home), "KUBECONFIG": str(cluster.kubeconfig)}
    done = subprocess.run([sys.executable, "-m", "kitlib.cli.main", *arguments], env=env, capture_output=True,
                          text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_tells_the_same(cluster: EmbeddedCluster, shared_home: Path, tmp_path: Path) -> None:
    text = kit(cluster, shared_home, "rules", "--mode", "nftables", "--node", "node-2")
    assert text.startswith("table ip kube-proxy {")
    arguments = ("kubernetes", "--from", "node-1", "--mode", "nftables", "--json")
    walk = json.loads(kit(cluster, shared_home, "walk", *arguments))
    assert (walk["outcome"], walk["computed"], walk["node"]) == ("endpoint", True, "node-1")
    assert walk["endpoint"].endswith(cluster.server.rpartition(":")[2])
    kit(cluster, shared_home, "walk", "kubernetes", "--svg", str(tmp_path / "walk.svg"))
    assert ET.parse(tmp_path / "walk.svg").getroot().tag.endswith("svg")


def test_a_notebook_walks_with_one_call(cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    import kitlib

    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    walk = kitlib.packet_walk("kubernetes:https", source="node-2", mode="ipvs")
    assert walk.outcome == "endpoint"
    assert walk.odds == {walk.endpoint: 1.0}
    assert any(chain.startswith("-t ") for chain in walk.chains)
    assert kitlib.rules("ipvs", service="kubernetes").startswith("# ipvsadm-save -n\n-A -t ")
