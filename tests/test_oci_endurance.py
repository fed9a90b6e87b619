"""Two hundred Pods come and go as real containers, and nothing of them stays: no process, mount, namespace, link,
cgroup, address, rule, socket or file."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from process_pods import NODE, start
from test_oci_network import changes, host

from kitlib.network.addresses import PrivateAddresses
from kitlib.runtime.cri import ContainerConfig, PodSandboxConfig, PortMapping
from kitlib.runtime.oci.client import OciRuntime
from kitlib.runtime.oci.leftovers import group_of

pytestmark = [pytest.mark.needs("oci", "busybox"), pytest.mark.timeout(240)]

ROUNDS, AT_ONCE = 10, 20


async def one(runtime: OciRuntime, number: int) -> None:
    """A Pod's whole life; every twentieth has a port of its node's, which means iptables rules."""
    ip = PrivateAddresses().pod_cidr(1).replace("0/24", str(2 + number))
    ports = [PortMapping(80, "TCP", 20000 + number)] if number % 20 == 0 else []
    sandbox = await runtime.run_pod_sandbox(PodSandboxConfig(
        name=f"p{number}", uid=f"uid-{number}", namespace="default", hostname=f"p{number}", ip=ip, node=NODE,
        port_mappings=ports))
    container = await runtime.create_container(sandbox, ContainerConfig("c", "busybox", command=["sleep", "1000"]))
    await runtime.start_container(container)
    if number % 10 == 0:
        assert (await runtime.exec_sync(container, ["echo", "hello"], 20)).stdout == b"hello\n"
    await runtime.stop_pod_sandbox(sandbox)
    await runtime.remove_pod_sandbox(sandbox)


async def traces(runtime: OciRuntime, state: Path) -> dict[str, Any]:
    """Everything that Pods could leave behind."""
    async def said(*argv: str) -> list[str]:
        return (await runtime.run_in_node(NODE, argv)).stdout.splitlines()

    daemon = f"/proc/{runtime.pid}"
    group = group_of(str(state))
    cgroups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"*{group}/*/**")]
    rules = [line for line in await said("iptables-save") if line.startswith("-A") and "CNI-DN" in line]
    return {"processes": Path(f"{daemon}/task/{runtime.pid}/children").read_text().split(),
            "mounts": Path(f"{daemon}/mountinfo").read_text().count("\n"),
            "descriptors": len(os.listdir(f"{daemon}/fd")), "cgroups": cgroups, "rules": rules,
            "links": [line for line in await said("ip", "-o", "link") if "veth" in line],
            "addresses": [name.name for name in (state / "cni" / "kit").glob("10.*")],
            "files": sorted(str(p) for kind in ("containers", "sandboxes", "runc") for p in state.glob(f"{kind}/*"))}


def test_two_hundred_starts_and_stops_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_TEST_RUNTIME", "oci")
    before_host = host()
    state = Path(os.path.realpath(tmp_path)) / "state"

    async def main() -> None:
        runtime = await start(tmp_path / "r.sock", state, ephemeral=True)
        assert isinstance(runtime, OciRuntime)
        try:
            await runtime.pull_image("busybox")
            await one(runtime, 0)
            before = await traces(runtime, state)
            assert {key: value for key, value in before.items() if isinstance(value, list) and value} == {}
            for first in range(0, ROUNDS * AT_ONCE, AT_ONCE):
                await asyncio.gather(*(one(runtime, first + number) for number in range(AT_ONCE)))
            deadline = asyncio.get_running_loop().time() + 10
            while (after := await traces(runtime, state)) != before:  # veths of a namespace end a moment after it
                assert asyncio.get_running_loop().time() < deadline, (before, after)
                await asyncio.sleep(0.1)
        finally:
            await runtime.shutdown()

    asyncio.run(main())
    assert changes(before_host) == []
    assert not list(Path("/sys/fs/cgroup").glob(f"*{group_of(str(state))}"))
    shutil.rmtree(tmp_path, ignore_errors=True)
