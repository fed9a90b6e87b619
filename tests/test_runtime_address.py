"""Each Pod has an address of its own, whatever its program binds or dials; with real programs and sockets."""

from __future__ import annotations

import asyncio

import pytest
from process_pods import Pods, ask, eventually, http_get, run

from kitlib.runtime.cri import RuntimeError_

_WHO_CALLS = (
    "import socket\n"
    "server = socket.socket()\n"
    "server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
    "server.bind(('0.0.0.0', {port}))\n"
    "server.listen()\n"
    "print('bound', *server.getsockname(), flush=True)\n"
    "while True:\n"
    "    connection, peer = server.accept()\n"
    "    print('peer', peer[0], flush=True)\n"
    "    connection.sendall(peer[0].encode())\n"
    "    connection.close()\n"
)
_DIAL = "import socket; print(socket.create_connection(({ip!r}, {port})).recv(99).decode(), flush=True)"


async def _listening(pods: Pods, name: str) -> None:
    async def probe() -> bool:
        return any("bound" in line for line in pods.log(name))

    await eventually(probe)


def test_three_nginx_pods_on_port_80_coexist_in_two_clusters() -> None:
    async def scenario(*clusters: Pods) -> None:
        addresses = []
        for pods in clusters:
            for name in ("a", "b", "c"):
                _, ip = await pods.start(name, "nginx:1.27")
                addresses.append((pods, ip))
        assert len({ip for _, ip in addresses}) == 6
        pages = await asyncio.gather(*(http_get(ip, pods.reachable(80)) for pods, ip in addresses))
        assert all("Welcome to nginx!" in page for page in pages)

    run(scenario, runtimes=2)


def test_a_connection_carries_the_pods_source_address() -> None:
    async def scenario(pods: Pods) -> None:
        _, server = await pods.start("server", "python", "python3", "-c", _WHO_CALLS.format(port=8080))
        await _listening(pods, "server")
        container, client = await pods.start("client", "python", "python3", "-c", _DIAL.format(ip=server, port=8080))
        assert (await pods.ended(container)).exit_code == 0
        assert pods.log("client") == [client]

    run(scenario)


def test_localhost_is_the_pod_itself_and_nobody_else() -> None:
    async def scenario(pods: Pods) -> None:
        first, ip = await pods.start("first", "python", "python3", "-c", _WHO_CALLS.format(port=8080))
        await _listening(pods, "first")
        for address in ("127.0.0.1", "0.0.0.0"):
            dial = _DIAL.format(ip=address, port=8080)
            inside = await pods.runtime.exec_sync(first, ["python3", "-c", dial], 10)
            assert (inside.exit_code, inside.stdout.decode().strip()) == (0, ip)

        other, _ = await pods.start("other", "python", "python3", "-c", _DIAL.format(ip="127.0.0.1", port=8080))
        assert (await pods.ended(other)).exit_code == 1
        assert any("ConnectionRefusedError" in line for line in pods.log("other"))

    run(scenario)


@pytest.mark.needs("busybox")  # nc
def test_a_static_program_is_caught_too() -> None:
    async def scenario(pods: Pods) -> None:
        script = "echo hello from $HOSTNAME | nc -l -p 7000"
        await pods.sh("one", script)
        await pods.sh("two", script)

        first = pods.slice.pod_cidr(0).replace("0/24", "")
        assert await ask(first + "2", 7000) == "hello from one\n"
        assert await ask(first + "3", 7000) == "hello from two\n"

    run(scenario)


def test_a_dual_stack_server_answers_on_the_pods_address() -> None:
    server = (
        "import socket\n"
        "server = socket.create_server(('::', 8080), family=socket.AF_INET6, dualstack_ipv6=True)\n"
        "print('bound', flush=True)\n"
        "while True:\n"
        "    connection, peer = server.accept()\n"
        "    connection.sendall(peer[0].encode())\n"
        "    connection.close()\n"
    )

    async def scenario(pods: Pods) -> None:
        container, ip = await pods.start("server", "python", "python3", "-c", server)
        await _listening(pods, "server")
        for address in (ip, "::1", "127.0.0.1"):
            dial = _DIAL.format(ip=address, port=8080)
            answer = await pods.runtime.exec_sync(container, ["python3", "-c", dial], 10)
            assert (answer.exit_code, answer.stdout.decode().strip()) == (0, f"::ffff:{ip}"), (address, answer.stderr)

    run(scenario)


def test_a_pod_cannot_take_another_pods_address() -> None:
    async def scenario(pods: Pods) -> None:
        victim = pods.next_ip()
        bind = f"import socket; socket.socket().bind(({victim!r}, 8080))"
        container, _ = await pods.start("thief", "python", "python3", "-c", bind)
        assert (await pods.ended(container)).exit_code == 1
        assert any("Cannot assign requested address" in line for line in pods.log("thief"))

    run(scenario)


def test_udp_carries_the_pods_address_both_ways() -> None:
    server = (
        "import socket\n"
        "server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "server.bind(('', 5353))\n"
        "print('bound', flush=True)\n"
        "while True:\n"
        "    data, peer = server.recvfrom(100)\n"
        "    server.sendto(peer[0].encode(), peer)\n"
    )
    client = (
        "import socket\n"
        "client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "client.settimeout(5)\n"
        "client.sendto(b'who am I?', ({ip!r}, 5353))\n"
        "print(*(part if i else part.decode() for i, part in enumerate(client.recvfrom(100))), flush=True)\n"
    )

    async def scenario(pods: Pods) -> None:
        _, server_ip = await pods.start("server", "python", "python3", "-c", server)
        await _listening(pods, "server")
        container, ip = await pods.start("client", "python", "python3", "-c", client.format(ip=server_ip))
        assert (await pods.ended(container)).exit_code == 0
        assert pods.log("client") == [f"{ip} ('{server_ip}', 5353)"]

    run(scenario)


def test_with_mapped_low_ports_pods_still_meet_on_port_80() -> None:
    async def scenario(pods: Pods) -> None:
        _, server = await pods.start("server", "python", "python3", "-c", _WHO_CALLS.format(port=80))
        await _listening(pods, "server")
        assert pods.log("server")[0] == f"bound {server} 80"  # getsockname tells what the program asked for
        assert pods.reachable(80) == 61080
        container, client = await pods.start("client", "python", "python3", "-c", _DIAL.format(ip=server, port=80))
        assert (await pods.ended(container)).exit_code == 0
        assert pods.log("client") == [client]
        answer = await ask(server, 61080)
        assert answer.startswith("127.")  # the test is no Pod: it dials the mapped port

    run(scenario, low_ports="map")


def test_no_socket_call_is_lost_while_other_processes_end() -> None:
    """The runtime gets a signal for each process that ends; a socket() it is answering must not suffer."""
    check = (
        "import os, socket\n"
        "wrong = 0\n"
        "for _ in range(400):\n"
        "    one = socket.socket()\n"
        "    wrong += one.fileno() < 3\n"
        "    one.bind(('0.0.0.0', 0))\n"
        "    one.close()\n"
        "print('wrong', wrong, flush=True)\n"
    )

    async def scenario(pods: Pods) -> None:
        checks = [await pods.start(f"check{i}", "python", "python3", "-c", check) for i in range(3)]
        busy, _ = await pods.sh("busy", "i=0; while [ $i -lt 200 ]; do (exec sleep 0) & i=$((i+1)); done; sleep 60")
        for _ in range(10):
            await asyncio.gather(*(pods.runtime.exec_sync(busy, ["true"], 10) for _ in range(5)))
        for i, (container, _) in enumerate(checks):
            assert (await pods.ended(container, 60)).exit_code == 0, pods.log(f"check{i}")
            assert pods.log(f"check{i}") == ["wrong 0"]

    run(scenario)


def test_a_bound_udp_socket_may_still_talk_to_the_world() -> None:
    """As resolvers do: bind to any port, then send to a name server outside the machine."""
    script = (
        "import errno, socket\n"
        "for connect in (False, True):\n"
        "    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "    client.bind(('0.0.0.0', 0))\n"
        "    try:\n"
        "        client.connect(('192.0.2.1', 9)) if connect else client.sendto(b'x', ('192.0.2.1', 9))\n"
        "        print('sent', flush=True)\n"
        "    except OSError as error:\n"
        "        print(errno.errorcode[error.errno], flush=True)\n"
    )

    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("client", "python", "python3", "-c", script)
        await pods.ended(container)
        assert set(pods.log("client")) <= {"sent", "ENETUNREACH"}
        assert len(pods.log("client")) == 2

    run(scenario)


def test_senseless_arguments_get_an_error_and_hurt_nobody() -> None:
    script = (
        "import ctypes, errno, socket\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "libc.syscall.restype = ctypes.c_long\n"
        "import platform\n"
        "x86 = platform.machine() == 'x86_64'\n"
        "connect, bind, make = (42, 49, 41) if x86 else (203, 200, 198)\n"
        "fd = socket.socket().detach()\n"
        "big = ctypes.c_long(-1)\n"
        "tries = [(bind, big, 0, 16), (bind, fd, 0, 16), (bind, fd, 8, 16), (connect, fd, big, big), (bind, 0, 0, 0),\n"
        "         (make, 2, 1, 12345), (make, 10, big, big), (connect, fd, 0, 0)]\n"
        "for number, *args in tries:\n"
        "    values = [arg if isinstance(arg, ctypes.c_long) else ctypes.c_long(arg) for arg in args]\n"
        "    result = libc.syscall(ctypes.c_long(number), *values)\n"
        "    print(result, errno.errorcode.get(ctypes.get_errno()), flush=True)\n"
    )

    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("odd", "python", "python3", "-c", script)
        assert (await pods.ended(container)).exit_code == 0, pods.log("odd")
        answers = pods.log("odd")
        assert len(answers) == 8
        assert all(answer.startswith("-1 E") for answer in answers), answers
        assert "Traceback" not in (pods.directory / "runtime" / "daemon.log").read_text()

    run(scenario)


def test_a_request_the_daemon_does_not_know_is_refused_and_hurts_nobody() -> None:
    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("box", "busybox", "sleep", "1000")
        link = pods.runtime._link
        for method, params in (("nonsense", {}), ("start_container", {}), ("container_status", {"x": 1})):
            with pytest.raises(RuntimeError_) as refused:
                await link.call(method, **params)
            assert refused.value.reason in ("Unimplemented", "InvalidArgument")
        reader, writer = await asyncio.open_unix_connection(link.path)
        writer.write(b"this is not JSON\n")
        assert await reader.read() == b""
        writer.close()
        assert (await pods.runtime.container_status(container)).state.value == "CONTAINER_RUNNING"

    run(scenario)
