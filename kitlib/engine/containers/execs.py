"""Further processes in a running container: docker exec.

Created, then started once; what is known of one lasts as long as the container's run.

Source: moby 20.10, daemon/exec.go, daemon/exec/exec.go, daemon/inspect.go (ContainerExecInspect).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitlib.engine.containers import place, spec, users
from kitlib.engine.containers.record import Container
from kitlib.engine.errors import EngineError, bad_request, conflict, not_found
from kitlib.runtime.cri import RuntimeError_

if TYPE_CHECKING:
    from kitlib.engine.containers.manager import Containers
    from kitlib.runtime.process.session import ProcessSession

Object = dict[str, Any]
_MOST_OUTPUT = 1 << 20


@dataclass
class Exec:
    id: str
    container: Container
    config: Object
    detach_keys: str = ""
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    started: bool = False
    session: ProcessSession | None = None
    size: tuple[int, int] = (0, 0)
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Execs:
    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._known: dict[str, Exec] = {}

    def create(self, container: Container, body: Object, name: str = "") -> Exec:
        """Raises EngineError: 409 if the container does not run."""
        argv = body.get("Cmd") or []
        if not argv:
            raise bad_request("No exec command specified")
        check_running(container, name)
        config = {"User": "", "Privileged": False, "Tty": False, "AttachStdin": False, "AttachStderr": False,
                  "AttachStdout": False, "Detach": False, "DetachKeys": "", "Env": [], "WorkingDir": "", **body}
        made = Exec(os.urandom(32).hex(), container, config, config.get("DetachKeys") or "")
        self._known[made.id] = made
        container.execs.append(made.id)
        self._tell(made, f"exec_create: {_line(argv)}")
        return made

    def get(self, identity: str) -> Exec:
        if identity not in self._known:
            raise not_found(f"No such exec instance: {identity}")
        found = self._known[identity]
        if not found.container.running:
            raise conflict(f"Container {found.container.id} is not running: Exited "
                           f"({found.container.state['ExitCode']})")
        return found

    def known(self, identity: str) -> Exec:
        if identity not in self._known:
            raise not_found(f"No such exec instance: {identity}")
        return self._known[identity]

    def forget(self, container: Container) -> None:
        for identity in container.execs:
            self._known[identity].running = False
            self._known.pop(identity)
        container.execs = []

    def _tell(self, made: Exec, action: str, **more: str) -> None:
        self._containers.engine.events.tell("container", action, made.container.id, {
            **made.container.attributes(), "execID": made.id, **more})

    async def begin(self, made: Exec, *, tty: bool) -> ProcessSession:
        """Start its process.  Raises EngineError; a program that is not there ends with 126 or 127."""
        if made.started:
            raise conflict(f"exec command {made.id} is already running" if made.running else
                           f"Error: Exec command {made.id} has already run")
        container, runtime = made.container, await self._containers.runtime()
        check_running(container)
        made.started = True
        self._tell(made, f"exec_start: {_line(made.config['Cmd'])}")
        try:
            made.session = await runtime.session(
                "exec", container.task, argv=list(made.config["Cmd"]), stdin=bool(made.config["AttachStdin"]), tty=tty,
                override=self._override(made, runtime.stacking))
        except RuntimeError_ as error:
            raise self._failure(made, error) from error
        made.running, made.pid = True, made.session.pid
        if all(made.size):
            await made.session.resize(*made.size)
        return made.session

    def _override(self, made: Exec, stacking: str) -> Object:
        """What is other than in the container's own process."""
        container, config = made.container, made.config
        trees = place.tree(container.rw, container.layers, stacking)
        who = config["User"] or container.config["User"]
        user = users.look_up(who, trees, container.host["GroupAdd"] or ())
        env = spec.environment(container, user)
        for entry in config["Env"] or ():
            name, there, value = entry.partition("=")
            if there:
                env[name] = value
        if made.config["Tty"]:
            env.setdefault("TERM", "xterm")
        host = container.host
        security = {"privileged": bool(config["Privileged"] or host["Privileged"]), "no_new_privileges": False,
                    "add": host["CapAdd"] or (), "drop": host["CapDrop"] or (), "groups": list(user.groups),
                    "seccomp": True}
        return {"env": env, "security": security, "user": user.uid, "group": user.gid,
                "other_user": bool(config["User"]),
                "cwd": config["WorkingDir"] or container.config["WorkingDir"] or "/"}  # fmt: skip

    def _failure(self, made: Exec, error: RuntimeError_) -> EngineError:
        words = "failed to exec in container: failed to start exec: "
        message = error.message.removeprefix(words)
        code, status = 126, 400
        if any(text in message for text in ("executable file not found", "no such file or directory")):
            code = 127
        elif "permission denied" not in message:
            status = 500
        made.exit_code = code
        return EngineError(status, message)

    async def output(self, made: Exec) -> AsyncIterator[tuple[int, bytes]]:
        """To its end; then the exit code is known."""
        assert made.session is not None
        async for stream, data in made.session.output():
            yield stream, data
        self.ended(made)

    def ended(self, made: Exec) -> None:
        if made.running and made.session is not None:
            made.running, made.exit_code = False, made.session.exit_code
            self._tell(made, "exec_die", exitCode=str(137 if made.exit_code is None else made.exit_code))

    def detached(self, made: Exec) -> None:
        """Nobody listens; its end is noticed all the same."""
        async def listen() -> None:
            async for _ in self.output(made):
                continue

        made.task = asyncio.get_running_loop().create_task(listen())

    async def finish(self, made: Exec, timeout: float) -> tuple[int | None, bytes]:
        """Run it to its end for somebody of ours: (exit code or None if it took too long, what it said)."""
        session = await self.begin(made, tty=False)
        said = bytearray()

        async def listen() -> None:
            async for _, data in self.output(made):
                if len(said) < _MOST_OUTPUT:
                    said.extend(data)

        try:
            await asyncio.wait_for(listen(), timeout)
        except (asyncio.TimeoutError, TimeoutError):
            await session.kill()
            session.close()
            made.running = False
            return None, bytes(said)
        finally:
            self._known.pop(made.id, None)
            if made.id in made.container.execs:
                made.container.execs.remove(made.id)
        return made.exit_code, bytes(said)

    def shown(self, made: Exec) -> Object:
        config = made.config
        argv = list(config["Cmd"])
        process = {"tty": bool(config["Tty"]), "entrypoint": argv[0], "arguments": argv[1:],
                   "privileged": bool(config["Privileged"]), **({"user": config["User"]} if config["User"] else {})}
        return {"ID": made.id, "Running": made.running, "ExitCode": made.exit_code, "ProcessConfig": process,
                "OpenStdin": bool(config["AttachStdin"]), "OpenStderr": bool(config["AttachStderr"]),
                "OpenStdout": bool(config["AttachStdout"]), "CanRemove": False, "ContainerID": made.container.id,
                "DetachKeys": "", "Pid": made.pid}  # fmt: skip


def _line(argv: Sequence[str]) -> str:
    """As Docker's events have it: a space after the program, whether something follows or not."""
    return f"{argv[0]} {' '.join(argv[1:])}"


def check_running(container: Container, name: str = "") -> None:
    """name: what the client calls it.  Raises EngineError(409)."""
    if not container.running or container.state["Restarting"]:
        if container.state["Restarting"]:
            raise conflict(f"Container {container.id} is restarting, wait until the container is running")
        raise conflict(f"Container {container.id} is not running")
    if container.state["Paused"]:
        raise conflict(f"Container {name or container.id} is paused, unpause the container before exec")
