"""NetworkPolicy in the runtime daemon: denied connections of real Pods go nowhere, in every way a program can try."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest
from process_pods import Pods, ask, eventually, run

from kitlib.objects import lowports

ANYBODY: dict[str, Any] = {}


def table(pods: Pods, *, egress: dict[str, list[Any]] | None = None, ingress: dict[str, list[Any]] | None = None,
          **more: Any) -> dict[str, Any]:
    """Each address with rules of its own."""
    result: dict[str, Any] = {"egress": {}, "ingress": {}, "profiles": [], **more}
    for direction, side in (("egress", egress or {}), ("ingress", ingress or {})):
        for ip, rules in side.items():
            result[direction][ip] = len(result["profiles"])
            result["profiles"].append(rules)
    return result


# A client that a Pod runs: what becomes of each connection.  Python, for it can try everything.
CLIENT = """
import errno, select, signal, socket, sys, time
def tcp(ip, port):
    one = socket.socket(); one.settimeout(0.5); begun = time.monotonic()
    try:
        one.connect((ip, int(port))); return "connected"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode[error.errno]
def nonblocking(ip, port):
    one = socket.socket(); one.setblocking(False)
    code = one.connect_ex((ip, int(port)))
    ready = select.select([], [one], [], 0.4)[1]
    return errno.errorcode.get(code, "0") + (",ready" if ready else ",silent") + "," + str(
        one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
def interrupted(ip, port):
    def ring(*_): raise InterruptedError
    signal.signal(signal.SIGALRM, ring); signal.setitimer(signal.ITIMER_REAL, 0.4)
    one = socket.socket(); begun = time.monotonic()
    try:
        one.connect((ip, int(port))); return "connected"
    except InterruptedError:
        return "interrupted" if time.monotonic() - begun < 5 else "late"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
def gives_up(ip, port):
    one = socket.socket(); one.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1); begun = time.monotonic()
    try:
        one.connect((ip, int(port))); return "connected"
    except OSError as error:
        return errno.errorcode[error.errno] + (" soon" if time.monotonic() - begun < 0.5 else " later")
def six(ip, port):
    one = socket.socket(socket.AF_INET6); one.settimeout(0.4)
    try:
        one.connect(("::ffff:" + ip, int(port))); return "connected"
    except TimeoutError:
        return "timeout"
def udp(ip, port):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.settimeout(0.5)
    return exchange(one, lambda: one.sendto(b"?", (ip, int(port))))
def exchange(one, say):
    try:
        sent = say(); one.recv(10); return "answered"
    except TimeoutError:
        return "sent %d, silent" % sent
    except OSError as error:
        return errno.errorcode[error.errno]
def connected_udp(ip, port):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.settimeout(0.5); one.connect((ip, int(port)))
    return exchange(one, lambda: one.send(b"?"))
def sendmsg(ip, port):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.settimeout(0.5)
    return exchange(one, lambda: one.sendmsg([b"a", b"bc"], [], 0, (ip, int(port))))
def udp_again(ip, port):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.settimeout(0.5)
    one.connect((ip, 9)); one.connect((ip, int(port)))
    return exchange(one, lambda: one.send(b"?"))
for word in sys.argv[1:]:
    how, ip, port = word.split(",")
    print(globals()[how](ip, port), flush=True)
"""
UDP_ECHO = """
import socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.bind(("0.0.0.0", 5353))
print("bound", flush=True)
while True:
    data, client = one.recvfrom(100); one.sendto(data, client)
"""


async def _client(pods: Pods, name: str, *what: str, ip: str = "") -> list[str]:
    container, _ = await pods.start(name, "python", "python3", "-c", CLIENT, *what, **({"ip": ip} if ip else {}))
    status = await pods.ended(container)
    assert status.exit_code == 0, pods.log(name)
    return pods.log(name)


async def _server(pods: Pods, name: str) -> str:
    _, ip = await pods.start(name, "kit/echo")
    await ask(ip, 8080, "GET / HTTP/1.0\r\n\r\n")
    return ip


def test_a_denied_connect_is_silent_in_every_way_of_asking() -> None:
    async def scenario(pods: Pods) -> None:
        server, mine = await _server(pods, "server"), pods.next_ip()
        await pods.runtime.set_network_policy(table(pods, egress={mine: []}))
        ways = ["tcp", "nonblocking", "interrupted", "gives_up", "six"]
        begun = time.monotonic()
        seen = await _client(pods, "client", *(f"{way},{server},8080" for way in ways), f"tcp,{mine},4444",
                             "tcp,127.0.0.1,4444", "tcp,192.0.2.1,80", ip=mine)
        assert seen == ["timeout", "EINPROGRESS,silent,0", "interrupted", "ETIMEDOUT later", "timeout",
                        "ECONNREFUSED", "ECONNREFUSED", "timeout"]  # a Pod is always open to itself
        assert time.monotonic() - begun < 30
        await pods.runtime.set_network_policy({})
        seen = await _client(pods, "later", *(f"{way},{server},8080" for way in ways), ip=mine)
        assert seen[1].endswith(",ready,0")  # on the loopback device it may be there at once
        assert [*seen[:1], *seen[2:]] == ["connected"] * 4

    run(scenario)


def test_udp_is_lost_without_an_error() -> None:
    async def scenario(pods: Pods) -> None:
        _, server = await pods.start("server", "python", "python3", "-c", UDP_ECHO)

        async def bound() -> bool:
            return "bound" in pods.log("server")

        await eventually(bound)
        mine = pods.next_ip()
        ways = [f"{way},{server},5353" for way in ("udp", "connected_udp", "udp_again")]
        ways.append(f"sendmsg,{server},5353")
        assert await _client(pods, "before", *ways, ip=pods.next_ip()) == ["answered"] * 4
        await pods.runtime.set_network_policy(table(pods, ingress={server: [{"ports": [["TCP", 5353, 5353]]}]}))
        assert await _client(pods, "denied", *ways, ip=mine) == [*["sent 1, silent"] * 3, "sent 3, silent"]
        await pods.runtime.set_network_policy(table(pods, ingress={server: [{"ports": [["UDP", 5353, 5353]]}]}))
        assert await _client(pods, "allowed", *ways, ip=mine) == ["answered"] * 4

    run(scenario)


RULES: list[tuple[dict[str, Any], bool]] = [
    ({}, True), ({"ports": [["TCP", 8080, 8080]]}, True), ({"ports": [["TCP", 8000, 8079]]}, False),
    ({"ports": [["UDP", 8080, 8080]]}, False), ({"sets": [0]}, True), ({"sets": [1]}, False),
    ({"blocks": [["127.0.0.0/8", []]]}, True), ({"blocks": [["127.0.0.0/8", ["127.64.0.0/10"]]]}, False),
    ({"sets": [0], "ports": [["TCP", 1, 80]]}, False), ({"sets": [1], "blocks": [["127.64.0.0/10", []]]}, True)]


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_each_kind_of_rule_in_each_direction(direction: str) -> None:
    async def scenario(pods: Pods) -> None:
        server, mine = await _server(pods, "server"), pods.next_ip()
        own, peer = (mine, server) if direction == "egress" else (server, mine)
        for number, (rule, allowed) in enumerate(RULES):
            side = {direction: {own: [rule]}}
            await pods.runtime.set_network_policy(table(pods, sets=[[peer], [own]], **side))
            seen = await _client(pods, f"client-{number}", f"tcp,{server},8080", ip=mine)
            assert seen == ["connected" if allowed else "timeout"], rule

    run(scenario)


def test_low_ports_are_judged_by_the_port_that_was_asked_for() -> None:
    async def scenario(pods: Pods) -> None:
        await pods.runtime.pull_image("busybox")
        _, server = await pods.sh("web", "mkdir -p /www; echo hello > /www/index.html; httpd -f -p 80 -h /www")
        await ask(server, lowports.reachable(80, 1024), "GET / HTTP/1.0\r\n\r\n")
        mine = pods.next_ip()
        await pods.runtime.set_network_policy(table(pods, ingress={server: [{"ports": [["TCP", 80, 80]]}]}))
        assert await _client(pods, "allowed", f"tcp,{server},80", ip=mine) == ["connected"]
        await pods.runtime.set_network_policy(table(pods, ingress={server: [{"ports": [["TCP", 61080, 61080]]}]}))
        assert await _client(pods, "denied", f"tcp,{server},80", ip=mine) == ["timeout"]

    run(scenario, low_ports="map")


def test_what_is_connected_stays_connected_and_this_machine_always_gets_in() -> None:
    async def scenario(pods: Pods) -> None:
        server, mine = await _server(pods, "server"), pods.next_ip()
        script = ("import socket,sys\none = socket.create_connection((sys.argv[1], 8080)); print('ready', flush=True)\n"
                  "sys.stdin.readline(); one.send(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(one.recv(12).decode())")
        container, _ = await pods.start("old", "python", "python3", "-c", script, server, ip=mine, stdin=True)
        while "ready" not in (pods.log("old") if (pods.directory / "logs/old/c/0.log").exists() else []):
            await asyncio.sleep(0.02)
        await pods.runtime.set_network_policy(table(pods, egress={mine: []}, ingress={server: []}))
        session = await pods.runtime.attach(container, stdin=True, tty=False)
        await session.write_stdin(b"\n")
        await pods.ended(container)
        assert re.match(r"HTTP/1\.[01] 200", pods.log("old")[1])
        session.close()
        assert "200" in await ask(server, 8080, "GET / HTTP/1.0\r\n\r\n"), "a probe comes from the node"

    run(scenario)


def test_a_services_address_is_closed_if_no_endpoint_is_allowed() -> None:
    async def scenario(pods: Pods) -> None:
        server, mine = await _server(pods, "server"), pods.next_ip()
        service = pods.slice.service_cidr.replace("0/20", "99")
        services = {f"{service}:80/TCP": [f"{server}:8080"]}
        await pods.runtime.set_network_policy(table(pods, ingress={server: []}, services=services))
        assert await _client(pods, "a", f"tcp,{service},80", ip=mine) == ["timeout"]
        services[f"{service}:80/TCP"].append(f"{mine}:8080")
        await pods.runtime.set_network_policy(table(pods, ingress={server: []}, services=services))
        assert await _client(pods, "b", f"tcp,{service},80", ip=mine) == ["ECONNREFUSED"], "no proxy in this test"

    run(scenario)


def test_nobody_goes_round_by_io_uring() -> None:
    script = ("import ctypes, errno\nlibc = ctypes.CDLL(None, use_errno=True)\n"
              "print(libc.syscall(425, 8, ctypes.create_string_buffer(120)), errno.errorcode[ctypes.get_errno()])")

    async def scenario(pods: Pods) -> None:
        container, _ = await pods.start("ring", "python", "python3", "-c", script)
        await pods.ended(container)
        assert pods.log("ring") == ["-1 ENOSYS"]

    run(scenario)


def test_thousands_of_waiting_programs_do_not_stop_the_others() -> None:
    flood = ("import socket, sys\nkept = []\nfor _ in range(1000):\n one = socket.socket(); one.setblocking(False)\n"
             " one.connect_ex((sys.argv[1], 8080)); kept.append(one)\nprint('waiting', flush=True); sys.stdin.read()")

    async def scenario(pods: Pods) -> None:
        server, mine = await _server(pods, "server"), pods.next_ip()
        await pods.runtime.set_network_policy(table(pods, egress={mine: []}))
        await pods.start("flood", "python", "python3", "-c", flood, server, ip=mine, stdin=True)
        while not (pods.directory / "logs/flood/c/0.log").exists() or pods.log("flood") != ["waiting"]:
            await asyncio.sleep(0.05)
        begun = time.monotonic()
        assert await _client(pods, "other", f"tcp,{server},8080", ip=pods.next_ip()) == ["connected"]
        assert time.monotonic() - begun < 5

    run(scenario)
