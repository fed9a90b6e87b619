"""Run in a place without namespaces but with proot (unprivileged.py): a container has files of its own all the same."""

from __future__ import annotations

import pytest
from process_pods import Pods, run

from kitlib.runtime.cri import ContainerConfig, ContainerState, Mount, RuntimeError_


def test_proot_is_what_we_test() -> None:
    async def scenario(pods: Pods) -> None:
        assert pods.runtime.isolation.proot
        assert not pods.runtime.isolation.namespaces

    run(scenario)


def test_two_containers_do_not_see_each_others_files_nor_the_hosts() -> None:
    async def scenario(pods: Pods) -> None:
        assert await pods.run_script("one", "echo mine > /secret; mkdir /data; touch /data/a; cat /secret; id -u") == [
            "mine", "0"]
        assert await pods.run_script("two", "ls /secret /data 2>&1 | grep -c 'No such file'; hostname") == ["2", "two"]
        listed = await pods.run_script("three", "ls /")
        assert "scratch" not in listed  # the host has that
        assert {"bin", "etc", "tmp", "proc"} <= set(listed)

    run(scenario)


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -SEGV $$", 139),
                                              ("kill -TERM $$", 143), ("exit 255", 255)])
def test_how_a_program_ended_is_told_and_nothing_about_it_in_its_log(script: str, code: int) -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.sh("ends", f"echo out; {script}")
        assert (await pods.ended(container)).exit_code == code
        assert pods.log("ends") == ["out"]

    run(scenario)


def test_a_container_ends_with_its_first_process_whatever_runs_in_the_background() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.sh("short", "sleep 1000 & echo done")
        status = await pods.ended(container, 5)
        assert (status.exit_code, status.state) == (0, ContainerState.EXITED)

    run(scenario)


def test_signals_reach_the_program_itself() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.sh("polite", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done")
        while pods.log("polite") != ["up"]:
            pass
        await pods.runtime.stop_container(container, 5)
        assert (await pods.ended(container)).exit_code == 3
        assert pods.log("polite") == ["up", "bye"]

    run(scenario)


_SOCKET = """
import os, socket, threading
server = socket.socket(socket.AF_UNIX)
server.bind("/run/s.sock")
server.listen()
def answer():
    peer, _ = server.accept()
    peer.send(b"by path")
threading.Thread(target=answer).start()
client = socket.socket(socket.AF_UNIX)
client.connect("/run/s.sock")
print(client.recv(100).decode(), os.path.exists("/run/s.sock"))
a, b = socket.socketpair()
a.send(b"pair")
print(b.recv(100).decode())
hidden = socket.socket(socket.AF_UNIX)
hidden.bind("\\0kit-test-hidden")
print("abstract")
"""


def test_unix_sockets_lie_in_the_containers_own_files() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("unix", "python", "python3", "-c", _SOCKET)
        assert (await pods.ended(container)).exit_code == 0, pods.log("unix")
        assert pods.log("unix") == ["by path True", "pair", "abstract"]

    run(scenario)


def test_volumes_users_and_missing_programs() -> None:
    async def scenario(pods: Pods) -> None:
        shared = pods.directory / "shared"
        shared.mkdir()
        volume = (Mount("/data/deep", str(shared)),)
        await pods.run_script("writer", "echo hello > /data/deep/f", mounts=volume)
        assert (shared / "f").read_text() == "hello\n"
        assert await pods.run_script("reader", "cat /data/deep/f; id -u; ls /data", mounts=volume, run_as_user=1000,
                                     run_as_group=1000) == ["hello", "1000", "deep"]
        sandbox, _ = await pods.sandbox("bad")
        for command, sentence in ((("nope",), 'exec: "nope": executable file not found in $PATH'),
                                  (("/etc",), 'exec: "/etc": is a directory'),
                                  (("/etc/hosts",), 'exec: "/etc/hosts": permission denied'),
                                  (("/no/such",), 'exec: "/no/such": stat /no/such: no such file or directory')):
            config = ContainerConfig(name="c", image="busybox:1.36", command=command)
            container = await pods.runtime.create_container(sandbox, config)
            with pytest.raises(RuntimeError_) as caught:
                await pods.runtime.start_container(container)
            assert sentence in caught.value.message

    run(scenario)
