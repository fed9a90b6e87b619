"""An engine as a whole: ping, version, info, disk usage, versions of the API, and requests that are none."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import pytest
from engine_support import BASE, OURS, PREFIX, Engine


class Raw(http.client.HTTPConnection):
    """HTTP to the engine's socket, without a client's manners."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("docker")
        self._path = engine.host.removeprefix("unix://")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str
            ) -> tuple[int, dict[str, str], bytes]:
        self.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = self.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def message(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        status, _, data = self.ask(method, path, body, **headers)
        return status, json.loads(data)["message"]


BAD = (400, 500)  # until Docker 20.10 what is no JSON was the engine's own fault: 500


@pytest.fixture
def raw(engine: Engine) -> Raw:
    return Raw(engine)


def test_ping(engine: Engine, raw: Raw) -> None:
    assert engine.sdk.ping() is True
    status, headers, body = raw.ask("GET", "/_ping")
    assert (status, body) == (200, b"OK")
    assert headers["ostype"] == "linux"
    assert float(headers["api-version"]) >= 1.41
    assert headers["docker-experimental"] == "false"
    status, headers, body = raw.ask("HEAD", "/_ping")
    assert (status, body, headers["ostype"]) == (200, b"", "linux")


def test_version(engine: Engine) -> None:
    found = engine.sdk.version()
    assert (found["Os"], found["Arch"]) == ("linux", "amd64")
    assert float(found["MinAPIVersion"]) <= float(found["ApiVersion"])
    assert found["Components"][0]["Name"]
    assert {"Platform", "Version", "GitCommit", "KernelVersion", "BuildTime"} <= set(found)
    out = engine("version", "--format", "{{.Server.Version}} {{.Server.Os}}/{{.Server.Arch}}")
    assert out == f"{found['Version']} linux/amd64"


def test_info(engine: Engine) -> None:
    found = engine.sdk.info()
    assert found["NCPU"] > 0
    assert found["MemTotal"] > 1 << 28
    assert found["OSType"] == "linux"
    assert found["Containers"] == found["ContainersRunning"] + found["ContainersPaused"] + found["ContainersStopped"]
    assert found["Images"] >= 1
    wanted = {"ID", "Driver", "DriverStatus", "Plugins", "MemoryLimit", "LoggingDriver", "CgroupDriver",
              "CgroupVersion", "KernelVersion", "OperatingSystem", "Architecture", "IndexServerAddress",
              "RegistryConfig", "DockerRootDir", "Name", "Labels", "ServerVersion", "Runtimes", "DefaultRuntime",
              "Swarm", "SecurityOptions", "Warnings"}
    assert wanted <= set(found)
    lines = engine("info").splitlines()
    assert "Server:" in lines
    assert any(line.strip().startswith("Storage Driver: ") for line in lines)


def test_disk_usage(engine: Engine) -> None:
    one = engine.sdk.containers.create(BASE, ["true"], labels=OURS)
    found = engine.sdk.df()
    assert {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"} <= set(found)
    assert any(f"{BASE}:latest" in (image["RepoTags"] or ()) for image in found["Images"])
    assert any(each["Id"] == one.id for each in found["Containers"])
    one.remove()
    rows = [line.split("  ")[0] for line in engine("system", "df").splitlines()]
    assert rows == ["TYPE", "Images", "Containers", "Local Volumes", "Build Cache"]


def test_versions_of_the_api(engine: Engine, raw: Raw) -> None:
    for version in ("", "/v1.25", "/v1.41"):
        assert raw.ask("GET", f"{version}/version")[0] == 200
    status, message = raw.message("GET", "/v9.99/version")
    newest = engine.sdk.version()["ApiVersion"]
    assert (status, message) == (400, f"client version 9.99 is too new. Maximum supported API version is {newest}")
    status, _, body = raw.ask("GET", "/v1.1/version")  # old clients were told in plain text
    assert status == 400
    assert b"client version 1.1 is too old. Minimum supported API version is " in body


@pytest.mark.parametrize(("method", "path", "body", "status", "message"), [
    ("GET", "/nothing/like/this", None, 404, "page not found"),
    ("GET", "/v1.41/nothing", None, 404, "page not found"),
    ("GET", "/containers/no-such/json", None, 404, "No such container: no-such"),
    ("POST", "/containers/no-such/start", None, 404, "No such container: no-such"),
    ("DELETE", "/containers/no-such", None, 404, "No such container: no-such"),
    ("GET", "/images/no-such/json", None, 404, "No such image: no-such"),
    ("GET", "/images/no-such/history", None, 404, "No such image: no-such:latest"),
    ("DELETE", "/images/no-such", None, 404, "No such image: no-such:latest"),
    ("GET", "/networks/no-such", None, 404, "network no-such not found"),
    ("GET", "/exec/no-such/json", None, 404, "No such exec instance: no-such"),
    ("GET", "/containers/json?filters=%7B", None, BAD, ""),
    ("GET", "/containers/json?filters=%7B%22odd%22%3A%5B%22x%22%5D%7D", None, 400, "nvalid filter"),
    ("POST", "/containers/create", b"{", BAD, ""),
    ("POST", "/containers/create", b'{"Image": 7}', BAD, ""),
    ("POST", "/containers/create", b"{}", 400, ""),
    ("POST", "/volumes/create", b'{"Name": "../up"}', 400, "")])
def test_what_is_not_there_or_no_request(engine: Engine, raw: Raw, method: str, path: str, body: bytes | None,
                                         status: int | tuple[int, ...], message: str) -> None:
    found, said = raw.message(method, path, body, Content_Type="application/json")
    assert found in (status if isinstance(status, tuple) else (status,)), said
    assert message in said
    assert "Traceback" not in said
    assert raw.ask("GET", "/_ping")[2] == b"OK"  # the connection goes on


def test_a_body_that_is_not_json_is_refused(engine: Engine, raw: Raw) -> None:
    status, _ = raw.message("POST", "/containers/create", b"Image=x", Content_Type="text/plain")
    assert status in (400, 415)  # 400 in the real engine until 20.10


def test_names_that_would_leave_the_engines_place(engine: Engine, raw: Raw) -> None:
    for name in ("..%2F..%2Fetc", "a%2Fb", "-x"):
        body = json.dumps({"Image": BASE}).encode()
        status, message = raw.message("POST", f"/containers/create?name={name}", body, Content_Type="application/json")
        assert (status, "Invalid container name" in message) == (400, True), message


def test_the_engine_is_told_from_a_broken_one(engine: Engine) -> None:
    """The CLI's own words: they are what a learner sees."""
    done = Engine.docker(engine, "-H", "unix:///nowhere/docker.sock", "ps")
    assert done.code == 1
    assert "Is the docker daemon running?" in done.err


def test_answers_that_are_lists_have_the_same_fields(engine: Engine) -> None:
    def fields(path: str, key: str = "", **query: str) -> list[str]:
        status, answer = engine.api("GET", path, **query)
        assert status == 200
        listed: list[Any] = answer[key] if key else answer
        mine = [each for each in listed if PREFIX in json.dumps(each)]
        return sorted(mine[0])

    engine.sdk.volumes.create(f"{PREFIX}-fields")
    engine.sdk.networks.create(f"{PREFIX}-fields")
    engine.agree("images", fields("/images/json"))
    engine.agree("volumes", fields("/volumes", "Volumes"))
    engine.agree("networks", fields("/networks"))
    engine("network", "rm", f"{PREFIX}-fields")
    engine("volume", "rm", f"{PREFIX}-fields")
