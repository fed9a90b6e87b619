"""Health checks: a command that asks, again and again, how the container is.

    starting ── one success ─▶ healthy ── RETRIES failures in a row ─▶ unhealthy

Test: ["NONE"], ["CMD", …], ["CMD-SHELL", "…"].  The last five probes are kept in State.Health.Log.

Source: moby 20.10, daemon/health.go.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from kitlib.engine.containers.record import Container, now, seconds
from kitlib.engine.errors import EngineError
from kitlib.runtime.cri import RuntimeError_

if TYPE_CHECKING:
    from kitlib.engine.containers.manager import Containers

_SECOND = 1_000_000_000
_INTERVAL, _TIMEOUT, _RETRIES = 30.0, 30.0, 3
_KEPT, _MOST_OUTPUT = 5, 4096


def begin(containers: Containers, container: Container) -> None:
    check = container.config.get("Healthcheck") or {}
    test = check.get("Test") or []
    if not test or test[0] == "NONE":
        container.state.pop("Health", None)
        return
    container.state["Health"] = {"Status": "starting", "FailingStreak": 0, "Log": []}
    container.health = asyncio.get_running_loop().create_task(_watch(containers, container, check))


def stop(container: Container) -> None:
    if container.health is not None:
        container.health.cancel()
        container.health = None
        if "Health" in container.state:
            container.state["Health"]["Status"] = "unhealthy"


async def _watch(containers: Containers, container: Container, check: dict[str, Any]) -> None:
    interval = (check.get("Interval") or 0) / _SECOND or _INTERVAL
    timeout = (check.get("Timeout") or 0) / _SECOND or _TIMEOUT
    while True:
        await asyncio.sleep(interval)
        if not container.running or container.state["Paused"]:
            continue
        began = now()
        code, output = await _probe(containers, container, check["Test"], timeout)
        if container.running:
            _judge(containers, container, check, {"Start": began, "End": now(), "ExitCode": code, "Output": output})


async def _probe(containers: Containers, container: Container, test: list[str], timeout: float) -> tuple[int, str]:
    argv = test[1:] if test[0] == "CMD" else [*(container.config.get("Shell") or ["/bin/sh", "-c"]), *test[1:]]
    try:
        made = containers.execs.create(container, {"Cmd": argv, "AttachStdout": True, "AttachStderr": True})
        code, output = await containers.execs.finish(made, timeout)
    except (EngineError, RuntimeError_) as error:
        return -1, error.message
    if code is None:
        return -1, f"Health check exceeded timeout ({_duration(timeout)})"
    text = output.decode(errors="replace")
    return code, text if len(text) <= _MOST_OUTPUT else text[:_MOST_OUTPUT] + "..."


def _judge(containers: Containers, container: Container, check: dict[str, Any], result: dict[str, Any]) -> None:
    health = container.state["Health"]
    before = health["Status"]
    health["Log"] = [*health["Log"], result][-_KEPT:]
    if result["ExitCode"] == 0:
        health |= {"FailingStreak": 0, "Status": "healthy"}
    else:
        grace = (check.get("StartPeriod") or 0) / _SECOND
        early = before == "starting" and time.time() - seconds(container.state["StartedAt"]) < grace
        if not early:
            health["FailingStreak"] += 1
            if health["FailingStreak"] >= (check.get("Retries") or _RETRIES):
                health["Status"] = "unhealthy"
    containers.save(container)
    if health["Status"] != before:
        containers.engine.events.tell("container", f"health_status: {health['Status']}", container.id,
                                      container.attributes())


def _duration(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"
