"""The embedded engine where nobody has any privilege: run by test_engine_embedded.py in a place of unprivileged.py."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
from image_files import layer
from support import eventually

from kitlib.cluster.dockerengine import EmbeddedEngine
from kitlib.images.build.isolation import strongest

DOCKERFILE = b"""FROM busybox
RUN mkdir /made && echo built by $(id -u) > /made/it && rm /etc/group
COPY hello /made/
CMD ["cat", "/made/it"]
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[docker.DockerClient]:
    engine = EmbeddedEngine(tmp_path_factory.mktemp("kit"))
    found, _ = engine.start()
    client = docker.DockerClient(base_url=found.host, version="auto")
    yield client
    client.close()
    engine.stop()


def test_an_image_is_built_with_run(client: docker.DockerClient) -> None:
    assert os.geteuid() == 65534
    assert strongest() == os.environ["WANTED"]
    client.images.pull("busybox", tag="latest")  # no registry can be reached, so it is made here
    context = layer(("Dockerfile", DOCKERFILE), ("hello", b"world\n"))
    image, log = client.images.build(fileobj=io.BytesIO(context), custom_context=True, tag="kit/app:v1")
    said = [line.get("stream", "") for line in log]
    assert "Step 2/4 : RUN mkdir /made && echo built by $(id -u) > /made/it && rm /etc/group" in said
    sizes = [line["Size"] for line in image.history()]
    assert sizes[:3] == [0, 6, 11], image.history()
    assert client.images.get("kit/app:v1").attrs["Config"]["Cmd"] == ["cat", "/made/it"]


def test_a_step_that_fails_says_so(client: docker.DockerClient) -> None:
    context = layer(("Dockerfile", b"FROM busybox\nRUN exit 7\n"))
    with pytest.raises(docker.errors.BuildError, match="returned a non-zero code: 7"):
        client.images.build(fileobj=io.BytesIO(context), custom_context=True)


def test_images_are_saved_and_loaded(client: docker.DockerClient, tmp_path: Path) -> None:
    image = client.images.get("kit/app:v1")
    archive = b"".join(image.save(named=True))
    client.images.remove("kit/app:v1")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("kit/app:v1")
    assert [each.id for each in client.images.load(archive)] == [image.id]


def test_what_was_built_runs(client: docker.DockerClient) -> None:
    assert client.containers.run("kit/app:v1", remove=True) == b"built by 0\n"
    one = client.containers.run("kit/app:v1", ["sh", "-c", "echo mine > /made/it; exec sleep 1000"], detach=True)
    try:
        look = ["sh", "-c", "cat /made/it /made/hello; exit 3"]
        eventually(lambda: one.exec_run(look) == (3, b"mine\nworld\n"))  # once its shell has come to it
        assert {"Path": "/made/it", "Kind": 0} in one.diff()
        image = one.commit("kit/app", tag="v2")
        assert client.containers.run(image.id, ["cat", "/made/it"], remove=True) == b"mine\n"
        assert client.containers.run("kit/app:v1", remove=True) == b"built by 0\n"
    finally:
        one.remove(force=True)
