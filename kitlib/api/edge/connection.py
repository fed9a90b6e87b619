"""One client connection: HTTP/1.1 requests in, answers out, strictly in order.

httptools (nodejs's llhttp in C) parses; its callbacks below collect one request at a time.  A GET is
answered inside `data_received`, without a task or a turn of the loop.  While an answer is not finished
(it waits for the disk, it is a watch, it is an exec) later requests of the same connection queue up.

Every bound is here: size of head and body, time to send them, time to read the answer, length of the
queue.  A refusal is a `Status` like any other, and then the connection closes.

Source: RFC 9112; k8s.io/apiserver/pkg/server (MaxRequestBodyBytes), net/http.Server's limits.
"""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import httptools

from kitlib.api.edge import callouts, connect, websocket, wire
from kitlib.api.edge.tls import identity
from kitlib.api.edge.watches import Chunked, Framing, Messages, UntilClose, WatchSender
from kitlib.api.request import Callout, Connect, Request, Response, Stream
from kitlib.objects.errors import StatusError, bad_request, internal

if TYPE_CHECKING:
    from kitlib.api.edge.duplex import Duplex
    from kitlib.api.edge.server import EdgeServer

log = logging.getLogger(__name__)

MAX_BODY = 3 * 1024 * 1024
MAX_CALLOUTS = 64  # webhooks that one request may have to ask
MAX_HEAD = 256 * 1024  # all header lines and the target together
MAX_QUEUED = 16  # pipelined requests waiting; beyond it we stop reading
RECEIVE_TIMEOUT = 30.0  # from a request's first byte to its last
IDLE_TIMEOUT = 300.0  # between requests
SEND_TIMEOUT = 60.0  # a client that takes nothing for this long is gone
# The first probe after 30 quiet seconds, then every 10; three without an answer end the connection.
KEEPALIVE = [(getattr(sockets, name), value) for name, value in (
    ("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)) if hasattr(sockets, name)]
LINGER = 2.0  # after a refusal: let the client read it before the connection goes


class Exchange:
    """A request together with what its framing says about the answer."""

    __slots__ = ("asked", "close", "old", "request", "upgrade")

    def __init__(self, request: Request, *, close: bool, upgrade: bool, old: bool) -> None:
        self.request, self.close, self.upgrade = request, close, upgrade
        self.old = old  # HTTP/1.0: no chunks
        self.asked = 0  # webhooks


class Connection(asyncio.Protocol):
    """See the module.  `closed` is true from the moment nothing can be written any more."""

    transport: asyncio.Transport

    def __init__(self, server: EdgeServer) -> None:
        self.server = server
        self.closed = self.draining = False
        self.remote = ""
        self.client_cert: tuple[str, tuple[str, ...]] | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange] = deque()
        self._busy: Exchange | None = None
        self._sender: WatchSender | None = None
        self._task: asyncio.Task[None] | None = None
        self._tunnel: Duplex | None = None
        self._leftover = b""  # bytes behind an upgrade request: they belong to the new protocol
        self._paused_since = 0.0  # the transport's buffer is full since then
        self._drained: asyncio.Future[None] | None = None
        self._reading = True
        self._deadline = server.loop.time() + IDLE_TIMEOUT
        self._begin()

    # -- the transport's side ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.remote = str(peer[0]) if peer else ""
        self.client_cert = identity(transport.get_extra_info("peercert"))
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (sockets.AF_INET, sockets.AF_INET6):
            # A peer that vanished without a word would otherwise hold its watch forever.
            sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE:
                sock.setsockopt(sockets.IPPROTO_TCP, option, value)
        if not self.server.admit(self):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.server.connections.discard(self)
        self._parser = None  # parser and protocol hold each other
        self._queue.clear()
        if self._sender:
            self._sender.close()
            self._sender = None
        if self._tunnel:
            self._tunnel.lost()
        if self._task:
            self._task.cancel()
        self._wake_writer()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.feed(data)
            return
        if self.draining or self.closed:
            return
        if self._busy is not None and self._busy.upgrade:
            self._leftover += data  # the other protocol, before we have said yes
            if len(self._leftover) > MAX_HEAD:
                self.abort()
            return
        if not self._head_done:
            if not self._received:
                self._deadline = self.server.loop.time() + RECEIVE_TIMEOUT
            self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._leftover = bytes(data[upgrade.args[0]:])
        except httptools.HttpParserError:
            if not self._refused:
                self._refuse(bad_request("the request is not valid HTTP/1.1"))
        if not self._head_done and self._received > MAX_HEAD:
            self._refuse(StatusError(431, "RequestHeaderFieldsTooLarge",
                                     f"Request header is too large: limit is {MAX_HEAD}"))
        if self._busy is None and self._queue:
            self._serve()
        if len(self._queue) >= MAX_QUEUED and self._reading:
            self._reading = False
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._paused_since = self.server.loop.time()
        if self._sender:
            self._sender.blocked = True

    def resume_writing(self) -> None:
        self._paused_since = 0.0
        if self._sender:
            self._sender.resume()
        self._wake_writer()

    # -- the parser's side -------------------------------------------------------------------------

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._length = self._received = 0
        self._head_done = self._refused = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:
            return  # trailers of a chunked body: nobody here has a use for them
        key, text = wire.header_name(name), value.decode("latin-1").strip()
        # Repeated headers are one list (RFC 9110, 5.3).
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        self._head_done = True
        headers = self._headers
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > MAX_BODY:
            self._too_large()
        elif headers.get("expect", "").lower() == "100-continue" and not self._busy and not self._queue:
            self.write(wire.CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._length += len(body)
        if self._length > MAX_BODY:
            self._too_large()
        if not self._refused:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        parser, headers, body = self._parser, self._headers, self._body
        old = parser.get_http_version() != "1.1"
        try:
            path, query = wire.split_target(self._url)
        except ValueError:
            self._refuse(bad_request("the request's target is not valid UTF-8"))
            return
        request = Request(parser.get_method().decode("ascii"), path, query, headers,
                          body[0] if len(body) == 1 else b"".join(body), None, None, self.client_cert, self.remote)
        self._queue.append(Exchange(request, close=not parser.should_keep_alive(), upgrade=parser.should_upgrade(),
                                    old=old))
        self._begin()
        self._deadline = self.server.loop.time() + IDLE_TIMEOUT

    # -- answering ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Answer queued requests until one of them takes time."""
        while self._queue and self._busy is None and not self.closed and not self.draining:
            exchange = self._queue.popleft()
            try:
                answer = self.server.api.handle(exchange.request)
            except Exception:
                log.exception("handle failed: %s %s", exchange.request.method, exchange.request.path)
                answer = wire.status_response(internal("the request made the API server fail; its log says where"))
            if isinstance(answer, Response):
                if answer.revision <= self.server.store.durable_revision:
                    self.respond(exchange, answer)
                else:
                    self._busy = exchange
                    self.server.gate.wait(answer.revision, partial(self._durable, exchange, answer))
            elif isinstance(answer, Connect):
                self._busy = exchange
                self._task = self.server.loop.create_task(connect.run(self, exchange, answer))
                self._task.add_done_callback(self._finished)
            elif isinstance(answer, Callout):
                self._busy = exchange
                self._task = self.server.loop.create_task(callouts.run(answer))
                self._task.add_done_callback(partial(self._asked, exchange))
            else:
                self._busy = exchange
                self._watch(exchange, answer)
        if not self._reading and len(self._queue) < MAX_QUEUED and not self.closed:
            self._reading = True
            self.transport.resume_reading()

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Write a complete answer."""
        request = exchange.request
        close = exchange.close or exchange.upgrade  # behind a refused upgrade there may be bytes of the other protocol
        for piece in wire.encode(response, request.headers, head_only=request.method == "HEAD", close=close):
            self.write(piece)
        if close:
            self.finish()

    def _watch(self, exchange: Exchange, stream: Stream) -> None:
        headers = exchange.request.headers
        framing: Framing = UntilClose() if exchange.old else Chunked()
        if exchange.upgrade and websocket.wanted(headers):
            try:
                socket = websocket.WebSocket(self, headers, websocket.first_offered(headers))
            except StatusError as error:
                stream.close()
                self._busy = None
                self.respond(exchange, wire.status_response(error))
                return
            framing = Messages()
            self._task = self.server.loop.create_task(socket.until_closed())
            self._task.add_done_callback(self._finished)
        self._sender = WatchSender(self, stream, self.server.pump, framing, self._watched)
        self._sender.start()

    def _durable(self, exchange: Exchange, response: Response, failure: str) -> None:
        self._busy = None
        if self.closed:
            return
        self.respond(exchange, wire.status_response(internal(failure)) if failure else response)
        self._serve()

    def _asked(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        """A webhook has answered, or will not: now the same request can go on."""
        self._busy = self._task = None
        exchange.asked += 1
        if exchange.asked > MAX_CALLOUTS:
            self.respond(exchange, wire.status_response(internal("the webhooks never came to an end")))
        elif not task.cancelled():
            self._queue.appendleft(exchange)
        self._serve()

    def _watched(self) -> None:
        exchange, self._busy, self._sender = self._busy, None, None
        if exchange and (exchange.old or exchange.close or exchange.upgrade):
            self.finish()
        else:
            self._serve()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and task.exception() is not None:
            log.error("a connection to a node failed", exc_info=task.exception())
            self.abort()
        exchange, self._busy = self._busy, None
        if self._tunnel is not None or (exchange and exchange.close):
            self.finish()
        elif not self.closed:
            self._serve()

    def _too_large(self) -> None:
        self._refuse(StatusError(413, "RequestEntityTooLarge",
                                 f"Request entity too large: limit is {MAX_BODY}", {}))

    def _refuse(self, error: StatusError) -> None:
        """Answer out of turn and end the connection: what follows cannot be understood any more."""
        if self._refused or self.draining or self.closed:
            return
        self._refused = True
        # Answers that are still owed to earlier requests come first; there we can only hang up.
        if self._busy is None and not self._queue:
            for piece in wire.encode(wire.status_response(error), {}, head_only=False, close=True):
                self.write(piece)
        self._linger()

    # -- for the answers that take time ------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        if not self.closed:
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken what was written.  Raises ConnectionError when it is gone."""
        if self._paused_since and not self.closed:
            if self._drained is None:
                self._drained = self.server.loop.create_future()
            await self._drained
        if self.closed:
            raise ConnectionResetError("the client has closed the connection")

    def _wake_writer(self) -> None:
        waiter, self._drained = self._drained, None
        if waiter and not waiter.done():
            waiter.set_result(None)

    @property
    def upgraded(self) -> bool:
        return self._tunnel is not None

    def upgrade(self, tunnel: Duplex) -> None:
        """From now on the bytes belong to another protocol."""
        self._tunnel = tunnel
        if self._leftover:
            leftover, self._leftover = self._leftover, b""
            tunnel.feed(leftover)

    def finish(self) -> None:
        """Close once everything written has gone out."""
        if not self.closed:
            self.draining = True
            self.transport.close()

    def abort(self) -> None:
        self.closed = True
        self.transport.abort()

    def _linger(self) -> None:
        # Closing at once would reset the connection under a client that is still sending, and it would
        # never see why it was refused.
        self.draining = True
        self.server.loop.call_later(LINGER, self.finish)

    def tick(self, now: float) -> None:
        """Now and then: give up on clients that do not send, or do not take, what they should."""
        late = self._busy is None and now > self._deadline
        stuck = self._paused_since and not self.upgraded and now - self._paused_since > SEND_TIMEOUT
        if late or stuck:
            self.abort()

    def shut(self) -> None:
        """The server stops: end a watch properly, so that its client starts over elsewhere."""
        if self._sender:
            self._sender.stop()
        self.finish()
