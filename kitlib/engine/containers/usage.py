"""docker stats and docker top: what a container uses, and its processes.

Source: moby 20.10, daemon/stats_unix.go, daemon/stats/collector_unix.go, daemon/top_unix.go; man proc(5).
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import time
from collections.abc import AsyncIterator
from typing import Any

from kitlib.engine.containers.execs import check_running
from kitlib.engine.containers.record import NEVER, Container, now
from kitlib.engine.errors import EngineError
from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.process.client import ProcessRuntime

Object = dict[str, Any]
_INTERVAL = 1.0
_DEVICES = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
_UNLIMITED = 1 << 60


def _system_nanoseconds() -> int:
    """Time of all processors since the start."""
    with open("/proc/stat") as file:
        fields = file.readline().split()[1:8]
    return sum(map(int, fields)) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


async def sample(container: Container, runtime: ProcessRuntime) -> Object:
    """One measurement, without the one before it."""
    nothing: Object = {"read": NEVER, "pids_stats": {}, "blkio_stats": _disk([]), "num_procs": 0, "storage_stats": {},
                       "cpu_stats": _no_cpu(), "memory_stats": {}}
    if not container.running or not container.task:
        return nothing
    try:
        found = await runtime.ask("container_accounts", container=container.task)
    except RuntimeError_:
        return nothing
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = found.get("memory_limit") or container.host["Memory"]
    pids: Object = {"current": found["pids"]}
    if container.host["PidsLimit"] and container.host["PidsLimit"] > 0:
        pids["limit"] = container.host["PidsLimit"]
    throttling = found.get("throttling") or {}
    cores = len(os.sched_getaffinity(0))
    return {
        "read": now(), "pids_stats": pids, "blkio_stats": _disk(found.get("disk") or []), "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": {
            "cpu_usage": {"total_usage": found["cpu"], **({"percpu_usage": found["percpu"]} if found.get("percpu")
                                                          else {}),
                          "usage_in_kernelmode": found.get("kernel", 0),
                          "usage_in_usermode": found.get("user", found["cpu"])},
            "system_cpu_usage": _system_nanoseconds(), "online_cpus": cores,
            "throttling_data": {"periods": throttling.get("nr_periods", 0),
                                "throttled_periods": throttling.get("nr_throttled", 0),
                                "throttled_time": throttling.get("throttled_time", 0)}},
        "memory_stats": {"usage": found["memory"], "stats": found.get("memory_stat") or {},
                         "limit": limit if 0 < limit < min(_UNLIMITED, total) else total},
        **({"networks": _networks(found["pid"])} if runtime.name == "oci" and container.ip else {})}  # fmt: skip


def _no_cpu() -> Object:
    return {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
            "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0}}


def _disk(rows: list[list[Any]]) -> Object:
    names = ("io_serviced_recursive", "io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive",
             "io_merged_recursive", "io_time_recursive", "sectors_recursive")
    moved = [{"major": row[0], "minor": row[1], "op": row[2], "value": row[3]} for row in rows]
    return {"io_service_bytes_recursive": moved or None, **dict.fromkeys(names)}


def _networks(pid: int) -> Object:
    found: Object = {}
    try:
        with open(f"/proc/{pid}/net/dev") as file:
            lines = file.readlines()[2:]
    except OSError:
        return found
    for line in lines:
        name, _, rest = line.partition(":")
        numbers = [int(word) for word in rest.split()]
        if name.strip() != "lo" and len(numbers) >= 12:
            found[name.strip()] = dict(zip(_DEVICES, (*numbers[:4], *numbers[8:12]), strict=True))
    return found


async def stream(container: Container, runtime: ProcessRuntime, *, once: bool, one_shot: bool) -> AsyncIterator[Object]:
    """A measurement each second, with the one before it; once: after the second one it is over."""
    before: Object = {"read": NEVER, "cpu_stats": _no_cpu()}
    if once and not one_shot and container.running:
        before = await sample(container, runtime)
        await asyncio.sleep(_INTERVAL)
    while True:
        found = await sample(container, runtime)
        yield {**found, "preread": before["read"], "precpu_stats": before["cpu_stats"], "name": f"/{container.name}",
               "id": container.id}
        if once or container.removing:
            return
        before = found
        await asyncio.sleep(_INTERVAL)


async def top(container: Container, runtime: ProcessRuntime, arguments: str) -> Object:
    """{"Titles", "Processes"} as `ps ARGUMENTS` of this machine has them, of the container's processes alone."""
    check_running(container)
    try:
        pids = set(await runtime.ask("container_pids", container=container.task))
    except RuntimeError_ as error:
        raise EngineError(409, f"Container {container.id} is not running") from error
    words = shlex.split(arguments or "-ef")
    try:
        done = await asyncio.to_thread(subprocess.run, ["ps", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return _own_table(pids)
    if done.returncode:
        raise EngineError(500, f"ps: {done.stderr.strip()}")
    lines = done.stdout.splitlines()
    titles = lines[0].split()
    if "PID" not in titles:
        raise EngineError(500, "Couldn't find PID field in ps output")
    at, rows = titles.index("PID"), []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > at and fields[at].isdigit() and int(fields[at]) in pids:
            rows.append([*fields[:-1], fields[-1].rstrip()])
    return {"Titles": titles, "Processes": rows}


def _own_table(pids: set[int]) -> Object:
    """ps -ef, where there is no ps."""
    rows = []
    tick = os.sysconf("SC_CLK_TCK")
    began = time.time() - float(open("/proc/uptime").read().split()[0])  # noqa: SIM115
    for pid in sorted(pids):
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(") ")[2].split()
            with open(f"/proc/{pid}/cmdline", "rb") as raw:
                command = raw.read().replace(b"\0", b" ").decode(errors="replace").strip()
            owner = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue
        used = (int(fields[11]) + int(fields[12])) // tick
        start = time.strftime("%H:%M", time.localtime(began + int(fields[19]) / tick))
        rows.append([str(owner), str(pid), fields[1], "0", start, "?", time.strftime("%H:%M:%S", time.gmtime(used)),
                     command])
    return {"Titles": ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"], "Processes": rows}
