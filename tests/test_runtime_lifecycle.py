"""From created to removed: exit codes, logs, signals, grace, and what is left behind (nothing)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from process_pods import Pods, eventually, run, shut, texts

from kitlib.network.addresses import lease_slice
from kitlib.runtime.cri import ContainerConfig, ContainerState, Resources, RuntimeError_
from kitlib.runtime.process.client import ProcessRuntime
from kitlib.runtime.process.isolation import python_command
from kitlib.runtime.process.link import stop_daemon
from kitlib.runtime.process.logs import LogWriter


def test_the_exit_code_and_the_reason_are_those_of_the_program() -> None:
    async def scenario(pods: Pods) -> None:
        good, _ = await pods.sh("good", "true")
        bad, _ = await pods.sh("bad", "exit 7")
        status = await pods.ended(good)
        assert (status.exit_code, status.reason) == (0, "Completed")
        assert 0 < status.created_at <= status.started_at <= status.finished_at <= time.time()
        status = await pods.ended(bad)
        assert (status.exit_code, status.reason) == (7, "Error")
        assert [(event.id == bad, event.state) for event in pods.events if event.id == bad] == [
            (True, ContainerState.RUNNING), (True, ContainerState.EXITED)]  # fmt: skip

    run(scenario)


def test_both_streams_are_logged_in_the_cris_format() -> None:
    async def scenario(pods: Pods) -> None:
        await pods.run_script("talk", "echo one; echo two >&2; printf three")
        entries = pods.log_entries("talk")
        assert texts(entries, "stdout") == ["one", "three"]
        assert texts(entries, "stderr") == ["two"]
        assert {entry[2] for entry in entries} == {"F"}
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", entry[0]) for entry in entries)

    run(scenario)


def test_a_line_of_ten_megabytes_is_logged_in_parts(tmp_path: Path) -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.sh("long", "head -c 10485760 /dev/zero | tr '\\0' x; echo; echo end")
        await pods.ended(container, 60)
        files = sorted((pods.directory / "logs" / "long" / "c").iterdir(), reverse=True)
        text = "".join(file.read_text() for file in files if file.name != "0.log")
        text += (pods.directory / "logs" / "long" / "c" / "0.log").read_text()
        entries = [line.split(" ", 3) for line in text.splitlines()]
        assert sum(len(entry[3]) for entry in entries[:-1]) == 10485760
        assert max(len(entry[3]) for entry in entries) == 16384
        assert {entry[2] for entry in entries[:-2]} == {"P"}
        assert entries[-1][2:] == ["F", "end"]

    run(scenario)


def test_logs_rotate_and_only_five_files_stay(tmp_path: Path) -> None:
    path = tmp_path / "c" / "0.log"
    log = LogWriter(str(path), max_size=1000)
    for number in range(200):
        log.write(1, b"line %03d\n" % number)
    log.close()
    files = sorted(path.parent.iterdir())
    assert len(files) == 5
    assert files[0] == path
    assert all(re.fullmatch(r"0\.log\.\d{8}-\d{6}(\.\d{3})?", file.name) for file in files[1:])
    lines = [line for file in [*files[1:], path] for line in file.read_text().splitlines()]
    numbers = [int(line.rsplit(" ", 1)[1]) for line in lines]
    assert numbers == list(range(numbers[0], 200))


def test_an_unknown_command_is_a_start_error_in_runcs_words() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.create("nosuch", "busybox", "nosuch")
        with pytest.raises(RuntimeError_) as refused:
            await pods.runtime.start_container(container)
        assert refused.value.reason == "RunContainerError"
        assert 'exec: "nosuch": executable file not found in $PATH' in refused.value.message
        status = await pods.runtime.container_status(container)
        assert (status.state, status.exit_code, status.reason) == (ContainerState.EXITED, 128, "StartError")
        assert status.message == refused.value.message

        container, _ = await pods.create("nofile", "busybox", "/no/such/file")
        with pytest.raises(RuntimeError_, match="no such file or directory"):
            await pods.runtime.start_container(container)

    run(scenario)


def test_a_program_that_handles_sigterm_ends_within_its_grace() -> None:
    async def scenario(pods: Pods) -> None:
        script = "trap 'echo bye; exit 3' TERM; echo ready; while true; do sleep 0.05; done"
        container, _ = await pods.sh("kind", script)
        await _logged(pods, "kind", "ready")
        start = time.monotonic()
        await pods.runtime.stop_container(container, 30)
        assert time.monotonic() - start < 15
        status = await pods.runtime.container_status(container)
        assert (status.exit_code, status.reason) == (3, "Error")
        assert pods.log("kind") == ["ready", "bye"]

    run(scenario)


def test_a_program_without_a_handler_ignores_sigterm_and_is_killed_after_its_grace() -> None:
    """As process 1 of a real container: `sleep` costs the whole grace period."""

    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("rude", "busybox", "sleep", "1000")
        start = time.monotonic()
        await pods.runtime.stop_container(container, 0.5)
        assert 0.4 < time.monotonic() - start < 15
        status = await pods.runtime.container_status(container)
        assert (status.exit_code, status.reason) == (137, "Error")

    run(scenario)


def test_children_end_with_their_container() -> None:
    async def scenario(pods: Pods) -> None:
        marker = f"99{os.getpid()}"
        script = f"(trap '' TERM HUP; sleep {marker}) & setsid sleep {marker} & sleep {marker} & echo ready; wait"
        container, _ = await pods.sh("family", script)
        await _logged(pods, "family", "ready")
        await eventually(lambda: _processes(marker, 3))
        await pods.runtime.stop_container(container, 0)
        await eventually(lambda: _processes(marker, 0))

    run(scenario)


def test_a_container_over_its_memory_limit_is_oom_killed() -> None:
    async def scenario(pods: Pods) -> None:
        script = "import time; hog = bytearray(80_000_000); time.sleep(60)"
        container, _ = await pods.start("hog", "python", "python3", "-c", script,
                                        resources=Resources(memory_limit_in_bytes=40_000_000))  # fmt: skip
        status = await pods.ended(container)
        assert (status.exit_code, status.reason) == (137, "OOMKilled")

    run(scenario)


def test_stats_count_processor_time_and_memory() -> None:
    async def scenario(pods: Pods) -> None:
        script = (
            "import time\nhog = bytearray(30_000_000)\n"
            "while time.process_time() < 0.4: pass\ntime.sleep(60)"
        )
        container, _ = await pods.start("busy", "python", "python3", "-c", script)

        async def busy() -> bool:
            return (await pods.runtime.container_stats(container)).cpu_usage_core_nanos > 200_000_000

        await eventually(busy)
        assert 30_000_000 < (await pods.runtime.container_stats(container)).memory_working_set_bytes < 80_000_000

    run(scenario)


def test_stopping_and_removing_a_sandbox_takes_its_containers_and_files() -> None:
    async def scenario(pods: Pods) -> None:
        sandbox, _ = await pods.sandbox("all")
        await pods.runtime.pull_image("busybox")
        ids = []
        for name in ("a", "b"):
            config = ContainerConfig(name=name, image="busybox", command=("sleep", "1000"))
            ids.append(await pods.runtime.create_container(sandbox, config))
            await pods.runtime.start_container(ids[-1])
        await pods.runtime.stop_pod_sandbox(sandbox)
        assert {status.state for status in await pods.runtime.list_containers()} == {ContainerState.EXITED}
        assert [status.ready for status in await pods.runtime.list_pod_sandbox()] == [False]
        await pods.runtime.remove_pod_sandbox(sandbox)
        await pods.runtime.remove_pod_sandbox(sandbox)  # as in the CRI, once more is no error
        assert await pods.runtime.list_containers() == []
        assert await pods.runtime.list_pod_sandbox() == []
        assert list((pods.directory / "runtime" / "containers").iterdir()) == []
        with pytest.raises(RuntimeError_, match="not found"):
            await pods.runtime.container_status(ids[0])

    run(scenario)


def test_fifty_starts_and_stops_leave_no_process_and_no_descriptor() -> None:
    async def scenario(pods: Pods) -> None:
        daemon = pods.runtime.pid

        async def once(number: int) -> None:
            sandbox, _ = await pods.sandbox(f"s{number}", ip=pods.ip(number + 2))
            config = ContainerConfig(name="c", image="busybox", command=("sleep", "1000"))
            container = await pods.runtime.create_container(sandbox, config)
            await pods.runtime.start_container(container)
            await pods.runtime.stop_pod_sandbox(sandbox)
            await pods.runtime.remove_pod_sandbox(sandbox)

        await pods.runtime.pull_image("busybox")
        await once(0)
        before = len(os.listdir(f"/proc/{daemon}/fd"))
        for start in range(1, 50, 10):
            await asyncio.gather(*(once(start + offset) for offset in range(10)))

        async def same() -> bool:
            return len(os.listdir(f"/proc/{daemon}/fd")) <= before

        await eventually(same)

        async def alone() -> bool:  # a child that has ended is listed until the daemon has waited for it
            return not Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()

        await eventually(alone, 2)

    run(scenario)


def test_pods_outlive_the_cluster_process_and_are_found_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        socket, state = tmp_path / "a-rather-long-directory-name" / ("x" * 80) / "runtime.sock", tmp_path / "runtime"
        first = Pods(tmp_path, await ProcessRuntime.start(socket, state), lease_slice())
        container, ip = await first.start("lasting", "busybox:1.36", "sleep", "1000", labels={"app": "x"})
        before = await first.runtime.container_status(container)
        await first.runtime.close()
        first.slice.release()

        second = Pods(tmp_path, await ProcessRuntime.start(socket, state), lease_slice())
        assert second.runtime.pid == first.runtime.pid
        assert await second.runtime.list_containers() == [before]
        assert [status.ip for status in await second.runtime.list_pod_sandbox()] == [ip]
        assert (await second.runtime.image_status("busybox:1.36")) is not None
        await second.runtime.stop_container(container, 0)
        assert [event.state for event in second.events] == [ContainerState.EXITED]
        await shut(second)

    asyncio.run(scenario())


def test_an_ephemeral_daemon_ends_with_its_cluster_process() -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as directory:
            runtime = await ProcessRuntime.start(f"{directory}/r.sock", f"{directory}/state", ephemeral=True)
            pods = Pods(Path(directory), runtime, lease_slice())
            container, _ = await pods.start("short", "busybox", "sleep", "1000")
            pid = (await runtime.container_status(container)).pid
            assert os.path.exists(f"/proc/{pid}")
            await runtime.close()

            async def gone() -> bool:
                return not os.path.exists(f"/proc/{pid}") and not os.path.exists(f"{directory}/r.sock")

            await eventually(gone)

    asyncio.run(scenario())


def test_exec_is_refused_at_once_when_the_daemon_has_died() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("orphan", "busybox", "sleep", "1000")
        os.kill(pods.runtime.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError_, match=r"runtime daemon|no answer|not found"):
            await asyncio.wait_for(pods.runtime.exec(container, ["true"], stdin=False, tty=False), 10)

    run(scenario)


def test_a_second_daemon_for_the_same_state_refuses() -> None:
    async def scenario(pods: Pods) -> None:
        command, env = python_command("kitlib.runtime.process.daemon", "--socket", str(pods.directory / "other.sock"),
                                      "--state", str(pods.directory / "runtime"))  # fmt: skip
        second = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, timeout=20)
        assert second.returncode == 1
        assert f"another runtime daemon (pid {pods.runtime.pid}) owns {pods.directory / 'runtime'}" in second.stderr

    run(scenario)


def test_a_killed_daemon_takes_its_containers_along_and_is_replaced() -> None:
    async def scenario(pods: Pods) -> None:
        marker = f"98{os.getpid()}"
        await pods.sh("doomed", f"sleep {marker} & setsid sleep {marker} & wait")
        await eventually(lambda: _processes(marker, 2))
        first = pods.runtime.pid
        os.kill(first, signal.SIGKILL)

        async def answers() -> bool:
            try:
                return await pods.runtime.list_containers() == []
            except RuntimeError_ as error:
                if error.reason != "RuntimeUnavailable":
                    raise
                return False

        await eventually(answers)
        assert pods.runtime.pid != first
        await eventually(lambda: _processes(marker, 0))

    run(scenario)


def test_down_and_up_at_once_works() -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as directory:
            pids = set()
            for _ in range(5):
                runtime = await ProcessRuntime.start(f"{directory}/r.sock", f"{directory}/state")
                pods = Pods(Path(directory), runtime, lease_slice())
                await pods.start("box", "busybox", "sleep", "1000")
                pids.add(runtime.pid)
                await shut_quickly(runtime)
                pods.slice.release()
            assert len(pids) == 5

    async def shut_quickly(runtime: ProcessRuntime) -> None:
        await runtime._link.call("shutdown")  # without waiting for its end
        await runtime.close()

    asyncio.run(scenario())


def test_a_daemon_can_be_stopped_from_outside() -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as directory:
            runtime = await ProcessRuntime.start(f"{directory}/r.sock", f"{directory}/state")
            pid = runtime.pid
            await runtime.close()
            assert await asyncio.to_thread(stop_daemon, f"{directory}/r.sock")
            assert not await asyncio.to_thread(stop_daemon, f"{directory}/r.sock")

            await eventually(lambda: _gone(pid))

    asyncio.run(scenario())


def test_a_daemon_that_nobody_can_reach_or_needs_ends() -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as directory:
            runtime = await ProcessRuntime.start(f"{directory}/r.sock", f"{directory}/state")
            pods = Pods(Path(directory), runtime, lease_slice())
            container, _ = await pods.start("left", "busybox", "sleep", "1000")
            pid = (await runtime.container_status(container)).pid
            await runtime.close()
            os.unlink(f"{directory}/r.sock")
            await eventually(lambda: _gone(pid))
            await eventually(lambda: _gone(runtime.pid))

            command, env = python_command("kitlib.runtime.process.daemon", "--socket", f"{directory}/r.sock",
                                          "--state", f"{directory}/state", "--idle-seconds", "0.2")  # fmt: skip
            started = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, timeout=20)
            assert started.returncode == 0, started.stderr
            pid = int(Path(f"{directory}/state/daemon.lock").read_text())
            await eventually(lambda: _gone(pid))

    asyncio.run(scenario())


async def _gone(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_the_daemon_is_small() -> None:
    async def scenario(pods: Pods) -> None:
        for number in range(5):
            await pods.start(f"pod{number}", "busybox", "sleep", "1000")
        status = Path(f"/proc/{pods.runtime.pid}/status").read_text()
        resident = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])  # type: ignore[index]
        assert resident < 15 * 1024

    run(scenario)


async def _logged(pods: Pods, name: str, text: str) -> None:
    async def probe() -> bool:
        return text in pods.log(name)

    await eventually(probe)


async def _processes(argument: str, wanted: int) -> bool:
    """Whether that many living processes have this argument, and nobody else."""
    found = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                command = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            found += command[:2] == [b"sleep", argument.encode()]
    return found == wanted
