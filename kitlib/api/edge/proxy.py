"""The proxy subresource: an HTTP request forwarded to a Pod, through the API server.

    GET /api/v1/namespaces/NS/services/web/proxy/index.html  ─▶  GET /index.html at one of its Pods

The answer is streamed as it comes.  A request that wants to upgrade becomes a plain tunnel.

Source: k8s.io/apimachinery/pkg/util/proxy (upgradeaware.go, transport.go).
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import httptools

from kitlib.api.edge import wire
from kitlib.api.edge.duplex import Duplex
from kitlib.api.request import Connect, Request
from kitlib.objects.errors import StatusError

if TYPE_CHECKING:
    from kitlib.api.edge.connection import Connection, Exchange
    from kitlib.api.edge.connector import NodeConnector

# Between us and one neighbour only (RFC 9110, 7.6.1); the login was for us and is not passed on.
HOP = frozenset(("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
                 "transfer-encoding", "upgrade", "content-length", "host", "expect", "authorization"))
DIAL_TIMEOUT = 30.0


async def run(connection: Connection, exchange: Exchange, wanted: Connect, connector: NodeConnector) -> None:
    """Forward one request."""
    options = wanted.options
    context = None
    if options.get("scheme") == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a Pod's own certificate proves nothing to us
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        reader, writer = await asyncio.wait_for(
            connector.dial(wanted.node, wanted.pod, int(options["port"]), context), DIAL_TIMEOUT)
    except (OSError, asyncio.TimeoutError) as error:
        raise _unreachable(error) from error
    try:
        writer.write(_head(exchange.request, wanted, upgrade=exchange.upgrade) + exchange.request.body)
        if exchange.upgrade:
            await _tunnel(connection, reader, writer)
        else:
            await _answer(connection, exchange, reader)
    finally:
        writer.close()


def _unreachable(error: BaseException) -> StatusError:
    return StatusError(503, "ServiceUnavailable", f"error trying to reach service: {error or type(error).__name__}")


def _head(request: Request, wanted: Connect, *, upgrade: bool) -> bytes:
    path = "/" + quote(wanted.path, safe="/:@!$&'()*+,;=~-._")
    if request.query:
        path += "?" + urlencode(request.query, doseq=True)
    address = ((wanted.pod.get("status") or {}).get("podIP") or "localhost", wanted.options["port"])
    lines = [f"{request.method} {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}",
             f"X-Forwarded-For: {request.remote}", f"X-Forwarded-Uri: {quote(request.path)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name not in HOP]
    if upgrade:
        lines += ["Connection: Upgrade", f"Upgrade: {request.headers.get('upgrade', '')}"]
    else:
        lines.append("Connection: close")
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


async def _tunnel(connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes both ways until one side ends; the Pod's own answer to the upgrade is the first of them."""
    stream = Duplex(connection)
    connection.upgrade(stream)

    async def upload() -> None:
        while data := await stream.read():
            writer.write(data)
            await writer.drain()

    up = asyncio.ensure_future(upload())
    try:
        while data := await reader.read(65536):
            await stream.write(data)
    finally:
        up.cancel()
        await asyncio.gather(up, return_exceptions=True)


class _Answer:
    """httptools' callbacks: what has been parsed since the last look."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.body: list[bytes] = []
        self.started = self.ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.started = True

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.ended = True


async def _answer(connection: Connection, exchange: Exchange, reader: asyncio.StreamReader) -> None:
    answer = _Answer()
    parser: Any = httptools.HttpResponseParser(answer)
    sent = False
    head_only = exchange.request.method == "HEAD"
    while not answer.ended:
        try:
            data = await reader.read(65536)
            if data:
                parser.feed_data(data)
        except (OSError, httptools.HttpParserError) as error:
            if sent:
                connection.abort()
                return
            raise _unreachable(error) from error
        if answer.started and not sent:
            sent = True
            _start(connection, exchange, parser.get_status_code(), answer.headers)
            if head_only or parser.get_status_code() in (204, 304):
                return
        body, answer.body = b"".join(answer.body), []
        if body:
            connection.write(body if exchange.old else wire.chunk(body))
            await connection.drain()
        if not data:
            break  # an answer without a length ends with its connection
    if not sent:
        raise _unreachable(ConnectionResetError("the connection was closed without an answer"))
    if exchange.old:
        connection.finish()
    else:
        connection.write(wire.LAST_CHUNK)


def _start(connection: Connection, exchange: Exchange, code: int, headers: list[tuple[str, str]]) -> None:
    request = exchange.request
    lines = [f"HTTP/1.1 {code} {wire.reason(code)}"]
    for name, value in headers:
        if name.lower() not in HOP:
            lines.append(f"{name}: {_location(value, request) if name.lower() == 'location' else value}")
    bare = request.method == "HEAD" or code in (204, 304)
    if not bare:
        lines.append("Connection: close" if exchange.old else "Transfer-Encoding: chunked")
    connection.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))


def _location(value: str, request: Request) -> str:
    """A redirect within the Pod stays within the proxy."""
    target = urlsplit(value)
    base = request.path[:request.path.index("/proxy") + len("/proxy")]
    if target.netloc and target.hostname not in ("localhost", request.headers.get("host", "")):
        return value
    if not target.path.startswith("/"):
        return value
    return base + target.path + (f"?{target.query}" if target.query else "")
