"""What the containers of one Pod share: address and hostname always; IPC and process numbers where namespaces are."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace

import pytest
from process_pods import Pods, eventually, http_get, run

from kitlib.runtime.cri import ContainerConfig, RuntimeError_

SHARED = "POD"


async def container(pods: Pods, sandbox: str, name: str, script: str, **more: object) -> str:
    await pods.runtime.pull_image("busybox")
    config = ContainerConfig(name=name, image="busybox", command=("sh", "-c", script), log_path=f"{name}/0.log")
    identity = await pods.runtime.create_container(sandbox, replace(config, **more))  # type: ignore[arg-type]
    await pods.runtime.start_container(identity)
    return identity


async def said(pods: Pods, identity: str, *command: str) -> str:
    done = await pods.runtime.exec_sync(identity, command, 20)
    return done.stdout.decode().strip()


def needs_namespaces(pods: Pods) -> None:
    if not pods.runtime.isolation.namespaces:
        pytest.skip("this place allows no namespaces")


def test_containers_of_a_pod_share_address_and_hostname_but_no_files() -> None:
    async def scenario(pods: Pods) -> None:
        sandbox, _ = await pods.sandbox("web-0")
        one = await container(pods, sandbox, "one", "echo mine > /tmp/f; sleep 60")
        two = await container(pods, sandbox, "two", "while true; do echo hi | nc -l -p 8000; done")
        assert [await said(pods, c, "hostname") for c in (one, two)] == ["web-0", "web-0"]
        assert await said(pods, one, "sh", "-c", "until nc localhost 8000 </dev/null; do sleep 0.05; done") == "hi"
        assert await said(pods, two, "sh", "-c", "cat /tmp/f 2>&1 || true") != "mine"

    run(scenario)


def test_ipc_and_uts_are_the_pods_mounts_and_process_numbers_are_not() -> None:
    async def scenario(pods: Pods) -> None:
        needs_namespaces(pods)
        sandbox, _ = await pods.sandbox("ns")
        other, _ = await pods.sandbox("other")
        root = await container(pods, sandbox, "a", "sleep 60")
        user = await container(pods, sandbox, "b", "sleep 60", run_as_user=65534, run_as_group=65534)
        late = await container(pods, sandbox, "c", "sleep 60")
        alien = await container(pods, other, "d", "sleep 60")
        script = "for n in ipc uts mnt pid; do readlink /proc/self/ns/$n; done; id -u"
        shown = {c: await said(pods, c, "sh", "-c", script) for c in (root, user, late, alien)}
        ipc, uts, mnt, pid, uid = zip(*(text.split() for text in shown.values()), strict=True)
        assert len(set(ipc[:3])) == len(set(uts[:3])) == 1
        assert len(set(ipc)) == len(set(uts)) == 2
        assert len(set(mnt)) == len(set(pid)) == 4
        assert uid == ("0", "65534", "0", "0")

    run(scenario)


def test_with_shared_process_numbers_one_sees_and_signals_the_other_and_process_1_is_pause() -> None:
    async def scenario(pods: Pods) -> None:
        needs_namespaces(pods)
        sandbox, _ = await pods.sandbox("shared")
        script = "trap 'echo reloaded' HUP; echo up; while true; do sleep 0.05; done"
        app = await container(pods, sandbox, "app", script, pid_mode=SHARED)
        tools = await container(pods, sandbox, "tools", "sleep 60", pid_mode=SHARED, run_as_user=None)
        assert (await said(pods, tools, "ps", "-o", "pid,args")).splitlines()[1].split() == ["1", "/pause"]
        assert await said(pods, tools, "sh", "-c", "tr -d '\\0' < /proc/1/environ; ls /proc/1/root/") == ""
        script = "for p in /proc/[0-9]*; do grep -q reloaded $p/cmdline && kill -HUP ${p#/proc/} && echo sent; done"
        assert await said(pods, tools, "sh", "-c", script) == "sent"
        log = pods.directory / "logs" / "shared" / "app" / "0.log"
        await eventually(lambda: _true("reloaded" in log.read_text()))
        assert "root" in await said(pods, tools, "sh", "-c", "ls /proc/2/root/ | tr '\\n' ' '")  # the neighbour's files
        assert (await pods.runtime.container_status(app)).exit_code == 0

    run(scenario)


def test_with_shared_process_numbers_a_container_still_ends_whole_and_alone() -> None:
    async def scenario(pods: Pods) -> None:
        needs_namespaces(pods)
        sandbox, _ = await pods.sandbox("ends")
        # `sleep` is not process 1 here, so TERM ends it at once; its orphan goes with it, its neighbour stays
        app = await container(pods, sandbox, "app", "(sleep 4711 & ) ; exec sleep 4712", pid_mode=SHARED)
        tools = await container(pods, sandbox, "tools", "sleep 4713", pid_mode=SHARED)
        began = time.monotonic()
        await pods.runtime.stop_container(app, 30)
        assert time.monotonic() - began < 10
        assert (await pods.ended(app)).exit_code == 143
        left = await said(pods, tools, "sh", "-c", "ps -o args | grep 'sleep 471' | grep -v grep")
        assert left == "sleep 4713"
        await pods.runtime.stop_pod_sandbox(sandbox)
        assert (await pods.ended(tools)).exit_code == 137
        await pods.runtime.remove_pod_sandbox(sandbox)
        assert os.listdir(pods.directory / "runtime" / "sandboxes") == []

    run(scenario)


def test_process_1_told_to_end_takes_the_pods_processes_with_it() -> None:
    async def scenario(pods: Pods) -> None:
        needs_namespaces(pods)
        sandbox, _ = await pods.sandbox("one")
        app = await container(pods, sandbox, "app", "sleep 60", pid_mode=SHARED)
        await said(pods, app, "kill", "1")
        assert (await pods.ended(app)).exit_code == 137
        again = await container(pods, sandbox, "again", "sleep 60", pid_mode=SHARED)  # with a new process 1
        assert "/pause" in await said(pods, again, "ps", "-o", "pid,args")
        await said(pods, again, "kill", "1")
        assert (await pods.ended(again)).exit_code == 137
        await pods.runtime.stop_pod_sandbox(sandbox)  # nothing to end any more, and no complaint

    run(scenario)


def test_a_debugger_sees_its_targets_processes_and_no_others() -> None:
    async def scenario(pods: Pods) -> None:
        needs_namespaces(pods)
        sandbox, _ = await pods.sandbox("debug")
        app = await container(pods, sandbox, "app", "sleep 4711")
        await container(pods, sandbox, "other", "sleep 4712")
        tool = await container(pods, sandbox, "debugger", "sleep 60", pid_mode="TARGET", target_id=app)
        seen = await said(pods, tool, "ps", "-o", "pid,args")
        assert "1 sleep 4711" in seen
        assert "4712" not in seen
        await pods.runtime.stop_container(app, 0)
        assert (await pods.ended(tool)).exit_code == 137  # a PID namespace ends with its process 1
        late = await pods.runtime.create_container(sandbox, ContainerConfig(
            name="late", image="busybox", command=("true",), pid_mode="TARGET", target_id=app))  # fmt: skip
        with pytest.raises(RuntimeError_, match="is not running"):
            await pods.runtime.start_container(late)

    run(scenario)


def test_nothing_of_a_shared_pod_outlives_the_daemon() -> None:
    async def scenario(pods: Pods) -> None:
        sandbox, ip = await pods.sandbox("left")
        await pods.runtime.pull_image("kit/echo")
        config = ContainerConfig(name="e", image="kit/echo", pid_mode=SHARED)
        echo = await pods.runtime.create_container(sandbox, config)
        await pods.runtime.start_container(echo)
        assert "left" in await http_get(ip, 8080)
        pid = (await pods.runtime.container_status(echo)).pid
        assert os.path.exists(f"/proc/{pid}")
        os.kill(pods.runtime.pid, 9)
        await eventually(lambda: _true(not os.path.exists(f"/proc/{pid}")))
        ended.append(pid)

    ended: list[int] = []
    with contextlib.suppress(RuntimeError_, OSError):  # a daemon that is gone cannot be asked to shut down
        run(scenario)
    assert ended


async def _true(value: bool) -> bool:
    return value
