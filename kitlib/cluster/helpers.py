"""The two processes beside the cluster process: the runtime daemon and the proxy.

    runtime   containerd's role: owns the Pods' processes, and outlives a crash of ours
    proxy     kube-proxy's data plane: copies bytes, and ends with us

Both are started before anything else, since another process can start while this one imports.  A
cluster of simulated nodes only has neither.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from kitlib.cluster.home import ClusterDir
from kitlib.network.proxy.client import ProxyProcess
from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.oci.client import OciRuntime
from kitlib.runtime.process.client import ProcessRuntime

RUNTIMES: dict[str, type[ProcessRuntime]] = {"process": ProcessRuntime, "oci": OciRuntime}
log = logging.getLogger("kit")


class Helpers:
    """Starts them, and sees to their end."""

    def __init__(self, directory: ClusterDir, config: dict[str, Any]) -> None:
        self._directory, self._ephemeral = directory, config["ephemeral"]
        self.kind: str = config["runtime"]
        self.wanted = config["nodes"] > 0
        self.proxy = ProxyProcess()
        self._runtime: asyncio.Task[ProcessRuntime] | None = None
        self._proxy: asyncio.Task[None] | None = None

    async def spawn(self) -> None:
        if self.wanted:
            self._runtime = asyncio.create_task(RUNTIMES[self.kind].start(
                self._directory.run / "runtime.sock", self._directory.runtime, ephemeral=self._ephemeral))
            self._proxy = asyncio.create_task(self.proxy.start())
            await asyncio.sleep(0)

    async def runtime(self) -> ProcessRuntime:
        """Raises RuntimeError_ or OSError when it cannot be started here."""
        assert self._runtime is not None
        return await self._runtime

    async def ready(self) -> ProcessRuntime:
        """Both are there."""
        assert self._proxy is not None
        await self._proxy
        return await self.runtime()

    def pids(self) -> dict[str, int]:
        runtime = self._runtime
        there = runtime is not None and runtime.done() and not runtime.cancelled() and runtime.exception() is None
        found = {"runtime": runtime.result().pid if runtime and there else 0, "proxy": self.proxy.pid}
        return {name: pid for name, pid in found.items() if pid}

    async def stop(self) -> None:
        """End both, also when they have only just begun: no process of ours is left behind."""
        if self._proxy:
            await asyncio.gather(self._proxy, return_exceptions=True)
            await self.proxy.close()
        if self._runtime:
            try:
                await (await self._runtime).shutdown()
            except (RuntimeError_, OSError) as error:
                log.warning("the runtime daemon: %s", error)
