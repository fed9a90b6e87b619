"""The load generator: what it measures is what happened, on servers that misbehave on purpose and on real Pods."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Kubectl, deployment, eventually

from kitlib.book import files
from kitlib.book.execute import execute
from kitlib.checks.world import World
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.traffic.load.report import Report, Sample, histogram, percentile, stretches
from kitlib.traffic.load.run import Load, Refused
from kitlib.traffic.network import Network, Owner, Route
from kitlib.traffic.reach import dial
from kitlib.views.load_svg import render

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """One thread per connection; `reply` is called with (number of the request, connection)."""

    def __init__(self, reply: Callable[[int, socket.socket], None]) -> None:
        self.reply, self.count, self.connections = reply, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while connection.recv(4096):
                    self.count += 1
                    self.reply(self.count, connection)
            except OSError:
                return


class OneServer(Network):
    """A cluster whose only address is this server's."""

    def __init__(self, port: int) -> None:
        self.namespace, self.port = "default", port
        self.client = None  # type: ignore[assignment]

    def route(self, host: str, port: int) -> Route:
        return Route(host, "127.0.0.1", self.port, Owner("Node", "", "server"), (),
                     lambda seconds: dial("127.0.0.1", self.port, seconds=seconds), addresses=("127.0.0.1",))


def load(server: Server, **options: Any) -> Report:
    network = OneServer(server.port)
    made = Load(None, "http://server/", network=network, **{"rps": 100, "seconds": 1, **options})  # type: ignore[arg-type]
    return made.start().wait().report()


def test_each_request_is_sent_once_and_answered() -> None:
    server = Server(lambda number, connection: connection.sendall(ANSWER))
    report = load(server, rps=200, connections=4)
    assert (report.sent, report.answered, report.ok) == (200, 200, True)
    assert (server.count, server.connections) == (200, 4)
    assert {sample.connection for sample in report.samples} == {1, 2, 3, 4}
    assert [round(sample.due, 3) for sample in report.samples[:3]] == [0, 0.005, 0.01]


def test_a_pause_of_the_server_counts_for_all_that_were_due_in_it() -> None:
    """Coordinated omission: one connection, one pause of 800 ms; eighty requests were due in it, not one."""
    server = Server(lambda number, connection: (time.sleep(0.8 if number == 20 else 0), connection.sendall(ANSWER)))
    report = load(server, connections=1, seconds=1.5)
    assert sum(sample.latency > 400 for sample in report.samples) >= 35
    assert sum(sample.service > 400 for sample in report.samples) == 1
    assert report.latency(80) > 400 > report.service(80)


def abort(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@pytest.mark.parametrize(("trouble", "kind"), [
    (lambda connection: connection.close(), "closed"), (abort, "reset"), (lambda connection: None, "timeout"),
    (lambda connection: (connection.sendall(ANSWER[:-1]), connection.close()), "reset"),
    (lambda connection: connection.sendall(b"nonsense\r\n\r\n"), "closed"),
    (lambda connection: connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), "HTTP 503")])
def test_what_is_lost_is_counted_by_kind(trouble: Callable[[socket.socket], None], kind: str) -> None:
    server = Server(lambda number, connection: trouble(connection) if number == 5 else connection.sendall(ANSWER))
    report = load(server, rps=50, seconds=0.4, connections=2, timeout=0.2)
    assert report.errors == {kind: 1}
    assert (report.sent, report.answered) == (20, 19)
    assert not report.ok


def test_a_connection_that_is_reset_at_once_is_a_lost_request_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def accept() -> None:
            for _ in range(20):
                abort(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        server = Server(lambda number, connection: None)
        server.port = listener.getsockname()[1]
        report = load(server, rps=100, seconds=0.2, connections=2)
    assert report.lost == 20
    assert set(report.errors) <= {"reset", "closed"}


def test_refused_connections_are_lost_requests() -> None:
    server = Server(lambda number, connection: None)
    with socket.socket() as silent:  # has a port, but does not listen
        silent.bind(("127.0.0.1", 0))
        server.port = silent.getsockname()[1]
        assert load(server, rps=50, seconds=0.2).errors == {"refused": 10}


def test_a_server_that_hangs_loses_every_request_that_was_due() -> None:
    """Also those that never got a connection, and those that were still waiting at the end."""
    server = Server(lambda number, connection: None)
    report = load(server, rps=50, seconds=0.6, connections=2, timeout=0.2)
    assert (report.sent, report.errors) == (30, {"timeout": 30})
    assert {sample.connection for sample in report.samples} >= {0, 1, 2}  # 0: none


def test_without_keepalive_each_request_has_a_connection() -> None:
    server = Server(lambda number, connection: connection.sendall(ANSWER))
    report = load(server, rps=50, seconds=0.4, keepalive=False)
    assert (report.answered, server.connections) == (20, 20)


def test_a_connection_closed_while_idle_costs_no_request() -> None:
    def reply(number: int, connection: socket.socket) -> None:
        connection.sendall(ANSWER)
        if number % 5 == 0:
            connection.shutdown(socket.SHUT_RDWR)

    server = Server(reply)
    assert load(server, rps=40, seconds=0.5, connections=1).errors == {}
    assert server.connections == 4


@pytest.mark.parametrize(("options", "word"), [({"rps": 0}, "rps"), ({"rps": 1e9}, "rps"), ({"seconds": 0}, "seconds"),
                                               ({"connections": 0}, "connections"), ({"timeout": -1}, "timeout")])
def test_numbers_without_sense_are_refused(options: dict[str, float], word: str) -> None:
    with pytest.raises(Refused, match=f"^{word} must be more than 0 and at most"):
        load(Server(lambda number, connection: None), **options)


# -- numbers -------------------------------------------------------------------------------------------------------


def test_percentiles_are_measured_values() -> None:
    assert [percentile([1, 2, 3, 4], p) for p in (0, 50, 51, 100)] == [1, 2, 3, 4]
    assert str(percentile([], 50)) == "nan"


def test_a_histogram_loses_nothing() -> None:
    found = histogram([0.05, 0.1, 0.11, 4.9, 5.0, 70_000])
    assert (found[0], found[1], sum(count for _, count in found)) == ((0.1, 2), (0.2, 1), 6)
    assert found[-1] == (float("inf"), 1)


def test_times_become_stretches() -> None:
    assert stretches([3.0, 1.0, 1.2, 1.4]) == [(1.0, 1.4), (3.0, 3.0)]


def test_the_figure_is_an_svg_with_a_cross_for_each_lost_request() -> None:
    samples = [Sample(i / 10, 1.0 + i, 1.0, "ok" if i % 4 else "reset", f"web-{i % 2}", "v1", 1) for i in range(20)]
    pods = [{"pod": "web-0", "template": "a", "moments": [
        {"at": 0.0, "what": "created"}, {"at": 0.0, "what": "endpoint"}, {"at": 0.5, "what": "terminating"},
        {"at": 0.6, "what": "no-endpoint"}, {"at": 1.0, "what": "gone"}]}]
    report = Report("http://web/?a=<b>", 10, 2.0, 1, True, "Service default/web", samples, pods)
    drawn = render(report)
    assert ET.fromstring(drawn).tag.endswith("svg")
    assert drawn.count("l8 8m0 -8l-8 8") == 5
    assert "5 lost: reset" in drawn
    assert render(Report("http://web/", 1, 0.0, 1, True, "", [])).startswith("<svg")  # nothing was measured


# -- real Pods -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(cluster: EmbeddedCluster, kubectl_of: Any) -> Iterator[Kubectl]:
    kubectl: Kubectl = kubectl_of(cluster)
    kubectl("create", "namespace", "load")
    kubectl.namespace = "load"
    probe = {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1}
    kubectl("apply", "-f", "-", stdin=deployment("web", 2, {"name": "main", "image": "kit/echo:v1",
                                                            "readinessProbe": probe}))
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    world = World(cluster.client(), "load")
    eventually(lambda: world.request("http://web/").ok)
    yield kubectl
    kubectl("delete", "namespace", "load", "--wait=false")


def kit(shop: Kubectl, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kitlib.cli.main", "load", "-n", "load", *arguments], env=shop.env,
                          capture_output=True, text=True, check=False, timeout=60)


def test_all_pods_of_a_service_answer(shop: Kubectl, tmp_path: Any) -> None:
    done = kit(shop, "http://web/", "--rps=100", "--seconds=1", "--json", "--svg", str(tmp_path / "load.svg"))
    found = json.loads(done.stdout)
    assert (done.returncode, found["sent"], found["lost"]) == (0, 100, 0)
    assert sum(found["who"].values()) == 100
    assert min(found["who"].values()) >= 40  # ten connections in turn, five to each; a late answer loses its turn
    assert found["versions"] == {"v1": 100}
    assert {moment["what"] for line in found["pods"] for moment in line["moments"]} == {"created", "ready", "endpoint"}
    assert ET.parse(tmp_path / "load.svg").getroot().tag.endswith("svg")


def test_lost_requests_are_exit_code_1_and_said_in_words(shop: Kubectl) -> None:
    done = kit(shop, "http://web/?status=503", "--rps=50", "--seconds=0.4")
    assert done.returncode == 1
    assert re.search(r"Lost\n +20  HTTP 503: the answer was an error", done.stdout)


def test_a_load_over_tls_believes_whom_it_is_told_to(shop: Kubectl, cluster: EmbeddedCluster) -> None:
    url, ca = "https://kubernetes.default.svc/healthz", str(cluster.directory.pki / "ca.crt")
    assert kit(shop, url, "--rps=20", "--seconds=0.5", "--cacert", ca).returncode == 0
    distrusted = json.loads(kit(shop, url, "--rps=20", "--seconds=0.5", "--json").stdout)
    assert distrusted["errors"] == {"certificate": 10}
    missing = kit(shop, url, "--cacert", "/nowhere")
    assert missing.returncode == 2
    assert "cannot be read as a certificate" in missing.stderr


@pytest.mark.parametrize(("url", "words"), [
    ("http://127.0.0.1/", "127.0.0.1 is no address of a Service, Pod or node of this cluster, and a load is sent to "
                          "nobody else."),
    ("http://nobody.load.svc/", "Could not resolve host: nobody.load.svc."), ("gopher://web/", "http or https")])
def test_a_load_is_for_what_is_the_clusters(shop: Kubectl, url: str, words: str) -> None:
    done = kit(shop, url)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_in_the_background_a_rollout_is_seen_beside_the_requests(shop: Kubectl,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    import kitlib

    monkeypatch.setenv("KUBECONFIG", str(shop.kubeconfig))
    old = {item["metadata"]["name"] for item in shop.get("pods", "-l", "app=web")["items"]}
    with kitlib.load("http://web/", rps=100, namespace="load") as running:
        shop("set", "image", "deployment/web", "main=kit/echo:v2")
        shop("rollout", "status", "deployment/web", "--timeout=60s")
        eventually(lambda: running.report().samples[-1].version == "v2")
    report = running.report()
    lives = {line["pod"]: {moment["what"]: moment["at"] for moment in line["moments"]} for line in report.pods}
    assert set(report.versions) == {"v1", "v2"}
    assert len(lives) == 4
    for pod in old:
        assert lives[pod]["terminating"] > 0
        assert lives[pod]["no-endpoint"] >= lives[pod]["terminating"] - 0.5
    for pod in set(lives) - old:
        assert lives[pod]["created"] <= lives[pod]["ready"]
        assert min(s.due for s in report.samples if s.pod == pod) >= lives[pod]["created"]
    assert "text/html" in report._repr_mimebundle_()
    assert not running.running


def test_in_a_notebook_there_is_progress_and_then_the_figure(shop: Kubectl, tmp_path: Path) -> None:
    source = 'import kitlib as kit\nkit.load("http://web/", rps=50, seconds=1.2, namespace="load")'
    cell = {"cell_type": "code", "id": "load", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
    path = tmp_path / "load.ipynb"
    files.write(path, {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    done = execute(path, env={"KUBECONFIG": str(shop.kubeconfig)})
    progress, figure = (output["data"] for output in done["cells"][0]["outputs"])
    assert re.fullmatch(r" +[01]\.\d s: \d+ sent, \d+ answered, 0 lost", progress["text/plain"])
    assert figure["text/html"].startswith("<svg")
    assert "60 sent, 60 answered, 0 lost" in figure["text/plain"]


def test_through_the_api_where_the_network_is_elsewhere(shop: Kubectl, cluster: EmbeddedCluster) -> None:
    client = cluster.client()
    network = Network(client, "load", through_api=True)
    report = Load(client, "http://web/", rps=50, seconds=1, connections=8, network=network).start().wait().report()
    assert (report.sent, report.lost) == (50, 0)
    assert "port-forward to a Pod of Service load/web" in str(report)
