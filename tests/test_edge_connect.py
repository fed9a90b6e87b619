"""logs, exec, attach, port-forward and proxy, as clients of each protocol see them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import threading
import time
import zlib

import pytest
from edge_clients import WebSocketClient, spdy_over_websocket, spdy_upgrade
from edge_fakes import FakeApi, FakeStore, Running
from edge_nodes import POD, World

from kitlib.api.edge.spdy import DICTIONARY
from kitlib.api.request import Connect


@pytest.fixture(params=["uvloop", "asyncio"])
def world(request):
    made = World(request.param)
    yield made
    made.running.close()


@pytest.fixture
def echo_port():
    """A TCP server that gives back everything and closes when its client has ended."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(conn):
        with conn, contextlib.suppress(OSError):
            while data := conn.recv(65536):
                conn.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def eventually(check) -> None:
    deadline = time.monotonic() + 5
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- logs ----------------------------------------------------------------------------------------


def test_a_log_is_plain_text(world):
    response, data = world.get(world.route("/log", "log", {}))
    assert (response.status, response.headers["Content-Type"], data) == (200, "text/plain", b"one\n")


def test_a_followed_log_grows_and_ends(world):
    conn = http.client.HTTPConnection("127.0.0.1", world.port, timeout=5)
    conn.request("GET", world.route("/log", "log", {"follow": True}))
    response = conn.getresponse()
    assert response.readline() == b"one\n"
    assert response.read() == b"two\nthree\n"
    conn.request("GET", "/again")
    assert conn.getresponse().status == 200


def test_a_log_that_cannot_be_had_is_a_status(world):
    response, data = world.get(world.route("/log", "log", {"container": "missing"}))
    assert (response.status, json.loads(data)["message"]) == (400, "container missing is not running")


def test_a_client_that_leaves_ends_its_log(world):
    with socket.create_connection(("127.0.0.1", world.port), timeout=5) as sock:
        sock.sendall(f"GET {world.route('/log', 'log', {'forever': True})} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert sock.recv(100)
        assert not world.node.log_closed
    eventually(lambda: world.node.log_closed)


# -- exec and attach -----------------------------------------------------------------------------


def test_exec_over_websocket_carries_the_streams_and_the_exit_code(world):
    client = WebSocketClient(world.port, world.exec(), "v5.channel.k8s.io", "v4.channel.k8s.io")
    assert (client.code, client.protocol) == (101, "v5.channel.k8s.io")
    assert client.receive() == (2, b"\x01")  # the process is there
    client.send(b"\x00hello")
    client.send(b'\x04{"Width":80,"Height":25}')
    client.send(b"\x00exit 3")
    messages = client.messages()
    assert messages[:2] == [b"\x01hello", b"\x02!"]
    assert messages[2][:1] == b"\x03"
    status = json.loads(messages[2][1:])
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    assert client.close_code == 1000
    assert world.node.session.heard == [b"hello", (80, 25), b"exit 3"]


def test_an_exit_code_that_nobody_knows_is_no_success(world):
    client = WebSocketClient(world.port, world.exec(), "v5.channel.k8s.io")
    client.send(b"\x00runtime dies")
    status = json.loads(client.messages()[-1][1:])
    assert (status["status"], status["reason"]) == ("Failure", "InternalError")
    assert "how it ended is unknown" in status["message"]


def test_in_v5_the_client_can_end_stdin(world):
    client = WebSocketClient(world.port, world.exec(), "v5.channel.k8s.io")
    client.send(b"\xff\x00")
    assert json.loads(client.messages()[-1][1:])["status"] == "Success"
    assert world.node.session.heard == ["eof"]


def test_in_v4_the_byte_255_means_nothing(world):
    client = WebSocketClient(world.port, world.exec(), "v4.channel.k8s.io")
    client.send(b"\xff\x00")
    client.send(b"\x00exit 0")
    assert json.loads(client.messages()[-1][1:])["status"] == "Success"
    assert world.node.session.heard == [b"exit 0"]


def test_without_stdin_the_process_gets_none(world):
    client = WebSocketClient(world.port, world.exec(stdin=False), "v5.channel.k8s.io")
    client.send(b"\x00ignored")
    client.messages()
    assert world.node.session.heard == ["eof"]


def test_the_base64_protocol_is_text_all_the_way(world):
    client = WebSocketClient(world.port, world.exec(), "v4.base64.channel.k8s.io")
    assert client.receive()[1] == b"1"
    client.send(b"0" + base64.b64encode(b"hi"), 1)
    assert client.receive()[1] == b"1" + base64.b64encode(b"hi")


def test_without_a_named_protocol_failure_is_a_sentence(world):
    client = WebSocketClient(world.port, world.exec())
    assert client.protocol == ""
    client.send(b"\x00exit 4")
    assert client.messages()[-1] == b"\x03command terminated with non-zero exit code: exit status 4"


def test_a_program_that_cannot_start_is_a_status_instead_of_an_upgrade(world):
    client = WebSocketClient(world.port, world.exec(command=["none"]), "v5.channel.k8s.io")
    assert client.code == 500


def test_exec_needs_an_upgrade_and_a_known_protocol(world):
    response, data = world.get(world.exec())
    assert (response.status, json.loads(data)["message"]) == (400, "Upgrade request required")
    assert WebSocketClient(world.port, world.exec(), "v9.channel.k8s.io").code == 400
    assert spdy_upgrade(world.port, world.exec(), "v9.channel.k8s.io")[1] == 403


@pytest.mark.parametrize("verb", ["exec", "attach"])
def test_when_the_client_leaves_the_node_is_told_to_let_go(world, verb):
    client = WebSocketClient(world.port, world.exec(verb), "v5.channel.k8s.io")
    client.receive()
    client.close()
    eventually(lambda: world.running.edge.connections == set())
    assert world.node.session.killed


def test_a_broken_frame_closes_with_its_code(world):
    client = WebSocketClient(world.port, world.exec(), "v5.channel.k8s.io")
    client.sock.sendall(b"\x82\x05plain")
    client.messages()
    assert client.close_code == 1002


def test_a_ping_is_answered(world):
    client = WebSocketClient(world.port, world.exec(), "v5.channel.k8s.io")
    client.receive()
    client.send(b"there?", 9)
    assert client.receive() == (10, b"there?")


@pytest.mark.parametrize("tty", [False, True])
def test_exec_over_spdy_has_a_stream_for_each_channel(world, tty):
    sock, code, headers, client = spdy_upgrade(world.port, world.exec(tty=tty), "v4.channel.k8s.io")
    assert (code, headers["x-stream-protocol-version"]) == (101, "v4.channel.k8s.io")
    kinds = ("error", "stdin", "stdout", "resize") if tty else ("error", "stdin", "stdout", "stderr")
    streams = {kind: client.open({"streamtype": kind}) for kind in kinds}
    client.ping(7)
    if tty:
        client.write(streams["resize"], b'{"Width":100,"Height":30}\n')
    client.write(streams["stdin"], b"hello")
    client.until(lambda: client.data.get(streams["stdout"]) == b"hello")
    client.write(streams["stdin"], b"", fin=True)
    client.until(lambda: streams["error"] in client.ended and streams["stdout"] in client.ended)
    assert json.loads(client.data[streams["error"]])["status"] == "Success"
    assert client.replied == set(streams.values())
    assert client.pings == [7]
    assert world.node.session.heard[-1] == "eof"
    assert ((100, 30) in world.node.session.heard) is tty
    sock.close()


def test_the_spdy_dictionary_is_the_one_everybody_has():
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_what_is_no_spdy_ends_the_connection(world):
    sock, _, _, _ = spdy_upgrade(world.port, world.exec(), "v4.channel.k8s.io")
    sock.sendall(b"\x80\x02" + b"\0" * 30)
    eventually(lambda: world.running.edge.connections == set())
    assert world.node.session.killed
    sock.close()


# -- port-forward --------------------------------------------------------------------------------


def forward(client, request: str, port: str) -> tuple[int, int]:
    headers = {"port": port, "requestid": request}
    error = client.open({**headers, "streamtype": "error"}, fin=True)
    return client.open({**headers, "streamtype": "data"}), error


@pytest.fixture(params=["tunnelled", "bare"])
def spdy_forward(request, world):
    path = world.route("/portforward", "portforward", {"ports": []})
    if request.param == "bare":
        sock, code, headers, client = spdy_upgrade(world.port, path, "portforward.k8s.io")
        assert (code, headers["x-stream-protocol-version"]) == (101, "portforward.k8s.io")
    else:
        websocket = WebSocketClient(world.port, path, "SPDY/3.1+portforward.k8s.io")
        assert websocket.protocol == "SPDY/3.1+portforward.k8s.io"
        websocket.send(b"")  # as kubectl does: an empty message is not the end
        sock, client = websocket.sock, spdy_over_websocket(websocket)
    yield client
    sock.close()


def test_kubectls_port_forward_carries_several_connections(world, spdy_forward, echo_port):
    world.node.ports[8080] = echo_port
    streams = [forward(spdy_forward, str(i), "8080") for i in range(3)]
    big = bytes(range(256)) * 2000
    for i, (data, _) in enumerate(streams):
        spdy_forward.write(data, bytes([i]) + big[:60_000])
        spdy_forward.write(data, big[60_000:], fin=True)
    spdy_forward.until(lambda: all({data, error} <= spdy_forward.ended for data, error in streams))
    for i, (data, error) in enumerate(streams):
        assert spdy_forward.data[data] == bytes([i]) + big
        assert spdy_forward.data.get(error, b"") == b""


def test_a_port_where_nobody_listens_is_told_on_the_error_stream(world, spdy_forward, echo_port):
    data, error = forward(spdy_forward, "0", "81")
    spdy_forward.until(lambda: error in spdy_forward.ended and data in spdy_forward.reset)
    assert spdy_forward.data[error] == b"error forwarding port 81: nobody listens on 81"
    world.node.ports[80] = echo_port  # and the connection goes on
    data, error = forward(spdy_forward, "1", "80")
    spdy_forward.write(data, b"hello", fin=True)
    spdy_forward.until(lambda: error in spdy_forward.ended)
    assert spdy_forward.data[data] == b"hello"


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "portforward.k8s.io"])
def test_the_python_clients_port_forward_uses_channels(world, echo_port, protocol):
    world.node.ports[8080] = echo_port
    path = world.route("/portforward", "portforward", {"ports": [8080, 81]})
    client = WebSocketClient(world.port, path, protocol)
    opening = [client.receive()[1] for _ in range(4)]
    assert opening == [bytes([channel]) + port.to_bytes(2, "little") for channel, port in
                       ((0, 8080), (1, 8080), (2, 81), (3, 81))]
    assert client.receive()[1] == b"\x03error forwarding port 81: nobody listens on 81"
    client.send(b"\x00hello")
    assert client.receive()[1] == b"\x00hello"
    client.close()


def test_channels_need_to_know_their_ports(world):
    client = WebSocketClient(world.port, world.route("/portforward", "portforward", {"ports": []}), "v4.channel.k8s.io")
    assert client.code == 400


# -- proxy ---------------------------------------------------------------------------------------


@pytest.fixture
def backend(world):
    """A second edge server as the Pod: it echoes what it is asked."""
    running = Running(FakeApi(), FakeStore(), None)
    world.node.ports[80] = running.port
    yield running
    running.close()


def test_the_proxy_passes_on_the_request_without_the_login(world, backend):
    path = world.route("/api/v1/namespaces/ns/pods/p/proxy/x y", "proxy", {"port": 80}, "x y")
    response, data = world.get(path.replace(" ", "%20") + "?a=1&a=2", "POST", b"body",
                               {"Authorization": "Bearer secret", "X-Own": "kept"})
    seen = json.loads(data)
    assert (response.status, seen["method"], seen["path"], seen["body"]) == (200, "POST", "/x y", "body")
    assert seen["query"] == {"a": ["1", "2"]}
    assert seen["headers"]["x-own"] == "kept"
    assert "authorization" not in seen["headers"]
    assert seen["headers"]["host"] == "127.64.16.9:80"


def test_redirects_stay_within_the_proxy(world, backend):
    from kitlib.api.request import Response

    backend.api.routes["/old"] = lambda r: Response(302, b"", headers={"Location": "/new?a=1"})
    response, _ = world.get(world.route("/api/v1/namespaces/ns/services/s/proxy/old", "proxy", {"port": 80}, "old"))
    assert (response.status, response.headers["Location"]) == (302, "/api/v1/namespaces/ns/services/s/proxy/new?a=1")


def test_head_and_keep_alive_work_through_the_proxy(world, backend):
    path = world.route("/api/v1/namespaces/ns/pods/p/proxy", "proxy", {"port": 80})
    conn = http.client.HTTPConnection("127.0.0.1", world.port, timeout=5)
    for method in ("HEAD", "GET", "GET"):
        conn.request(method, path)
        response = conn.getresponse()
        assert response.status == 200
        response.read()


def test_an_upgrade_through_the_proxy_is_a_tunnel(world, backend):
    inner = World("uvloop")
    world.node.ports[81] = inner.port
    inner.exec()
    path = world.route("/api/v1/namespaces/ns/pods/p/proxy/exec", "proxy", {"port": 81}, "exec")
    client = WebSocketClient(world.port, path, "v5.channel.k8s.io")
    assert client.code == 101
    client.send(b"\x00hello")
    assert [client.receive()[1] for _ in range(2)] == [b"\x01", b"\x01hello"]
    client.close()
    eventually(lambda: inner.running.edge.connections == set())
    inner.running.close()


def test_a_pod_that_does_not_answer_is_a_503(world):
    closed = socket.create_server(("127.0.0.1", 0))
    world.node.ports[80] = closed.getsockname()[1]
    closed.close()
    response, data = world.get(world.route("/api/v1/namespaces/ns/pods/p/proxy", "proxy", {"port": 80}))
    assert (response.status, json.loads(data)["reason"]) == (503, "ServiceUnavailable")


def test_without_nodes_the_answer_is_a_503():
    api = FakeApi()
    api.routes["/log"] = lambda request: Connect("log", "n1", POD, {})
    running = Running(api, FakeStore(), None)
    conn = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
    conn.request("GET", "/log")
    assert conn.getresponse().status == 503
    running.close()
