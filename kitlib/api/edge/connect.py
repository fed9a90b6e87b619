"""Answers that are conversations: logs, exec, attach, port-forward, proxy.

The API has authorised the request and found the Pod and its node; here the node is asked, and its
bytes are carried to the client in the protocol that the client speaks.

Source: pkg/registry/core/pod/rest (log.go, subresources.go), k8s.io/apimachinery/pkg/util/proxy.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

from kitlib.api.edge import execute, portforward, proxy, wire
from kitlib.api.edge.connector import NodeConnector
from kitlib.api.request import Connect, Response
from kitlib.objects.errors import StatusError

if TYPE_CHECKING:
    from kitlib.api.edge.connection import Connection, Exchange


async def run(connection: Connection, exchange: Exchange, wanted: Connect) -> None:
    """Carry one Connect answer to its end.  Refusals before the first byte become a Status."""
    connector = connection.server.connector
    try:
        if connector is None:
            raise StatusError(503, "ServiceUnavailable", f"node {wanted.node!r} cannot be reached from this API server")
        if wanted.verb == "log":
            await _log(connection, exchange, wanted, connector)
        elif wanted.verb in ("exec", "attach"):
            await execute.run(connection, exchange, wanted, connector)
        elif wanted.verb == "portforward":
            await portforward.run(connection, exchange, wanted, connector)
        else:
            await proxy.run(connection, exchange, wanted, connector)
    except StatusError as error:
        if connection.upgraded:
            raise
        connection.respond(exchange, wire.status_response(error))
    except ConnectionError:
        return  # the client went away; nobody is left to tell


async def _log(connection: Connection, exchange: Exchange, wanted: Connect, connector: NodeConnector) -> None:
    """The log as plain text: chunked as it grows with `follow`, in one piece if it is short."""
    lines = connector.logs(wanted.node, wanted.pod, wanted.options)
    try:
        await _send_log(connection, exchange, wanted, lines)
    finally:
        if isinstance(lines, AsyncGenerator):
            await lines.aclose()  # now, not when the garbage collector comes by: it holds a file


async def _send_log(connection: Connection, exchange: Exchange, wanted: Connect, lines: AsyncIterator[bytes]) -> None:
    iterator = aiter(lines)
    try:
        first = await anext(iterator)
    except StopAsyncIteration:
        first = b""
    if not first and not wanted.options.get("follow"):
        connection.respond(exchange, Response(200, b"", content_type="text/plain"))
        return
    framing = b"Connection: close\r\n\r\n" if exchange.old else b"Transfer-Encoding: chunked\r\n\r\n"
    connection.write(wire.head(200, "text/plain") + framing)
    frame = bytes if exchange.old else wire.chunk
    if first:
        connection.write(frame(first))
    try:
        async for data in iterator:
            if data:
                connection.write(frame(data))
                await connection.drain()
    except StatusError:
        connection.abort()  # too late for a Status: a broken body says that the log is not complete
        return
    if exchange.old:
        connection.finish()
    else:
        connection.write(wire.LAST_CHUNK)
