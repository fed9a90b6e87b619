"""A submission's container engine: the learner's kernel may speak to it, and to nothing else of it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from docker import DockerClient

from kitlib.book.engine import base_image
from kitlib.cluster.dockerengine import ask
from kitlib.grading import confine
from kitlib.grading.engine import GradedEngine


@pytest.fixture
def work():
    place = Path(tempfile.mkdtemp(prefix="kit-grade-"))  # sockets want a short path
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.mark.needs("confinement", "busybox")
@pytest.mark.timeout(90)
def test_the_engine_is_reached_from_a_confined_kernel_and_ends_with_its_grading(work, monkeypatch):
    desk, own, secret = work / "desk", work / "engine", work / "solutions"
    for place in (desk, own, secret):
        place.mkdir()
    (secret / "answer").write_text("42")
    engine = GradedEngine(own, [secret], 60)
    host = engine.start()
    try:
        found = ask(host)
        assert found is not None
        assert found.kind == "embedded"
        program = ("import os, sys; from kitlib.cluster.dockerengine import ask; print(ask(sys.argv[1]).kind); "
                   "print(os.access(os.path.dirname(sys.argv[1][7:]) + '/run', os.R_OK))")
        argv = confine.command(confine.strongest(), [sys.executable, "-c", program, host], work=desk, hide=[secret],
                               seconds=30, sockets=[engine.socket])
        env = {"PATH": os.environ["PATH"], "HOME": str(desk), "TMPDIR": str(desk)}
        said = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert said.stdout.split() == ["embedded", "False"], said.stderr
        monkeypatch.setenv("DOCKER_HOST", host)
        base_image("busybox")
        client = DockerClient(host)
        shown = client.containers.run("busybox", ["sh", "-c", "ls /host/*; touch /host/own/mine; ls /host/own"],
                                      volumes=[f"{secret}:/host/solutions", f"{own}:/host/own"], remove=True)
        client.close()
        assert b"answer" not in shown, "containers are confined with their engine"
        assert b"mine" in shown
    finally:
        engine.stop()
    assert ask(host) is None
    assert not own.exists()


@pytest.mark.needs("confinement")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("where", ["/run", "/var/tmp"])
def test_sockets_of_the_machines_services_are_out_of_reach(work, monkeypatch, where):
    """Docker's, above all: as nobody in a user namespace of root's one still is root to it."""
    if where == "/run" and not os.access(where, os.W_OK):
        pytest.skip("only root can put a socket there")
    place = Path(tempfile.mkdtemp(prefix="kit-grade-", dir=where))
    try:
        with socket.socket(socket.AF_UNIX) as service:
            service.bind(str(place / "docker.sock"))
            service.listen()
            monkeypatch.setenv("DOCKER_HOST", f"unix://{place}/docker.sock")
            program = f"import socket; socket.socket(socket.AF_UNIX).connect({str(place / 'docker.sock')!r})"
            assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
            place.chmod(0o700)  # where another user is all there is
            argv = confine.command(confine.strongest(), [sys.executable, "-c", program], work=work, hide=[], seconds=30)
            env = {"PATH": os.environ["PATH"], "HOME": str(work)}
            said = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)
            assert said.returncode == 1
            assert re.search("FileNotFoundError|PermissionError|ConnectionRefusedError", said.stderr), said.stderr
    finally:
        shutil.rmtree(place)
