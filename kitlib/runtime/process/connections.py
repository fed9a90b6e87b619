"""The daemon's clients: JSON lines in, JSON lines out, on a unix socket that only its owner can open.

    {"id": 7, "method": "start_container", "params": {"container": …}}
    {"id": 7, "result": null}   or   {"id": 7, "error": {"reason": "RunContainerError", "message": …}}

A method `x` is the daemon's `do_x(reply, **params)`; it may answer later, and with a descriptor (`Handed`).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from kitlib.runtime.process.streams import Stream

if TYPE_CHECKING:
    from kitlib.runtime.process.daemon import Daemon

Reply = Callable[[Any], None]


class Refused(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class Handed(NamedTuple):
    """An answer that hands over a descriptor; ours is closed then."""

    result: Any
    fd: int


class Connection:
    """One client.  The first request decides: requests and events, or (exec, attach) a stream."""

    def __init__(self, daemon: Daemon, connection: socket.socket) -> None:
        self._daemon, self._socket = daemon, connection
        connection.setblocking(False)
        self._in, self._out = bytearray(), bytearray()
        daemon.loop.reader(connection.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._in += data
        while b"\n" in self._in and self._socket.fileno() >= 0:
            line, _, self._in = self._in.partition(b"\n")
            try:
                request = json.loads(line)
            except ValueError:  # not one of ours
                self._close()
                return
            self._on_request(request)

    def _on_request(self, request: dict[str, Any]) -> None:
        method, params, number = request["method"], request.get("params", {}), request.get("id", 0)
        if method == "control":
            self._daemon.control_opened(self)
            method = "hello"

        def reply(result: Any) -> None:
            if isinstance(result, Handed):
                self._hand_over({"id": number, "result": result.result}, result.fd)
            elif isinstance(result, Refused):
                self.send({"id": number, "error": {"reason": result.reason, "message": result.message}})
            else:
                self.send({"id": number, "result": result})

        try:
            if method in ("exec", "attach"):
                container = self._daemon.container(params["container"])
                self._daemon.loop.forget(self._socket.fileno())
                taken, self._socket = self._socket, socket.socket()
                self._socket.close()
                Stream(self._daemon.loop, taken, container, {**params, "method": method})
                return
            handler = getattr(self._daemon, "do_" + method, None)
            if handler is None:
                raise Refused("Unimplemented", f"unknown method {method}")
            handler(reply, **params)
        except Refused as refused:
            reply(refused)
        except OSError as error:  # a full disk, no more descriptors: this request fails, the Pods live on
            reply(Refused("InternalError", str(error)))
        except (KeyError, TypeError) as error:  # a client of another version
            reply(Refused("InvalidArgument", f"{method}: {error!r}"))
        except Exception as error:  # ours, to be mended; whoever asked must not wait for ever
            reply(Refused("InternalError", f"{method}: {error!r}"))
            raise

    def send(self, message: dict[str, Any]) -> None:
        if self._socket.fileno() >= 0:
            self._out += json.dumps(message).encode() + b"\n"
            self._flush()

    def _hand_over(self, message: dict[str, Any], fd: int) -> None:
        """On a connection that has no other answer under way: the descriptor comes with the line's first byte."""
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode() + b"\n"], [fd])
        except OSError:
            self._close()
        finally:
            os.close(fd)

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            self._daemon.loop.writer(self._socket.fileno(), self._flush)
            return
        except OSError:
            self._close()
            return
        self._daemon.loop.writer(self._socket.fileno(), None)

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._daemon.loop.forget(self._socket.fileno())
            self._socket.close()
            self._daemon.control_closed(self)
