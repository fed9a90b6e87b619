"""Stock kubectl on what upgrades a connection: exec, attach, cp, port-forward, proxy, old protocol and new."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support import Kubectl, busybox, pod

PROTOCOLS = ["websocket", "spdy"]


@pytest.fixture
def shell(kubectl: Kubectl) -> Kubectl:
    """A Pod "sh" whose main process answers what it is told."""
    main = {**busybox('while read line; do echo "heard $line"; done'), "stdin": True}
    kubectl("apply", "-f", "-", stdin=pod("sh", main))
    kubectl("wait", "--for=condition=Ready", "pod/sh", "--timeout=30s")
    return kubectl


def speak(kubectl: Kubectl, protocol: str) -> None:
    wanted = "true" if protocol == "websocket" else "false"
    kubectl.env |= {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": wanted, "KUBECTL_PORT_FORWARD_WEBSOCKETS": wanted}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_exec_keeps_the_streams_apart_and_passes_on_the_exit_code(shell: Kubectl, protocol: str) -> None:
    speak(shell, protocol)
    done = shell.run("exec", "sh", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert done.stdout == "out\n"
    assert done.stderr == "err\ncommand terminated with exit code 7\n"
    assert done.returncode == 7


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_exec_carries_megabytes_in_and_out(shell: Kubectl, protocol: str) -> None:
    speak(shell, protocol)
    data = os.urandom(3_000_000).hex()
    assert shell.run("exec", "-i", "sh", "--", "cat", stdin=data).stdout == data
    digest = hashlib.md5(data.encode()).hexdigest()
    assert shell.run("exec", "-i", "sh", "--", "md5sum", stdin=data).stdout.split()[0] == digest


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_attach_talks_to_the_main_process_and_leaves_it_running(shell: Kubectl, protocol: str) -> None:
    speak(shell, protocol)
    with subprocess.Popen(shell.command("attach", "-i", "sh"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, env=shell.env) as attached:
        assert attached.stdin is not None
        assert attached.stdout is not None
        attached.stdin.write("hello\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == "heard hello\n"
        attached.kill()
    state = shell.get("pod", "sh")["status"]["containerStatuses"][0]
    assert (state["restartCount"], "running" in state["state"]) == (0, True)


def test_cp_in_both_directions(shell: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(200_000))
    shell("cp", str(tmp_path / "a"), "sh:/tmp/copied")
    shell("cp", "sh:/tmp/copied", str(tmp_path / "b"))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


@pytest.fixture
def web(kubectl: Kubectl) -> Kubectl:
    """A Pod "web" that says its name on port 8080, and a Service of that name."""
    kubectl("run", "web", "--image=kit/echo", "--port=8080", "--expose")
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    return kubectl


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_port_forward_carries_several_connections(web: Kubectl, protocol: str) -> None:
    speak(web, protocol)
    with web.popen("port-forward", "service/web", ":8080") as forwarding:
        assert forwarding.stdout is not None
        line = forwarding.stdout.readline()
        port = re.search(r":(\d+) ->", line)
        assert port, line
        answers = [fetch(f"http://127.0.0.1:{port[1]}/") for _ in range(5)]
        forwarding.terminate()
    assert all("web" in answer for answer in answers)


def test_the_api_server_is_a_proxy_to_pods_and_services(web: Kubectl) -> None:
    base = f"/api/v1/namespaces/{web.namespace}"
    assert "web" in web("get", "--raw", f"{base}/pods/web:8080/proxy/")
    assert "web" in web("get", "--raw", f"{base}/services/web/proxy/")
    refused = web.run("get", "--raw", f"{base}/pods/web:9/proxy/")
    assert "ServiceUnavailable" in refused.stderr


def test_kubectl_proxy_gives_the_api_to_local_programs(web: Kubectl) -> None:
    with web.popen("proxy", "--port=0") as proxying:
        assert proxying.stdout is not None
        address = proxying.stdout.readline().rsplit(" ", 1)[-1].strip()
        assert '"gitVersion"' in fetch(f"http://{address}/version")
        assert "web" in fetch(f"http://{address}/api/v1/namespaces/{web.namespace}/services/web/proxy/")
        with pytest.raises(urllib.error.HTTPError) as missing:
            fetch(f"http://{address}/api/v1/namespaces/none/pods/none")
        missing.value.close()
        proxying.terminate()
    assert missing.value.code == 404
