"""HttpTransport: the same requests over HTTPS, to any cluster.

The only part of the client that waits for a network.  Requests may come from several threads: each takes an idle
connection or opens one.  A watch has a connection and a thread of its own, which reads lines into a queue; the core
polls that queue and never notices that the server is elsewhere.

HTTP/1.1 as kubectl would speak it if it had no HTTP/2: keep-alive, chunked answers, one JSON event a line.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from kitlib.client import kubeconfig
from kitlib.client.transport import Query, status_error

CONNECT_TIMEOUT, REQUEST_TIMEOUT = 10.0, 60.0
IDLE_CONNECTIONS = 4


class HttpTransport:
    """Talks to one API server as one user."""

    def __init__(self, access: kubeconfig.Access) -> None:
        url = urlsplit(access.server)
        self.access = access
        self._host, self._port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        self._prefix = url.path
        self.tls = _tls_context(access) if url.scheme == "https" else None
        self._idle: list[HTTPConnection] = []
        self._lock = threading.Lock()

    @classmethod
    def from_kubeconfig(cls, path: str | os.PathLike[str] | None = None, context: str = "") -> HttpTransport:
        return cls(kubeconfig.load(path, context))

    def request(self, method: str, path: str, *, query: Query | None = None,
                headers: Mapping[str, str] | None = None, obj: Any = None) -> Any:
        body = None if obj is None else orjson.dumps(obj)
        target = self._target(path, query)
        connection, fresh = self._take()
        try:
            answer = _ask(connection, method, target, body, self._headers(headers))
        except (HTTPException, OSError):
            connection.close()
            if fresh or method != "GET":   # an idle connection may have died unnoticed; a write must not go twice
                raise
            connection = self._open(REQUEST_TIMEOUT)
            answer = _ask(connection, method, target, body, self._headers(headers))
        data = answer.read()
        self._give_back(connection, answer)
        return _decode(answer, data)

    def watch(self, path: str, query: Query, headers: Mapping[str, str] | None = None) -> HttpWatch:
        connection = self._open(CONNECT_TIMEOUT)
        answer = _ask(connection, "GET", self._target(path, query), None, self._headers(headers))
        if answer.status >= 400:
            data = answer.read()
            connection.close()
            _decode(answer, data)
        return HttpWatch(connection, answer)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _target(self, path: str, query: Query | None) -> str:
        return self._prefix + path + (f"?{urlencode(query)}" if query else "")

    def _headers(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        sent = dict(headers or {})
        if self.access.token:
            sent["authorization"] = f"Bearer {self.access.token}"
        return sent

    def _take(self) -> tuple[HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), False
        return self._open(REQUEST_TIMEOUT), True

    def _give_back(self, connection: HTTPConnection, answer: HTTPResponse) -> None:
        with self._lock:
            if not answer.will_close and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _open(self, timeout: float) -> HTTPConnection:
        if self.tls is None:
            connection = HTTPConnection(self._host, self._port, timeout=timeout)
            connection.connect()
        else:
            connection = _TlsConnection(self._host, self._port, timeout, self.tls, self.access.tls_server_name)
        assert connection.sock is not None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


class _TlsConnection(HTTPSConnection):
    """HTTPSConnection that may expect another name in the certificate than the one it dials."""

    def __init__(self, host: str, port: int, timeout: float, context: ssl.SSLContext, server_name: str) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        plain = socket.create_connection((host, port), timeout)
        self.sock = context.wrap_socket(plain, server_hostname=server_name or host)


class HttpWatch:
    """A watch whose lines a thread reads."""

    def __init__(self, connection: HTTPConnection, answer: HTTPResponse) -> None:
        self.closed = False
        self._connection, self._answer = connection, answer
        self._sock = connection.sock
        self._events: deque[dict[str, Any]] = deque()
        self._ready: Callable[[], None] = lambda: None
        self._ended = False
        if self._sock is not None:
            self._sock.settimeout(None)   # a quiet watch is not a broken one
        self._thread = threading.Thread(target=self._read, name="kit-watch", daemon=True)
        self._thread.start()

    def poll(self) -> list[dict[str, Any]]:
        ended = self._ended   # looked at first: what came before the end must still be handed out
        events = [self._events.popleft() for _ in range(len(self._events))]
        self.closed = self.closed or ended
        return events

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._ready = callback
        if self._events or self._ended:
            callback()

    def close(self) -> None:
        self.closed = True
        if self._sock is not None:
            try:
                self._sock.shutdown(socket.SHUT_RDWR)   # wakes the reading thread
            except OSError:
                self._ended = True   # the other side was faster
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def _read(self) -> None:
        try:
            while line := self._answer.readline():
                self._events.append(orjson.loads(line))
                self._ready()
        except (HTTPException, OSError, ValueError, AttributeError):
            self._ended = True   # a broken stream ends as a closed one does: the informer opens it again
        finally:
            self._ended = True
            self._connection.close()
            self._ready()


def _ask(connection: HTTPConnection, method: str, target: str, body: bytes | None,
         headers: Mapping[str, str]) -> HTTPResponse:
    connection.request(method, target, body=body, headers=dict(headers))
    return connection.getresponse()


def _decode(answer: HTTPResponse, data: bytes) -> Any:
    try:
        result = orjson.loads(data) if data else {}
    except ValueError:
        result = {"message": data.decode(errors="replace").strip()}
    if answer.status >= 400:
        status = result if isinstance(result, dict) else {"message": json.dumps(result)}
        raise status_error(status, answer.status, dict(answer.getheaders()))
    return result


def _tls_context(access: kubeconfig.Access) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=access.ca or None)
    if access.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if access.certificate:
        # OpenSSL takes a client certificate from files only; this one lives for a moment and is ours alone (0600).
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(access.certificate.rstrip() + "\n" + access.key)
            file.flush()
            context.load_cert_chain(file.name)
    return context
