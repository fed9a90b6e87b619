"""The network of an `oci` cluster: nodes in namespaces of their own, and nothing of it on the host."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.oci.client import OciRuntime

pytestmark = pytest.mark.needs("oci")


def with_network(tmp_path: Path, work: Callable[[OciRuntime], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        runtime = await OciRuntime.start(tmp_path / "r.sock", tmp_path / "state", ephemeral=True)
        try:
            await runtime.set_up_network("10.10.0.1", 16, "10.96.0.0/16")
            for index in (1, 2):
                await runtime.add_node(f"node-{index}", f"10.10.0.{index + 1}", f"10.244.{index}.0/24")
            await work(runtime)
        finally:
            await runtime.shutdown()

    asyncio.run(run())


def host() -> list[list[str]]:
    """The host's links, addresses, routes, rules and mounts; without counters, the time, and what is a Docker Engine's:
    its mounts, bridges, their veths and rules.  Its containers come and go while other tests run."""
    commands = (["ip", "-brief", "link"], ["ip", "-o", "addr"], ["ip", "route", "show", "table", "all"],
                ["iptables-save"], ["nft", "list", "tables"], ["cat", "/proc/self/mountinfo"])
    said = [subprocess.run(command, capture_output=True, text=True, check=False).stdout for command in commands]
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=False).stdout
    theirs = re.compile("|".join([r"docker/|docker0|DOCKER|\bbr-[0-9a-f]{12}\b",
                                  *re.findall(r"^\d+: (\w+)@\S+ .* master (?:docker0|br-[0-9a-f]{12}) ", links, re.M)]))
    lines = [[line for line in text.splitlines() if line[:1] != "#" and not theirs.search(line)] for text in said]
    return [[re.sub(r"\[\d+:\d+\]", "", line) for line in each] for each in lines]


def changes(before: list[list[str]]) -> list[str]:
    """What is there now and was not, and the other way round."""
    return [line for old, new in zip(before, host(), strict=True) for line in sorted(set(old) ^ set(new))]


def test_sockets_of_a_node_reach_the_fabric_and_other_nodes_and_the_host_sees_none_of_it(tmp_path: Path) -> None:
    before = host()

    async def work(runtime: OciRuntime) -> None:
        listener = await runtime.open_socket("node-2")
        listener.bind(("10.10.0.3", 80))
        listener.listen()
        server = await asyncio.start_server(say_who, sock=listener)
        for node, address in (("node-1", b"10.10.0.2"), ("", b"10.10.0.1")):
            reader, writer = await runtime.dial("10.10.0.3", 80, node=node)
            assert await reader.read() == address
            writer.close()
        assert changes(before) == []
        server.close()

    with_network(tmp_path, work)
    assert changes(before) == []


async def say_who(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(writer.get_extra_info("peername")[0].encode())
    writer.close()


def test_service_addresses_are_the_fabrics_until_rules_say_otherwise(tmp_path: Path) -> None:
    async def work(runtime: OciRuntime) -> None:
        service = await runtime.open_socket("", socket.SOCK_DGRAM)
        service.bind(("10.96.0.10", 53))
        client = await runtime.open_socket("node-1", socket.SOCK_DGRAM)
        client.connect(("10.96.0.10", 53))
        client.send(b"question")
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(service, 100), 5) == b"question"
        service.close()
        client.close()

    with_network(tmp_path, work)


def test_a_program_runs_in_a_node_with_input_output_and_exit_code(tmp_path: Path) -> None:
    async def work(runtime: OciRuntime) -> None:
        ran = await runtime.run_in_node("node-1", ["ip", "-batch", "-"], "link add made type bridge\n")
        assert ran.code == 0, ran
        assert "made" in (await runtime.run_in_node("node-1", ["ip", "link"])).stdout
        assert "made" not in (await runtime.run_in_node("node-2", ["ip", "link"])).stdout
        path = await runtime.namespace_path("node-1")
        seen = subprocess.run(["nsenter", f"--net={path}", "ip", "link"], capture_output=True, text=True, check=True)
        assert "made" in seen.stdout
        much = await runtime.run_in_node("", ["cat"], "x" * 1_000_000)
        assert much.code == 0
        assert len(much.stdout) == 1_000_000
        missing = await runtime.run_in_node("node-1", ["no-such-program"])
        assert (missing.code, missing.stderr) == (127, "no-such-program: no such program")
        with pytest.raises(RuntimeError_, match='there is no node "node-9"'):
            await runtime.open_socket("node-9")

    with_network(tmp_path, work)


def test_nodes_know_the_way_to_each_others_pods(tmp_path: Path) -> None:
    async def work(runtime: OciRuntime) -> None:
        for node, others in (("node-1", "10.244.2.0/24 via 10.10.0.3"), ("node-2", "10.244.1.0/24 via 10.10.0.2")):
            assert others in (await runtime.run_in_node(node, ["ip", "route"])).stdout
        await runtime.add_node("node-1", "10.10.0.2", "10.244.1.0/24")  # again, as after a restart: nothing happens

    with_network(tmp_path, work)
