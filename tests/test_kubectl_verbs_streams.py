"""Stock kubectl talks with containers: attach, cp, debug, exec with a terminal, port-forward, proxy, logs of many."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import select
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import Kubectl, busybox, deployment, eventually, pod

ECHO = {"name": "main", "image": "kit/echo", "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}


def start(kubectl: Kubectl, manifest: dict[str, object]) -> None:
    kubectl("create", "-f", "-", stdin=manifest)
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")


@contextmanager
def running(kubectl: Kubectl, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = kubectl.popen(*arguments)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def test_cp_carries_a_file_there_and_back(kubectl: Kubectl, tmp_path: Path) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    sent, back = tmp_path / "sent.bin", tmp_path / "back.bin"
    sent.write_bytes(os.urandom(700_000))
    kubectl("cp", str(sent), "web:/tmp/copy.bin")
    kubectl("cp", "web:/tmp/copy.bin", str(back))
    assert back.read_bytes() == sent.read_bytes()


def test_cp_carries_a_directory(kubectl: Kubectl, tmp_path: Path) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    source = tmp_path / "tree" / "deep"
    source.mkdir(parents=True)
    (source / "note.txt").write_text("hello\n")
    kubectl("cp", str(tmp_path / "tree"), "web:/tmp/tree")
    assert kubectl("exec", "web", "--", "cat", "/tmp/tree/deep/note.txt") == "hello\n"
    kubectl("cp", "web:/tmp/tree", str(tmp_path / "back"))
    assert (tmp_path / "back" / "deep" / "note.txt").read_text() == "hello\n"


def test_exec_keeps_stdout_and_stderr_apart(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    done = kubectl.run("exec", "web", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_exec_passes_a_large_stream_through(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    text = "".join(f"line {number}\n" for number in range(60_000))
    assert kubectl("exec", "-i", "web", "--", "cat", stdin=text) == text


def test_exec_of_a_program_that_is_not_there(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    done = kubectl.run("exec", "web", "--", "no-such-program")
    assert done.returncode != 0
    assert "no-such-program" in done.stderr


def test_exec_without_websockets_uses_spdy(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    kubectl.env["KUBECTL_REMOTE_COMMAND_WEBSOCKETS"] = "false"
    assert kubectl("exec", "-i", "web", "--", "cat", stdin="from outside") == "from outside"
    assert kubectl.run("exec", "web", "--", "sh", "-c", "exit 7").returncode == 7


def test_exec_in_a_container_by_name_and_through_its_deployment(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 1, busybox("sleep 600")))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert kubectl("exec", "deploy/web", "-c", "main", "--", "hostname").startswith("web-")
    done = kubectl.run("exec", "deploy/web", "-c", "other", "--", "true")
    assert done.returncode == 1
    assert "container other not found in pod" in done.stderr or "container other is not valid" in done.stderr


def typed(kubectl: Kubectl, arguments: list[str], lines: list[str], until: str) -> str:
    """Run kubectl on a terminal, type, and return what the terminal showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(kubectl.command(*arguments), stdin=slave, stdout=slave, stderr=slave, env=kubectl.env,
                               start_new_session=True)
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + 30
    try:
        while until.encode() not in shown and time.monotonic() < deadline:
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 65536)
            if lines and shown:
                os.write(master, (lines.pop(0) + "\n").encode())
    except OSError:
        pass  # the other side of the terminal has closed
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return shown.decode(errors="replace")


def test_exec_with_a_terminal_is_interactive(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    shown = typed(kubectl, ["exec", "-it", "web", "--", "sh"], ["test -t 0 && echo sum $((40 + 2))"], "sum 42")
    assert "sum 42" in shown


def test_attach_sees_what_the_container_writes_and_feeds_it(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("while read line; do echo heard $line; done", stdin=True)))
    with running(kubectl, "logs", "-f", "web") as logs:
        process = subprocess.Popen(kubectl.command("attach", "-i", "-q", "web"), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=kubectl.env)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("hello\n")
            process.stdin.flush()
            assert process.stdout.readline() == "heard hello\n"
        finally:
            process.kill()
            process.communicate(timeout=10)
        assert first_line(logs) == "heard hello\n"


def test_debug_adds_a_container_to_a_running_pod(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    kubectl("debug", "web", "--image=busybox", "-c", "look", "--target=main", "--", "sh", "-c",
            "echo looking; sleep 600")
    eventually(lambda: any("running" in status["state"] for status in
                           kubectl.get("pod", "web")["status"].get("ephemeralContainerStatuses", ())))
    eventually(lambda: kubectl.run("logs", "web", "-c", "look").stdout == "looking\n")
    added = kubectl.get("pod", "web")["spec"]["ephemeralContainers"][0]
    assert (added["name"], added["targetContainerName"]) == ("look", "main")
    assert "Ephemeral Containers:" in kubectl("describe", "pod", "web")


def test_debug_makes_a_copy_of_a_pod(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    kubectl("debug", "web", "--copy-to=web-copy", "--set-image=main=busybox:1.36", "--same-node")
    copy, original = kubectl.get("pod", "web-copy"), kubectl.get("pod", "web")
    assert copy["spec"]["containers"][0]["image"] == "busybox:1.36"
    assert copy["spec"]["nodeName"] == original["spec"]["nodeName"]


def test_debug_a_node_with_a_pod_on_it(kubectl: Kubectl) -> None:
    node = kubectl("get", "nodes", "-l", "type!=kwok", "-o", "jsonpath={.items[0].metadata.name}")
    kubectl("debug", f"node/{node}", "--image=busybox", "--profile=general", "--", "sleep", "600")
    made = kubectl.get("pods")["items"][0]
    assert (made["spec"]["nodeName"], made["spec"]["hostNetwork"], made["spec"]["hostPID"]) == (node, True, True)
    eventually(lambda: kubectl.get("pods")["items"][0]["status"].get("phase") == "Running")


@pytest.mark.parametrize("what", ["service/web", "deployment/web"])
def test_port_forward_by_way_of_what_stands_for_a_pod(kubectl: Kubectl, what: str) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 1, ECHO))
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=http")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    with running(kubectl, "port-forward", what, ":80" if what.startswith("service") else ":8080") as forwarding:
        port = re.search(r"127.0.0.1:(\d+)", first_line(forwarding))
        assert port is not None
        for _ in range(3):  # one tunnel carries many connections
            assert "web-" in fetch(f"http://127.0.0.1:{port.group(1)}/")


def test_port_forward_to_a_closed_port_says_so(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", ECHO))
    process = kubectl.popen("port-forward", "pod/web", ":9999")
    port = re.search(r"127.0.0.1:(\d+)", first_line(process))
    assert port is not None
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        fetch(f"http://127.0.0.1:{port.group(1)}/")
    process.terminate()
    _, errors = process.communicate(timeout=10)
    assert "connection refused" in errors.lower()


@pytest.fixture
def proxied(kubectl: Kubectl) -> Iterator[str]:
    with running(kubectl, "proxy", "--port=0") as process:
        port = re.search(r":(\d+)", first_line(process))
        assert port is not None
        yield f"http://127.0.0.1:{port.group(1)}"


def test_proxy_opens_the_api_to_plain_http(kubectl: Kubectl, proxied: str) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
    found = json.loads(fetch(f"{proxied}/api/v1/namespaces/{kubectl.namespace}/configmaps/settings"))
    assert found["data"] == {"colour": "blue"}


def test_proxy_reaches_pods_and_services(kubectl: Kubectl, proxied: str) -> None:
    start(kubectl, pod("web", ECHO))
    kubectl("expose", "pod", "web", "--port=80", "--target-port=8080")
    base = f"{proxied}/api/v1/namespaces/{kubectl.namespace}"
    assert "web" in fetch(f"{base}/pods/web:8080/proxy/")

    def through_the_service() -> bool:
        try:
            return "web" in fetch(f"{base}/services/web:80/proxy/")
        except OSError:
            return False  # no endpoints yet

    eventually(through_the_service)


def test_get_raw_reaches_a_pod_through_the_api_server(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", ECHO))
    assert "web" in kubectl("get", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/pods/web:8080/proxy/some/path")


def test_logs_of_all_pods_with_a_label(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 2, busybox("echo I am $(hostname); sleep 600")))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    names = {each["metadata"]["name"] for each in kubectl.get("pods")["items"]}

    def told() -> bool:
        lines = kubectl("logs", "-l", "app=web", "--prefix").splitlines()
        return {line for name in names for line in lines if f"/{name}/" in line and f"I am {name}" in line} == set(
            lines) and len(lines) == 2

    eventually(told)
    assert "I am web-" in kubectl("logs", "deployment/web")


def test_logs_of_all_containers_and_since(kubectl: Kubectl) -> None:
    both = [busybox("echo from one; sleep 600", name="one"), busybox("echo from two; sleep 600", name="two")]
    manifest = pod("web", both[0])
    manifest["spec"]["containers"] = both
    start(kubectl, manifest)
    eventually(lambda: kubectl("logs", "web", "--all-containers").splitlines() == ["from one", "from two"])
    assert kubectl("logs", "web", "-c", "two", "--since=1h") == "from two\n"
    assert kubectl("logs", "web", "-c", "two", "--since-time=2100-01-01T00:00:00Z") == ""
    assert kubectl("logs", "web", "-c", "two", "--limit-bytes=4") == "from"


def test_logs_of_a_container_that_is_not_there(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("sleep 600")))
    done = kubectl.run("logs", "web", "-c", "other")
    assert done.returncode == 1
    assert "container other is not valid for pod web" in done.stderr


def test_top_shows_what_pods_and_nodes_use(kubectl: Kubectl) -> None:
    start(kubectl, pod("web", busybox("while true; do :; done")))

    def use() -> list[str]:
        done = kubectl.run("top", "pod", "web", "--no-headers")
        return done.stdout.split() if done.returncode == 0 else []

    # The first figures need two samples, 15 s apart.
    row = eventually(lambda: (found := use()) and found[1] != "0m" and found, within=60)
    assert re.fullmatch(r"web \d+m \d+Mi", " ".join(row))
    node = kubectl("get", "pod", "web", "-o", "jsonpath={.spec.nodeName}")
    header, values = kubectl("top", "node", node).splitlines()
    assert header.split() == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    assert values.split()[0] == node
    assert int(values.split()[1].removesuffix("m")) > 0
