"""One run of a container: from its start to its end, and what comes after that.

    prepare ─▶ sandbox ─▶ wires, ports ─▶ process ─▶ RUNNING ── output ends ─▶ die ─▶ restart? remove? ─▶ over
       └────── anything fails ─▶ it is as before; State.Error says why

Restarts wait 100 ms, and twice as long each time up to a minute, as long as a run lasts less than ten seconds.

Source: moby 20.10, daemon/start.go, daemon/monitor.go, restartmanager/restartmanager.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from kitlib.engine.containers import health, place, spec, users
from kitlib.engine.containers.record import Container, now, seconds
from kitlib.engine.errors import EngineError
from kitlib.engine.networks.ports import Publisher
from kitlib.runtime.cri import RuntimeError_

if TYPE_CHECKING:
    from kitlib.engine.containers.manager import Containers

_FIRST_PAUSE, _LONGEST_PAUSE, _LONG_RUN = 0.1, 60.0, 10.0
LOST = 255


async def start(containers: Containers, container: Container) -> None:
    """Raises EngineError, and then nothing of the run is left."""
    runtime = await containers.runtime()
    networks, events = containers.engine.networks, containers.engine.events
    other = containers.network_of(container)
    try:
        await networks.prepare(container)
        nameserver = networks.wiring.nameserver(container)
        await asyncio.to_thread(spec.write_etc, container,
                                resolv_conf=spec.resolv_conf(container.host, nameserver))
        container.sandbox = await networks.wiring.sandbox(container, other, spec.hostname(container))
        await networks.wire(container)
        container.ports = await _publish(containers, container)
        for point in _volumes(container):
            events.tell("volume", "mount", point["Name"], {
                "container": container.id, "destination": point["Destination"], "driver": point["Driver"],
                "propagation": point["Propagation"], "read/write": str(point["RW"]).lower()})
        trees = place.tree(container.rw, container.layers, runtime.stacking)
        user = users.look_up(container.config["User"], trees, container.host["GroupAdd"] or ())
        await asyncio.to_thread(place.check_directory, trees, container.config["WorkingDir"])
        described = spec.describe(container, user, runtime=runtime.name, layers=container.layers,
                                  nameserver=nameserver, ip=networks.wiring.own(container))
        container.task = await runtime.create_described(container.sandbox, container.name, described)
        container.session = await runtime.session("attach", container.task, stdin=bool(container.config["OpenStdin"]),
                                                  tty=container.tty, early=True, lossless=True)
        await runtime.start_container(container.task)
        pid = (await runtime.container_status(container.task)).pid
    except (RuntimeError_, EngineError, OSError) as error:
        failure = _failure(container, error)
        await clear(containers, container)
        container.state |= {"Error": failure.message, "ExitCode": container.state["ExitCode"] or 128}
        containers.save(container)
        container.audience.end()
        raise failure from error
    container.state |= {"Status": "running", "Running": True, "Paused": False, "Restarting": False, "OOMKilled": False,
                        "Dead": False, "Pid": pid, "ExitCode": 0, "Error": "", "StartedAt": now()}
    container.stopped_by_hand = False
    container.ended.clear()
    container.live.set()
    containers.save(container)
    events.tell("container", "start", container.id, container.attributes())
    follow(containers, container)


def follow(containers: Containers, container: Container) -> None:
    """Hear the run to its end."""
    container.run = asyncio.get_running_loop().create_task(_run(containers, container), name=f"run {container.name}")
    health.begin(containers, container)


async def _publish(containers: Containers, container: Container) -> dict[str, list[dict[str, Any]] | None]:
    """Ports of the host; those that are only exposed have none."""
    exposed: dict[str, list[dict[str, Any]] | None] = dict.fromkeys(container.config.get("ExposedPorts") or {})
    if not any(one.get("IPAddress") for one in container.networks.values()):
        return {}
    wanted = {_whole(port): list(bindings or [{}]) for port, bindings in (container.host["PortBindings"] or {}).items()}
    if container.host["PublishAllPorts"]:
        wanted |= {port: [{}] for port in exposed if port not in wanted}
    publisher = Publisher(container, containers.engine.networks.wiring)
    containers.publishers[container.id] = publisher
    return {**exposed, **await publisher.open(wanted)}


def _volumes(container: Container) -> list[dict[str, Any]]:
    return [point for point in container.mounts if point["Type"] == "volume"]


def _whole(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"


def _failure(container: Container, error: Exception) -> EngineError:
    """Docker's sentence, status and exit code for a start that failed."""
    if isinstance(error, EngineError):
        container.state["ExitCode"] = 128
        return error
    if not isinstance(error, RuntimeError_):
        container.state["ExitCode"] = 128
        return EngineError(500, str(error))
    message = error.message.removeprefix("failed to create containerd task: ")
    code, status = 128, 500
    if any(words in message for words in ("executable file not found", "no such file or directory")):
        code, status = 127, 400
    elif any(words in message for words in ("permission denied", "not a directory", "is a directory")):
        code, status = 126, 400
    container.state["ExitCode"] = code
    return EngineError(status, message)


async def _run(containers: Containers, container: Container) -> None:
    session = container.session
    assert session is not None
    async for stream, data in session.output():
        container.tell()
        await container.audience.tell(stream, data)
    if containers.closing:
        return
    code = LOST if session.exit_code is None else session.exit_code
    await over(containers, container, code)


async def over(containers: Containers, container: Container, code: int) -> None:
    """It has ended."""
    runtime = await containers.runtime()
    with contextlib.suppress(RuntimeError_):
        status = await runtime.container_status(container.task)
        container.state["OOMKilled"] = status.reason == "OOMKilled"
    lasted = time.time() - seconds(container.state["StartedAt"])
    again = _restarts(container, code)
    container.state |= {"Status": "restarting" if again else "exited", "Running": again, "Restarting": again,
                        "Paused": False, "Pid": 0, "ExitCode": code, "FinishedAt": now()}
    container.live.clear()
    health.stop(container)
    containers.execs.forget(container)
    containers.engine.events.tell("container", "die", container.id,
                                  {**container.attributes(), "exitCode": str(code)})
    container.tell()
    container.audience.end()
    await clear(containers, container)
    if again and not _restarts(container, code):  # stopped or removed meanwhile
        again = False
        container.state |= {"Status": "exited", "Running": False, "Restarting": False}
    containers.save(container)
    exits, container.exits = container.exits, []
    for waiting in exits:
        if not waiting.done():
            waiting.set_result(code)
    if again:
        container.restarting = asyncio.get_running_loop().create_task(_again(containers, container, lasted))
        return
    container.ended.set()
    if container.host["AutoRemove"]:
        await containers.discard(container, volumes=True)


async def clear(containers: Containers, container: Container) -> None:
    """Whatever belonged to the run goes."""
    runtime = await containers.runtime()
    publisher = containers.publishers.pop(container.id, None)
    if publisher is not None:
        await publisher.close()
    if container.session is not None:
        container.session.close()
        container.session = None
    await containers.engine.networks.release(container)
    if container.sandbox:
        for point in _volumes(container):
            containers.engine.events.tell("volume", "unmount", point["Name"],
                                          {"container": container.id, "driver": point["Driver"]})
    task, sandbox, container.task, container.sandbox = container.task, container.sandbox, "", ""
    container.ports = {}
    with contextlib.suppress(RuntimeError_):
        if sandbox:
            await runtime.remove_pod_sandbox(sandbox)
        elif task:
            await runtime.remove_container(task)


def _restarts(container: Container, code: int) -> bool:
    policy = container.host["RestartPolicy"]
    if container.stopped_by_hand or container.removing:
        return False
    if policy["Name"] in ("always", "unless-stopped"):
        return True
    return bool(policy["Name"] == "on-failure" and code != 0
                and (not policy["MaximumRetryCount"] or container.restarts < policy["MaximumRetryCount"]))


async def _again(containers: Containers, container: Container, lasted: float) -> None:
    pause = containers.pauses.get(container.id, 0.0)
    pause = _FIRST_PAUSE if lasted >= _LONG_RUN or not pause else min(pause * 2, _LONGEST_PAUSE)
    containers.pauses[container.id] = pause
    await asyncio.sleep(pause)
    async with container.lock:
        if container.stopped_by_hand or container.removing:
            container.state |= {"Status": "exited", "Running": False, "Restarting": False}
            container.ended.set()
            return
        container.restarts += 1
        container.beginning = True
        try:
            await start(containers, container)
        except EngineError:
            container.state |= {"Status": "exited", "Running": False, "Restarting": False, "FinishedAt": now()}
            containers.save(container)
            container.ended.set()
        finally:
            container.beginning = False


async def given_up(container: Container) -> bool:
    """It is not to be started again.  True if it was waiting for that.

    A start that is going on is not broken off, or its port and its network would be nobody's: it is waited for.
    """
    while container.beginning and container.restarting is not None:
        await asyncio.wait([container.restarting])
        container.stopped_by_hand = True  # the start took it back
    return give_up(container)


def give_up(container: Container) -> bool:
    """The same at once: for who holds its lock, so that no start goes on, and for when everything ends."""
    if container.restarting is None or container.restarting.done() or not container.state["Restarting"]:
        return False
    container.restarting.cancel()
    container.state |= {"Status": "exited", "Running": False, "Restarting": False}
    container.ended.set()
    return True


async def adopt(containers: Containers, container: Container) -> None:
    """After the engine was killed: hear it again if it still runs, else it has ended."""
    runtime = await containers.runtime()
    alive = {one.id: one for one in await runtime.list_containers()}
    status = alive.get(container.task)
    if status is not None and status.pid:
        container.session = await runtime.session("attach", container.task, stdin=bool(container.config["OpenStdin"]),
                                                  tty=container.tty, lossless=True)
        networks = containers.engine.networks
        await networks.wiring.adopted(container)
        wanted = {port: bindings for port, bindings in container.ports.items() if bindings}
        publisher = containers.publishers[container.id] = Publisher(container, networks.wiring)
        with contextlib.suppress(EngineError):
            await publisher.open({port: [one for one in bindings if ":" not in one["HostIp"]]
                                  for port, bindings in wanted.items()})
        container.live.set()
        follow(containers, container)
        return
    code = status.exit_code if status is not None and status.finished_at else LOST
    await over(containers, container, code)


def stop_seconds(container: Container, asked: int | None) -> float:
    """How long it may take; negative: for ever."""
    if asked is not None:
        return float(asked)
    return float(container.config.get("StopTimeout") or 10)
