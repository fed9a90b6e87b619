"""Webhook calls on the wire: one HTTPS POST, one JSON answer, nothing kept open.

Source: k8s.io/apiserver/pkg/util/webhook.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import urlsplit

import httptools
import orjson

from kitlib.api.callouts import Callouts
from kitlib.api.request import Callout, Outcome

MAX_ANSWER = 4 * 1024 * 1024


class HasCallouts(Protocol):
    callouts: Callouts


def attach(api: HasCallouts, loop: asyncio.AbstractEventLoop) -> None:
    """Make the webhook calls of writers in this process, too."""
    running: set[asyncio.Task[None]] = set()

    def start(callout: Callout) -> None:
        task = loop.create_task(run(callout))
        running.add(task)
        task.add_done_callback(running.discard)

    api.callouts.start = start


async def run(callout: Callout) -> None:
    """Make the call and deliver what came of it."""
    try:
        outcome = await asyncio.wait_for(_post(callout), callout.timeout)
    except (asyncio.TimeoutError, TimeoutError):
        outcome = Outcome(error=f'Post "{callout.url}": context deadline exceeded')
    except (OSError, ValueError, httptools.HttpParserError) as error:
        outcome = Outcome(error=f'Post "{callout.url}": {error}')
    callout.deliver(outcome)


class _Answer:
    """What httptools calls back with."""

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.length = 0
        self.done = False

    def on_body(self, data: bytes) -> None:
        self.length += len(data)
        if self.length > MAX_ANSWER:
            raise ValueError("the answer is too large")
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.done = True


async def _post(callout: Callout) -> Outcome:
    parts = urlsplit(callout.url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("a webhook's URL must begin with https://")
    host, port = callout.address or (parts.hostname, parts.port or 443)
    context = ssl.create_default_context(cadata=callout.ca.decode() if callout.ca else None)
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=parts.hostname)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        writer.writelines(_head(parts.netloc, path, len(callout.body)))
        writer.write(callout.body)
        answer = _Answer()
        parser: Any = httptools.HttpResponseParser(answer)
        while not answer.done:
            data = await reader.read(64 * 1024)
            if not data:
                break
            parser.feed_data(data)
        code = parser.get_status_code()
    finally:
        writer.close()
    body = b"".join(answer.body)
    if code != 200:
        return Outcome(error=f"the webhook answered {code}: {body[:200].decode('utf-8', 'replace')}")
    return Outcome(orjson.loads(body))


def _head(netloc: str, path: str, length: int) -> Iterable[bytes]:
    yield f"POST {path} HTTP/1.1\r\nHost: {netloc}\r\n".encode()
    yield b"User-Agent: kube-apiserver-admission\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    yield f"Content-Length: {length}\r\nConnection: close\r\n\r\n".encode()
