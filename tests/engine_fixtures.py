"""The two engines of the suite, each started, filled with one base image, and left as it was found.

    real        the Docker Engine of this machine (tests/needs.py sees to one)
    embedded    `kit engine up`, in a home of its own; it ends with this process, whatever happens to that
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_support import BASE, Engine

from kitlib.images import archive, base
from kitlib.images.store import ImageStore

REAL = "unix:///var/run/docker.sock"
PARAMETERS = [pytest.param("real", marks=pytest.mark.needs("docker", "busybox")),
              pytest.param("embedded", marks=pytest.mark.needs("docker-cli", "busybox"))]


@pytest.fixture(scope="session")
def base_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small image with a shell, as `docker load` takes it."""
    place = tmp_path_factory.mktemp("engines")
    store = ImageStore(place / "store")
    image = base.busybox(store, f"docker.io/{BASE}:latest")
    with open(place / "base.tar", "wb") as file:
        archive.save(store, [image], file)
    return place / "base.tar"


@pytest.fixture(scope="session", params=PARAMETERS)
def engine_of_session(request: pytest.FixtureRequest, base_archive: Path,
                      tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    process = None
    host = REAL
    if request.param == "embedded":
        home = tmp_path_factory.mktemp("kit")
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "kitlib.cli.main", "engine", "up", "--foreground"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "KIT_HOME": str(home)})
        assert process.stdout is not None
        host = process.stdout.readline().strip().removeprefix("export DOCKER_HOST=")
    engine = Engine(request.param, host, tmp_path_factory.mktemp("docker-config"))
    try:
        engine("load", "-i", str(base_archive))
        yield engine
        engine.clean()
    finally:
        engine.close()
        if process is not None:
            process.terminate()
            process.wait(30)


@pytest.fixture
def engine(engine_of_session: Engine, request: pytest.FixtureRequest) -> Engine:
    engine_of_session.test = request.node.nodeid.rpartition("/tests/")[2].replace(f"[{engine_of_session.name}", "[")
    return engine_of_session
