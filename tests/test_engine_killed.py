"""The embedded engine may be killed: its containers run on and are its successor's; `kit engine down` leaves nothing.

And what no other engine has: a way out of the bridges that touches nothing of the host, and a runtime that it names.
"""

from __future__ import annotations

import http.server
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_support import BASE, FOREVER, Engine
from support import eventually

from kitlib.cluster.dockerengine import EmbeddedEngine
from kitlib.engine.networks.outside import host_address
from kitlib.runtime.oci.bridges import rules

pytestmark = [pytest.mark.needs("docker-cli", "busybox"), pytest.mark.timeout(120)]


class Machine:
    """One engine after another in the same home."""

    def __init__(self, home: Path, archive: Path) -> None:
        self.embedded, self._config = EmbeddedEngine(home), home / "docker-config"
        self.engine = self.up()
        self.engine("load", "-i", str(archive))

    def up(self) -> Engine:
        self.engine = Engine("embedded", self.embedded.start()[0].host, self._config)
        return self.engine

    def kill(self) -> None:
        pid = int(self.embedded.directory.pid.read_text())
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.embedded.directory.is_running())


@pytest.fixture
def machine(tmp_path: Path, base_archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("KIT_HOME", str(tmp_path))
    made = Machine(tmp_path, base_archive)
    try:
        yield made
    finally:
        made.engine.close()
        made.embedded.stop()


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_containers_of_a_killed_engine_run_on_and_are_its_successors(machine: Machine) -> None:
    engine = machine.engine
    engine("network", "create", "net")
    serve = "mkdir /w; echo page > /w/index.html; echo ready; exec httpd -f -p 80 -h /w"
    engine("run", "-d", "--name", "web", "--network", "net", "-p", "127.0.0.1:0:80", BASE, "sh", "-c", serve)
    engine("run", "-di", "--name", "other", "--network", "net", BASE, *FOREVER)
    engine("run", "-d", "--name", "short", BASE, "sh", "-c", "while ! [ -e /end ]; do sleep 0.05; done; exit 7")
    eventually(lambda: engine("logs", "web") == "ready")
    pid, port = engine.inspect("web")["State"]["Pid"], engine("port", "web", "80").rpartition(":")[2]
    machine.kill()
    assert _alive(pid)

    engine = machine.up()
    assert sorted(engine("ps", "--format", "{{.Names}}").split()) == ["other", "short", "web"]
    assert engine.inspect("web")["State"]["Pid"] == pid
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
        assert page.read() == b"page\n"
    assert engine("exec", "other", "wget", "-qO-", "http://web/", timeout=20) == "page"
    assert engine("logs", "web") == "ready"
    engine("exec", "short", "touch", "/end")
    assert engine("wait", "short") == "7"
    engine("rm", "-f", "web", "other", "short")
    assert not _alive(pid)
    assert "net" in engine("network", "rm", "net")


def test_what_ended_while_nobody_looked_is_known(machine: Machine) -> None:
    engine = machine.engine
    waits = "while ! [ -e /end ]; do sleep 0.05; done; echo last; exit 5"
    engine("run", "-d", "--name", "one", BASE, "sh", "-c", waits)
    pid = engine.inspect("one")["State"]["Pid"]
    place = machine.embedded.directory.path / "containers" / engine.inspect("one")["Id"]
    machine.kill()
    Path(f"/proc/{pid}/root/end").touch()
    eventually(lambda: not _alive(pid))
    eventually(lambda: "last" in next(place.glob("*-json.log")).read_text())
    engine = machine.up()
    assert engine.inspect("one")["State"]["ExitCode"] == 5
    assert engine.inspect("one")["State"]["Status"] == "exited"
    assert engine("logs", "one") == "last"


def test_nothing_is_left_running_when_the_engine_goes_down(machine: Machine) -> None:
    engine = machine.engine
    engine("run", "-d", "--name", "always", "--restart", "always", BASE, *FOREVER)
    engine("run", "-d", "--name", "once", BASE, *FOREVER)
    pids = [engine.inspect(name)["State"]["Pid"] for name in ("always", "once")]
    machine.kill()
    assert machine.embedded.stop(), "what a killed engine has left is stopped, too"
    eventually(lambda: not any(map(_alive, pids)))
    assert not (machine.embedded.directory.run / "runtime.sock").exists()

    engine = machine.up()
    eventually(lambda: engine("ps", "--format", "{{.Names}}") == "always")
    assert engine.inspect("once")["State"]["Status"] == "exited"
    pid = engine.inspect("always")["State"]["Pid"]
    assert machine.embedded.stop()
    eventually(lambda: not _alive(pid))


def test_what_this_machine_cannot_do_is_said(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.embedded.stop()
    monkeypatch.setenv("KIT_ENGINE_RUNTIME", "process")
    engine = machine.up()
    done = engine.docker("run", "--rm", "--memory", "64m", "--cpus", "0.5", BASE, "echo", "runs")
    assert (done.code, done.out) == (0, "runs\n")
    assert "does not support memory limit" in done.err
    assert "CPU CFS scheduler" in done.err
    assert engine("info", "--format", "{{.DefaultRuntime}}") == "process"


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the host")

    def log_message(self, *_: object) -> None:
        """Nobody wants to know."""


@pytest.fixture
def host_port() -> Iterator[int]:
    """A web server on the host."""
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.needs("oci")
def test_containers_reach_the_host_and_what_the_host_reaches(machine: Machine, host_port: int) -> None:
    engine = machine.engine
    gateway = engine("run", "--rm", "--add-host", "host:host-gateway", BASE, "wget", "-qO-", f"http://host:{host_port}/")
    assert gateway == "the host"
    address = f"http://{host_address()}:{host_port}/"
    assert engine("run", "--rm", BASE, "wget", "-qO-", address) == "the host"
    engine("network", "create", "--internal", "inside")
    done = engine.docker("run", "--rm", "--network", "inside", BASE, "wget", "-qO-", address)
    assert done.code == 1
    assert "unreachable" in done.err


def test_networks_are_apart() -> None:
    two = {"br-a": {"gateway": "172.18.0.1", "prefix": 16, "internal": False, "isolated": False},
           "br-b": {"gateway": "172.19.0.1", "prefix": 16, "internal": True, "isolated": True}}
    closed, opened = rules(two, (0, 0)), rules(two, (1000, 2000))
    assert "policy drop" in closed
    assert "redirect" not in closed
    assert opened.index('iifname "br-b" return') < opened.index("redirect to :1000")
    assert 'meta ibrname "br-b" drop' in opened
    assert 'meta ibrname "br-a" drop' not in opened
