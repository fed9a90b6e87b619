"""Exec and attach: output, input, terminals, exit codes, and what happens to what does not end."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from process_pods import Pods, eventually, run

from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.process.session import ProcessSession


async def _collect(session: ProcessSession) -> dict[int, bytes]:
    found = {1: b"", 2: b""}
    async for stream, data in session.output():
        found[stream] += data
    return found


def test_exec_gives_both_streams_and_the_exit_code() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("box", "busybox", "sleep", "1000")
        answer = await pods.runtime.exec_sync(container, ["sh", "-c", "echo out; echo err >&2; exit 5"], 10)
        assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 5)

    run(scenario)


def test_exec_runs_in_the_container_with_its_environment_hostname_and_files() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.sh("place", "echo made > /tmp/file; sleep 1000", envs=(("COLOUR", "blue"),))
        script = "until [ -s /tmp/file ]; do sleep 0.02; done; cat /tmp/file; hostname; echo $COLOUR"
        answer = await pods.runtime.exec_sync(container, ["sh", "-c", script], 10)
        assert answer.stdout.decode().split() == ["made", "place", "blue"]

    run(scenario)


def test_exec_past_its_timeout_is_killed() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("box", "busybox", "sleep", "1000")
        marker = f"97{os.getpid()}"
        start = time.monotonic()
        with pytest.raises(RuntimeError_) as refused:
            await pods.runtime.exec_sync(container, ["sleep", marker], 0.3)
        assert refused.value.reason == "DeadlineExceeded"
        assert "timed out" in refused.value.message
        assert time.monotonic() - start < 15

        async def gone() -> bool:
            answer = await pods.runtime.exec_sync(container, ["sh", "-c", f"ps -ef | grep -c 'slee[p] {marker}'"], 10)
            return answer.stdout == b"0\n"

        await eventually(gone)

    run(scenario)


def test_exec_of_what_is_not_there_is_refused_in_runcs_words() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("box", "busybox", "sleep", "1000")
        with pytest.raises(RuntimeError_, match=r'exec: "nosuch": executable file not found in \$PATH'):
            await pods.runtime.exec(container, ["nosuch"], stdin=False, tty=False)
        await pods.runtime.stop_container(container, 0)
        with pytest.raises(RuntimeError_, match="container is in CONTAINER_EXITED state"):
            await pods.runtime.exec(container, ["true"], stdin=False, tty=False)

    run(scenario)


@pytest.mark.parametrize("attached", [False, True])
def test_last_words_arrive_though_input_was_left_unread(attached: bool) -> None:
    """More input than pipe and daemon take, and a program that ends without reading it."""
    script = "read line; sleep 0.3; echo got $line; exit 3"

    async def scenario(pods: Pods) -> None:
        container, _ = await pods.sh("box", script if attached else "sleep 1000", stdin=True)
        session = await (pods.runtime.attach(container, stdin=True, tty=False) if attached else
                         pods.runtime.exec(container, ["sh", "-c", script], stdin=True, tty=False))
        typing = asyncio.ensure_future(session.write_stdin(b"hello\n" + b"more\n" * 1_000_000))
        await asyncio.sleep(1)  # whoever listens is slow
        assert (await _collect(session))[1] == b"got hello\n"
        assert session.exit_code == 3
        await asyncio.wait_for(typing, 10)

    run(scenario)


def test_no_exit_code_is_lost_however_short_the_command() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("box", "busybox", "sleep", "1000")

        async def once(number: int) -> int:
            return (await pods.runtime.exec_sync(container, ["sh", "-c", f"exit {number}"], 60)).exit_code

        for start in range(0, 100, 20):
            numbers = list(range(start, start + 20))
            assert await asyncio.gather(*map(once, numbers)) == numbers

    run(scenario)


def test_twenty_megabytes_go_in_and_come_back() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("box", "busybox", "sleep", "1000")
        session = await pods.runtime.exec(container, ["cat"], stdin=True, tty=False)
        data = os.urandom(1024 * 1024) * 20

        async def send() -> None:
            await session.write_stdin(data)
            await session.close_stdin()

        sending = asyncio.create_task(send())
        received = await _collect(session)
        await sending
        assert session.exit_code == 0
        assert received[1] == data

    run(scenario)


def test_a_terminal_has_a_size_echoes_and_ends_with_ctrl_d() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("box", "busybox", "sleep", "1000")
        session = await pods.runtime.exec(container, ["sh"], stdin=True, tty=True)
        await session.resize(123, 45)
        await session.write_stdin(b"stty size; test -t 0 && echo terminal $TERM; exit 9\n")
        received = (await _collect(session))[1].decode()
        assert "45 123\r\n" in received
        assert "terminal xterm\r\n" in received
        assert session.exit_code == 9

    run(scenario)


def test_attach_hears_the_container_and_talks_to_it() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.sh("talk", "while read line; do echo got $line; done; exit 4", stdin=True,
                                     stdin_once=True)  # fmt: skip
        session = await pods.runtime.attach(container, stdin=True, tty=False)
        await session.write_stdin(b"one\ntwo\n")
        await session.close_stdin()
        received = await _collect(session)
        assert received[1] == b"got one\ngot two\n"
        assert session.exit_code == 4
        assert pods.log("talk") == ["got one", "got two"]

    run(scenario)


def test_an_attached_client_that_leaves_does_not_stop_the_container() -> None:
    async def scenario(pods: Pods) -> None:
        script = "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); done; sleep 0.3; exit 6"
        container, _ = await pods.sh("busy", script)
        session = await pods.runtime.attach(container, stdin=False, tty=False)
        session.close()
        assert (await pods.ended(container)).exit_code == 6
        assert pods.log("busy")[-1] == "299"

    run(scenario)


@pytest.mark.needs("busybox")  # nc
def test_a_process_started_by_exec_in_the_background_goes_on_with_the_pods_address() -> None:
    async def scenario(pods: Pods) -> None:
        container, ip = await pods.start("box", "busybox", "sleep", "1000")
        script = "(sleep 0.3; echo late | nc -l -p 7000) >/dev/null 2>&1 &"
        answer = await pods.runtime.exec_sync(container, ["sh", "-c", script], 10)
        assert answer.exit_code == 0

        async def ask() -> bytes:
            try:
                reader, writer = await asyncio.open_connection(ip, 7000)
            except OSError:
                return b""
            writer.write_eof()
            data = await reader.read()
            writer.close()
            return data

        assert await eventually(ask) == b"late\n"

    run(scenario)
