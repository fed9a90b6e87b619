"""Watches on the wire: at once, in order, durable, coalesced, bounded."""

from __future__ import annotations

import http.client
import socket
import time

import pytest
from edge_clients import WebSocketClient
from edge_fakes import FakeApi, FakeStore, FakeStream, Running

from kitlib.api.edge import watches


class Setup:
    def __init__(self, loop: str) -> None:
        self.store, self.api = FakeStore(), FakeApi()
        self.streams: list[FakeStream] = []
        self.api.routes["/watch"] = self.open
        self.running = Running(self.api, self.store, None, loop=loop)

    def open(self, request):
        self.streams.append(FakeStream())
        return self.streams[-1]

    def connect(self, keep_alive: str = "HTTP/1.1") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.running.port), timeout=5)
        sock.sendall(f"GET /watch {keep_alive}\r\nHost: a\r\n\r\n".encode())
        return sock

    def push(self, revision: int, data: bytes, stream: int = 0) -> None:
        self.running.call(self.streams[stream].push, revision, data)

    def end(self) -> None:
        self.running.call(setattr, self.streams[0], "closed", True)


@pytest.fixture(params=["uvloop", "asyncio"])
def setup(request):
    made = Setup(request.param)
    yield made
    made.running.close()


def read_until(sock, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got:
        piece = sock.recv(65536)
        assert piece, f"closed after {got!r}"
        got += piece
    return got


def test_the_head_is_sent_before_the_first_event(setup):
    with setup.connect() as sock:
        head = read_until(sock, b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"Transfer-Encoding: chunked" in head


def test_an_event_arrives_at_once_and_only_when_it_is_durable(setup):
    with setup.connect() as sock:
        read_until(sock, b"\r\n\r\n")
        setup.push(5, b'{"n":5}\n')
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        setup.running.call(setup.store.advance, 5)
        sock.settimeout(5)
        assert read_until(sock, b"\n\r\n") == b'8\r\n{"n":5}\n\r\n'


def test_durable_events_do_not_wait_for_later_ones(setup):
    with setup.connect() as sock:
        read_until(sock, b"\r\n\r\n")
        setup.running.call(setup.store.advance, 1)
        setup.push(1, b"one\n")
        setup.push(2, b"two\n")
        read_until(sock, b"one\n")
        setup.running.call(setup.store.advance, 2)
        assert b"two\n" in read_until(sock, b"two\n")


def test_a_burst_becomes_few_writes_in_order(setup):
    setup.store.durable_revision = 10_000
    with setup.connect() as sock:
        read_until(sock, b"\r\n\r\n")
        for i in range(100):
            setup.push(i, b"%d\n" % i)
        got = read_until(sock, b"99\n\r\n")
    lines = [line for line in got.split(b"\r\n") if line.endswith(b"\n")]
    assert b"".join(lines).split() == [b"%d" % i for i in range(100)]
    assert len(lines) < 20


def test_what_the_stream_has_at_the_start_comes_first(setup):
    def with_backlog(request):
        stream = setup.open(request)
        stream.events = [(0, b"a\n"), (0, b"b\n")]
        return stream

    setup.api.routes["/watch"] = with_backlog
    with setup.connect() as sock:
        assert read_until(sock, b"b\n\r\n").endswith(b"4\r\na\nb\n\r\n")


def test_a_stream_that_ends_leaves_the_connection_usable(setup):
    conn = http.client.HTTPConnection("127.0.0.1", setup.running.port, timeout=5)
    conn.request("GET", "/watch")
    response = conn.getresponse()
    setup.push(0, b"last\n")
    setup.end()
    assert response.read() == b"last\n"
    conn.request("GET", "/again")
    assert conn.getresponse().status == 200
    assert setup.streams[0].was_closed


def test_an_http_1_0_watch_ends_with_the_connection(setup):
    with setup.connect("HTTP/1.0") as sock:
        read_until(sock, b"\r\n\r\n")
        setup.push(0, b"x\n")
        setup.end()
        assert read_until(sock, b"x\n") == b"x\n"
        assert sock.recv(10) == b""


def test_a_watch_over_websocket_is_one_text_message_per_event(setup):
    client = WebSocketClient(setup.running.port, "/watch", "base64url.bearer.authorization.k8s.io.eA",
                             "base64.binary.k8s.io")
    assert (client.code, client.protocol) == (101, "base64.binary.k8s.io")
    setup.push(0, b'{"n":1}\n')
    setup.push(0, b'{"n":2}\n')
    assert [client.receive() for _ in range(2)] == [(1, b'{"n":1}\n'), (1, b'{"n":2}\n')]
    setup.end()
    assert client.messages() == []
    assert client.close_code == 1000
    assert setup.streams[0].was_closed


def test_a_browser_that_leaves_ends_its_watch(setup):
    client = WebSocketClient(setup.running.port, "/watch")
    client.send(b"\x03\xe8", 8)
    assert client.messages() == []
    deadline = time.monotonic() + 5
    while not setup.streams[0].was_closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_client_that_leaves_ends_the_watch(setup):
    sock = setup.connect()
    read_until(sock, b"\r\n\r\n")
    sock.close()
    deadline = time.monotonic() + 5
    while not setup.streams[0].was_closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert setup.running.edge.pump.senders == set()


def test_a_client_that_does_not_read_is_cut_off_and_the_others_are_not(setup, monkeypatch):
    monkeypatch.setattr(watches, "MAX_PENDING", 1_000_000)
    with setup.connect() as slow, setup.connect() as fast:
        read_until(slow, b"\r\n\r\n")
        read_until(fast, b"\r\n\r\n")
        block = b"x" * 100_000 + b"\n"
        deadline = time.monotonic() + 20
        while not setup.streams[0].was_closed:
            assert time.monotonic() < deadline
            setup.push(0, block)
            time.sleep(0.005)
        setup.push(0, b"hello\n", stream=1)
        read_until(fast, b"hello\n")


def test_closing_the_server_ends_a_watch_properly():
    made = Setup("uvloop")
    conn = http.client.HTTPConnection("127.0.0.1", made.running.port, timeout=5)
    conn.request("GET", "/watch")
    response = conn.getresponse()
    made.running.close()
    assert response.read() == b""  # the last chunk came: http.client would raise IncompleteRead otherwise
