"""The images every cluster has, and what is said about all others."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest
from process_pods import Pods, http_get, run

from kitlib.images import busybox
from kitlib.images.catalog import ImageCatalog
from kitlib.images.reference import parse
from kitlib.runtime.cri import ContainerConfig, PodSandboxConfig, RuntimeError_
from kitlib.runtime.process import bundle
from kitlib.runtime.process.images import ImageConfig


@pytest.mark.parametrize(("text", "full"), [
    ("nginx", "docker.io/library/nginx:latest"),
    ("nginx:1.27", "docker.io/library/nginx:1.27"),
    ("kit/echo", "docker.io/kit/echo:latest"),
    ("docker.io/library/busybox:1.36", "docker.io/library/busybox:1.36"),
    ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
    ("registry.example/x@sha256:" + "a" * 64, "registry.example/x@sha256:" + "a" * 64),
])  # fmt: skip
def test_a_reference_has_one_full_name(text: str, full: str) -> None:
    assert str(parse(text)) == full


@pytest.mark.parametrize("text", ["Not//A:Valid:Image", "", "UPPER", "a:b:c", "a b", "-x"])
def test_a_bad_name_is_an_invalid_image_name(text: str) -> None:
    with pytest.raises(RuntimeError_) as refused:
        ImageCatalog().normalize(text)
    assert refused.value.reason == "InvalidImageName"
    assert "invalid reference format" in refused.value.message


def test_an_unknown_image_is_refused_with_the_names_of_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError_) as refused:
        ImageCatalog().pull("registry.invalid/none:1", str(tmp_path))
    assert refused.value.reason == "ErrImagePull"
    assert 'failed to pull and unpack image "registry.invalid/none:1"' in refused.value.message
    assert "busybox, kit/echo, nginx, python" in refused.value.message


def test_tags_of_one_image_share_its_digest_and_images_differ(tmp_path: Path) -> None:
    images = ImageCatalog()
    digests = {name: images.pull(name, str(tmp_path)).digest for name in ("nginx:1", "nginx:2", "busybox", "kit/echo")}
    assert digests["nginx:1"] == digests["nginx:2"]
    assert len(set(digests.values())) == 3
    assert images.pull("nginx:1", str(tmp_path)).repository_digest == f"docker.io/library/nginx@{digests['nginx:1']}"


@pytest.mark.parametrize(("command", "args", "argv"), [
    ((), (), ["entry", "cmd"]),
    ((), ("a",), ["entry", "a"]),
    (("c",), (), ["c"]),
    (("c",), ("a",), ["c", "a"]),
])  # fmt: skip
def test_command_and_args_replace_entrypoint_and_cmd(command: tuple, args: tuple, argv: list[str]) -> None:
    image = ImageConfig("x", "sha256:0", 0, entrypoint=("entry",), cmd=("cmd",))
    assert bundle.command_line(image, ContainerConfig("c", "x", command=command, args=args)) == argv


def test_a_pods_environment_wins_over_the_images() -> None:
    image = ImageConfig("x", "sha256:0", 0, env=(("A", "image"), ("B", "image")))
    sandbox = PodSandboxConfig("p", "u", "n", hostname="p", ip="127.64.16.2")
    config = ContainerConfig("c", "x", envs=(("A", "pod"),))
    env = bundle.environment(image, config, sandbox, own_address=True)
    assert (env["A"], env["B"], env["HOSTNAME"]) == ("pod", "image", "p")
    assert "POD_IP" not in env
    assert bundle.environment(image, config, sandbox, own_address=False)["POD_IP"] == "127.64.16.2"


def test_without_busybox_the_hosts_shell_runs_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which
    missing = {"busybox"}
    monkeypatch.setattr(busybox.shutil, "which", lambda name, **more: None if name in missing else found(name, **more))

    async def scenario(pods: Pods) -> None:
        assert await pods.run_script("shell", "echo $((6 * 7)); ls /bin/sh") == ["42", "/bin/sh"]
        _, ip = await pods.start("web", "nginx")
        assert "Welcome to nginx!" in await http_get(ip, pods.reachable(80))

    run(scenario)


def test_echo_says_which_pod_it_is_and_ends_politely() -> None:
    async def scenario(pods: Pods) -> None:
        container, ip = await pods.start("web-1", "kit/echo")
        head, _, body = (await http_get(ip, 8080, "/some/path?x=1")).partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200 OK")
        assert body == "web-1\nGET /some/path?x=1\n"
        assert (await http_get(ip, 8080, "/healthz")).endswith("\r\n\r\nok\n")
        _, other = await pods.start("web-2", "kit/echo", envs=(("POD_NAME", "my-name"), ("PORT", "9000")))
        assert (await http_get(other, 9000)).partition("\r\n\r\n")[2] == "my-name\nGET /\n"

        reader, writer = await asyncio.open_connection(ip, 8080)  # kept alive, and two requests at once
        writer.write(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        received = b""
        while received.count(b"web-1\n") < 2:
            received += await reader.read(1000)
        assert received.count(b"HTTP/1.1 200 OK") == 2
        assert b"POST /2\n" in received

        pid = (await pods.runtime.container_status(container)).pid
        resident = int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]
        assert resident < 12 * 1024
        await pods.runtime.stop_container(container, 10)
        assert (await pods.runtime.container_status(container)).exit_code == 0
        assert await reader.read() == b""

    run(scenario)


def test_python_is_the_python_that_runs_this_test() -> None:
    async def scenario(pods: Pods) -> None:
        script = "import sys, ssl, sqlite3; print(sys.version)"
        container, _ = await pods.start("py", "python:3", "python3", "-c", script)
        assert (await pods.ended(container)).exit_code == 0
        assert pods.log("py")[0] == sys.version.splitlines()[0]

    run(scenario)


def test_stop_signals_are_the_images(tmp_path: Path) -> None:
    assert signal.Signals[ImageCatalog().pull("nginx", str(tmp_path)).stop_signal] == signal.SIGQUIT


@pytest.mark.needs("busybox")
def test_a_static_program_is_told_from_one_that_needs_a_loader(tmp_path: Path) -> None:
    tools = busybox.tools(str(tmp_path))
    assert tools is not None
    assert busybox.is_static(f"{tools}/busybox")
    assert not busybox.is_static("/bin/ls")
    assert not busybox.is_static(__file__)


@pytest.mark.needs("busybox")
def test_a_busybox_that_needs_a_loader_runs_with_the_hosts_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busybox, "is_static", lambda program: False)

    async def scenario(pods: Pods) -> None:
        assert await pods.run_script("shell", "echo $((6 * 7)); test -e /lib && echo libraries") == ["42", "libraries"]

    run(scenario)


@pytest.mark.needs("busybox")
def test_busybox_has_a_printenv_as_the_image_has() -> None:
    async def scenario(pods: Pods) -> None:
        said = await pods.run_script("shell", "export A='x  $B \"q\"' E=; printenv A; printenv NOPE; echo $?; "
                                     "printenv E; echo $?; printenv 'A;id'; echo $?; printenv | grep ^A=")
        assert said == ['x  $B "q"', "1", "", "0", "1", 'A=x  $B "q"']

    run(scenario)


@pytest.mark.needs("busybox")
def test_wget_keeps_its_timeout() -> None:
    async def scenario(pods: Pods) -> None:
        _, web = await pods.start("web", "kit/echo")
        await http_get(web, 8080)
        silent = socket.create_server((pods.next_ip(), 8080))  # accepts, and never answers
        with silent:
            script = (
                f"wget -qO- -T 5 http://{web}:8080/a; wget -q -O - --timeout=5 http://{web}:8080/b; "
                f"wget -qO- http://{web}:8080/c; "
                f"wget -qO- -T 1 http://{silent.getsockname()[0]}:8080/; echo ended with $?"
            )
            lines = await pods.run_script("client", script)
        assert [line for line in lines if "GET" in line] == ["GET /a", "GET /b", "GET /c"]
        assert lines[-2:] == ["wget: download timed out", "ended with 1"]

    run(scenario)
