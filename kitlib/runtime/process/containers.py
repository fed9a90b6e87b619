"""Containers and sandboxes as the daemon keeps them: from created to removed.

    CREATED ──start──▶ RUNNING ──exit, stop──▶ EXITED ──remove──▶
       └────start failed (StartError, 128)────▶

Whatever the client sent as `config` is kept as it is and given back in lists, so a new cluster process learns
everything about the Pods it adopts from here.  There is nothing to recover from disk: if the daemon ends, so do its
processes.

Source: containerd's internal/cri/server (container_start.go, container_stop.go, events.go).
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kitlib.runtime.process import jsonfile, processes
from kitlib.runtime.process.gate import Gate
from kitlib.runtime.process.isolation import Isolation
from kitlib.runtime.process.jsonfile import JsonFile
from kitlib.runtime.process.logs import LogWriter
from kitlib.runtime.process.loop import Loop
from kitlib.runtime.process.paths import remove_tree
from kitlib.runtime.process.podspace import PodSpace
from kitlib.runtime.process.prootview import ProotView
from kitlib.runtime.process.task import Task

CREATED, RUNNING, EXITED = "CONTAINER_CREATED", "CONTAINER_RUNNING", "CONTAINER_EXITED"
Watcher = Callable[[int, bytes], None]
Done = Callable[[str], None]


class Container:
    def __init__(self, identity: str, sandbox: Sandbox, config: Mapping[str, Any], spec: Mapping[str, Any],
                 directory: str, loop: Loop, reap: dict[int, Task], isolation: Isolation,
                 changed: Callable[[Container], None], target: Container | None = None) -> None:
        self.id, self.config, self.spec, self.directory = identity, config, {**spec, "mark": directory}, directory
        self.sandbox, self._space, self._target, self._gate = sandbox.id, sandbox.space, target, sandbox.gate
        self.root = (spec.get("rw") or directory) + "/root"  # rw: what it changes outlives it
        self._loop, self._reap, self._isolation, self._changed = loop, reap, isolation, changed
        self.state = CREATED
        self.created_at, self.started_at, self.finished_at = time.time(), 0.0, 0.0
        self.exit_code = 0
        self.reason = self.message = ""
        self.watchers: list[Watcher] = []
        self.on_end: list[Callable[[], None]] = []
        self.execs: set[Task] = set()
        self.task = self.new_task()
        self.paused = False
        self._log: LogWriter | JsonFile | None = None
        self._mark = "" if isolation.namespaces else directory
        # With process numbers of its own, the kernel ends all of it with its first process, and keeps init's rules.
        self._own_pids = isolation.namespaces and spec["pid_mode"] == "CONTAINER"
        self._mounts = 0  # its mount namespace: what tells its processes from those it shares numbers with
        os.makedirs(self.root, exist_ok=True)

    def describe(self) -> dict[str, Any]:
        return {"id": self.id, "sandbox_id": self.sandbox, "config": self.config, "state": self.state,
                "created_at": self.created_at, "started_at": self.started_at, "finished_at": self.finished_at,
                "exit_code": self.exit_code, "reason": self.reason, "message": self.message,
                "image_ref": self.spec["image_ref"], "log_path": self.spec["log_path"],
                "pid": self.task.pid if self.state == RUNNING else 0}  # fmt: skip

    def new_task(self, spec: Mapping[str, Any] | None = None) -> Task:
        """spec: an exec session's, where it is to run as another user or elsewhere."""
        return Task(self._loop, self._reap, self._isolation, spec or self.spec, self.root, self._on_kill, self._gate)

    # Start and end.

    def start(self, done: Done) -> None:
        if self.state != CREATED:
            done(f"container is in {self.state} state")
            return
        try:
            self._log = jsonfile.writer(self.spec)
        except OSError as error:
            done(f"failed to create log file {self.spec['log_path']}: {error.strerror}")
            return

        def on_started(error: str) -> None:
            if error:
                why = ("failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
                       f"create failed: unable to start container process: {error}: unknown")
                self._end(128, "StartError", why)
                done(why)
                return
            self.state, self.started_at = RUNNING, time.time()
            self._mounts = processes.mount_namespace(self.task.pid) if self._shares_pids else 0
            self._changed(self)
            done("")

        self.task.on_started, self.task.on_output, self.task.on_exited = on_started, self._on_output, self._on_exited
        try:
            with self._joined() as shared:
                self.task.start(tuple(self.spec["argv"]), stdin=self.spec["stdin"], tty=self.spec["tty"], shared=shared)
            self._space.remember(self.task.pid)
        except OSError as error:  # no more processes, no more descriptors
            on_started(str(error.strerror))

    @contextlib.contextmanager
    def _joined(self) -> Iterator[dict[str, int]]:
        """The namespaces to enter: the Pod's, and with `kubectl debug --target` another container's processes."""
        shared = self._space.joined(share_pids=self.spec["pid_mode"] == "POD")
        if self._target is None or not self._isolation.namespaces:
            yield shared
            return
        if self._target.state != RUNNING:
            raise OSError(errno.ESRCH, f"target container {self._target.id} is not running")
        fd = os.open(f"/proc/{self._target.task.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield {**shared, "pid": fd}
        finally:
            os.close(fd)

    def _on_output(self, stream: int, data: bytes) -> None:
        if self._log is not None:
            self._log.write(stream, data)
        for watcher in list(self.watchers):
            watcher(stream, data)

    def _on_exited(self, code: int) -> None:
        self._kill_all()
        reason = self.reason or ("Completed" if code == 0 else "Error")
        self._end(code, reason, self.message)

    def _end(self, code: int, reason: str, message: str) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
        self.state, self.finished_at = EXITED, time.time()
        self.started_at = self.started_at or self.finished_at
        self.exit_code, self.reason, self.message = code, reason, message
        self._changed(self)
        callbacks, self.on_end = self.on_end, []
        for callback in callbacks:
            callback()

    # Signals.

    @property
    def _shares_pids(self) -> bool:
        return self._isolation.namespaces and not self._own_pids

    def join_space(self) -> dict[str, int]:
        """What an exec session has to know of the Pod's namespaces."""
        return self._space.joined(share_pids=False)

    def _roots(self) -> list[int]:
        return [task.pid for task in (self.task, *self.execs) if task.pid]

    def _members(self, snapshot: dict[int, processes.Process]) -> list[processes.Process]:
        if self._shares_pids:
            return processes.mounted(self._mounts, snapshot)
        return processes.members(self._roots(), self._mark, snapshot)

    def _kill_all(self) -> None:
        """What is left of it; with process numbers of its own the kernel has done that."""
        if not self._own_pids:
            processes.kill_all(self._members)

    def signal(self, number: int) -> None:
        """A signal to the container's first process, which gets it only if it has a handler (see processes.handles)."""
        if self.state != RUNNING:
            return
        if number == signal.SIGKILL:
            if self._own_pids:
                processes.send(self.task.pid, number)
            else:
                self._kill_all()
        elif self._isolation.namespaces or processes.handles(self._programs()[-1], number):
            processes.send(self._programs()[-1], number)

    def _programs(self) -> list[int]:
        """Its first process as it sees itself comes last: proot, and the shell that counts for it, stand before it."""
        found = [self.task.pid]
        if self._isolation.proot:
            for _ in range(ProotView(self.root, self.spec).generations):
                found.append(next(iter(processes.children(found[-1])), found[-1]))
        return found

    def _on_kill(self, target: int, number: int) -> int:
        """kill(1, …) or kill(-1, …) by a program of a container that has no process numbers of its own."""
        if not 0 <= number < signal.NSIG:
            raise OSError(errno.EINVAL, "no such signal")
        if target == 1:
            if number and number not in (signal.SIGKILL, signal.SIGSTOP):
                self.signal(number)
            return 0
        spared = {*self._programs(), *(self._roots() if self._isolation.proot else ())}  # who traces is nobody's target
        for process in processes.members(self._roots(), self._mark, processes.snapshot()):
            if process.pid not in spared:
                processes.send(process.pid, number)
        return 0

    def stop(self, timeout: float, done: Callable[[], None]) -> None:
        """The stop signal, the grace period, SIGKILL; `done` when it has ended."""
        if self.state != RUNNING:
            done()
            return
        self.on_end.append(done)
        if timeout > 0:
            self.signal(self.spec["stop_signal"])
            self._loop.later(timeout, lambda: self.signal(signal.SIGKILL))
        else:
            self.signal(signal.SIGKILL)

    def pause(self, paused: bool) -> None:
        """Stop all its processes, or let them go on.  No cgroup here, so by signals."""
        for process in self._members(processes.snapshot()):
            processes.send(process.pid, signal.SIGSTOP if paused else signal.SIGCONT)
        self.paused = paused

    def pids(self) -> list[int]:
        """Its processes by their numbers on this machine."""
        return sorted(process.pid for process in self._members(processes.snapshot()))

    # Accounting.

    def accounts(self) -> dict[str, Any]:
        """More than the CRI wants to know."""
        cpu, memory = self.usage()
        pids = self.pids()
        return {"cpu": max(cpu, processes.on_processor(pids)), "memory": memory, "pids": len(pids),
                "pid": self.task.pid}

    def usage(self, snapshot: dict[int, processes.Process] | None = None) -> tuple[int, int]:
        if self.state != RUNNING:
            return 0, 0
        return processes.usage(self._members(snapshot or processes.snapshot()))

    @property
    def is_watched(self) -> bool:
        """Whether somebody has to look at its memory now and then."""
        return bool(self.spec["memory_limit"])

    def enforce_memory(self, snapshot: dict[int, processes.Process]) -> None:
        """No cgroup here: a container over its limit is killed when the daemon next looks."""
        limit = self.spec["memory_limit"]
        if limit and self.state == RUNNING and self.usage(snapshot)[1] > limit:
            self.reason = "OOMKilled"
            self.signal(signal.SIGKILL)

    def remove(self, done: Callable[[], None]) -> None:
        def remove() -> None:
            remove_tree(self.directory)
            done()

        self.stop(0, remove)


class Sandbox:
    """A Pod's place: its address, its hostname, what its containers share; `gate`: what NetworkPolicies let through."""

    def __init__(self, identity: str, config: Mapping[str, Any], space: PodSpace, gate: Gate) -> None:
        self.id, self.config, self.space, self.gate = identity, config, space, gate
        self.created_at = time.time()
        self.ready = True

    def describe(self) -> dict[str, Any]:
        return {"id": self.id, "config": self.config, "ready": self.ready, "created_at": self.created_at,
                "ip": self.config["ip"]}  # fmt: skip
