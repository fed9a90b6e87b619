"""DNS messages, as bytes and back: one question, the answers to it.

    header 12 bytes │ question: name, type, class │ answers │ authority │ additional

A name is a row of labels, each with its length in front: 3web7default3svc…0.  In an answer, two bytes that begin with
11 point back to where the name stands already: 0xC00C is the question's.  Source: RFC 1035, RFC 6891 (EDNS).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 255
TYPES = {"A": A, "CNAME": CNAME, "SOA": SOA, "PTR": PTR, "TXT": TXT, "AAAA": AAAA, "SRV": SRV, "ANY": ANY}
NAMES = {number: name for name, number in TYPES.items()}
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
TTL = 5
OUR_SIZE = 1232   # of UDP messages, as all servers agreed upon in 2020 (dnsflagday.net)
_QUESTION = b"\xc0\x0c"


class Malformed(ValueError):
    """Bytes that are no DNS message."""


@dataclass(frozen=True, slots=True)
class Query:
    """question: the question as it came, to be repeated letter by letter.  size: how large a UDP answer may be.

    edns: the client speaks EDNS, so the answer has an OPT record, too.
    """

    id: int
    name: str
    type: int
    recursion: bool
    size: int
    question: bytes
    edns: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """value: an address, a name, or for SRV (priority, weight, port, target)."""

    name: str
    type: int
    value: str | tuple[int, int, int, str]
    ttl: int = TTL


def encode_name(name: str) -> bytes:
    if not name:
        return b"\0"
    return b"".join(bytes([len(label)]) + label for label in name.encode().split(b".")) + b"\0"


def decode_name(data: bytes, at: int) -> tuple[str, int]:
    """The name at this place, and the place behind it."""
    labels: list[str] = []
    end, jumps = 0, 0
    while True:
        if at >= len(data):
            raise Malformed("a name runs out of the message")
        length = data[at]
        if length & 0xC0 == 0xC0:
            jumps += 1
            if jumps > 20 or at + 1 >= len(data):
                raise Malformed("a name points in circles")
            end = end or at + 2
            at = (length & 0x3F) << 8 | data[at + 1]
        elif length & 0xC0:
            raise Malformed("a label of an unknown kind")
        elif length == 0:
            return ".".join(labels), end or at + 1
        else:
            labels.append(data[at + 1:at + 1 + length].decode("ascii", "replace"))
            at += 1 + length


def parse_query(data: bytes) -> Query:
    """Raises Malformed, also for messages that are answers or ask more than one thing."""
    if len(data) < 12:
        raise Malformed("shorter than a header")
    identity, flags, questions, _, _, additional = struct.unpack_from(">6H", data)
    if flags & 0x8000 or questions != 1:
        raise Malformed("not one question")
    name, at = decode_name(data, 12)
    if at + 4 > len(data):
        raise Malformed("the question has no type")
    kind, _ = struct.unpack_from(">2H", data, at)
    question = data[12:at + 4]
    size = _edns_size(data, at + 4, additional)
    return Query(identity, name.lower(), kind, bool(flags & 0x100), max(512, size), question, size > 0)


def _edns_size(data: bytes, at: int, additional: int) -> int:
    """The UDP size of an OPT record, if the first additional record is one; else 0."""
    if additional and at + 11 <= len(data) and data[at] == 0:
        kind, size = struct.unpack_from(">2H", data, at + 1)
        if kind == OPT:
            return max(1, size)
    return 0


def encode_record(record: Record, question_name: str) -> bytes:
    owner = _QUESTION if record.name == question_name else encode_name(record.name)
    value = record.value
    if isinstance(value, tuple):
        priority, weight, port, target = value
        data = struct.pack(">3H", priority, weight, port) + encode_name(target)
    elif record.type in (A, AAAA):
        data = ipaddress.ip_address(value).packed
    elif record.type == TXT:
        data = bytes([len(value)]) + value.encode()
    elif record.type == SOA:
        data = encode_name(value) + encode_name(f"hostmaster.{value}") + struct.pack(">5I", 1, 7200, 1800, 86400, TTL)
    else:
        data = encode_name(value)
    return owner + struct.pack(">2HIH", record.type, IN, record.ttl, len(data)) + data


def answer(query: Query, code: int, answers: Sequence[Record] = (), authority: Sequence[Record] = (),
           additional: Sequence[Record] = (), *, udp: bool = True, recursion: bool = True) -> bytes:
    """The answer's bytes; over UDP cut short (TC) if it does not fit, so that the client asks again over TCP."""
    body = [encode_record(r, query.name) for part in (answers, authority, additional) for r in part]
    flags = 0x8400 | code | (0x100 if query.recursion else 0) | (0x80 if recursion else 0)
    opt = b"\0" + struct.pack(">2HIH", OPT, OUR_SIZE, 0, 0) if query.edns else b""
    counts = (len(answers), len(authority), len(additional) + query.edns)
    message = struct.pack(">6H", query.id, flags, 1, *counts) + query.question + b"".join(body) + opt
    if udp and len(message) > query.size:
        return struct.pack(">6H", query.id, flags | 0x200, 1, 0, 0, query.edns) + query.question + opt
    return message


def refusal(data: bytes, code: int) -> bytes:
    """An answer to what could not be read."""
    identity = data[:2] if len(data) >= 2 else b"\0\0"
    return identity + struct.pack(">5H", 0x8000 | code, 0, 0, 0, 0)


def build_query(name: str, kind: int, identity: int = 1, size: int = 0) -> bytes:
    """A question, for clients (`kit dig`) and tests."""
    opt = b"\0" + struct.pack(">2HIH", OPT, size, 0, 0) if size else b""
    head = struct.pack(">6H", identity, 0x100, 1, 0, 0, 1 if size else 0)
    return head + encode_name(name.rstrip(".")) + struct.pack(">2H", kind, IN) + opt


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed answer: code, was it cut short, the records of the answer section."""

    code: int
    truncated: bool
    records: tuple[Record, ...]


def parse_answer(data: bytes) -> Answer:
    _, flags, questions, count, _, _ = struct.unpack_from(">6H", data)
    at = 12
    for _ in range(questions):
        at = decode_name(data, at)[1] + 4
    records: list[Record] = []
    for _ in range(count):
        name, at = decode_name(data, at)
        kind, _, ttl, length = struct.unpack_from(">2HIH", data, at)
        at += 10
        records.append(Record(name, kind, _value(data, at, kind, length), ttl))
        at += length
    return Answer(flags & 15, bool(flags & 0x200), tuple(records))


def _value(data: bytes, at: int, kind: int, length: int) -> str | tuple[int, int, int, str]:
    if kind in (A, AAAA):
        return str(ipaddress.ip_address(data[at:at + length]))
    if kind == SRV:
        priority, weight, port = struct.unpack_from(">3H", data, at)
        return priority, weight, port, decode_name(data, at + 6)[0]
    if kind == TXT:
        return data[at + 1:at + 1 + data[at]].decode()
    return decode_name(data, at)[0] if kind in (CNAME, PTR, SOA, NS) else ""
