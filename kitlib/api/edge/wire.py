"""HTTP/1.1 as bytes: the target of a request taken apart, the head and body of an answer put together.

Plain functions, because this is where a request spends its time: an answer's head is cached per status
and content type, the date is made once a second, names of headers are decoded once per process.

Source: RFC 9110 and 9112; k8s.io/apiserver/pkg/endpoints/handlers/responsewriters (gzip, warnings).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote, unquote_plus

import orjson

from kitlib.api.request import Response
from kitlib.objects.errors import StatusError

PIECE = 256 * 1024  # bytes for one write: TLS collects what it encrypts in a buffer, and copies that as it grows
GZIP_THRESHOLD = 128 * 1024  # smaller answers are not worth the client's and our time

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_heads: dict[tuple[int, str], bytes] = {}
_names: dict[bytes, str] = {}


def reason(code: int) -> str:
    """The phrase behind a status code."""
    return _REASONS.get(code, "Status")


def header_name(raw: bytes) -> str:
    """A header's name in lower case."""
    name = _names.get(raw)
    if name is None:
        name = raw.decode("latin-1").lower()
        if len(_names) < 500:  # hostile clients do not get to fill it
            _names[raw] = name
    return name


def split_target(target: bytes) -> tuple[str, dict[str, list[str]]]:
    """Path and query of a request target.  Raises ValueError if they are not UTF-8 text."""
    text = target.decode("ascii")
    if not text.startswith("/"):  # the absolute form, as a proxy would send it
        _, found, rest = text.partition("://")
        text = "/" + rest.partition("/")[2] if found else "/" + text
    path, _, query = text.partition("?")
    if "%" in path:
        path = unquote(path, errors="strict")
    return path, parse_query(query) if query else {}


def parse_query(text: str) -> dict[str, list[str]]:
    """`a=1&b=x%20y&a=2` as {"a": ["1", "2"], "b": ["x y"]}."""
    query: dict[str, list[str]] = {}
    for pair in text.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
        query.setdefault(name, []).append(value)
    return query


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return b"Date: " + formatdate(second, usegmt=True).encode() + b"\r\n"


def _field(name: str, value: str) -> bytes:
    # A line break in a value would let its author write headers of his own.
    clean = value.replace("\r", " ").replace("\n", " ")
    return f"{name}: {clean}\r\n".encode("latin-1", "replace")


def warning(text: str) -> str:
    """A Warning header as kubectl prints it: code 299, no agent, quoted text."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'


def head(code: int, content_type: str, headers: Mapping[str, str] | None = None,
         warnings: Sequence[str] = ()) -> bytes:
    """Status line and header lines, without the empty line, so that the caller can add its framing."""
    start = _heads.get((code, content_type))
    if start is None:
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        start = (f"HTTP/1.1 {code} {reason(code)}\r\nCache-Control: no-cache, private\r\n"
                 f"{kind}").encode("latin-1", "replace")
        if len(_heads) < 500:
            _heads[code, content_type] = start
    out = start + _date(int(time.time()))
    if headers:
        out += b"".join(_field(name, value) for name, value in headers.items())
    if warnings:
        out += b"".join(_field("Warning", warning(text)) for text in warnings)
    return out


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    accepted = headers.get("accept-encoding")
    if not accepted or "gzip" not in accepted:
        return False
    return any(part.strip().partition(";")[0].strip() == "gzip" and part.replace(" ", "").partition("q=")[2] != "0"
               for part in accepted.split(","))


def encode(response: Response, request_headers: Mapping[str, str], *, head_only: bool,
           close: bool) -> list[bytes | memoryview]:
    """A complete answer; a big body is not copied behind its head, and comes in pieces."""
    body = response.body
    # A status that has no body has no type and no length either.
    bare = response.code in (204, 304)
    out = head(response.code, "" if bare else response.content_type, response.headers, response.warnings)
    if len(body) > GZIP_THRESHOLD and "Content-Encoding" not in response.headers and accepts_gzip(request_headers):
        squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
        body = squeeze.compress(body) + squeeze.flush()
        out += b"Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"
    if not bare:
        out += b"Content-Length: %d\r\n" % len(body)
    out += b"Connection: close\r\n\r\n" if close else b"\r\n"
    if head_only or bare or not body:
        return [out]
    if len(body) < PIECE:
        return [out + body]
    whole = memoryview(body)
    return [out, *(whole[start:start + PIECE] for start in range(0, len(body), PIECE))]


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def status_response(error: StatusError) -> Response:
    """A refusal of the edge itself, in the form of all others."""
    return Response(error.code, orjson.dumps(error.status), obj=error.status, headers=error.headers)
