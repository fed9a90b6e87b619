"""A process that the daemon started in a container: its first one, or an exec session's.

Owns what connects the process to the daemon: the pipes (or the terminal), the channel on which the start is reported,
and the listener of its filter.  What to do with output, start and end is the owner's business:

    on_started("")        the program runs; or on_started(why) and it never will
    on_output(1, data)    stdout (2: stderr; a terminal has only 1)
    on_exited(code)       after the last output; 128 + n for death by signal n, as a shell counts
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import socket
import struct
import termios
from collections.abc import Callable, Mapping
from typing import Any

from kitlib.runtime.process import resolver
from kitlib.runtime.process.gate import Gate
from kitlib.runtime.process.isolation import Isolation
from kitlib.runtime.process.launch import Job, launch
from kitlib.runtime.process.loop import Loop
from kitlib.runtime.process.notifier import Notifier
from kitlib.runtime.process.sockaddr import PodAddress

_CHUNK = 65536
_DRAIN_AT_MOST = 4 * 1024 * 1024


class Task:
    def __init__(self, loop: Loop, reap: dict[int, Task], isolation: Isolation, spec: Mapping[str, Any], root: str,
                 kill: Callable[[int, int], int], gate: Gate) -> None:
        self._loop, self._reap, self._isolation, self._spec, self._root = loop, reap, isolation, spec, root
        self._kill, self._gate = kill, gate
        self.pid = 0
        self.stdin_closed: bool = False
        self.on_started: Callable[[str], None] = lambda error: None
        self.on_output: Callable[[int, bytes], None] = lambda stream, data: None
        self.on_exited: Callable[[int], None] = lambda code: None
        self.on_stdin_drained: Callable[[], None] = lambda: None
        self._outputs: dict[int, int] = {}  # descriptor -> stream
        self._stdin = -1
        self._to_write = bytearray()
        self._closing = False
        self._channel: socket.socket | None = None
        self._error = ""
        self._started = False
        self._tty = False
        self._told = -1
        self._ended = False

    def start(self, argv: tuple[str, ...], *, stdin: bool, tty: bool, join: int = 0,
              shared: Mapping[str, int] | None = None) -> None:
        ends, told = self._terminal() if tty else self._pipes(stdin), -1
        self._tty = tty
        try:
            told = self._status_pipe() if self._isolation.proot else -1
            job = Job(self._spec, self._root, self._isolation, argv, *ends, tty=tty, join=join,
                      shared=shared or {}, told=told)
            self.pid, self._channel = launch(job)
        finally:
            for fd in {*ends, told} - {-1}:
                os.close(fd)
        self._reap[self.pid] = self
        self._loop.reader(self._channel.fileno(), self._on_report)

    def _pipes(self, stdin: bool) -> tuple[int, int, int]:
        if stdin:
            theirs_in, self._stdin = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._stdin, False)
        else:
            theirs_in = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        theirs = []
        for stream in (1, 2):
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read, False)
            self._outputs[read] = stream
            theirs.append(write)
        return theirs_in, theirs[0], theirs[1]

    def _status_pipe(self) -> int:
        """Where the program's end is told when the process that we wait for outlives it (see prootview.py)."""
        self._told, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._told, False)
        self._loop.reader(self._told, self._on_told)
        return theirs

    def _terminal(self) -> tuple[int, int, int]:
        master, slave = os.openpty()
        os.set_blocking(master, False)
        self._stdin = master
        self._outputs[master] = 1
        return slave, slave, slave

    # The start.

    def _on_report(self) -> None:
        assert self._channel is not None
        try:
            message, fds, _, _ = socket.recv_fds(self._channel, 4096, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        if not message:
            self._finish_start()
            return
        report = json.loads(message)
        self._error = report.get("error", self._error)
        if "pid" in report:  # an exec in a PID namespace: the process that matters is a grandchild
            self._reap.pop(self.pid, None)
            self.pid = report["pid"]
            self._reap[self.pid] = self
        if fds:
            names = () if self._isolation.namespaces else resolver.redirection(self._spec.get("dns") or {})
            pod = PodAddress(self._spec["ip"], self._isolation.port_start, *names)
            Notifier(self._loop, fds[0], pod, self._spec["hostname"], self._kill, self._gate)  # lives as its listener

    def _finish_start(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None
            self._started = not self._error
            self.on_started(self._error)
            self.pause(False)  # only now: nobody is to hear a process before it is said to run

    # Output and input.

    def _on_readable(self, fd: int) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last one closed the terminal
            data = b""
        if data:
            self.on_output(self._outputs[fd], data)
        else:
            self._close_output(fd)

    def _close_output(self, fd: int) -> None:
        self._loop.forget(fd)
        del self._outputs[fd]
        if fd == self._stdin:
            self._stdin = -1
        os.close(fd)

    def pause(self, paused: bool) -> None:
        """Stop reading while whoever reads from us cannot keep up."""
        for fd in self._outputs:
            self._loop.reader(fd, None if paused else functools.partial(self._on_readable, fd))

    def write_stdin(self, data: bytes) -> int:
        """Hand data to the process.  Returns what still waits; `on_stdin_drained` tells when nothing does."""
        if self._stdin < 0 or self._closing:
            return 0
        self._to_write += data
        self._pump_stdin()
        return len(self._to_write)

    def _pump_stdin(self) -> None:
        waited = bool(self._to_write)
        try:
            while self._to_write:
                del self._to_write[: os.write(self._stdin, self._to_write[:_CHUNK])]
        except BlockingIOError:
            self._loop.writer(self._stdin, self._pump_stdin)
            return
        except OSError:  # EPIPE: the program closed its standard input
            self._to_write.clear()
            self._closing = True
        self._loop.writer(self._stdin, None)
        if self._closing:
            self._shut_stdin()
        if waited:
            self.on_stdin_drained()

    def close_stdin(self) -> None:
        if self._stdin >= 0 and not self._closing:
            if self._tty:
                self.write_stdin(b"\x04")
                return
            self._closing = True
            if not self._to_write:
                self._shut_stdin()

    def _shut_stdin(self) -> None:
        self.stdin_closed = True
        if self._stdin >= 0 and self._stdin not in self._outputs:
            self._loop.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = -1

    def resize(self, width: int, height: int) -> None:
        if self._tty and self._stdin >= 0:
            fcntl.ioctl(self._stdin, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    # The end.

    def read_reports(self) -> None:
        """What the child said before it ended; afterwards `pid` is the process that matters."""
        while self._channel is not None:
            try:
                self._channel.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return
            self._on_report()

    def exited(self, status: int) -> None:
        """The process was reaped.  Its filter's listener goes when the last of its children has."""
        self._on_told()
        self._over(os.waitstatus_to_exitcode(status))

    def _on_told(self) -> None:
        """The program has ended, though not the process we wait for; end of file: nobody is left who could say so."""
        if self._told < 0:
            return
        try:
            text = os.read(self._told, 16)
        except BlockingIOError:
            return
        self._loop.forget(self._told)
        os.close(self._told)
        self._told = -1
        if text.strip().isdigit():
            self._over(int(text))

    def _over(self, code: int) -> None:
        if self._ended:
            return
        self._ended = True
        self._finish_start()
        for fd in list(self._outputs):
            self._drain(fd)
        self._shut_stdin()
        if self._started:
            self.on_exited(code if code >= 0 else 128 - code)

    def _drain(self, fd: int) -> None:
        """What is left in the pipe; a process that got away may keep it open for ever."""
        total = 0
        while fd in self._outputs and total < _DRAIN_AT_MOST:
            try:
                data = os.read(fd, _CHUNK)
            except OSError:
                break
            if not data:
                break
            total += len(data)
            self.on_output(self._outputs[fd], data)
        if fd in self._outputs:
            self._close_output(fd)
