"""A submission's container engine: the learner's kernel may speak to it, and to nothing else of it."""

from __future__ import annotations

import os
import shutil
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
