"""All containers of the engine: what a client may do with one, in Docker's order and with Docker's refusals.

The record is written before anybody is told.  What a run needs (streams, restarts) is in running.py.

Source: moby 20.10, daemon/create.go, start.go, stop.go, kill.go, restart.go, delete.go, rename.go, pause.go, prune.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kitlib.engine.containers import config, creating, files, listing, names, running, spec, views
from kitlib.engine.containers.attaching import Audience
from kitlib.engine.containers.execs import Execs
from kitlib.engine.containers.machine import Machine
from kitlib.engine.containers.record import Container, seconds
from kitlib.engine.errors import EngineError, bad_request, conflict, not_found
from kitlib.engine.filters import label_fits, moment
from kitlib.engine.volumes import size
from kitlib.images.layerwriter import Entry
from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.process.client import ProcessRuntime

if TYPE_CHECKING:
    from kitlib.engine.engine import Engine
    from kitlib.engine.networks.ports import Publisher

Object = dict[str, Any]
_GRACE_AT_THE_END = 3.0


class Containers:
    """The engine's part that keeps them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._known: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self.machine = Machine(engine, self.all)
        self.execs = Execs(self)
        self.publishers: dict[str, Publisher] = {}
        self.pauses: dict[str, float] = {}
        self.closing = False
        self._waking: asyncio.Task[None] | None = None

    # The engine's beginning and end.

    async def start(self) -> None:
        for document in self.engine.state.all("containers").values():
            self._add(Container.load(document))
        for container in [one for one in self._known.values() if one.running and not one.state["Restarting"]]:
            await running.adopt(self, container)
        self._waking = asyncio.get_running_loop().create_task(self._wake())

    async def _wake(self) -> None:
        """Beside the first requests: the runtime starts, and what is to run again."""
        await self.runtime()
        for container in list(self._known.values()):
            if container.state["Restarting"] or self._is_to_come_back(container):
                container.stopped_by_hand = False
                with contextlib.suppress(EngineError):
                    await running.start(self, container)

    @staticmethod
    def _is_to_come_back(container: Container) -> bool:
        policy = container.host["RestartPolicy"]["Name"]
        return container.state["Status"] == "exited" and (
            policy == "always" or (policy == "unless-stopped" and not container.stopped_by_hand))

    async def stop(self) -> None:
        """As when Docker's daemon is stopped: containers are told to end, and then they are ended."""
        if self._waking is not None:
            self._waking.cancel()
        for container in self._known.values():
            running.give_up(container)
        alive = [one for one in self._known.values() if one.running]

        async def end(container: Container) -> None:
            by_hand = container.stopped_by_hand
            with contextlib.suppress(EngineError, RuntimeError_):
                await self._end(container, min(running.stop_seconds(container, None), _GRACE_AT_THE_END))
            container.stopped_by_hand = by_hand
            if container.id in self._known:
                self.save(container)

        await asyncio.gather(*map(end, alive))
        self.closing = True
        await self.machine.stop()

    async def runtime(self) -> ProcessRuntime:
        return await self.machine.runtime()

    # Looking.

    def _add(self, container: Container) -> None:
        container.audience = Audience()
        if not container.running:
            container.ended.set()
        self._known[container.id] = container
        self._names[container.name] = container.id

    def all(self) -> list[Container]:
        return list(self._known.values())

    def find(self, name: str) -> Container:
        """By name, id, or the beginning of an id.  Raises EngineError(404)."""
        if name in self._known:
            return self._known[name]
        identity = self._names.get(name.removeprefix("/"))
        if identity:
            return self._known[identity]
        begins = [one for key, one in self._known.items() if name and key.startswith(name)]
        if len(begins) > 1:
            raise bad_request(f"Multiple IDs found with provided prefix: {name}")
        if not begins:
            raise not_found(f"No such container: {name}")
        return begins[0]

    def save(self, container: Container) -> None:
        self.engine.state.put("containers", container.id, container.document())

    def summaries(self, *, sized: bool = False) -> Sequence[Object]:
        """All containers as GET /containers/json?all=1 has them.  sized: with SizeRw, for which files are counted."""
        return [listing.summary(self.engine, one, sized=sized) for one in self._known.values()]

    def info(self) -> Object:
        """What of GET /info depends on what runs containers."""
        return self.machine.info()

    def network_of(self, container: Container) -> str:
        """The sandbox whose network it shares, or "".  Raises EngineError."""
        mode = container.network_mode
        if not mode.startswith("container:"):
            return ""
        other = self.find(mode.partition(":")[2])
        if not other.running:
            raise conflict(f"cannot join network of a non running container: {other.id}")
        return other.sandbox

    # Create.

    async def create(self, name: str, body: Mapping[str, Any]) -> tuple[str, list[str]]:
        """(id, warnings).  Raises EngineError."""
        container, warnings = await creating.create(self, name, body)
        self.save(container)
        self._add(container)
        self.engine.events.tell("container", "create", container.id, container.attributes())
        return container.id, warnings

    def release(self, name: str) -> None:
        """It will have no container after all."""
        self._names.pop(name, None)

    def reserve(self, name: str, identity: str) -> str:
        """The name a container gets: the wanted one, or for "" a made up one.  Raises EngineError."""
        name = name.removeprefix("/")
        if not name:
            name = names.made_up(self._names)
        elif not names.PATTERN.fullmatch(name):
            raise bad_request(f"Invalid container name ({name}), only {names.ALLOWED} are allowed")
        if name in self._names:
            raise conflict(f'Conflict. The container name "/{name}" is already in use by container '
                           f'"{self._names[name]}". You have to remove (or rename) that container to be able to reuse '
                           "that name.")
        self._names[name] = identity
        return name

    # Start and stop.

    async def begin(self, name: str) -> bool:
        """False if it runs already."""
        container = self.find(name)
        async with container.lock:
            if container.state["Paused"]:
                raise conflict("cannot start a paused container, try unpause instead")
            if container.running and not container.state["Restarting"]:
                return False
            if container.removing or container.state["Dead"]:
                raise conflict("container is marked for removal and cannot be started")
            running.give_up(container)
            self.pauses.pop(container.id, None)
            container.restarts = 0
            try:
                await running.start(self, container)
            except EngineError:
                if container.host["AutoRemove"]:
                    await self.discard(container, volumes=True)
                raise
        return True

    async def end(self, name: str, timeout: int | None) -> bool:
        """docker stop.  False if it does not run."""
        container = self.find(name)
        if not container.running:
            return False
        await self._end(container, running.stop_seconds(container, timeout))
        self.engine.events.tell("container", "stop", container.id, container.attributes())
        return True

    async def _end(self, container: Container, timeout: float) -> None:
        container.stopped_by_hand = True
        if await running.given_up(container):
            self.save(container)
            return
        ended = container.ended
        await self._signal(container, config.stop_signal(container.config))
        try:
            await asyncio.wait_for(asyncio.shield(ended.wait()), None if timeout < 0 else timeout)
        except (asyncio.TimeoutError, TimeoutError):
            await self._signal(container, signal.SIGKILL)
            await ended.wait()

    async def _signal(self, container: Container, number: int) -> None:
        with contextlib.suppress(RuntimeError_):
            runtime = await self.runtime()
            if container.state["Paused"] and number != signal.SIGKILL:
                await runtime.ask("pause_container", container=container.task, paused=False)
                container.state |= {"Paused": False, "Status": "running"}
            await runtime.ask("signal_container", container=container.task, number=number)
        self.engine.events.tell("container", "kill", container.id,
                                {**container.attributes(), "signal": str(int(number))})

    async def kill(self, name: str, wanted: str) -> None:
        number = config.signal_number(wanted) if wanted else int(signal.SIGKILL)
        try:
            container = self.find(name)
        except EngineError as error:
            raise EngineError(error.status, f"Cannot kill container: {name}: {error.message}") from error
        if not container.running:
            raise conflict(f"Cannot kill container: {name}: Container {container.id} is not running")
        own = container.config.get("StopSignal")
        if number == signal.SIGKILL or not own or config.stop_signal(container.config) == number:
            container.stopped_by_hand = True
            if await running.given_up(container):
                self.save(container)
                return
        await self._signal(container, number)
        if number == signal.SIGKILL:
            await container.ended.wait()

    async def restart(self, name: str, timeout: int | None) -> None:
        container = self.find(name)
        if container.running:
            auto, container.host["AutoRemove"] = container.host["AutoRemove"], False
            try:
                await self._end(container, running.stop_seconds(container, timeout))
                self.engine.events.tell("container", "stop", container.id, container.attributes())
            finally:
                container.host["AutoRemove"] = auto
        await self.begin(container.id)
        self.engine.events.tell("container", "restart", container.id, container.attributes())

    async def pause(self, name: str, *, paused: bool) -> None:
        container = self.find(name)
        if not container.running:
            raise conflict(f"Container {container.id} is not {'running' if paused else 'paused'}")
        if container.state["Restarting"]:
            raise conflict(f"Container {container.id} is restarting, wait until the container is running")
        if container.state["Paused"] == paused:
            raise conflict(f"Container {container.id} is {'already' if paused else 'not'} paused")
        runtime = await self.runtime()
        await runtime.ask("pause_container", container=container.task, paused=paused)
        container.state |= {"Paused": paused, "Status": "paused" if paused else "running"}
        self.save(container)
        self.engine.events.tell("container", "pause" if paused else "unpause", container.id, container.attributes())

    async def wait(self, name: str, condition: str) -> int:
        """The exit code.  condition: not-running, next-exit or removed."""
        container = self.find(name)
        if condition == "next-exit":
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            container.exits.append(future)
            return await future
        await (container.removed if condition == "removed" else container.ended).wait()
        return int(container.state["ExitCode"])

    async def rename(self, name: str, new: str) -> None:
        container = self.find(name)
        if not new:
            raise bad_request("Neither old nor new names may be empty")
        if new.removeprefix("/") == container.name:
            raise bad_request("Renaming a container with the same name as its current name")
        old, chosen = container.name, self.reserve(new, container.id)
        self._names.pop(old, None)
        container.name = chosen
        self.save(container)
        self.engine.events.tell("container", "rename", container.id,
                                {**container.attributes(), "oldName": f"/{old}"})

    async def update(self, name: str, body: Mapping[str, Any]) -> list[str]:
        """Limits and the restart policy.  Warnings."""
        container = self.find(name)
        known = ("CpuShares", "Memory", "MemorySwap", "MemoryReservation", "NanoCpus", "CpuPeriod", "CpuQuota",
                 "CpusetCpus", "CpusetMems", "PidsLimit")
        changed = {**container.host, **{key: body[key] for key in known if body.get(key)}}
        if (body.get("RestartPolicy") or {}).get("Name"):
            changed["RestartPolicy"] = body["RestartPolicy"]
            if container.host["AutoRemove"]:
                raise conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
            config.restart_policy(changed)
        if (body.get("Memory") or 0) > container.host["MemorySwap"] >= 0 and not body.get("MemorySwap"):
            raise conflict(f"Cannot update container {container.id}: Memory limit should be smaller than already set "
                           "memoryswap limit, update the memoryswap at the same time")
        container.host.update(changed)
        if container.running and not container.state["Restarting"]:
            runtime = await self.runtime()
            with contextlib.suppress(RuntimeError_):
                await runtime.ask("update_container_resources", container=container.task,
                                  resources=spec.describe_limits(changed))
        self.save(container)
        self.engine.events.tell("container", "update", container.id, container.attributes())
        return []

    # Removing.

    async def remove(self, name: str, *, force: bool, volumes: bool) -> None:
        container = self.find(name)
        if container.removing:
            raise conflict(f"removal of container {name} is already in progress")
        if container.running and not force:
            if container.state["Paused"]:
                raise conflict(f"You cannot remove a paused container {container.id}. Unpause and then stop the "
                               "container before attempting removal or force remove")
            raise conflict(f"You cannot remove a {'restarting' if container.state['Restarting'] else 'running'} "
                           f"container {container.id}. Stop the container before attempting removal or force remove")
        container.removing = True
        if container.running and not await running.given_up(container):
            await self._signal(container, signal.SIGKILL)
            await container.ended.wait()
        await self.discard(container, volumes=volumes)

    async def discard(self, container: Container, *, volumes: bool) -> None:
        """Take away a container that does not run."""
        if self._known.pop(container.id, None) is None:
            return
        container.removing = True
        self._names.pop(container.name, None)
        self.engine.state.drop("containers", container.id)
        self.pauses.pop(container.id, None)
        await asyncio.to_thread(files.remove, container.place)
        if volumes:
            await self.engine.volumes.remove_anonymous(
                [point["Name"] for point in container.mounts if point["Type"] == "volume"])
        self.engine.events.tell("container", "destroy", container.id, container.attributes())
        container.removed.set()
        container.tell()

    async def prune(self, filters: Mapping[str, list[str]]) -> tuple[list[str], int]:
        """Ids of those that are gone, and the bytes that were freed."""
        until = [moment(text) for text in filters.get("until", ())]
        gone, freed = [], 0
        for one in self.all():
            if one.running or not label_fits(filters, one.config["Labels"] or {}) or any(
                    seconds(one.created) > limit for limit in until):
                continue
            freed += await asyncio.to_thread(size, one.rw / "upper")
            await self.remove(one.id, force=False, volumes=False)
            gone.append(one.id)
        return gone, freed

    # Files.

    async def snapshot(self, name: str, *, pause: bool = True) -> tuple[Object, Sequence[Entry]]:
        container = self.find(name)
        frozen = pause and container.running and not container.state["Paused"]
        runtime = await self.runtime()
        if frozen:
            await runtime.ask("pause_container", container=container.task, paused=True)
        try:
            entries = await asyncio.to_thread(lambda: list(files.changes(container, runtime.stacking)))
        finally:
            if frozen:
                with contextlib.suppress(RuntimeError_):
                    await runtime.ask("pause_container", container=container.task, paused=False)
        return views.inspect(self.engine, container, sized=False), entries


