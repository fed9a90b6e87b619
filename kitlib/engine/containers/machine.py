"""What runs the engine's containers: the strongest runtime that this machine offers, started when it is first needed.

    oci       root, runc or crun, overlayfs, cgroups      namespaces, limits, a network for each container
    process   anybody                                     real processes, a root by bubblewrap's means or proot,
                                                          addresses by seccomp notification

KIT_ENGINE_RUNTIME=process does without what is better.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from kitlib.engine.networks.names import Names
from kitlib.engine.networks.wiring import Addressed, Bridged
from kitlib.network.addresses import NoFreeSlice, lease_slice
from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.oci import available
from kitlib.runtime.oci.client import OciRuntime
from kitlib.runtime.process.client import ProcessRuntime
from kitlib.runtime.process.images import ImageSource

if TYPE_CHECKING:
    from kitlib.engine.containers.record import Container
    from kitlib.engine.engine import Engine


class _Unasked:
    """The engine prepares its containers' files itself; the runtime has no images."""

    stacking = ""


class Machine:
    def __init__(self, engine: Engine, containers: Callable[[], Iterable[Container]]) -> None:
        self._engine, self._containers = engine, containers
        self._runtime: ProcessRuntime | None = None
        self._starting = asyncio.Lock()
        self.why_not_oci = ""

    @property
    def kind(self) -> str:
        """oci or process; "" as long as none was needed."""
        return self._runtime.name if self._runtime else ""

    @property
    def stacking(self) -> str:
        return self._runtime.stacking if self._runtime else ""

    async def runtime(self) -> ProcessRuntime:
        """Raises RuntimeError_ if there can be none."""
        if self._runtime is None:
            async with self._starting:
                if self._runtime is None:
                    self._runtime = await self._start()
        return self._runtime

    async def _start(self) -> ProcessRuntime:
        wanted = os.environ.get("KIT_ENGINE_RUNTIME", "")
        self.why_not_oci = "KIT_ENGINE_RUNTIME=process" if wanted == "process" else \
            await asyncio.to_thread(available.why_not)
        kind = ProcessRuntime if self.why_not_oci else OciRuntime
        home = self._engine.home
        runtime = await kind.start(home / "run" / "runtime.sock", home / "runtime",
                                   images=cast(ImageSource, _Unasked()))
        names = Names(self._containers)
        networks = self._engine.networks
        if isinstance(runtime, OciRuntime):
            bridged = Bridged(runtime, names)
            await networks.use(bridged)
            await bridged.start()
            runtime.on_new_network(bridged.renew)
        else:
            kept = self._engine.state.get("machine", "slice")
            try:
                leased = lease_slice(kept["number"] if kept else None)
            except NoFreeSlice:
                leased = lease_slice()
            self._engine.state.put("machine", "slice", {"number": leased.number})
            await networks.use(Addressed(runtime, names, leased, self._containers))
        return runtime

    def info(self) -> dict[str, object]:
        """Fields of GET /info, measured."""
        oci = not available.lacks() and self.kind != "process"
        program = available.runtime_program()
        limits = ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit",
                  "OomKillDisable")
        if oci:
            return {**dict.fromkeys(limits, True), "CgroupDriver": "cgroupfs", "Driver": "overlay2",
                    "Runtimes": {"runc": {"path": program}}, "DefaultRuntime": "runc",
                    "SecurityOptions": ["name=seccomp,profile=default"]}
        warnings = [f"WARNING: No {what} support" for what in
                    ("memory limit", "swap limit", "cpu cfs quota", "cpu shares", "cpuset", "pids limit")]
        warnings.append(f"WARNING: Containers run by kitlib's runtime `process`, not by runc: "
                        f"{self.why_not_oci or available.lacks()}")
        return {"Runtimes": {"process": {"path": sys.executable}}, "DefaultRuntime": "process", "Warnings": warnings}

    async def stop(self) -> None:
        if self._runtime is not None:
            await self._engine.networks.wiring.close()
            with contextlib.suppress(RuntimeError_):  # it may be faster than its answer
                await self._runtime.shutdown()
