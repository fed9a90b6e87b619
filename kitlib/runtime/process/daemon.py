"""The runtime daemon: containerd's role.  One small process per cluster that owns all its containers' processes.

    python -m kitlib.runtime.process.daemon --socket run/runtime.sock --state DIR [--ephemeral] [--low-ports auto]

It speaks JSON lines on a unix socket: {"id", "method", "params"} → {"id", "result" | "error"}; every change of a
container is pushed to the control connections as {"event": status}.  It outlives the cluster process, whose successor
lists what runs and goes on.  With --ephemeral it ends, and everything with it, when the last control connection
closes; else when its socket is deleted, or when for a while it has had neither Pods nor anyone to serve.

    loop ─┬─ unix socket    requests, exec and attach streams (streams.py)
          ├─ SIGCHLD        the end of containers, execs, orphans
          ├─ pipes          output → logs (logs.py)
          └─ listeners      questions of the containers' filters (notifier.py)
"""

from __future__ import annotations

import argparse
import fcntl
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from kitlib.runtime.process import processes, syscalls
from kitlib.runtime.process.beyond import BeyondCri
from kitlib.runtime.process.connections import Connection, Refused, Reply
from kitlib.runtime.process.containers import Container, Sandbox
from kitlib.runtime.process.gate import Gate
from kitlib.runtime.process.isolation import Isolation, discover
from kitlib.runtime.process.loop import Loop
from kitlib.runtime.process.paths import remove_tree, socket_path
from kitlib.runtime.process.podspace import PodSpace
from kitlib.runtime.process.task import Task

VERSION = 1
_CHECK_INTERVAL = 1.0
_PATIENCE = 3.0


class Daemon(BeyondCri):
    def __init__(self, listener: socket.socket, path: str, state: str, *, ephemeral: bool, low_ports: str,
                 idle_seconds: float) -> None:
        self.isolation = self.discover(low_ports)
        self.loop, self.gate = Loop(), Gate()
        self._state, self._ephemeral, self._listener = state, ephemeral, listener
        self._path, self._inode = path, os.stat(path).st_ino
        self._idle_seconds, self._idle_since = idle_seconds, time.monotonic()
        self.sandboxes: dict[str, Sandbox] = {}
        self.containers: dict[str, Container] = {}
        self._reap: dict[int, Task] = {}
        self._controls: set[Connection] = set()
        self._stopping = False
        self.loop.reader(listener.fileno(), self._accept)
        self.loop.on_signal(signal.SIGCHLD, self._on_child)
        self.loop.on_signal(signal.SIGTERM, self.shutdown)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self.loop.later(_CHECK_INTERVAL, self._check)

    def discover(self, low_ports: str) -> Isolation:
        return discover(low_ports)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        Connection(self, connection)

    def _on_child(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if pid not in self._reap:  # an orphan, or an exec that ended before we read that it had begun
                for starting in list(self._reap.values()):
                    starting.read_reports()
            task = self._reap.get(pid)
            if task is None:
                self.unknown_child(pid, status)
            else:
                task.read_reports()
                if self._reap.get(pid) is task:  # else it was the one that entered the container, not the program
                    del self._reap[pid]
                    task.exited(status)
        if self._stopping and not self._reap:
            self.loop.stop()

    def unknown_child(self, pid: int, status: int) -> None:
        """An orphan of some container's, which became ours."""

    def _check(self) -> None:
        """Once a second: containers over their memory limit, and whether anybody still needs this daemon."""
        self.loop.later(_CHECK_INTERVAL, self._check)
        if self._controls or self.sandboxes:
            self._idle_since = time.monotonic()
        idle = time.monotonic() - self._idle_since
        if not self._stopping and (idle > self._idle_seconds or not self._is_reachable()):
            self.shutdown()
        if any(container.is_watched for container in self.containers.values()):
            snapshot = processes.snapshot()
            for container in self.containers.values():
                container.enforce_memory(snapshot)

    def _is_reachable(self) -> bool:
        try:
            return os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def _changed(self, container: Container) -> None:
        for control in list(self._controls):
            control.send({"event": container.describe()})

    def shutdown(self) -> None:
        """Kill every container; the loop ends when the last one is reaped.  Whoever comes now starts a successor."""
        if not self._stopping:
            self._stopping = True
            if self._is_reachable():
                os.unlink(self._path)
            self.loop.forget(self._listener.fileno())
            self._listener.close()
        for container in self.containers.values():
            container.signal(signal.SIGKILL)
        for task in list(self._reap.values()):
            processes.send(task.pid, signal.SIGKILL)
        if not self._reap:
            self.loop.stop()

    def control_opened(self, connection: Connection) -> None:
        self._controls.add(connection)

    def control_closed(self, connection: Connection) -> None:
        if connection in self._controls:
            self._controls.discard(connection)
            if self._ephemeral and not self._controls:
                self.shutdown()

    # The methods.  Each gets its parameters and a function to answer with, at once or later.

    def _sandbox(self, identity: str) -> Sandbox:
        if identity not in self.sandboxes:
            raise Refused("NotFound", f'an error occurred when try to find sandbox "{identity}": not found')
        return self.sandboxes[identity]

    def container(self, identity: str) -> Container:
        if identity not in self.containers:
            raise Refused("NotFound", f'an error occurred when try to find container "{identity}": not found')
        return self.containers[identity]

    def _containers_of(self, sandbox: str) -> list[Container]:
        return [container for container in self.containers.values() if container.sandbox == sandbox]

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            raise Refused("RuntimeUnavailable", "the runtime is shutting down")

    def do_hello(self, reply: Reply) -> None:
        self._refuse_when_stopping()
        reply({"version": VERSION, "pid": os.getpid(), "ephemeral": self._ephemeral,
               "isolation": self.isolation._asdict()})

    def do_list(self, reply: Reply) -> None:
        reply({"sandboxes": [sandbox.describe() for sandbox in self.sandboxes.values()],
               "containers": [container.describe() for container in self.containers.values()]})

    def do_run_pod_sandbox(self, reply: Reply, config: dict[str, Any]) -> None:
        self._refuse_when_stopping()
        identity = os.urandom(32).hex()
        space = PodSpace(self.isolation, f"{self._state}/sandboxes/{identity}")
        self.sandboxes[identity] = Sandbox(identity, config, space, self.gate)
        reply(identity)

    def tear_down(self, sandbox: Sandbox, done: Callable[[], None]) -> None:
        """Everything in it has ended; it may be called again."""
        sandbox.space.close()
        done()

    def do_stop_pod_sandbox(self, reply: Reply, sandbox: str) -> None:
        if sandbox in self.sandboxes:  # as in the CRI, stopping what is gone is no error
            self.sandboxes[sandbox].ready = False

        def stopped(_: Any) -> None:
            if sandbox in self.sandboxes:
                self.tear_down(self.sandboxes[sandbox], lambda: reply(None))
            else:
                reply(None)

        self._after([container.stop for container in self._containers_of(sandbox)], stopped, 0.0)

    def do_remove_pod_sandbox(self, reply: Reply, sandbox: str) -> None:
        def removed(_: Any) -> None:
            gone = self.sandboxes.pop(sandbox, None)
            if gone is not None:
                self.tear_down(gone, lambda: reply(None))
            else:
                reply(None)

        self._after([self._remover(container) for container in self._containers_of(sandbox)], removed)

    def do_create_container(self, reply: Reply, sandbox: str, config: dict[str, Any], spec: dict[str, Any]) -> None:
        place = self._sandbox(sandbox)
        if not place.ready:
            raise Refused("CreateContainerError", f'sandbox container "{sandbox}" is not running')
        target = self.container(spec["target"]) if spec["target"] else None
        identity = os.urandom(32).hex()
        directory = f"{self._state}/containers/{identity}"
        self.containers[identity] = self.make_container(identity, place, config, spec, directory, target)
        reply(identity)

    def make_container(self, identity: str, place: Sandbox, config: dict[str, Any], spec: dict[str, Any],
                       directory: str, target: Container | None) -> Container:
        return Container(identity, place, config, spec, directory, self.loop, self._reap, self.isolation,
                         self._changed, target)

    def do_start_container(self, reply: Reply, container: str) -> None:
        self._refuse_when_stopping()
        self.container(container).start(
            lambda error: reply(Refused("RunContainerError", error) if error else None))

    def do_stop_container(self, reply: Reply, container: str, timeout: float) -> None:
        self.container(container).stop(timeout, lambda: reply(None))

    def do_remove_container(self, reply: Reply, container: str) -> None:
        if container not in self.containers:
            reply(None)
            return
        self._remover(self.containers[container])(lambda: reply(None))

    def do_container_status(self, reply: Reply, container: str) -> None:
        reply(self.container(container).describe())

    def do_container_stats(self, reply: Reply, container: str) -> None:
        reply(self.container(container).usage())

    def do_update_container_resources(self, reply: Reply, container: str, resources: dict[str, int]) -> None:
        """Only memory is watched here; processor time needs cgroups."""
        self.container(container).spec["memory_limit"] = resources["memory_limit_in_bytes"]
        reply(None)

    def do_set_network_policy(self, reply: Reply, table: dict[str, Any]) -> None:
        """The whole table (objects/policytable.py); it decides from now on."""
        try:
            self.gate.replace(table)
        except ValueError as error:
            raise Refused("InvalidArgument", f"network policy: {error}") from error
        reply(None)

    @staticmethod
    def clear_leftovers(state: str) -> None:
        """What a daemon that was killed left behind: processes without a PID namespace, and containers' directories."""
        for pid in processes.snapshot():
            if processes.mark_of(pid).startswith(f"{state}/containers/"):
                processes.send(pid, signal.SIGKILL)
        remove_tree(f"{state}/containers")
        remove_tree(f"{state}/sandboxes")

    def do_shutdown(self, reply: Reply) -> None:
        reply(None)
        self.shutdown()

    def _remover(self, container: Container) -> Callable[[Callable[[], None]], None]:
        def remove(done: Callable[[], None]) -> None:
            def removed() -> None:
                self.containers.pop(container.id, None)
                done()

            container.remove(removed)

        return remove

    @staticmethod
    def _after(actions: list[Callable[..., None]], reply: Reply, *arguments: Any) -> None:
        """Run actions that end some time; answer when all have."""
        missing = len(actions)

        def done() -> None:
            nonlocal missing
            missing -= 1
            if missing == 0:
                reply(None)

        if not actions:
            reply(None)
        for action in actions:
            action(*arguments, done)


def _only_one(state: str) -> int:
    """Hold the state directory's lock, or say who does.  A predecessor that is just ending is waited for."""
    lock = os.open(f"{state}/daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    patience = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > patience:
                holder = os.pread(lock, 20, 0).decode().strip()
                sys.exit(f"another runtime daemon (pid {holder}) owns {state}")
            time.sleep(0.02)
    os.ftruncate(lock, 0)
    return lock


def _detach() -> int:
    """Go on in the background (daemon(3)); the foreground process ends once `_ready` has been called."""
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        os._exit(0 if os.read(read, 1) else 1)
    os.close(read)
    os.setsid()
    os.chdir("/")
    return write


def _ready(write: int, log: str) -> None:
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    for target, source in ((0, null), (1, fd), (2, fd)):
        os.dup2(source, target)
    os.close(fd)
    os.close(null)
    os.write(write, b"r")
    os.close(write)


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    with socket_path(path) as name:
        if os.path.exists(name):
            os.unlink(name)
        listener.bind(name)
        os.chmod(name, 0o600)
    return listener


def main(kind: type[Daemon]) -> None:
    parser = argparse.ArgumentParser(prog=kind.__module__)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--ephemeral", action="store_true")
    parser.add_argument("--low-ports", default="auto", choices=("auto", "direct", "map"))
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    options = parser.parse_args()
    state, path = os.path.realpath(options.state), os.path.abspath(options.socket)
    os.makedirs(state, mode=0o700, exist_ok=True)
    os.umask(0o022)
    lock = _only_one(state)
    write = _detach()
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    syscalls.prctl(syscalls.PR_SET_NAME, b"kit-runtime\0")
    kind.clear_leftovers(state)
    listener = _listen(path)
    daemon = kind(listener, path, state, ephemeral=options.ephemeral, low_ports=options.low_ports,
                  idle_seconds=options.idle_seconds)
    listener.listen(64)
    _ready(write, f"{state}/daemon.log")
    daemon.loop.run()
    kind.clear_leftovers(state)


if __name__ == "__main__":
    main(Daemon)
