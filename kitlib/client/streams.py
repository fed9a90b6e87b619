"""exec and port-forward: bytes to and from a Pod, through the API server of any cluster.

    exec          a command in a container; one WebSocket, a channel for each of its streams
    port-forward  a connection to a port of a Pod; two channels, data and error

Both are handed out as an ordinary socket, so that TLS, an HTTP client or an event loop can use it like any other.  A
thread carries the bytes between it and the WebSocket, and ends with it.

    caller ◀──socket pair──▶ thread ◀──WebSocket──▶ API server ──▶ node ──▶ Pod

Source: k8s.io/apimachinery/pkg/util/remotecommand (v5.channel.k8s.io), k8s.io/client-go/tools/portforward.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from kitlib.client.http import HttpTransport
from kitlib.client.transport import status_error

STDIN, STDOUT, STDERR, ERROR, CLOSE = 0, 1, 2, 3, 255
CHUNK = 65536


class Pipe:
    """A socket whose other end is in a Pod.  `sock` is the caller's; closing it ends the thread, too.

    `error`: what the Pod's side had to complain about (stderr of a command, a refusal of a forward).
    `code`: the command's exit code, None as long as it is not known.
    """

    def __init__(self, connection: Any, channels: _Channels) -> None:
        self.sock, self._inner = socket.socketpair()
        self._connection, self._channels = connection, channels
        self._ended = threading.Event()
        threading.Thread(target=self._carry, name="kit-pipe", daemon=True).start()

    @property
    def error(self) -> str:
        return self._channels.error.decode(errors="replace").strip()

    @property
    def code(self) -> int | None:
        return self._channels.code

    def wait(self, seconds: float) -> bool:
        """Until the Pod's side has ended.  False: it has not, in that time."""
        return self._ended.wait(seconds)

    def _carry(self) -> None:
        """Both ways in one thread: two may not use one TLS connection at once."""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._connection.sock, selectors.EVENT_READ)
                selector.register(self._inner, selectors.EVENT_READ)
                while self._carry_once(selector):
                    pass
        except Exception:  # whatever breaks the connection ends the pipe; the caller reads an end of file
            pass
        self._ended.set()
        with contextlib.suppress(Exception):
            self._connection.close(timeout=0)
        self._inner.close()

    def _carry_once(self, selector: selectors.BaseSelector) -> bool:
        """What there is to carry now; False when the Pod's side has ended, or the caller's is gone."""
        ready = [key.fileobj for key, _ in selector.select()]
        if self._inner in ready:
            data = self._inner.recv(CHUNK)
            if data:
                self._connection.send_binary(self._channels.prefix + data)
            else:
                selector.unregister(self._inner)
                if not self._channels.half_close:
                    return False
                self._connection.send_binary(self._channels.half_close)
        if self._connection.sock in ready:
            while True:
                opcode, message = self._connection.recv_data()
                if opcode != 2 or not message:  # closed
                    return False
                data = self._channels.received(message)
                if data:
                    self._inner.sendall(data)
                if self._channels.over:
                    return False
                pending = getattr(self._connection.sock, "pending", None)  # decrypted already: select would not tell
                if pending is None or not pending():
                    return True
        return True


class _Channels:
    """What the messages mean.  prefix: stands before data of ours; half_close: says that there is no more."""

    prefix = bytes((STDIN,))
    half_close = b""

    def __init__(self) -> None:
        self.error, self.over = b"", False
        self.code: int | None = None

    def received(self, message: bytes) -> bytes:
        """The data in a message of the other side, if it is for the caller."""
        raise NotImplementedError


class _ExecChannels(_Channels):
    half_close = bytes((CLOSE, STDIN))

    def received(self, message: bytes) -> bytes:
        channel, data = message[0], message[1:]
        if channel == STDERR:
            self.error += data
        elif channel == ERROR:
            self._ended(json.loads(data or b"{}"))
        return data if channel == STDOUT else b""

    def _ended(self, status: dict[str, Any]) -> None:
        self.over = True
        causes = (status.get("details") or {}).get("causes") or ()
        codes = [int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"]
        self.code = 0 if status.get("status") == "Success" else codes[0] if codes else -1
        if self.code == -1:
            self.error += str(status.get("message", "")).encode()


class _ForwardChannels(_Channels):
    def __init__(self) -> None:
        super().__init__()
        self._greeted: set[int] = set()

    def received(self, message: bytes) -> bytes:
        channel, data = message[0], message[1:]
        if channel not in self._greeted:  # the first message of each channel is the port
            self._greeted.add(channel)
            data = data[2:]
        if channel == 1:
            self.error += data
            self.over = self.over or bool(data)
            return b""
        return data


def execute(transport: HttpTransport, namespace: str, pod: str, command: Sequence[str], *,
            container: str = "") -> Pipe:
    """Start a command in a running container; the socket is its stdin and stdout.  Raises StatusError."""
    query = [("command", part) for part in command] + [(name, "true") for name in ("stdin", "stdout", "stderr")]
    if container:
        query.append(("container", container))
    return Pipe(_connect(transport, namespace, pod, "exec", query, "v5.channel.k8s.io"), _ExecChannels())


def forward(transport: HttpTransport, namespace: str, pod: str, port: int) -> Pipe:
    """A connection to a port of a running Pod.  Raises StatusError; that nobody listens shows in `error`."""
    query = [("ports", str(port))]
    return Pipe(_connect(transport, namespace, pod, "portforward", query, "v4.channel.k8s.io"), _ForwardChannels())


def _connect(transport: HttpTransport, namespace: str, pod: str, verb: str, query: Sequence[tuple[str, str]],
             protocol: str) -> Any:
    import websocket

    server = "ws" + transport.access.server.removeprefix("http")
    path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/{verb}?{urlencode(query)}"
    headers = [f"Authorization: Bearer {transport.access.token}"] if transport.access.token else []
    connection = websocket.WebSocket(sslopt={"context": transport.tls} if transport.tls else None,
                                     enable_multithread=True, sockopt=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
    connection.settimeout(30)
    try:
        connection.connect(server + path, header=headers, subprotocols=[protocol])
    except websocket.WebSocketBadStatusException as error:
        connection.shutdown()
        raise _refusal(error) from None
    except websocket.WebSocketException as error:
        connection.shutdown()
        raise ConnectionError(str(error)) from None
    connection.settimeout(None)
    return connection


def _refusal(error: Any) -> Exception:
    try:
        status = json.loads(error.resp_body or b"{}")
    except ValueError:
        status = {}
    return status_error(status if isinstance(status, dict) else {}, error.status_code)
