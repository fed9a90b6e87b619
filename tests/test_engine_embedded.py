"""What only the embedded engine has to prove: it is found, shares its images with nodes, and needs no privileges."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import unprivileged
from image_files import layer
from support import Kubectl, eventually, pod

import kitlib as kit
from kitlib.cli.main import main
from kitlib.cluster.dockerengine import REAL_SOCKET, EmbeddedEngine, ask, choose
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.errors import KitError, UsageError
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings
from kitlib.images import base
from kitlib.images.build.isolation import strongest
from kitlib.images.store import default_store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("KIT_HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("DOCKER_BUILDKIT", "")  # and nothing of what a test sets is left afterwards
    monkeypatch.delenv("KUBECONFIG", raising=False)
    yield tmp_path
    EmbeddedEngine().stop()


def test_kit_engine_up_status_down(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env"]) == 3  # neither cluster nor engine
    assert main(["engine", "up", "--json"]) == 0
    up = json.loads(capsys.readouterr().out)
    assert (up["kind"], up["host"].startswith("unix://")) == ("embedded", True)
    assert main(["engine", "up"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"The embedded engine is up already: {up['version']}",
                                                    f"export DOCKER_HOST={up['host']}"]
    assert main(["env"]) == 0
    assert capsys.readouterr().out == f"export DOCKER_HOST={up['host']}\nexport DOCKER_BUILDKIT=0\n"
    assert main(["engine", "status", "--json"]) == 0
    assert {"kind": "embedded", "version": up["version"], "host": up["host"]} in json.loads(capsys.readouterr().out)
    assert main(["engine", "down"]) == 0
    assert main(["engine", "down"]) == 0
    assert capsys.readouterr().out == "The embedded engine is stopped.\nThe embedded engine was not running.\n"
    assert main(["engine", "status"]) == 3


def test_a_notebook_gets_an_engine_without_asking(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_ENGINE", "embedded")
    assert choose(start=False) is None
    found = kit.engine()
    assert (found.kind, os.environ["DOCKER_HOST"]) == ("embedded", found.host)
    assert docker.from_env().ping()
    assert kit.engine() == found
    monkeypatch.delenv("KIT_ENGINE")
    assert kit.engine() == found  # DOCKER_HOST says so
    monkeypatch.setenv("DOCKER_HOST", "tcp://far.away:2375")
    assert choose() is not None
    assert choose().host == "tcp://far.away:2375"  # type: ignore[union-attr]
    monkeypatch.setenv("KIT_ENGINE", "other")
    with pytest.raises(UsageError, match="real or embedded"):
        choose()


@pytest.mark.needs("docker")
def test_a_real_engine_is_taken_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = kit.engine()
    assert (real.kind, real.host) == ("real", REAL_SOCKET)
    assert EmbeddedEngine().endpoint() is None


def test_where_a_real_one_is_wanted_none_is_invented(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_ENGINE", "real")
    monkeypatch.setattr("kitlib.cluster.dockerengine.REAL_SOCKET", "unix:///nowhere/either.sock")
    with pytest.raises(KitError, match="no real Docker Engine"):
        choose()


@pytest.mark.needs("busybox")
def test_an_image_that_docker_built_runs_in_a_pod(home: Path, kubectl_of: Callable[[EmbeddedCluster], Kubectl]) -> None:
    """One store for the engine and the nodes."""
    found, _ = EmbeddedEngine().start()
    base.busybox(default_store())
    client = docker.DockerClient(base_url=found.host, version="auto")
    context = layer(("Dockerfile", b"FROM busybox\nRUN echo from a layer > /said; echo not read yet > /other\n"
                                   b"ENV WHO=docker\n"
                                   b'CMD ["sh", "-c", "cat /said; echo by $WHO; exec sleep 1000"]\n'))
    image, _log = client.images.build(fileobj=io.BytesIO(context), custom_context=True, tag="kit/built:v1")
    cluster = EmbeddedCluster(ClusterDir("built"))
    try:
        cluster.start(Settings(nodes=1, ephemeral=True))
        k = kubectl_of(cluster)
        k("create", "-f", "-", stdin=pod("app", {"name": "main", "image": "kit/built:v1"}))
        eventually(lambda: k.run("logs", "app").stdout.split("\n")[:2] == ["from a layer", "by docker"])
        assert image.id in {each.id for each in client.images.list()}
        client.images.remove("kit/built:v1")  # the Pod stands on its layers, and goes on
        assert k("exec", "app", "--", "cat", "/other") == "not read yet\n"
    finally:
        cluster.delete()
        client.close()


@pytest.mark.needs("busybox")
def test_what_was_acknowledged_is_there_after_a_kill(home: Path) -> None:
    engine = EmbeddedEngine()
    found, _ = engine.start()
    base.busybox(default_store())
    client = docker.DockerClient(base_url=found.host, version="auto")
    context = layer(("Dockerfile", b"FROM busybox\nENV A=1\nENV B=2\n"))
    image, _log = client.images.build(fileobj=io.BytesIO(context), custom_context=True, tag="kit/kept:v1")
    before = (image.history(), image.attrs)
    os.kill(engine.directory.read_state()["pid"], 9)
    eventually(lambda: not engine.running)
    (home / "engine/tmp/body-half").write_text("what was just arriving")
    engine.start()
    assert not (home / "engine/tmp").exists()
    again = client.images.get("kit/kept:v1")
    assert (again.history(), again.attrs) == before
    assert again.attrs["Parent"].startswith("sha256:")
    client.close()


@pytest.mark.needs("docker", "busybox", "proot")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("place", "isolation"), [("binder", "proot"), ("laptop", "overlay")])
def test_it_works_without_privileges(place: str, isolation: str) -> None:
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "--timeout", "120",
               "tests/inside_engine.py"]
    done = unprivileged.run(place, ["env", f"WANTED={isolation}", *program])
    assert done.returncode == 0, done.stdout[-5000:]
    assert "4 passed" in done.stdout


@pytest.mark.needs("busybox")
def test_run_has_no_network_if_none_is_wanted(home: Path) -> None:
    """--network none; and what only a real engine has gets a sentence."""
    found, _ = EmbeddedEngine().start()
    base.busybox(default_store())
    client = docker.DockerClient(base_url=found.host, version="auto")
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    text = f"FROM busybox\nRUN nc -w 3 127.0.0.1 {port} </dev/null && echo yes > /said || echo no > /said\n"
    context = layer(("Dockerfile", text.encode()))

    def said(**settings: Any) -> bytes:
        image, _log = client.images.build(fileobj=io.BytesIO(context), custom_context=True, nocache=True, **settings)
        with tarfile.open(fileobj=io.BytesIO(b"".join(image.save()))) as tar:
            layers = json.load(tar.extractfile("manifest.json") or io.BytesIO())[0]["Layers"]
            with tarfile.open(fileobj=tar.extractfile(layers[-1])) as files:
                return (files.extractfile("said") or io.BytesIO()).read()

    def answer() -> None:
        listening.accept()[0].close()

    with listening:
        threading.Thread(target=answer, daemon=True).start()
        if strongest() == "overlay":
            assert said(network_mode="none") == b"no\n"
        assert said() == b"yes\n"
    with pytest.raises(docker.errors.APIError, match="the embedded engine has no hosts of their own in builds"):
        said(extra_hosts={"a": "127.0.0.1"})
    with pytest.raises(docker.errors.APIError, match="BuildKit's protocol"):
        client.api._raise_for_status(client.api._post(client.api._url("/build"), params={"version": "2"}))
    client.close()


def test_what_answers_is_asked_not_believed(tmp_path: Path) -> None:
    (tmp_path / "docker.sock").write_text("no socket at all")
    assert ask(f"unix://{tmp_path}/docker.sock") is None
