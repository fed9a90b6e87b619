"""Hostile bytes: nothing that a client sends may hang, kill or fill up the edge."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import zlib

import pytest
from edge_fakes import FakeApi, FakeStore, Running
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kitlib.api.edge import connection
from kitlib.api.edge.spdy import DICTIONARY, Session

VALID = (b"POST /api/v1/namespaces/default/pods?dryRun=All HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n"
         b"Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"kind\":\"P\"}\n"
         b"GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")


@pytest.fixture(scope="module")
def running():
    monkey = pytest.MonkeyPatch()
    monkey.setattr(connection, "LINGER", 0.05)
    made = Running(FakeApi(), FakeStore(), None)
    yield made
    made.close()
    monkey.undo()


def answers_to(running, data: bytes) -> bytes:
    """Everything the server says to these bytes, after which the client is done sending."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            got = b""
            while piece := sock.recv(65536):
                got += piece
        except ConnectionResetError:
            return b""
        return got


def check(running, data: bytes) -> None:
    running.api.requests.clear()
    got = answers_to(running, data)
    for answer in got.split(b"HTTP/1.1 ")[1:]:
        code, body = int(answer[:3]), answer.partition(b"\r\n\r\n")[2]
        assert code in (100, 200, 400, 413, 431)
        if code >= 400:
            assert json.loads(body)["kind"] == "Status"
    alive = answers_to(running, b"GET /alive HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert alive.startswith(b"HTTP/1.1 200")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2000))
def test_any_bytes(running, data):
    check(running, data)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(VALID) - 1), st.integers(0, 20), st.binary(max_size=20))
def test_valid_requests_with_a_hole_in_them(running, at, removed, inserted):
    check(running, VALID[:at] + inserted + VALID[at + removed:])


@pytest.mark.parametrize("attack", [
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 60_000,
    b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000,
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_known_attacks(running, attack):
    check(running, attack)


class Memory:
    """A transport that delivers the given pieces and remembers how much was written."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces, self.written = pieces, 0

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes) -> None:
        self.written += len(data)


def run_spdy(data: bytes, cut: int = 100) -> Memory:
    pieces = [data[i:i + cut] for i in range(0, len(data), cut)]
    memory = Memory([piece for piece in pieces if piece])

    async def scenario() -> None:
        streams = []
        await asyncio.wait_for(Session(memory, streams.append).run(), 5)
        for stream in streams:
            while await asyncio.wait_for(stream.read(), 5):
                pass

    asyncio.run(scenario())
    return memory


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_as_spdy_end_the_session(data, cut):
    run_spdy(data, cut)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, 6, 7, 8, 9, 77]), st.integers(0, 255), st.binary(max_size=40)),
                max_size=10))
def test_any_control_frames_are_survived(frames):
    run_spdy(b"".join(struct.pack(">HHI", 0x8003, kind, flags << 24 | len(payload)) + payload
                      for kind, flags, payload in frames))


def test_a_header_bomb_is_defused():
    squeeze = zlib.compressobj(9, zdict=DICTIONARY)
    block = squeeze.compress(struct.pack(">II", 1, 1) + b"a" + b"\0" * 50_000_000)
    block += squeeze.flush(zlib.Z_SYNC_FLUSH)
    payload = struct.pack(">II", 1, 0) + b"\0\0" + block
    memory = run_spdy(struct.pack(">HHI", 0x8003, 1, len(payload)) + payload, 65536)
    assert memory.written == 16  # nothing but GOAWAY
