"""Why there was no answer: one kind, one sentence, and curl's number for it.

    kind           curl  meaning
    dns               6  the name has no address
    refused           7  nobody listens there
    unreachable       7  no way there
    timeout          28  nobody said anything in time
    tls              35  no encrypted connection came about
    closed           52  the connection was accepted and closed without an answer
    reset            56  the connection broke while the answer was awaited or under way
    certificate      60  the server's certificate is not believed

Source: curl's manual, EXIT CODES.
"""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass

CODES = {"dns": 6, "refused": 7, "unreachable": 7, "timeout": 28, "tls": 35, "closed": 52, "reset": 56,
         "certificate": 60}


@dataclass(frozen=True, slots=True)
class Failure:
    """message: without a full stop, as curl says it."""

    kind: str
    message: str

    @property
    def code(self) -> int:
        return CODES[self.kind]

    def __str__(self) -> str:
        return f"({self.code}) {self.message}"


class Unreachable(Exception):
    """No connection came about.  `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def kind_of(error: BaseException) -> str:
    """The kind of what a socket raised."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate"
    if isinstance(error, ssl.SSLEOFError):
        return "reset"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, (TimeoutError, socket.timeout)):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "reset"
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES,
                                                      errno.EPERM, errno.EADDRNOTAVAIL):
        return "unreachable"
    return "reset" if isinstance(error, OSError) else "closed"


def words_of(error: BaseException) -> str:
    """What the system says, without numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS failed").lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
