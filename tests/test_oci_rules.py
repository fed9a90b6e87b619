"""kube-proxy's rules in the nodes of the `oci` runtime: from node to node, by what a real socket there reaches."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from proxy_objects import service
from test_kernel_proxy import Listed

from kitlib.cluster.errors import UsageError
from kitlib.cluster.networks import OwnNetwork
from kitlib.cluster.proxymode import choose
from kitlib.network.kernel.proxy import RuleProxy
from kitlib.runtime.oci.client import OciRuntime

VIP, NODE_1, NODE_2 = "10.96.50.1", "10.10.0.2", "10.10.0.3"


class Control:
    """A manager's informers."""

    def __init__(self) -> None:
        nodes = [{"metadata": {"name": f"node-{i}"}, "status": {"addresses": [{"type": "InternalIP", "address": a}]}}
                 for i, a in ((1, NODE_1), (2, NODE_2))]
        self.informers = {"services": Listed([service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}])]),
                          "nodes": Listed(nodes), "endpointslices.discovery.k8s.io": Listed([endpoints(NODE_2)])}

    def informer(self, name: str) -> Listed:
        return self.informers[name]


def endpoints(*addresses: str) -> dict[str, Any]:
    made = [{"addresses": [a], "conditions": {"ready": True}, "nodeName": f"node-{int(a[-1]) - 1}"} for a in addresses]
    return {"metadata": {"name": "web-1", "namespace": "proxy", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": made, "ports": [{"name": "", "port": 8080, "protocol": "TCP"}]}


def with_nodes(tmp_path: Path, mode: str,
               work: Callable[[OciRuntime, Control, RuleProxy], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        runtime = await OciRuntime.start(tmp_path / "r.sock", tmp_path / "state", ephemeral=True)
        try:
            network = OwnNetwork(runtime, mode)
            await network.set_up()
            for index, address in ((1, NODE_1), (2, NODE_2)):
                await network.add_node(f"node-{index}", index)
                await serve(runtime, f"node-{index}", address)
            control = Control()
            await network.start_proxy(control, None, None, ["node-1", "node-2"])  # type: ignore[arg-type]
            assert network._rules is not None
            await work(runtime, control, network._rules)
            await network.close()
        finally:
            await runtime.shutdown()

    asyncio.run(asyncio.wait_for(run(), 60))


async def serve(runtime: OciRuntime, node: str, address: str) -> None:
    """In place of a Pod: it tells its node and whom it sees."""
    listener = await runtime.open_socket(node)
    listener.bind((address, 8080))
    listener.listen()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{node} sees {writer.get_extra_info('peername')[0]}".encode())
        writer.close()

    await asyncio.start_server(answer, sock=listener)


async def ask(runtime: OciRuntime, node: str, address: str, port: int) -> str:
    reader, writer = await asyncio.wait_for(runtime.dial(address, port, node=node), 5)
    said = await reader.read()
    writer.close()
    return said.decode()


@pytest.mark.needs("oci", "netfilter")
@pytest.mark.parametrize("mode", ["iptables", "nftables", "userspace"])
def test_a_service_leads_from_node_to_node_and_a_node_port_from_the_fabric(tmp_path: Path, mode: str) -> None:
    async def work(runtime: OciRuntime, control: Control, rules: RuleProxy) -> None:
        assert await ask(runtime, "node-1", VIP, 80) == f"node-2 sees {NODE_1}"
        assert await ask(runtime, "", NODE_1, 30080) == f"node-2 sees {NODE_1}"   # masqueraded on its way through
        control.informers["endpointslices.discovery.k8s.io"].put(endpoints(NODE_1))
        await rules.synced()
        assert (await ask(runtime, "node-2", VIP, 80)).startswith("node-1 sees ")
        assert {entry["error"] for entry in rules.status()["nodes"].values()} == {""}

    with_nodes(tmp_path, mode, work)


@pytest.mark.needs("oci", "netfilter")
def test_a_refusal_of_the_kernel_arrives_as_one(tmp_path: Path) -> None:
    async def work(runtime: OciRuntime, control: Control, rules: RuleProxy) -> None:
        control.informers["endpointslices.discovery.k8s.io"].put(endpoints())
        await rules.synced()
        with pytest.raises(ConnectionRefusedError):
            await ask(runtime, "node-1", VIP, 80)
        asked = await runtime.open_socket("node-1", socket.SOCK_DGRAM)
        asked.close()

    with_nodes(tmp_path, "nftables", work)


def test_a_mode_needs_a_runtime_with_kernels_of_its_own_and_a_kernel_that_can() -> None:
    assert choose("", "process") == choose("userspace", "process") == "userspace"
    with pytest.raises(UsageError, match="share this machine's network"):
        choose("iptables", "process")
    with pytest.raises(UsageError, match=r"--proxy-mode ipvs does not work here: .*kit only reads and walks this mode"):
        choose("ipvs", "oci")
