"""Programs that the daemon runs beside its containers: ip, CNI plugins, runc, and what others ask for in a node.

Nothing blocks: a program's output is read as it comes, and `done(code, stdout, stderr)` is called when it has ended.
A program can be started in another network namespace.  The daemon has one thread, so it enters that namespace itself
for the moment of the start, and comes back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kitlib.runtime.process import syscalls
from kitlib.runtime.process.loop import Loop

Done = Callable[[int, bytes, bytes], None]
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK = 65536
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE)  # by the daemon


@contextlib.contextmanager
def inside(namespace: int, home: int) -> Iterator[None]:
    """Be in another network namespace while the block lasts.  -1: stay where we are."""
    if namespace < 0:
        yield
        return
    syscalls.setns(namespace, syscalls.CLONE_NEWNET)
    try:
        yield
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)


class Command:
    """One run of a program; the daemon reaps it like a container's process."""

    def __init__(self, loop: Loop, stdin: bytes, done: Done) -> None:
        self._loop, self._done = loop, done
        self._input = bytearray(stdin)
        self._output: dict[int, bytearray] = {}  # descriptor → what came
        self._results = {1: bytearray(), 2: bytearray()}
        self._stdin = -1
        self._code: int | None = None
        self.pid = 0

    def start(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Raises OSError when there is no such program."""
        program = which(argv[0])
        theirs_in, self._stdin = os.pipe2(os.O_CLOEXEC)
        ends = [os.pipe2(os.O_CLOEXEC) for _ in (1, 2)]
        try:
            self.pid = spawn(program, argv, env, (theirs_in, ends[0][1], ends[1][1]))
        except BaseException:
            for read, _ in ends:
                os.close(read)
            os.close(self._stdin)
            raise
        finally:
            os.close(theirs_in)
            for _, write in ends:
                os.close(write)
        for stream, (read, _) in enumerate(ends, start=1):
            os.set_blocking(read, False)
            self._output[read] = self._results[stream]
            self._loop.reader(read, lambda fd=read: self._read(fd))  # type: ignore[misc]
        os.set_blocking(self._stdin, False)
        self._write()

    def _write(self) -> None:
        try:
            while self._input:
                del self._input[: os.write(self._stdin, self._input[:_CHUNK])]
        except BlockingIOError:
            self._loop.writer(self._stdin, self._write)
            return
        except OSError:  # EPIPE: it does not want to know
            pass
        self._loop.writer(self._stdin, None)
        os.close(self._stdin)
        self._stdin = -1

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        if data:
            self._output[fd] += data
            return
        self._loop.forget(fd)
        os.close(fd)
        del self._output[fd]
        self._finish()

    def read_reports(self) -> None:
        """A program says all it has to say with its end."""

    def exited(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self._code = code if code >= 0 else 128 - code
        if self._stdin >= 0:
            self._input.clear()
            self._write()
        self._finish()

    def _finish(self) -> None:
        if self._code is not None and not self._output:
            self._done(self._code, bytes(self._results[1]), bytes(self._results[2]))


class Launcher:
    """A program that starts another one and ends; the streams are the other one's.  `done` gets its exit code."""

    def __init__(self, argv: Sequence[str], streams: tuple[int, int, int], done: Callable[[int], None]) -> None:
        self._done = done
        self.pid = spawn(which(argv[0]), argv, {"PATH": _PATH}, streams)

    def read_reports(self) -> None:
        """Its exit code is its report."""

    def exited(self, status: int) -> None:
        self._done(os.waitstatus_to_exitcode(status))


class Commands:
    """Starts them.  `home` is the network namespace that the daemon is in when it does nothing else."""

    def __init__(self, loop: Loop, reap: dict[int, Any], home: int) -> None:
        self._loop, self._reap, self._home = loop, reap, home

    def run(self, argv: Sequence[str], done: Done, *, stdin: bytes = b"", namespace: int = -1,
            env: Mapping[str, str] | None = None) -> None:
        """`done` is always called; a program that cannot be started ends with 127 and a sentence."""
        command = Command(self._loop, stdin, done)
        try:
            with inside(namespace, self._home):
                command.start(argv, {"PATH": _PATH, **(env or {})})
        except OSError as error:
            done(127, b"", f"{argv[0]}: {error.strerror or error}".encode())
            return
        self._reap[command.pid] = command


def spawn(program: str, argv: Sequence[str], env: Mapping[str, str], streams: tuple[int, int, int]) -> int:
    """posix_spawn with standard streams, in a session of its own and with the signals as they are by default."""
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams)]
    return os.posix_spawn(program, list(argv), dict(env), file_actions=actions, setsid=True, setsigdef=_HANDLED)


def which(name: str) -> str:
    """The program's file, looked for in the usual places whatever PATH the cluster was started with."""
    for directory in ("",) if "/" in name else _PATH.split(":"):
        candidate = os.path.join(directory, name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError(errno.ENOENT, "no such program")
