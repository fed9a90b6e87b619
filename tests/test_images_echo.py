"""kit/echo: what it says of itself, and every way in which it can be told to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process_pods import Pods, http_get, run
from support import eventually

from kitlib.images.catalog import ImageCatalog


class Echo:
    """The program beside the test, as its container starts it, and a client."""

    def __init__(self, directory: Path, **environment: str) -> None:
        for path, text in ImageCatalog().pull("kit/echo", str(directory)).files.items():
            (directory / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (directory / path[1:]).write_text(text)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = directory / "log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-ISu", str(directory / "app/echo")], stdout=output, stderr=subprocess.STDOUT,
                env={"HOSTNAME": "web-1", "POD_IP": "127.0.0.1", "PORT": str(self.port), **environment})

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def wait(self) -> Echo:
        eventually(lambda: "listens" in self.log.read_text())
        return self

    def get(self, path: str = "/", method: str = "GET", body: Any = None, headers: dict[str, str] | None = None,
            chunked: bool = False) -> tuple[int, str]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body, headers or {}, encode_chunked=chunked)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def json(self, path: str = "/?format=json", **more: Any) -> dict[str, Any]:
        return json.loads(self.get(path, **more)[1])


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Echo]:
    with Echo(tmp_path) as running:
        yield running.wait()


def test_json_tells_everything_about_the_request(echo: Echo) -> None:
    found = echo.json("/a%20path?x=1&y=%C3%A9+z", headers={"Accept": "application/json", "X-Colour": "blue"})
    assert (found["pod"], found["method"], found["path"]) == ("web-1", "GET", "/a%20path")
    assert found["query"] == {"x": "1", "y": "é z"}
    assert found["headers"]["X-Colour"] == "blue"
    assert (found["ip"], found["client"]) == ("127.0.0.1", "127.0.0.1")
    assert echo.json(method="POST", body="hello")["body"] == "hello"
    chunked = {"Transfer-Encoding": "chunked"}
    assert echo.json(method="PUT", body=iter([b"in ", b"pieces"]), headers=chunked, chunked=True)["body"] == "in pieces"


def test_a_request_can_wish_for_a_status_a_delay_a_size(echo: Echo) -> None:
    assert echo.get("/?status=503")[0] == 503
    begun = time.monotonic()
    assert echo.get("/?delay=300ms&status=201") == (201, "web-1\nGET /?delay=300ms&status=201\n")
    assert time.monotonic() - begun >= 0.3
    assert len(echo.get("/?size=64Ki")[1]) == 64 * 1024
    assert echo.get("/?delay=soon") == (400, "delay=soon is no duration (write 0.5, 200ms or 3s)\n")


def test_a_slow_answer_holds_up_nobody_else_but_what_was_asked_behind_it(echo: Echo) -> None:
    with socket.create_connection(("127.0.0.1", echo.port), 10) as slow:
        slow.sendall(b"GET /1?delay=1s HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nConnection: close\r\n\r\n")
        begun = time.monotonic()
        assert echo.get("/other")[0] == 200
        assert time.monotonic() - begun < 0.9
        received = slow.makefile().read()
    assert received.index("GET /1") < received.index("GET /2")


def test_health_and_readiness_are_switched_by_requests(echo: Echo) -> None:
    assert echo.get("/readyz") == (200, "ok\n")
    assert echo.get("/?ready=false")[0] == 200
    assert echo.get("/readyz") == (503, "not ready: a request said ready=false\n")
    assert echo.get("/healthz") == (200, "ok\n")
    assert echo.get("/?ready=true&healthy=false")[0] == 200
    assert echo.get("/readyz")[0] == 200
    assert echo.get("/healthz") == (503, "not healthy: a request said healthy=false\n")


def test_it_leaks_and_computes_and_ends_when_told_to(echo: Echo) -> None:
    def resident() -> int:
        status = Path(f"/proc/{echo.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    before = resident()
    assert before < 20 << 20
    echo.get("/?leak=30Mi")
    assert 29 << 20 < resident() - before < 34 << 20
    begun = time.monotonic()
    echo.get("/?cpu=200ms")
    assert time.monotonic() - begun >= 0.2
    assert echo.get("/?exit=7")[0] == 200
    assert echo.process.wait(10) == 7


def test_every_request_leaves_one_line_in_the_log(echo: Echo) -> None:
    echo.get("/first")
    echo.get("/second?status=500", method="POST", body="x")
    lines = echo.log.read_text().splitlines()
    assert lines[0] == f"web-1 listens on port {echo.port}"
    assert re.fullmatch(r"GET /first 200 \d+\.\dms from 127\.0\.0\.1", lines[1])
    assert re.fullmatch(r"POST /second\?status=500 500 \d+\.\dms from 127\.0\.0\.1", lines[2])


def test_the_environment_makes_it_fail_and_slow_and_version_three(tmp_path: Path) -> None:
    with Echo(tmp_path, VERSION="v3", ERROR_RATE="0.25", ERROR_STATUS="502", DELAY="50ms", LEAK="1Mi") as echo:
        echo.wait()
        begun = time.monotonic()
        statuses = [echo.get("/", headers={"Accept": "text/plain"})[0] for _ in range(8)]
        assert statuses == [200, 200, 200, 502, 200, 200, 200, 502]
        assert time.monotonic() - begun >= 8 * 0.05
        assert echo.get()[1] == "web-1\nGET /\nversion v3\n"
        assert echo.json()["version"] == "v3"
        begun = time.monotonic()
        assert [echo.get("/healthz")[0] for _ in range(8)] == [200] * 8
        assert time.monotonic() - begun < 8 * 0.05


def test_it_starts_late_gets_ready_later_and_ill_at_last(tmp_path: Path) -> None:
    with Echo(tmp_path, START_DELAY="300ms", READY_AFTER="600ms", HEALTHY_FOR="900ms") as echo:
        begun = time.monotonic()
        with pytest.raises(OSError, match="refused"):
            echo.get()
        echo.wait()
        assert time.monotonic() - begun >= 0.3
        assert echo.get("/readyz") == (503, "not ready: READY_AFTER has not passed\n")
        eventually(lambda: echo.get("/readyz")[0] == 200)
        assert time.monotonic() - begun >= 0.5
        eventually(lambda: echo.get("/healthz") == (503, "not healthy: HEALTHY_FOR has passed\n"))
        assert echo.get("/")[0] == 200


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("DELAY", "soon", "DELAY=soon is no duration (write 0.5, 200ms or 3s)"),
    ("ERROR_RATE", "2", "ERROR_RATE=2 is no number from 0 to 1"),
    ("PORT", "http", "PORT=http is no number from 1 to 65535"),
    ("ON_SIGTERM", "die", "ON_SIGTERM=die is none of drain, abrupt, ignore"),
    ("LEAK", "5Pi", "LEAK=5Pi is no size (write 4096, 64Ki or 10Mi)"),
])  # fmt: skip
def test_a_setting_that_makes_no_sense_gets_one_sentence(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    with Echo(tmp_path, **{name: value}) as echo:
        assert echo.process.wait(10) == 1
        assert echo.log.read_text() == f"kit/echo: {sentence}\n"


def asked(echo: Echo, path: str) -> socket.socket:
    """A connection on which a request is under way."""
    connection = socket.create_connection(("127.0.0.1", echo.port), 10)
    connection.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    return connection


def test_it_drains_when_it_is_stopped(echo: Echo) -> None:
    with asked(echo, "/slow?delay=500ms") as busy, asked(echo, "/quick") as idle:
        assert b"200 OK" in idle.recv(4096)
        os.kill(echo.process.pid, signal.SIGTERM)
        assert idle.recv(4096) == b""
        with pytest.raises(OSError, match=r"refused|reset"):
            echo.get()
        answer = busy.makefile().read()
    assert answer.startswith("HTTP/1.1 200 OK")
    assert "Connection: close" in answer
    assert echo.process.wait(10) == 0


def test_with_drain_it_goes_on_while_the_word_gets_around(tmp_path: Path) -> None:
    with Echo(tmp_path, DRAIN="500ms") as echo:
        echo.wait()
        os.kill(echo.process.pid, signal.SIGTERM)
        eventually(lambda: echo.get("/readyz") == (503, "not ready: stopping\n"))
        assert echo.get()[0] == 200
        assert echo.process.wait(10) == 0


def test_an_abrupt_one_breaks_what_is_under_way(tmp_path: Path) -> None:
    with Echo(tmp_path, ON_SIGTERM="abrupt") as echo:
        echo.wait()
        with asked(echo, "/slow?delay=5s") as busy:
            echo.get()  # so the first has been read, too
            os.kill(echo.process.pid, signal.SIGTERM)
            assert busy.recv(4096) == b""
        assert echo.process.wait(10) == 128 + signal.SIGTERM


def test_one_that_ignores_sigterm_goes_on(tmp_path: Path) -> None:
    with Echo(tmp_path, ON_SIGTERM="ignore") as echo:
        echo.wait()
        os.kill(echo.process.pid, signal.SIGTERM)
        eventually(lambda: "SIGTERM: ignored" in echo.log.read_text())
        assert echo.get() == (200, "web-1\nGET /\n")


@pytest.mark.parametrize("hostile", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"\xff\xfe\x00 /\xff HTTP/1.1\r\n\r\n", b"x" * 70000,
    b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
    b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
])  # fmt: skip
def test_nonsense_is_refused_and_hurts_nobody(echo: Echo, hostile: bytes) -> None:
    with socket.create_connection(("127.0.0.1", echo.port), 10) as connection:
        connection.sendall(hostile)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)
    assert echo.get()[0] == 200


@pytest.mark.needs("wrk")
def test_it_answers_three_thousand_requests_a_second(echo: Echo) -> None:
    done = subprocess.run(["wrk", "-t1", "-c16", "-d2", f"http://127.0.0.1:{echo.port}/"], capture_output=True,
                          text=True, timeout=30, check=True).stdout
    assert "Socket errors" not in done
    assert float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1]) > 3000  # type: ignore[index]


def test_a_tag_is_its_version() -> None:
    async def scenario(pods: Pods) -> None:
        for tag, version in (("v1", "version v1\n"), ("v2", "version v2\n"), ("latest", "")):
            _, ip = await pods.start(f"web-{tag}", f"kit/echo:{tag}")
            assert (await http_get(ip, 8080)).partition("\r\n\r\n")[2] == f"web-{tag}\nGET /\n{version}"
        images = ImageCatalog()
        assert images.pull("kit/echo:v1", "").digest != images.pull("kit/echo:v2", "").digest
        _, ip = await pods.start("own", "kit/echo:v2", envs=(("VERSION", "mine"),))
        assert "version mine" in await asyncio.wait_for(http_get(ip, 8080), 10)

    run(scenario)
