"""A machine for kubelet tests: time that jumps, and a runtime whose containers are tiny shell scripts in virtual time.

`VirtualLoop` is an event loop that never waits: when nothing is left to do now, it moves the FakeClock to the next
timer.  `FakeRuntime` implements the CRI; its containers understand the little shell that the tests use (sleep, exit,
trap, echo > file, rm, httpd...), so the recorded scenarios can be replayed without a process being started.
"""

from __future__ import annotations

import asyncio
import re
import selectors
import shlex
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kitlib.node.images import normalize
from kitlib.objects.clock import FakeClock
from kitlib.runtime.cri import (
    ContainerConfig,
    ContainerState,
    ContainerStats,
    ContainerStatus,
    ExecSyncResponse,
    Image,
    PodSandboxConfig,
    PodSandboxStatus,
    Resources,
    RuntimeError_,
)


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """Asked to wait, it moves the clock instead."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            ready = super().select(5)   # a thread may still be at work
            if not ready:
                raise RuntimeError("nothing will ever happen again: the test waits for ever")
            return ready
        if timeout > 0:
            self._clock.advance(max(timeout, 1e-6))   # less is lost in a float of this size
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_JumpingSelector(clock))
        self._virtual = clock
        self._clock_resolution = 1e-6   # at 1.7e9 seconds a float knows no nanoseconds

    def time(self) -> float:
        return self._virtual.monotonic()


def run(clock: FakeClock, work: Coroutine[Any, Any, Any]) -> Any:
    """asyncio.run in virtual time."""
    loop = VirtualLoop(clock)
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(work)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_default_executor())   # threads live in real time
        asyncio.set_event_loop(None)
        loop.close()


class Exit(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Running:
    """One container's process: its script, its files, what it listens on."""

    status: ContainerStatus
    files: dict[str, str]
    logs: list[str] = field(default_factory=list)
    listening: set[int] = field(default_factory=set)
    served: dict[int, str] = field(default_factory=dict)
    trap: str | None = None   # None: TERM kills; "": ignored; else what is run then
    term: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Trapped(Exception):
    """TERM came while a trap was set."""


def statements(script: str) -> list[str]:
    """The parts between `;`, where quotes and braces hold together what belongs together."""
    parts, depth, quote = [""], 0, ""
    for letter in script:
        if letter in "'\"" and quote in ("", letter):
            quote = "" if quote else letter
        elif letter in "{}" and not quote:
            depth += 1 if letter == "{" else -1
        if letter == ";" and not quote and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


class Shell:
    """Just enough of sh: statements between `;`, background with `&`, `wait`, one kind of condition."""

    def __init__(self, container: Running) -> None:
        self.container = container

    async def run(self, script: str) -> int:
        try:
            for statement in statements(script):
                await self.statement(statement)
        except Exit as over:
            return over.code
        except Trapped:
            handler, self.container.trap = self.container.trap or "", ""
            return await self.run(handler)
        return 0

    async def statement(self, text: str) -> None:
        box = self.container
        if text.startswith("while :"):
            await self.sleep(10 ** 9)
        if not text or text.startswith(("do ", "done")):
            return
        if "&" in text and text.endswith("wait"):
            await self._until_term(float(text.split()[1]))
            return
        if match := re.match(r"\[ \$(\w+) = (\S+) \] && \{ (.*) \}$", text):
            if dict(box.status.config.envs).get(match[1]) == match[2]:
                for inner in statements(match[3]):
                    await self.statement(inner)
            return
        try:
            words = shlex.split(text)
        except ValueError:
            raise Exit(127) from None
        if words[0] == "trap":
            box.trap = words[1]
        elif words[0] == "sleep":
            await self.sleep(float(words[1]))
        elif words[0] == "exit":
            raise Exit(int(words[1]))
        elif words[0] == "echo" and ">" in words:
            at = words.index(">")
            box.files[words[at + 1]] = " ".join(words[1:at]) + "\n"
        elif words[0] == "echo":
            box.logs.append(" ".join(words[1:]) + "\n")
        elif words[0] == "touch":
            box.files[words[1]] = ""
        elif words[0] == "rm":
            box.files.pop(words[-1], None)
        elif words[0] == "httpd":
            port = int(words[words.index("-p") + 1])
            box.listening.add(port)
            box.served[port] = words[words.index("-h") + 1]
        elif words[0] == "killall":
            box.listening.clear()
        elif words[0] not in ("mkdir", "true", ":"):
            raise Exit(127)

    async def sleep(self, seconds: float) -> None:
        """A foreground sleep lets a trap wait until it is over, as sh does; `sleep & wait` does not."""
        box = self.container
        if box.trap is None:
            await self._until_term(seconds)
            return
        await asyncio.sleep(seconds)
        if box.trap and box.term.is_set():
            raise Trapped

    async def _until_term(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.container.term.wait(), seconds)
        except (asyncio.TimeoutError, TimeoutError):
            return
        if self.container.trap is None:
            raise Exit(143)
        if self.container.trap:
            raise Trapped
        await asyncio.sleep(seconds)   # ignored


class FakeRuntime:
    """The CRI in memory.  images: what can be pulled; present: what is there already."""

    name = "fake"

    def __init__(self, clock: FakeClock, images: Sequence[str] = ("busybox:1.36",)) -> None:
        self.clock = clock
        self.pullable = {normalize(i) for i in images}
        self.present = set(self.pullable)
        self.sandboxes: dict[str, PodSandboxStatus] = {}
        self.containers: dict[str, ContainerStatus] = {}
        self.running: dict[str, Running] = {}
        self.calls: list[str] = []
        self.start_delay = 0.02
        self._handlers: list[Callable[[ContainerStatus], None]] = []
        self._count = 0

    def _id(self, what: str) -> str:
        self._count += 1
        return f"{what}{self._count}"

    async def version(self) -> str:
        return "fake 1"

    # -- sandboxes --------------------------------------------------------------------------------------------

    async def run_pod_sandbox(self, config: PodSandboxConfig) -> str:
        await asyncio.sleep(self.start_delay)
        sandbox_id = self._id("sandbox")
        self.sandboxes[sandbox_id] = PodSandboxStatus(sandbox_id, config, True, self.clock.now(), config.ip)
        self.calls.append(f"run_pod_sandbox {config.name} {config.ip}")
        return sandbox_id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        for status in list(self.containers.values()):
            if status.sandbox_id == sandbox_id:
                await self.stop_container(status.id, 0)
        if sandbox_id not in self.sandboxes:
            raise RuntimeError_("NotFound", f"no sandbox {sandbox_id}")
        self.sandboxes[sandbox_id] = replace(self.sandboxes[sandbox_id], ready=False)
        self.calls.append("stop_pod_sandbox")

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        self.sandboxes.pop(sandbox_id, None)
        self.calls.append("remove_pod_sandbox")

    async def list_pod_sandbox(self) -> list[PodSandboxStatus]:
        return list(self.sandboxes.values())

    # -- containers -------------------------------------------------------------------------------------------

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        container_id = self._id("container")
        self.containers[container_id] = ContainerStatus(
            container_id, sandbox_id, config, ContainerState.CREATED, self.clock.now(),
            image_ref=f"sha256:{config.image}")
        self.calls.append(f"create {config.name}/{config.attempt}")
        return container_id

    async def start_container(self, container_id: str) -> None:
        await asyncio.sleep(self.start_delay)
        status = self.containers[container_id]
        command = [*status.config.command, *status.config.args]
        if command and command[0] not in ("sh", "sleep", "true"):
            self._set(replace(status, state=ContainerState.EXITED, exit_code=128, reason="StartError",
                              finished_at=self.clock.now(), message=f"exec: {command[0]}: no such file or directory"))
            raise RuntimeError_("RunContainerError", f'exec: "{command[0]}": no such file or directory')
        running = Running(replace(status, state=ContainerState.RUNNING, started_at=self.clock.now()), {})
        self.running[container_id] = running
        script = command[2] if command[:2] == ["sh", "-c"] else " ".join(command)
        running.task = asyncio.ensure_future(self._life(running, script or "sleep 1000000000"))
        self._set(running.status)
        self.calls.append(f"start {status.config.name}/{status.config.attempt}")

    async def _life(self, running: Running, script: str) -> None:
        try:
            code = await Shell(running).run(script)
        except asyncio.CancelledError:
            code = 137
        self._write_files(running)
        self._set(replace(running.status, state=ContainerState.EXITED, exit_code=code, finished_at=self.clock.now(),
                          reason="Completed" if code == 0 else "Error"))

    def _write_files(self, running: Running) -> None:
        """What was written to a mounted file is on the host."""
        mounts = {m.container_path: m.host_path for m in running.status.config.mounts}
        for path, text in running.files.items():
            if path in mounts:
                with open(mounts[path], "w", encoding="utf-8") as file:
                    file.write(text)
        sandbox = self.sandboxes.get(running.status.sandbox_id)
        if running.logs and sandbox is not None:
            from pathlib import Path
            log = Path(sandbox.config.log_directory) / running.status.config.log_path
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("".join(f"2026-01-01T00:00:00.000000000Z stdout F {line}" for line in running.logs))

    def _set(self, status: ContainerStatus) -> None:
        self.containers[status.id] = status
        for handler in self._handlers:
            handler(status)

    async def stop_container(self, container_id: str, timeout: float) -> None:
        status = self.containers.get(container_id)
        if status is None:
            raise RuntimeError_("NotFound", f"no container {container_id}")
        running = self.running.get(container_id)
        if status.state is not ContainerState.RUNNING or running is None or running.task is None:
            return
        self.calls.append(f"stop {status.config.name}/{status.config.attempt} {timeout:g}")
        running.term.set()
        done, _ = await asyncio.wait({running.task}, timeout=timeout)
        if not done:
            running.task.cancel()
            await asyncio.wait({running.task})

    async def remove_container(self, container_id: str) -> None:
        status = self.containers.pop(container_id, None)
        if status is not None:
            self.calls.append(f"remove {status.config.name}/{status.config.attempt}")

    async def list_containers(self) -> list[ContainerStatus]:
        return list(self.containers.values())

    async def container_status(self, container_id: str) -> ContainerStatus:
        if container_id not in self.containers:
            raise RuntimeError_("NotFound", f"no container {container_id}")
        return self.containers[container_id]

    async def exec_sync(self, container_id: str, cmd: Sequence[str], timeout: float) -> ExecSyncResponse:
        running = self.running[container_id]
        cmd = list(cmd)
        if cmd[:2] == ["test", "-f"]:
            return ExecSyncResponse(b"", b"", 0 if cmd[2] in running.files else 1)
        if cmd[0] in ("touch", "rm"):
            await Shell(running).statement(" ".join(cmd))
            return ExecSyncResponse(b"", b"", 0)
        if cmd[0] == "sleep":
            await asyncio.sleep(float(cmd[1]))
            return ExecSyncResponse(b"", b"", 0)
        if cmd[:2] == ["sh", "-c"] and cmd[2].startswith("exit "):
            return ExecSyncResponse(b"", b"", int(cmd[2].split()[1]))
        return ExecSyncResponse(b"", b"", 0 if cmd == ["true"] else 127)

    async def exec(self, container_id: str, cmd: Sequence[str], *, stdin: bool, tty: bool) -> Any:
        raise RuntimeError_("Unimplemented", "exec")

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> Any:
        raise RuntimeError_("Unimplemented", "attach")

    async def port_address(self, sandbox_id: str, port: int) -> tuple[str, int]:
        return self.sandboxes[sandbox_id].ip, port

    async def dial(self, host: str, port: int, context: Any = None, *, node: str = "") -> Any:
        return await asyncio.open_connection(host, port, ssl=context)

    port_forward = port_address   # whom it would ask

    async def container_stats(self, container_id: str) -> ContainerStats:
        return ContainerStats(container_id, self.clock.now(), 0, 0)

    async def update_container_resources(self, container_id: str, resources: Resources) -> None:
        self.calls.append(f"update {container_id}")

    # -- images -----------------------------------------------------------------------------------------------

    async def pull_image(self, image: str) -> Image:
        self.calls.append(f"pull {image}")
        await asyncio.sleep(0.05)
        if normalize(image) not in self.pullable:
            raise RuntimeError_("ErrImagePull", f"{image}: not found")
        self.present.add(normalize(image))
        return Image(f"sha256:{image}", [image], size=1234)

    async def image_status(self, image: str) -> Image | None:
        return Image(f"sha256:{image}", [image]) if normalize(image) in self.present else None

    async def list_images(self) -> list[Image]:
        return [Image(f"sha256:{i}", [i]) for i in sorted(x for x in self.present if x)]

    async def remove_image(self, image: str) -> None:
        self.present.discard(normalize(image))

    def on_container_event(self, handler: Callable[[ContainerStatus], None]) -> None:
        self._handlers.append(handler)

    async def close(self) -> None:
        self._handlers.clear()

    # -- what probes see --------------------------------------------------------------------------------------

    def listener(self, ip: str, port: int) -> Running | None:
        for running in self.running.values():
            sandbox = self.sandboxes.get(running.status.sandbox_id)
            alive = self.containers.get(running.status.id)
            if sandbox and sandbox.ip == ip and port in running.listening and alive is not None \
                    and alive.state is ContainerState.RUNNING:
                return running
        return None


