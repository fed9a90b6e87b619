"""Probes and hooks over real sockets, and the kubelet's answers to logs, exec and port-forward."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from node_fakes import FakeRuntime, run
from node_scenario import Cluster

from kitlib.node import grpc_health
from kitlib.node.connector import KubeletConnector
from kitlib.node.handlers import Handlers
from kitlib.objects.clock import FakeClock
from kitlib.objects.errors import StatusError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class LocalRuntime(FakeRuntime):
    """Every Pod's ports are on this machine's loopback address."""

    async def port_address(self, sandbox_id: str, port: int) -> tuple[str, int]:
        return "127.0.0.1", port


def ask(serve: Serve | None, handler: dict[str, Any], timeout: float = 2.0, named: str = "") -> tuple[bool, str]:
    """What a handler says of a server; PORT in the handler is the server's port."""
    async def scenario() -> tuple[bool, str]:
        server = await asyncio.start_server(serve or closing, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if serve is None:
            server.close()
            await server.wait_closed()
        kind, spec = next(iter(handler.items()))
        container = {"name": "c", "ports": [{"name": named, "containerPort": port}]}
        try:
            return await Handlers(LocalRuntime(FakeClock())).run(
                {kind: {"port": named or port, **spec}}, container, "id", "sandbox", timeout)
        finally:
            server.close()

    return asyncio.run(scenario())


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def http(status: int) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        code = status if head.startswith(b"GET /health HTTP/1.1") and b"x-test: 1" in head.lower() else 400
        writer.write(f"HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n".encode())
        writer.close()
    return serve


PAGE = {"httpGet": {"path": "/health", "httpHeaders": [{"name": "X-Test", "value": "1"}]}}


@pytest.mark.parametrize(("status", "expected"), [
    (200, (True, "")), (302, (True, "")), (404, (False, "HTTP probe failed with statuscode: 404")),
    (500, (False, "HTTP probe failed with statuscode: 500"))])
def test_a_page_is_good_from_200_to_399(status: int, expected: tuple[bool, str]) -> None:
    assert ask(http(status), PAGE) == expected


def test_a_port_may_be_given_by_name() -> None:
    assert ask(http(200), PAGE, named="web") == (True, "")


def test_a_closed_port_is_refused() -> None:
    for handler in (PAGE, {"tcpSocket": {}}):
        success, output = ask(None, handler)
        assert (success, output.rpartition(": ")[2]) == (False, "connection refused")
    assert ask(closing, {"tcpSocket": {}}) == (True, "")


def test_a_server_that_never_answers_runs_into_the_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    success, output = ask(silent, PAGE, timeout=0.2)
    assert (success, output.split(" (")[0]) == (False, "context deadline exceeded")


def health_server(status: int | None) -> Serve:
    """Just enough of a gRPC server: SETTINGS, then DATA with a HealthCheckResponse; None: trailers only."""
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(grpc_health.PREFACE)) == grpc_health.PREFACE
        writer.write(grpc_health.frame(grpc_health.SETTINGS, 0, 0, b""))
        while True:
            head = await reader.readexactly(9)
            body = await reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] == grpc_health.DATA:
                assert body[5:] == b"\x0a\x02db"
                break
        if status is None:
            flags = grpc_health.END_STREAM | grpc_health.END_HEADERS
            writer.write(grpc_health.frame(grpc_health.HEADERS, flags, 1, b""))
        else:
            message = b"\x08" + bytes([status]) if status else b""
            writer.write(grpc_health.frame(grpc_health.HEADERS, grpc_health.END_HEADERS, 1, b"\x88"))
            writer.write(grpc_health.frame(grpc_health.DATA, 0, 1, b"\0" + len(message).to_bytes(4, "big") + message))
        await writer.drain()
        await reader.read()
    return serve


@pytest.mark.parametrize(("status", "expected"), [
    (1, (True, "")),
    (2, (False, "service unhealthy (responded with 'NOT_SERVING')")),
    (0, (False, "service unhealthy (responded with 'UNKNOWN')"))])
def test_a_grpc_server_says_how_it_is(status: int, expected: tuple[bool, str]) -> None:
    assert ask(health_server(status), {"grpc": {"service": "db"}}) == expected


def test_a_grpc_server_without_the_health_protocol_is_not_healthy() -> None:
    success, output = ask(health_server(None), {"grpc": {"service": "db"}})
    assert (success, "does not implement the grpc health protocol" in output) == (False, True)


def pod(**spec: Any) -> dict[str, Any]:
    script = "echo hello; trap 'exit 0' TERM; sleep 3600 & wait"
    main = {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script]}
    return {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [main], **spec}}


def asked(directory: Path, obj: dict[str, Any], question: Callable[[KubeletConnector, dict[str, Any]], Awaitable[Any]],
          after: float = 5.0) -> Any:
    clock = FakeClock()
    cluster = Cluster(directory, clock)

    async def life() -> Any:
        await cluster.start()
        cluster.apply(obj)
        await asyncio.sleep(after)
        try:
            return await question(KubeletConnector({"n1": cluster.kubelet}), cluster.pod())
        except StatusError as error:
            return error.code, error.message
        finally:
            await cluster.stop()

    return run(clock, life())


async def gather(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def logs(**options: Any) -> Callable[[KubeletConnector, dict[str, Any]], Awaitable[bytes]]:
    return lambda connector, found: gather(connector.logs("n1", found, options))


def crashing() -> dict[str, Any]:
    obj = pod()
    obj["spec"]["containers"][0]["command"][2] = "echo run; exit 1"
    return obj


def test_logs_of_a_container_and_of_the_run_before(tmp_path: Path) -> None:
    obj = crashing()
    obj["spec"]["restartPolicy"] = "Never"
    assert asked(tmp_path / "a", obj, logs()) == b"run\n"
    assert asked(tmp_path / "b", crashing(), logs(previous=True)) == b"run\n"


def test_logs_that_cannot_be_had_are_refused_with_kubectls_sentences(tmp_path: Path) -> None:
    missing = pod()
    missing["spec"]["containers"][0]["image"] = "registry.invalid/none:1"
    pair = pod()
    pair["spec"]["containers"].append({**pair["spec"]["containers"][0], "name": "d"})
    answers = [asked(tmp_path / str(i), obj, question) for i, (obj, question) in enumerate((
        (pod(), logs(previous=True)), (missing, logs()), (pair, logs()), (pod(), logs(container="x"))))]
    assert answers == [
        (400, 'previous terminated container "c" in pod "p" not found'),
        (400, 'container "c" in pod "p" is waiting to start: trying and failing to pull image'),
        (400, "a container name must be specified for pod p, choose one of: [c d]"),
        (400, "container x is not valid for pod p")]


def test_exec_needs_a_running_container(tmp_path: Path) -> None:
    obj = crashing()
    obj["spec"]["restartPolicy"] = "Never"
    answer = asked(tmp_path, obj, lambda c, found: c.exec("n1", found, {"command": ["true"]}))
    assert answer == (500, 'Internal error occurred: unable to upgrade connection: container not found ("c")')


def test_port_forward_dials_where_the_runtime_says(tmp_path: Path) -> None:
    assert asked(tmp_path, pod(), lambda c, found: c.port_forward("n1", found, 80)) == ("10.0.0.2", 80)


def test_a_simulated_node_has_nothing_to_show(tmp_path: Path) -> None:
    code, message = asked(tmp_path, pod(), lambda c, found: c.port_forward("sim-1", found, 80))
    assert (code, message.startswith("node sim-1 is simulated")) == (400, True)
