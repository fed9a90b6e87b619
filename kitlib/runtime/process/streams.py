"""Exec and attach on a connection of their own: after one JSON line each way, frames.

    1 byte stream · 4 bytes length, big endian · payload

    to the client     1 stdout   2 stderr   3 the end: {"exit_code": n}
    from the client   0 stdin    4 resize: {"width": w, "height": h}    5 close stdin    6 kill
"""

from __future__ import annotations

import functools
import json
import socket
from typing import Any

from kitlib.runtime.process import processes
from kitlib.runtime.process.containers import CREATED, RUNNING, Container
from kitlib.runtime.process.loop import Loop

STDIN, STDOUT, STDERR, END, RESIZE, CLOSE_STDIN, KILL = 0, 1, 2, 3, 4, 5, 6
_MUCH = 1024 * 1024


def frame(stream: int, data: bytes) -> bytes:
    return bytes((stream,)) + len(data).to_bytes(4, "big") + data


class Stream:
    """One exec or attach session, seen from the daemon."""

    def __init__(self, loop: Loop, connection: socket.socket, container: Container, request: dict[str, Any]) -> None:
        self._loop, self._connection, self._container = loop, connection, container
        self._out, self._in = bytearray(), bytearray()
        self._ending = False
        self._task = container.task
        self._is_exec = request["method"] == "exec"
        self._stdin: bool = request["stdin"]
        loop.reader(connection.fileno(), self._on_readable)
        self._lossless = bool(request.get("lossless"))  # of an attach: a slow watcher stops the container
        self._paused = False
        if container.state != RUNNING and not (request.get("early") and container.state == CREATED):
            self._refuse(f"container is in {container.state} state")
        elif self._is_exec:
            self._start_exec(request)
        else:
            self._start_attach()

    def _reply(self, **answer: Any) -> None:
        self._send(json.dumps(answer).encode() + b"\n")

    def _refuse(self, message: str) -> None:
        self._reply(error={"reason": "ExecError" if self._is_exec else "AttachError", "message": message})
        self._ending = True
        self._flush()

    def _start_exec(self, request: dict[str, Any]) -> None:
        task = self._task = self._container.new_task({**self._container.spec, **request.get("override", {})})
        self._container.execs.add(task)

        def on_started(error: str) -> None:
            if error:
                self._container.execs.discard(task)
                self._refuse("failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: "
                             f"unable to start container process: {error}: unknown")
            else:
                self._reply(result={"pid": task.pid})

        task.on_started, task.on_output, task.on_exited = on_started, self._on_output, self._on_exited
        task.on_stdin_drained = self._resume_input
        try:
            task.start(tuple(request["argv"]), stdin=self._stdin, tty=request["tty"], join=self._container.task.pid,
                       shared=self._container.join_space())
        except OSError as error:
            on_started(str(error.strerror))

    def _start_attach(self) -> None:
        container = self._container
        container.watchers.append(self._on_output)
        container.on_end.append(lambda: self._on_exited(container.exit_code))
        self._reply(result={})

    def _on_exited(self, code: int) -> None:
        self._container.execs.discard(self._task)
        if self._connection.fileno() >= 0:
            self._send(frame(END, json.dumps({"exit_code": code}).encode()))
            self._ending = True
            self._flush()

    # To the client.

    def _on_output(self, stream: int, data: bytes) -> None:
        self._send(frame(stream, data))
        if len(self._out) > _MUCH:
            if self._is_exec or self._lossless:
                self._paused = True
                self._task.pause(True)
            else:  # a slow watcher must not stop the container
                self._close()

    def _send(self, data: bytes) -> None:
        if self._connection.fileno() >= 0:
            self._out += data
            self._flush()

    def _flush(self) -> None:
        if self._connection.fileno() < 0:
            return
        try:
            while self._out:
                del self._out[: self._connection.send(self._out)]
        except BlockingIOError:
            self._loop.writer(self._connection.fileno(), self._flush)
            return
        except OSError:  # the client has gone
            self._close()
            return
        self._loop.writer(self._connection.fileno(), None)
        if self._ending:
            self._hang_up()
        elif self._paused:
            self._paused = False
            self._task.pause(False)

    def _hang_up(self) -> None:
        """All is said.  We close when the client has: closed over input that nobody has read, a connection
        is reset, and the client would lose our last words."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:  # the client has gone
            self._close()
            return
        self._loop.reader(self._connection.fileno(), self._on_readable)

    # From the client.

    def _on_readable(self) -> None:
        try:
            data = self._connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        if self._ending:
            return
        self._in += data
        while len(self._in) >= 5:
            length = int.from_bytes(self._in[1:5], "big")
            if len(self._in) < 5 + length:
                return
            kind, payload = self._in[0], bytes(self._in[5 : 5 + length])
            del self._in[: 5 + length]
            self._on_frame(kind, payload)

    def _on_frame(self, kind: int, payload: bytes) -> None:
        if kind == STDIN and self._stdin:
            if self._task.write_stdin(payload) > _MUCH:
                self._loop.reader(self._connection.fileno(), None)
                self._task.on_stdin_drained = self._resume_input
        elif kind == CLOSE_STDIN:
            self._end_stdin()
        elif kind == RESIZE:
            size = json.loads(payload)
            self._task.resize(size["width"], size["height"])
        elif kind == KILL:
            self._kill()

    def _end_stdin(self) -> None:
        if self._stdin and (self._is_exec or self._container.spec["stdin_once"]):
            self._task.close_stdin()

    def _resume_input(self) -> None:
        if self._connection.fileno() >= 0:
            self._loop.reader(self._connection.fileno(), self._on_readable)

    def _kill(self) -> None:
        if self._is_exec and self._task.pid:
            processes.kill_all(functools.partial(processes.members, [self._task.pid], ""))

    def _close(self) -> None:
        """The end of the conversation; as with containerd, an exec'ed process outlives it and only loses its input."""
        if self._connection.fileno() < 0:
            return
        self._loop.forget(self._connection.fileno())
        self._connection.close()
        self._end_stdin()
        if self._is_exec:
            self._task.on_output = lambda stream, data: None
            self._task.pause(False)
        elif self._on_output in self._container.watchers:
            self._container.watchers.remove(self._on_output)
            if self._paused:
                self._task.pause(False)
