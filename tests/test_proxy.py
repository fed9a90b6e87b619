"""The userspace proxy, as a process of its own with real connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from process_pods import eventually, http_get

from kitlib.network.addresses import Slice, lease_slice
from kitlib.network.proxy.balance import Balancer, Endpoint
from kitlib.network.proxy.client import ProxyProcess


def _run(scenario: Callable[[ProxyProcess, Slice], Awaitable[None]], low_ports: str = "auto") -> None:
    async def main() -> None:
        proxy, addresses = ProxyProcess(low_ports), lease_slice()
        await proxy.start()
        try:
            await scenario(proxy, addresses)
        finally:
            await proxy.close()
            addresses.release()

    asyncio.run(main())


def _pod(addresses: Slice, number: int) -> str:
    return addresses.pod_cidr(0).replace("0/24", str(number))


def _service(addresses: Slice, port: int, *endpoints: str, **more: object) -> dict[str, object]:
    ip = addresses.service_cidr.replace("0/20", "77")
    return {"ip": ip, "port": port, "protocol": "TCP", "session_affinity": 0, "endpoints": list(endpoints), **more}


@contextlib.asynccontextmanager
async def _endpoint(ip: str, port: int = 8080) -> AsyncIterator[str]:
    """A server that says its own address and the caller's, then repeats what it gets until the caller has finished."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{ip} {writer.get_extra_info('peername')[0]}\n".encode())
        while data := await reader.read(1 << 20):
            writer.write(data)
            await writer.drain()
        writer.write(b"end\n")
        writer.close()

    server = await asyncio.start_server(serve, ip, port, limit=1 << 20)
    try:
        yield f"{ip}:{port}"
    finally:
        server.close()


async def _ask(ip: str, port: int, data: bytes = b"", source: str = "127.0.0.1") -> list[str]:
    """Who answered, whom they saw calling, and the rest."""
    reader, writer = await asyncio.open_connection(ip, port, local_addr=(source, 0), limit=1 << 20)
    first = (await reader.readline()).decode().split()

    async def send() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    rest = await reader.read()
    await sending
    writer.close()
    return [*first, rest.decode()]


def test_connections_go_round_the_endpoints() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with contextlib.AsyncExitStack() as stack:
            ends = [await stack.enter_async_context(_endpoint(_pod(addresses, number))) for number in (2, 3, 4)]
            service = _service(addresses, 8000, *ends)
            report = await proxy.apply([service])
            assert report["bound"] == [f"{service['ip']}:8000/TCP"]
            answers = [(await _ask(str(service["ip"]), 8000))[0] for _ in range(9)]
            assert answers == [_pod(addresses, number) for number in (2, 3, 4)] * 3

    _run(scenario)


def test_the_endpoint_sees_the_callers_own_address() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with _endpoint(_pod(addresses, 2)) as end:
            service = _service(addresses, 8000, end)
            await proxy.apply([service])
            caller = _pod(addresses, 99)
            assert (await _ask(str(service["ip"]), 8000, source=caller))[:2] == [_pod(addresses, 2), caller]

    _run(scenario)


def test_bytes_arrive_unchanged_and_a_half_closed_connection_still_answers() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with _endpoint(_pod(addresses, 2)) as end:
            service = _service(addresses, 8000, end)
            await proxy.apply([service])
            data = os.urandom(2_000_000).hex()
            assert (await _ask(str(service["ip"]), 8000, data.encode()))[2] == data + "end\n"

    _run(scenario)


def test_a_service_without_endpoints_refuses_and_recovers() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        service = _service(addresses, 8000)
        report = await proxy.apply([service])
        assert report["bound"] == []
        with pytest.raises(ConnectionRefusedError):
            await _ask(str(service["ip"]), 8000)
        async with _endpoint(_pod(addresses, 2)) as end:
            await proxy.apply([_service(addresses, 8000, end)])
            assert (await _ask(str(service["ip"]), 8000))[0] == _pod(addresses, 2)
        await proxy.apply([])
        with pytest.raises(ConnectionRefusedError):
            await _ask(str(service["ip"]), 8000)

    _run(scenario)


def test_an_endpoint_that_does_not_answer_is_passed_over() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with _endpoint(_pod(addresses, 2)) as end:
            service = _service(addresses, 8000, f"{_pod(addresses, 3)}:8080", end)
            await proxy.apply([service])
            assert {(await _ask(str(service["ip"]), 8000))[0] for _ in range(4)} == {_pod(addresses, 2)}
        await proxy.apply([_service(addresses, 8000, f"{_pod(addresses, 3)}:8080")])

        def read() -> bytes:
            with socket.create_connection((str(service["ip"]), 8000), timeout=10) as client:
                return client.recv(1)

        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(read)

    _run(scenario)


def test_an_open_connection_survives_changes_of_the_service() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with _endpoint(_pod(addresses, 2)) as end:
            service = _service(addresses, 8000, end)
            await proxy.apply([service])
            reader, writer = await asyncio.open_connection(service["ip"], 8000)
            await reader.readline()
            await proxy.apply([])
            writer.write(b"still there?\n")
            assert await reader.readline() == b"still there?\n"
            writer.close()

    _run(scenario)


def test_session_affinity_keeps_a_client_with_its_endpoint() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with contextlib.AsyncExitStack() as stack:
            ends = [await stack.enter_async_context(_endpoint(_pod(addresses, number))) for number in (2, 3)]
            service = _service(addresses, 8000, *ends, session_affinity=10800)
            await proxy.apply([service])
            seen = {}
            for caller in (_pod(addresses, 50), _pod(addresses, 51)):
                seen[caller] = {(await _ask(str(service["ip"]), 8000, source=caller))[0] for _ in range(4)}
            assert sorted(map(len, seen.values())) == [1, 1]
            assert len(set.union(*seen.values())) == 2

    _run(scenario)


def test_affinity_ends_with_its_time_or_its_endpoint() -> None:
    now = [0.0]
    a, b = Endpoint("127.64.16.2", 1), Endpoint("127.64.16.3", 1)
    balancer = Balancer([a, b], affinity=10, clock=lambda: now[0])
    assert [balancer.choose("x"), balancer.choose("x"), balancer.choose("y"), balancer.choose("x")] == [a, a, b, a]
    now[0] = 9.0
    assert balancer.choose("x") == a
    now[0] = 18.0
    assert balancer.choose("x") == a  # each connection starts the time anew
    now[0] = 30.0
    balancer.choose("z")
    assert balancer.choose("x") == b
    balancer.update([a], 10)
    assert balancer.choose("x") == a
    balancer.update([], 10)
    assert balancer.choose("x") is None


def test_each_caller_takes_the_route_of_its_own_node() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with contextlib.AsyncExitStack() as stack:
            ends = [await stack.enter_async_context(_endpoint(_pod(addresses, number))) for number in (2, 3)]
            near, far = f"{_pod(addresses, 50)}/32", f"{_pod(addresses, 51)}/32"
            nobody, masked = f"{_pod(addresses, 52)}/32", f"{_pod(addresses, 53)}/32"
            node = addresses.node_ip(1)
            routes = [{"from": [near], "endpoints": ends[:1]}, {"from": [far], "endpoints": ends[1:]},
                      {"from": [nobody], "endpoints": []}, {"from": [masked], "endpoints": ends[:1], "as": node}]
            service = _service(addresses, 8000, *ends, routes=routes)
            await proxy.apply([service])

            async def answers(number: int) -> set[tuple[str, ...]]:
                found = [await _ask(str(service["ip"]), 8000, source=_pod(addresses, number)) for _ in range(4)]
                return {tuple(answer[:2]) for answer in found}

            assert await answers(50) == {(_pod(addresses, 2), _pod(addresses, 50))}
            assert await answers(51) == {(_pod(addresses, 3), _pod(addresses, 51))}
            assert await answers(53) == {(_pod(addresses, 2), node)}
            assert {who for who, _ in await answers(60)} == {_pod(addresses, 2), _pod(addresses, 3)}
            with pytest.raises((ConnectionResetError, IndexError)):  # reset, before or after the first read
                await _ask(str(service["ip"]), 8000, source=_pod(addresses, 52))

    _run(scenario)


def test_who_is_not_allowed_is_reset() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with _endpoint(_pod(addresses, 2)) as end:
            service = _service(addresses, 8000, end, allow=[f"{_pod(addresses, 50)}/32"])
            await proxy.apply([service])
            assert (await _ask(str(service["ip"]), 8000, source=_pod(addresses, 50)))[0] == _pod(addresses, 2)
            with pytest.raises((ConnectionResetError, IndexError)):
                await _ask(str(service["ip"]), 8000, source=_pod(addresses, 51))

    _run(scenario)


def test_a_node_says_whether_it_has_pods_of_a_service() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        def entry(count: int) -> dict[str, object]:
            health = {"namespace": "shop", "name": "web", "localEndpoints": count}
            return {"ip": addresses.node_ip(1), "port": 31000, "protocol": "TCP", "health": health}

        for count, status in ((2, "200 OK"), (0, "503 Service Unavailable")):
            await proxy.apply([entry(count)])
            page = await http_get(addresses.node_ip(1), 31000)
            assert page.startswith(f"HTTP/1.1 {status}\r\n")
            assert json.loads(page.partition("\r\n\r\n")[2]) == {
                "service": {"namespace": "shop", "name": "web"}, "localEndpoints": count, "serviceProxyHealthy": True}

    _run(scenario)


def test_mapped_low_ports_are_reported_and_reached() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with _endpoint(_pod(addresses, 2), 61080):
            service = _service(addresses, 80, f"{_pod(addresses, 2)}:80")
            report = await proxy.apply([service])
            assert report["mapped"] == {f"{service['ip']}:80/TCP": 61080}
            assert (await _ask(str(service["ip"]), 61080))[0] == _pod(addresses, 2)

    _run(scenario, low_ports="map")


def test_a_port_in_use_is_reported_and_taken_later() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        service = _service(addresses, 8000, f"{_pod(addresses, 2)}:8080")
        with socket.create_server((str(service["ip"]), 8000)):
            report = await proxy.apply([service])
            assert report["failed"] == {f"{service['ip']}:8000/TCP": "Address already in use"}
        report = await proxy.apply([service])
        assert (report["failed"], report["bound"]) == ({}, [f"{service['ip']}:8000/TCP"])
        elsewhere = {**service, "ip": "203.0.113.7"}
        assert (await proxy.apply([elsewhere]))["failed"] == {
            "203.0.113.7:8000/TCP": "this machine does not have that address"}
        report = await proxy.apply([_service(addresses, 8000, "127.64.0.9:1", protocol="SCTP")])
        assert list(report["failed"].values()) == ["the userspace proxy has no SCTP, only TCP and UDP"]

    _run(scenario)


def test_udp_goes_round_per_client_and_answers_come_from_the_service() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        loop = asyncio.get_running_loop()
        servers = []
        for number in (2, 3):
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.bind((_pod(addresses, number), 5353))
            server.setblocking(False)
            servers.append(server)

        async def answer(server: socket.socket) -> None:
            while True:
                await eventually(lambda: _readable(server), 30)
                data, peer = server.recvfrom(100)
                server.sendto(f"{server.getsockname()[0]} {peer[0]} ".encode() + data, peer)

        tasks = [loop.create_task(answer(server)) for server in servers]
        service = _service(addresses, 5353, *(f"{_pod(addresses, n)}:5353" for n in (2, 3)), protocol="UDP")
        report = await proxy.apply([service])
        assert report["bound"] == [f"{service['ip']}:5353/UDP"]
        answers = set()
        for number in (40, 41):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.bind((_pod(addresses, number), 0))
            client.setblocking(False)
            seen = set()
            for _ in range(3):
                client.sendto(b"hello", (str(service["ip"]), 5353))
                await eventually(lambda client=client: _readable(client))
                data, peer = client.recvfrom(100)
                assert peer == (service["ip"], 5353)
                seen.add(data)
            assert len(seen) == 1
            answers |= seen
            client.close()
        assert sorted(text.split()[0].decode() for text in answers) == [_pod(addresses, 2), _pod(addresses, 3)]
        assert sorted(text.split()[1].decode() for text in answers) == [_pod(addresses, 40), _pod(addresses, 41)]
        for task in tasks:
            task.cancel()
        for server in servers:
            server.close()

    _run(scenario)


def test_a_udp_client_goes_elsewhere_when_its_endpoint_has_gone() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        servers = {}
        for number in (2, 3):
            servers[number] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            servers[number].bind((_pod(addresses, number), 5353))
            servers[number].setblocking(False)
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for number in (2, 3):
            service = _service(addresses, 5353, f"{_pod(addresses, number)}:5353", protocol="UDP")
            await proxy.apply([service])
            client.sendto(str(number).encode(), (str(service["ip"]), 5353))
            await eventually(lambda number=number: _readable(servers[number]))
            assert servers[number].recv(100) == str(number).encode()
        for each in (client, *servers.values()):
            each.close()

    _run(scenario)


async def _readable(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def test_a_proxy_that_dies_comes_back_with_its_state() -> None:
    async def scenario(proxy: ProxyProcess, addresses: Slice) -> None:
        async with _endpoint(_pod(addresses, 2)) as end:
            service = _service(addresses, 8000, end)
            await proxy.apply([service])
            first = proxy.pid
            os.kill(first, signal.SIGKILL)

            async def answers() -> bool:
                try:
                    return (await _ask(str(service["ip"]), 8000))[0] == _pod(addresses, 2)
                except (OSError, IndexError):
                    return False

            await eventually(answers)
            assert proxy.pid != first

    _run(scenario)


def test_the_proxy_ends_with_whoever_started_it() -> None:
    async def scenario() -> None:
        proxy = ProxyProcess()
        await proxy.start()
        await proxy.apply([])
        pid = proxy.pid
        await proxy.close()
        assert not os.path.exists(f"/proc/{pid}")

    asyncio.run(scenario())
