"""The two engines of the suite, each started, filled with one base image, and left as it was found.

    real        the Docker Engine of this machine (tests/needs.py sees to one)
    embedded    `kit engine up`, in a home of its own
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_support import BASE, Engine

from kitlib.images import archive, base
from kitlib.images.store import ImageStore

BOTH = [pytest.param("real", marks=pytest.mark.needs("docker", "busybox"))]


@pytest.fixture(scope="session")
def base_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small image with a shell, as `docker load` takes it."""
    place = tmp_path_factory.mktemp("engines")
    store = ImageStore(place / "store")
    image = base.busybox(store, f"docker.io/{BASE}:latest")
    with open(place / "base.tar", "wb") as file:
        archive.save(store, [image], file)
    return place / "base.tar"


@pytest.fixture(scope="session", params=BOTH)
def engine_of_session(request: pytest.FixtureRequest, base_archive: Path,
                      tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    config = tmp_path_factory.mktemp("docker-config")
    engine = Engine("real", "unix:///var/run/docker.sock", config)
    engine("load", "-i", str(base_archive))
    yield engine
    engine.clean()
    engine.sdk.close()


@pytest.fixture
def engine(engine_of_session: Engine, request: pytest.FixtureRequest) -> Engine:
    engine_of_session.test = request.node.nodeid.partition("[")[0].rpartition("/")[2]
    return engine_of_session
