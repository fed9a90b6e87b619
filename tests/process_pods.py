"""Real Pods for the tests of the process runtime: a daemon of their own, an address slice of their own.

The same tests run with the runtime `oci` (test_oci_shared.py); then the Pods are on one node of a network of its own.

`run(scenario)` runs a coroutine function that gets a `Pods`; when it ends, so do the daemon and everything it started.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kitlib.network.addresses import PrivateAddresses, Slice, lease_slice
from kitlib.objects import lowports
from kitlib.runtime.cri import ContainerConfig, ContainerState, ContainerStatus, Mount, PodSandboxConfig
from kitlib.runtime.oci.client import OciRuntime
from kitlib.runtime.process.client import ProcessRuntime

NODE = "node-1"
_running: list[Pods] = []  # of the test that runs now


def oci() -> bool:
    return os.environ.get("KIT_TEST_RUNTIME") == "oci"


class Pods:
    def __init__(self, directory: Path, runtime: ProcessRuntime, addresses: Slice) -> None:
        self.directory, self.runtime, self.slice = directory, runtime, addresses
        self.events: list[ContainerStatus] = []
        self._numbers = itertools.count(2)
        runtime.on_container_event(self.events.append)

    def next_ip(self) -> str:
        return self.ip(next(self._numbers))

    def ip(self, number: int) -> str:
        """The Pod address with this number."""
        cidr = PrivateAddresses().pod_cidr(1) if oci() else self.slice.pod_cidr(0)
        return cidr.replace("0/24", str(number))

    async def sandbox(self, name: str, **more: Any) -> tuple[str, str]:
        """A sandbox with an address: its id and the address."""
        ip = more.pop("ip", None) or self.next_ip()
        logs = str(self.directory / "logs" / name)
        more.setdefault("node", NODE)
        config = PodSandboxConfig(name=name, uid=f"uid-{name}", namespace="default", hostname=name, ip=ip,
                                  log_directory=logs, **more)  # fmt: skip
        return await self.runtime.run_pod_sandbox(config), ip

    async def create(self, name: str, image: str, *command: str, **more: Any) -> tuple[str, str]:
        """A Pod with one container that is not started: the container's id and the Pod's address."""
        names = ("dns_servers", "dns_searches", "dns_options", "ip")
        sandbox_options = {key: more.pop(key) for key in names if key in more}
        sandbox, ip = await self.sandbox(name, **sandbox_options)
        await self.runtime.pull_image(image)
        config = ContainerConfig(name="c", image=image, command=command, log_path="c/0.log", **more)
        return await self.runtime.create_container(sandbox, config), ip

    async def start(self, name: str, image: str, *command: str, **more: Any) -> tuple[str, str]:
        container, ip = await self.create(name, image, *command, **more)
        await self.runtime.start_container(container)
        return container, ip

    async def sh(self, name: str, script: str, **more: Any) -> tuple[str, str]:
        return await self.start(name, "busybox:1.36", "sh", "-c", script, **more)

    async def ended(self, container: str, seconds: float = 30) -> ContainerStatus:
        """The container's status once it has ended."""
        return await eventually(lambda: self._if_ended(container), seconds)

    async def _if_ended(self, container: str) -> ContainerStatus | None:
        status = await self.runtime.container_status(container)
        return status if status.state == ContainerState.EXITED else None

    def log_entries(self, name: str) -> list[tuple[str, str, str, str]]:
        """(time, stream, F or P, text) of a container's log."""
        path = self.directory / "logs" / name / "c" / "0.log"
        return [tuple(line.split(" ", 3)) for line in path.read_text().splitlines()]  # type: ignore[misc]

    def log(self, name: str) -> list[str]:
        return [entry[3] for entry in self.log_entries(name)]

    async def run_script(self, name: str, script: str, **more: Any) -> list[str]:
        """What a busybox script prints."""
        container, _ = await self.sh(name, script, **more)
        await self.ended(container)
        return self.log(name)

    def reachable(self, port: int) -> int:
        """Where the test, which is no Pod, finds a Pod's port."""
        return lowports.reachable(port, self.runtime.isolation.port_start)


async def eventually(probe: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """What `probe` says as soon as that is true."""
    end = time.monotonic() + seconds
    while True:
        found = await probe()
        if found:
            return found
        assert time.monotonic() < end, f"still {found!r} after {seconds} s"
        await asyncio.sleep(0.02)


async def ask(ip: str, port: int, request: str = "", source: str = "") -> str:
    """Connect once somebody listens there, say `request`, and return everything that is answered."""

    async def once() -> str:
        try:
            if oci():
                reader, writer = await _running[-1].runtime.dial(ip, port)
            else:
                reader, writer = await asyncio.open_connection(ip, port, local_addr=(source, 0) if source else None)
            writer.write(request.encode())
            data = await reader.read()
        except OSError:  # not there yet, or just being replaced
            return ""
        writer.close()
        return data.decode()

    return await eventually(once)


async def http_get(ip: str, port: int, path: str = "/", source: str = "") -> str:
    """The whole response of an HTTP/1.0 request."""
    return await ask(ip, port, f"GET {path} HTTP/1.0\r\nHost: test\r\n\r\n", source)


def readonly(container_path: str, host_path: Path) -> Mount:
    return Mount(container_path, str(host_path), readonly=True)


def run(scenario: Callable[..., Awaitable[None]], *, runtimes: int = 1, **options: Any) -> None:
    """Run a scenario with as many runtimes, each of another cluster, as it wants."""

    async def main() -> None:
        pods: list[Pods] = []
        try:
            for _ in range(runtimes):
                directory = Path(tempfile.mkdtemp(prefix="kit-test-"))
                runtime = await start(directory / "run" / "runtime.sock", directory / "runtime",
                                      **{"ephemeral": True, **options})  # fmt: skip
                pods.append(Pods(directory, runtime, lease_slice()))
                _running[:] = pods
            await scenario(*pods)
        finally:
            await asyncio.gather(*(shut(one) for one in pods))

    asyncio.run(main())


async def start(socket: Path, state: Path, **options: Any) -> ProcessRuntime:
    """The runtime that this run of the tests is about."""
    if not oci():
        return await ProcessRuntime.start(socket, state, **options)
    runtime, here = await OciRuntime.start(socket, state, **options), PrivateAddresses()
    await runtime.set_up_network(here.node_ip(0), here.node_prefix, here.service_cidr)
    await runtime.add_node(NODE, here.node_ip(1), here.pod_cidr(1))
    return runtime


async def shut(pods: Pods) -> None:
    await pods.runtime.shutdown()
    pods.slice.release()
    shutil.rmtree(pods.directory, ignore_errors=True)


def texts(entries: Iterable[tuple[str, str, str, str]], stream: str) -> Sequence[str]:
    return [text for _, name, _, text in entries if name == stream]
