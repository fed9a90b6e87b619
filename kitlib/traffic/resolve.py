"""Names to addresses, as the resolver in a Pod does it: search path, ndots, and every try on the way.

    /etc/resolv.conf of a Pod of namespace shop        what is asked for "web"
        nameserver 127.64.0.10                             web.shop.svc.cluster.local   → 127.64.3.7
        search shop.svc.cluster.local svc.cluster.local cluster.local
        options ndots:5                                for "example.com" (one dot, fewer than five)
                                                           example.com.shop.svc.cluster.local   NXDOMAIN
                                                           example.com.svc.cluster.local        NXDOMAIN
                                                           example.com.cluster.local            NXDOMAIN
                                                           example.com                          → …

Source: resolv.conf(5); glibc, resolv/res_query.c (__res_context_search).
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from kitlib.traffic.failure import Failure, Unreachable, kind_of, words_of
from kitlib.traffic.netns import socket_in
from kitlib.traffic.reach import dial, places

PORT = 53
SECONDS = 3.0
DOMAIN = "cluster.local"
Connect = Callable[[float], socket.socket]


@dataclass(frozen=True)
class ResolvConf:
    """What a Pod's /etc/resolv.conf says.  netns: the network from which the server is asked (netns.py)."""

    server: str
    searches: tuple[str, ...] = ()
    ndots: int = 5
    netns: str = ""

    @classmethod
    def of_pod(cls, server: str, namespace: str, domain: str = DOMAIN, netns: str = "") -> ResolvConf:
        """dnsPolicy ClusterFirst, which is the default."""
        return cls(server, (f"{namespace}.svc.{domain}", f"svc.{domain}", domain), netns=netns)

    def candidates(self, name: str) -> list[str]:
        """The names that are tried, in this order, each without its last dot."""
        if name.endswith("."):
            return [name.rstrip(".")]
        searched = [f"{name}.{domain}" for domain in self.searches]
        return [name, *searched] if name.count(".") >= self.ndots else [*searched, name]


@dataclass(frozen=True)
class Try:
    """One question: the name that was asked, what came (NOERROR, NXDOMAIN, …), how many records, in how long."""

    name: str
    code: str
    records: int
    seconds: float


@dataclass
class Lookup:
    """What became of a name.  answer: the first message that had records, else the last one."""

    name: str
    type: str
    tries: list[Try] = field(default_factory=list)
    answer: dns.message.Message | None = None

    @property
    def addresses(self) -> list[str]:
        found = self.answer.answer if self.answer else []
        return [record.to_text() for rrset in found if rrset.rdtype == dns.rdatatype.A for record in rrset]


def ask(conf: ResolvConf, name: str, kind: str = "A", *, tcp: bool = False, connect: Connect | None = None,
        seconds: float = SECONDS) -> dns.message.Message:
    """One question to the server.  connect: how else to get to it than by dialling (then it is asked over TCP).

    Raises Unreachable when it does not answer, ValueError for what is no name or no type.
    """
    try:
        question = dns.message.make_query(name.rstrip(".") + ".", dns.rdatatype.from_text(kind), use_edns=0,
                                          payload=1232)
    except dns.exception.DNSException as error:
        raise ValueError(f"{name!r} cannot be asked for: {str(error).rstrip('.')}") from error
    wire = question.to_wire()
    try:
        if connect is not None:
            data = _over_tcp(connect(seconds), wire)
        elif tcp:
            data = _over_tcp(dial(conf.server, PORT, seconds=seconds, netns=conf.netns), wire)
        else:
            data = _over_udp(conf, wire, seconds)
        answer = dns.message.from_wire(data, ignore_trailing=True)
    except (OSError, Unreachable) as error:
        why = error.failure.message if isinstance(error, Unreachable) else words_of(error)
        raise Unreachable(Failure("dns", f"Could not resolve host: {name} (the DNS server {conf.server} does not "
                                         f"answer: {why})")) from error
    except dns.exception.DNSException as error:
        raise Unreachable(Failure("dns", f"Could not resolve host: {name} (the DNS server {conf.server} answers "
                                         f"what is not DNS)")) from error
    if answer.flags & dns.flags.TC and not tcp and connect is None:
        return ask(conf, name, kind, tcp=True, seconds=seconds)
    return answer


def _over_udp(conf: ResolvConf, wire: bytes, seconds: float) -> bytes:
    error: OSError = TimeoutError("timed out")
    for place in places(conf.server, PORT):
        with socket_in(conf.netns, socket.SOCK_DGRAM) as sock:
            sock.settimeout(seconds)
            sock.connect((conf.server, place))
            try:
                sock.send(wire)
                while True:
                    data = sock.recv(65535)
                    if data[:2] == wire[:2]:
                        return data
            except OSError as failure:
                error = failure
                if kind_of(failure) != "refused":
                    break
    raise error


def _over_tcp(connection: socket.socket, wire: bytes) -> bytes:
    with connection as sock:
        sock.sendall(struct.pack(">H", len(wire)) + wire)
        (length,) = struct.unpack(">H", _exactly(sock, 2))
        return _exactly(sock, length)


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise ConnectionResetError("closed in the middle of an answer")
        data += piece
    return data


def look_up(conf: ResolvConf, name: str, kind: str = "A", *, tcp: bool = False,
            connect: Connect | None = None) -> Lookup:
    """Try the candidates until one has records.  Raises Unreachable when the server does not answer."""
    found = Lookup(name, kind.upper())
    for candidate in conf.candidates(name):
        began = time.monotonic()
        answer = ask(conf, candidate, kind, tcp=tcp, connect=connect)
        records = sum(len(rrset) for rrset in answer.answer)
        code = dns.rcode.to_text(answer.rcode())
        found.tries.append(Try(candidate, code, records, time.monotonic() - began))
        found.answer = answer
        if records:
            break
    return found
