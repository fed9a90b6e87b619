"""One HTTP request over one connection, and its answer, or why there was none.

Nothing is tried twice and no redirect is followed: what is measured is what happened.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from kitlib.traffic.failure import Failure, kind_of, words_of

USER_AGENT = "kit-curl"
Headers = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """What came of a request.  status 0: nothing; then `failure` says why.  seconds: from dialling to the last byte.

    address: where it was sent ("127.64.3.7:80").  notes: what happened on the way, in the manner of `curl -v`.
    """

    url: str
    method: str = "GET"
    status: int = 0
    reason: str = ""
    protocol: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    seconds: float = 0.0
    address: str = ""
    sent: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """An answer came, and it was not an error."""
        return 0 < self.status < 400

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        """A header's value, "" if it is not there."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def pod(self) -> str:
        """The Pod that answered, if it said so (kit/echo does); else ""."""
        return self._identity[0]

    @property
    def version(self) -> str:
        """The version that answered, if it said so (kit/echo:v2 does); else ""."""
        return self._identity[1]

    @property
    def _identity(self) -> tuple[str, str]:
        return identity({name.lower(): value for name, value in self.headers}, self.body)

    def __str__(self) -> str:
        return f"curl: {self.failure}" if self.failure else self.text


def identity(headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """(Pod, version) of who answered, if it was kit/echo: it has its Pod's name in a header or its first line.

    headers: with names in lower case.
    """
    if headers.get("server") != "kit-echo":
        return "", ""
    if body.startswith(b"{"):
        found = re.search(rb'"version": "([^"]*)"', body)
    else:
        found = re.search(rb"^version (.*)$", body, re.MULTILINE)
    pod = headers.get("x-pod") or body.split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    return pod, found.group(1).decode("utf-8", "replace") if found else ""


@dataclass(frozen=True)
class Target:
    """A URL taken apart.  path: with its query."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"


PORTS = {"http": 80, "https": 443}


def parse_url(url: str) -> Target:
    """Raises ValueError with a sentence for what is no URL of ours.  Without a scheme it is http, as for curl."""
    full = url if "://" in url else f"http://{url}"
    try:
        parts: SplitResult = urlsplit(full)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in PORTS:
        raise ValueError(f"{parts.scheme!r} in {url!r} is not a protocol of kit curl: use http or https")
    if not parts.hostname:
        raise ValueError(f"{url!r} has no host: write for example http://web.default.svc/")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(ord(sign) <= 32 for sign in full):
        raise ValueError(f"{url!r} has a blank in it")
    return Target(full, parts.scheme, parts.hostname, port or PORTS[parts.scheme], path)


def head(target: Target, headers: Headers, body: bytes | None) -> list[tuple[str, str]]:
    """The header lines that are sent: ours, unless the caller has another of that name ("" leaves it away)."""
    own = [("Host", target.host_header), ("User-Agent", USER_AGENT), ("Accept", "*/*")]
    if body is not None:
        own += [("Content-Length", str(len(body))), ("Content-Type", "application/x-www-form-urlencoded")]
    given = {name.lower() for name, _ in headers}
    return [pair for pair in own if pair[0].lower() not in given] + [pair for pair in headers if pair[1] != ""]


def exchange(sock: socket.socket, target: Target, answer: Answer, *, headers: Headers = (),
             body: bytes | None = None) -> None:
    """Send the request and read its answer into `answer`.  Closes the connection."""
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = sock
    answer.sent = head(target, headers, body)
    try:
        connection.putrequest(answer.method, target.path, skip_host=True, skip_accept_encoding=True)
        for name, value in answer.sent:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        answer.status, answer.reason = response.status, response.reason
        answer.protocol = "HTTP/1.0" if response.version == 10 else "HTTP/1.1"
        answer.headers = response.getheaders()
        answer.body = response.read()
    except http.client.RemoteDisconnected:
        answer.failure = Failure("closed", "Empty reply from server")
    except http.client.IncompleteRead as error:
        answer.body = error.partial
        answer.failure = Failure("reset", "transfer closed with outstanding read data remaining")
    except (http.client.HTTPException, ValueError) as error:
        answer.failure = Failure("closed", f"that was not HTTP: {error or type(error).__name__}")
    except OSError as error:
        answer.failure = _broken(error)
    finally:
        connection.close()


def _broken(error: OSError) -> Failure:
    kind = kind_of(error)
    if kind == "timeout":
        return Failure(kind, "Operation timed out: the connection is there, but no answer")
    if kind in ("tls", "certificate"):
        return Failure(kind, f"TLS: {words_of(error)}")
    return Failure("reset", f"Recv failure: {words_of(error)}")


def encrypt(sock: socket.socket, host: str, *, insecure: bool, cacert: str = "") -> ssl.SSLSocket:
    """TLS on a connection.  cacert: a PEM text, or the name of a file with one.  Raises OSError (ssl.SSLError)."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif cacert:
        context.load_verify_locations(**({"cadata": cacert} if "BEGIN" in cacert else {"cafile": cacert}))
    return context.wrap_socket(sock, server_hostname=host)


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began
