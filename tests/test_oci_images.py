"""An image that a real Docker Engine built runs in a Pod: layers by overlayfs, what its config says, pull policies."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import Kubectl, eventually, pod

from kitlib.cli.main import main
from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings

pytestmark = [pytest.mark.needs("oci", "docker", "busybox"), pytest.mark.timeout(120)]

DOCKERFILE = """FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /etc /data/old && mkdir -m 1777 /tmp && echo "app:x:1500:1501:app:/:/bin/sh" > /etc/passwd
RUN echo 1 > /data/old/file && echo 1 > /data/a
RUN rm -r /data/old && echo 2 > /data/a && echo 2 > /data/b
ENV GREETING=hello
WORKDIR /data
USER app
STOPSIGNAL SIGUSR1
ENTRYPOINT ["sh", "-c"]
CMD ["trap 'echo asked to stop; exit' USR1; id -u; id -g; pwd; echo $GREETING; cat *; while :; do sleep 0.1; done"]
"""
SAID = ["1500", "1501", "/data", "hello", "2", "2"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `docker save` wrote."""
    place = tmp_path_factory.mktemp("build")
    shutil.copy(shutil.which("busybox") or "", place / "busybox")
    (place / "Dockerfile").write_text(DOCKERFILE)
    name = f"kit/test-{os.getpid()}:v1"
    for command in (["build", "-q", "-t", name, str(place)], ["save", name, "-o", str(place / "app.tar")],
                    ["image", "rm", "-f", name]):
        done = subprocess.run(["docker", *command], env={**os.environ, "DOCKER_BUILDKIT": "0"}, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stderr
    return place / "app.tar"


@pytest.fixture(params=["oci", "process"])
def k(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: Path,
      kubectl_of: Callable[[EmbeddedCluster], Kubectl]) -> Iterator[Kubectl]:
    monkeypatch.setenv("KIT_HOME", str(tmp_path))
    assert main(["image", "load", str(saved), "--tag", "kit/app:v1"]) == 0
    cluster = EmbeddedCluster(ClusterDir("images", tmp_path))
    cluster.start(Settings(nodes=1, ephemeral=True, runtime=request.param))
    yield kubectl_of(cluster)
    cluster.delete()


def test_a_saved_image_runs_with_its_own_settings(k: Kubectl) -> None:
    app = {"name": "main", "image": "kit/app:v1", "imagePullPolicy": "Never"}
    k("create", "-f", "-", stdin=pod("app", app, restartPolicy="Never"))
    k("wait", "--for=condition=Ready", "pod/app", "--timeout=60s")
    eventually(lambda: k("logs", "app").split() == SAID)
    assert k("exec", "app", "--", "cat", "/etc/passwd").startswith("app:")
    assert "could not" not in k("exec", "app", "--", "sh", "-c", "echo mine > /tmp/x || echo could not")
    assert "kit/app:v1" in k("get", "node", "-o", "jsonpath={.items[*].status.images[*].names[*]}")
    image = k("get", "pod", "app", "-o", "jsonpath={.status.containerStatuses[0].imageID}")
    assert image.startswith("docker.io/kit/app@sha256:")
    k("delete", "pod", "app", "--wait=false")
    eventually(lambda: "asked to stop" in k.run("logs", "app").stdout or k.run("get", "pod", "app").returncode)


def test_two_containers_of_an_image_do_not_see_each_others_changes(k: Kubectl) -> None:
    for name in ("one", "two"):
        app = {"name": "main", "image": "kit/app:v1", "args": [f"echo {name} >> /data/a; cat /data/a; sleep 1000"],
               "securityContext": {"runAsUser": 0}}
        k("create", "-f", "-", stdin=pod(name, app))
    k("wait", "--for=condition=Ready", "pod/one", "pod/two", "--timeout=60s")
    eventually(lambda: k("logs", "one").split() == ["2", "one"])
    eventually(lambda: k("logs", "two").split() == ["2", "two"])
