"""The edge as HTTP: what clients may send, what they get, and what happens to bad ones."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import ssl
import time
import urllib.request

import pytest
from edge_fakes import FakeApi, FakeStore, Running, make_certificates, tls_of

from kitlib.api.edge import connection, wire
from kitlib.api.request import Response


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch):
    monkeypatch.setattr(connection, "LINGER", 0.2)


@pytest.fixture(params=["uvloop", "asyncio"])
def plain(request):
    running = Running(FakeApi(), FakeStore(), None, loop=request.param)
    yield running
    running.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    make_certificates(folder)
    return folder


@pytest.fixture(params=["uvloop", "asyncio"])
def secure(request, certificates):
    running = Running(FakeApi(), FakeStore(), tls_of(certificates), loop=request.param)
    yield running
    running.close()


def talk(running, data: bytes, *, until: bytes = b"", timeout: float = 5.0) -> bytes:
    """Send raw bytes; read until the server closes or `until` has arrived."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=timeout) as sock:
        sock.sendall(data)
        return receive(sock, until)


def receive(sock, until: bytes = b"") -> bytes:
    got = b""
    while not until or until not in got:
        piece = sock.recv(65536)
        if not piece:
            break
        got += piece
    return got


def hung_up(sock) -> bool:
    """Wait until the server ends the connection, by closing or resetting it."""
    try:
        return sock.recv(10) == b""
    except ConnectionResetError:
        return True


def ask(running, method="GET", path="/", body=None, headers=None):
    conn = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
    conn.request(method, path, body, headers or {})
    response = conn.getresponse()
    data = response.read()
    conn.close()
    return response, data


def test_path_query_headers_and_body_reach_the_api(plain):
    _, data = ask(plain, "POST", "/api/v1/x%20y?a=1&b=2%2C3&a=4&flag", b"hello", {"X-Thing": "v"})
    seen = json.loads(data)
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/api/v1/x y", "hello")
    assert seen["query"] == {"a": ["1", "4"], "b": ["2,3"], "flag": [""]}
    assert seen["headers"]["x-thing"] == "v"


def test_repeated_headers_become_one_list(plain):
    data = talk(plain, b"GET / HTTP/1.1\r\nHost: a\r\nAccept: a/b\r\nAccept: c/d\r\nConnection: close\r\n\r\n")
    assert json.loads(data.partition(b"\r\n\r\n")[2])["headers"]["accept"] == "a/b, c/d"


def test_a_connection_serves_many_requests(plain):
    conn = http.client.HTTPConnection("127.0.0.1", plain.port, timeout=5)
    ports = set()
    for i in range(5):
        conn.request("GET", f"/{i}")
        ports.add(conn.sock.getsockname()[1])
        assert json.loads(conn.getresponse().read())["path"] == f"/{i}"
    assert len(ports) == 1


def test_pipelined_requests_are_answered_in_order_although_the_first_waits_for_the_disk(plain):
    plain.api.routes["/write"] = lambda r: Response(201, b'"written"', revision=7)
    with socket.create_connection(("127.0.0.1", plain.port), timeout=5) as sock:
        sock.sendall(b"POST /write HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
                     + b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n" * 40)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(5)
        plain.call(plain.store.advance, 7)
        got = b""
        while got.count(b"HTTP/1.1 200") < 40:
            got += sock.recv(65536)
    assert got.startswith(b"HTTP/1.1 201 Created")


def test_an_answer_waits_until_its_revision_is_durable(plain):
    plain.api.routes["/w"] = lambda r: Response(200, b"{}", revision=3)
    with socket.create_connection(("127.0.0.1", plain.port), timeout=5) as sock:
        sock.sendall(b"GET /w HTTP/1.1\r\nHost: a\r\n\r\n")
        sock.settimeout(0.2)
        plain.call(plain.store.advance, 2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        plain.call(plain.store.advance, 3)
        sock.settimeout(5)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_disk_that_cannot_be_written_is_said_instead_of_hanging(plain):
    plain.api.routes["/w"] = lambda r: Response(200, b"{}", revision=3)
    plain.store.failure = "the disk is full"
    response, data = ask(plain, "GET", "/w")
    assert response.status == 500
    assert "the disk is full" in json.loads(data)["message"]


def test_chunked_bodies_are_joined_and_trailers_dropped(plain):
    data = talk(plain, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                       b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n")
    seen = json.loads(data.partition(b"\r\n\r\n")[2])
    assert seen["body"] == "abcde"
    assert "x-trailer" not in seen["headers"]


def test_expect_100_continue_is_answered_before_the_body(plain):
    with socket.create_connection(("127.0.0.1", plain.port), timeout=5) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"body")
        assert receive(sock, b"body").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_over_3_mib_is_refused_with_a_status(plain, framing):
    size = connection.MAX_BODY + 1
    body = b"x" * size
    if framing == "length":
        response, data = ask(plain, "POST", "/", body)
        code = response.status
    else:
        got = talk(plain, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
                   % (size, body), until=b'"code":413}')
        code, data = int(got.split()[1]), got.partition(b"\r\n\r\n")[2]
    assert code == 413
    assert json.loads(data)["reason"] == "RequestEntityTooLarge"
    assert plain.api.requests == []


def test_a_body_of_exactly_3_mib_is_taken(plain):
    plain.api.routes["/"] = lambda r: Response(200, str(len(r.body)).encode())
    assert ask(plain, "POST", "/", b"x" * connection.MAX_BODY)[1] == str(connection.MAX_BODY).encode()


def test_an_endless_head_is_refused(plain):
    got = talk(plain, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * (connection.MAX_HEAD + 10), until=b"}")
    assert got.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                                     b"GET /\xff HTTP/1.1\r\n\r\n", b"GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n",
                                     b"GET /?a=%ff HTTP/1.1\r\nHost: a\r\n\r\n",
                                     b"POST / HTTP/1.1\r\nContent-Length: -4\r\n\r\n",
                                     b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_what_is_no_http_gets_a_400_status_and_a_closed_connection(plain, garbage):
    got = talk(plain, garbage)
    assert got.startswith(b"HTTP/1.1 400")
    assert json.loads(got.partition(b"\r\n\r\n")[2])["kind"] == "Status"
    assert plain.api.requests == []


def test_a_client_that_sends_its_head_slowly_is_dropped(plain, monkeypatch):
    monkeypatch.setattr(connection, "RECEIVE_TIMEOUT", 0.3)
    with socket.create_connection(("127.0.0.1", plain.port), timeout=5) as sock:
        sock.sendall(b"GET / HT")
        started = time.monotonic()
        assert hung_up(sock)
        assert time.monotonic() - started < 3


def test_an_idle_connection_is_closed_after_its_time(plain, monkeypatch):
    monkeypatch.setattr(connection, "IDLE_TIMEOUT", 0.3)
    with socket.create_connection(("127.0.0.1", plain.port), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        assert hung_up(sock)


def test_big_answers_are_zipped_for_clients_that_accept_it(plain):
    big = b'"' + b"x" * wire.GZIP_THRESHOLD + b'"'
    plain.api.routes["/big"] = lambda r: Response(200, big)
    response, data = ask(plain, "GET", "/big", headers={"Accept-Encoding": "br, gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(data) == big
    for refusal in ("identity", "gzip;q=0"):
        response, data = ask(plain, "GET", "/big", headers={"Accept-Encoding": refusal})
        assert "Content-Encoding" not in response.headers
        assert data == big


def test_small_answers_are_not_zipped(plain):
    response, _ = ask(plain, "GET", "/", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in response.headers


def test_head_gets_no_body_and_keeps_the_connection_usable(plain):
    plain.api.routes["/x"] = lambda r: Response(405, b'{"kind":"Status"}')
    conn = http.client.HTTPConnection("127.0.0.1", plain.port, timeout=5)
    conn.request("HEAD", "/x")
    response = conn.getresponse()
    assert (response.status, response.read()) == (405, b"")
    conn.request("GET", "/y")
    assert json.loads(conn.getresponse().read())["path"] == "/y"


def test_an_empty_204_has_neither_length_nor_type(plain):
    plain.api.routes["/x"] = lambda r: Response(204, b"")
    response, data = ask(plain, "GET", "/x")
    assert (response.status, data, response.headers["Content-Type"]) == (204, b"", None)


def test_warnings_are_quoted_as_kubectl_reads_them(plain):
    plain.api.routes["/x"] = lambda r: Response(200, b"{}", warnings=('unknown field "spec.a"', "second"))
    response, _ = ask(plain, "GET", "/x")
    assert response.headers.get_all("Warning") == ['299 - "unknown field \\"spec.a\\""', '299 - "second"']


def test_a_header_value_cannot_smuggle_another_header(plain):
    plain.api.routes["/x"] = lambda r: Response(200, b"{}", headers={"X-A": "1\r\nX-Evil: 2"})
    response, _ = ask(plain, "GET", "/x")
    assert response.headers["X-Evil"] is None


def test_an_api_that_raises_gives_a_status_and_the_connection_lives(plain, caplog):
    def fail(request):
        raise ZeroDivisionError

    plain.api.routes["/x"] = fail
    response, data = ask(plain, "GET", "/x")
    assert (response.status, json.loads(data)["reason"]) == (500, "InternalError")


def test_http_1_0_clients_are_answered_and_hung_up_on(plain):
    got = talk(plain, b"GET /old HTTP/1.0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in got


def client_context(folder, certificate=None):
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    if certificate:
        context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    return context


def test_tls_offers_http_1_1_only(secure, certificates):
    context = client_context(certificates)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", secure.port), timeout=5) as raw, \
            context.wrap_socket(raw, server_hostname="127.0.0.1") as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_a_client_certificate_becomes_user_and_groups(secure, certificates):
    for name, expected in (("alice", ["alice", ["devs", "ops"]]), (None, None)):
        with urllib.request.urlopen(f"https://127.0.0.1:{secure.port}/", timeout=5,
                                    context=client_context(certificates, name)) as response:
            assert json.load(response)["cert"] == expected


def test_closing_the_server_ends_its_connections(certificates):
    running = Running(FakeApi(), FakeStore(), None)
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        sock.recv(65536)
        running.close()
        assert sock.recv(10) == b""
