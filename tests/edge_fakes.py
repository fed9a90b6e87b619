"""What the edge's tests stand on: a tiny API and store, and an EdgeServer on a loop of its own thread."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import uvloop

from kitlib.api.edge import EdgeServer, server_context
from kitlib.api.request import Answer, Request, Response


class FakeStore:
    """A durable revision that moves when the test says so."""

    def __init__(self) -> None:
        self.durable_revision = 0
        self.failure: str | None = None
        self.callbacks: list[Callable[[int], None]] = []

    def on_durable(self, callback: Callable[[int], None]) -> None:
        self.callbacks.append(callback)

    def advance(self, revision: int) -> None:
        self.durable_revision = revision
        for callback in list(self.callbacks):
            callback(revision)


class FakeStream:
    """A watch that the test feeds (on the server's loop)."""

    content_type = "application/json"

    def __init__(self) -> None:
        self.closed = self.was_closed = False
        self.events: list[tuple[int, bytes]] = []
        self.callback: Callable[[], None] | None = None
        self.polls = 0

    def push(self, revision: int, data: bytes) -> None:
        self.events.append((revision, data))
        if len(self.events) == 1 and self.callback:
            self.callback()

    def poll(self) -> list[tuple[int, bytes]]:
        self.polls += 1
        events, self.events = self.events, []
        return events

    def on_ready(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        if self.events:
            callback()

    def close(self) -> None:
        self.was_closed = True


class FakeApi:
    """Answers by path; without a route it echoes the request as JSON."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.routes: dict[str, Callable[[Request], Answer]] = {}

    def handle(self, request: Request) -> Answer:
        self.requests.append(request)
        route = self.routes.get(request.path)
        if route:
            return route(request)
        seen = {"method": request.method, "path": request.path, "query": request.query, "headers": request.headers,
                "body": request.body.decode("latin-1"), "cert": request.client_cert}
        return Response(200, orjson.dumps(seen))


class Running:
    """An EdgeServer in a thread."""

    def __init__(self, api: Any, store: Any, tls: Any, connector: Any = None, *, loop: str = "uvloop") -> None:
        self.api, self.store = api, store
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop() if loop == "uvloop" else asyncio.new_event_loop()
        self.edge = EdgeServer(api, store, tls, connector)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.port = self.run(self.edge.start())

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function on the server's loop and return its result."""
        async def wrapped() -> Any:
            return function(*args)

        return self.run(wrapped())

    def close(self) -> None:
        self.run(self.edge.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


def make_certificates(folder: Path) -> None:
    """ca, server and the client "alice" of the groups devs and ops, as PEM files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def issue(name: str, organizations: tuple[str, ...] = (), issuer: Any = None) -> tuple[Any, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]
                            + [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations])
        signer, signed_by = (issuer[0], issuer[1].subject) if issuer else (key, subject)
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(signed_by).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
            # Python 3.13 verifies strictly: who signs must say so, and by which key.
            .add_extension(x509.KeyUsage(True, False, False, False, False, issuer is None, issuer is None, False,
                                         False), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                (issuer[0] if issuer else key).public_key()), False)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(signer, hashes.SHA256()))
        (folder / f"{name}.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return key, certificate

    authority = issue("ca")
    issue("server", issuer=authority)
    issue("alice", ("devs", "ops"), issuer=authority)


def tls_of(folder: Path) -> Any:
    return server_context(folder / "server.crt", folder / "server.key", folder / "ca.crt")
