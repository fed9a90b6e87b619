"""On what machine a figure was measured."""

from __future__ import annotations

import os
import platform
from typing import Any


def describe() -> dict[str, Any]:
    return {"system": f"{platform.system()} {platform.release()}", "cpu": _cpu(), "cores": os.cpu_count(),
            "memory_gb": round(_memory_kb() / 1e6, 1), "python": platform.python_version(),
            "load": round(os.getloadavg()[0], 2)}


def sentence(machine: dict[str, Any]) -> str:
    return (f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
            f"Python {machine['python']}, load {machine['load']} before the measurement")


def _cpu() -> str:
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.machine()


def _memory_kb() -> int:
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemTotal"))
