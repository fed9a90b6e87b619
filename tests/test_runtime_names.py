"""Names and datagrams inside a Pod: the cluster's DNS is asked, whatever system call a program sends with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from process_pods import Pods, ask, run

from kitlib.network.dns.server import DnsServer
from kitlib.runtime.process import resolver, sockaddr
from kitlib.runtime.process.sockaddr import AF_INET, AF_INET6, PodAddress, make

POD = PodAddress("127.64.16.2", 0, "127.64.0.10", (b"\x08\x08\x08\x08", b"\x7f\0\0\1"))
_SERVICE = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "127.64.0.77"}}
_LOOK_UP = (
    "import socket\n"
    "for name in ('web', 'web.shop', 'web.shop.svc.cluster.local', 'nobody'):\n"
    "    try:\n"
    "        print(name, socket.gethostbyname(name), flush=True)\n"
    "    except OSError as error:\n"
    "        print(name, type(error).__name__, flush=True)\n"
)


@pytest.mark.parametrize("low_ports", ["auto", "map"])
def test_a_pod_asks_the_clusters_dns_with_its_search_path(low_ports: str) -> None:
    async def scenario(pods: Pods) -> None:
        server = DnsServer(pods.slice.dns_ip)
        server.port = pods.reachable(53)
        server.use([_SERVICE], [])
        await server.start()
        container, _ = await pods.start(
            "client", "python", "python3", "-c", _LOOK_UP, dns_servers=(pods.slice.dns_ip,),
            dns_searches=("shop.svc.cluster.local", "svc.cluster.local", "cluster.local"), dns_options=("ndots:5",))
        assert (await pods.ended(container)).exit_code == 0, pods.log("client")
        assert pods.log("client") == [
            "web 127.64.0.77", "web.shop 127.64.0.77", "web.shop.svc.cluster.local 127.64.0.77", "nobody gaierror"]
        await server.close()

    run(scenario, low_ports=low_ports)


def test_only_the_hosts_name_servers_are_replaced_and_only_at_port_53() -> None:
    ours = make(AF_INET, b"\x7f\x40\0\x0a", 53)
    for asked in (b"\x08\x08\x08\x08", b"\x7f\0\0\1"):
        assert sockaddr.on_connect(make(AF_INET, asked, 53), POD).sockaddr == ours
    assert sockaddr.on_connect(make(AF_INET6, b"\x08\x08\x08\x08", 53), POD).sockaddr == make(
        AF_INET6, b"\x7f\x40\0\x0a", 53)
    assert sockaddr.on_connect(make(AF_INET, b"\x08\x08\x08\x08", 443), POD).outside
    assert sockaddr.on_connect(make(AF_INET, b"\x09\x09\x09\x09", 53), POD).outside
    assert sockaddr.on_connect(make(AF_INET, b"\x7f\0\0\1", 53), PodAddress("127.64.16.2")).sockaddr == make(
        AF_INET, b"\x7f\x40\x10\x02", 53)


@pytest.mark.parametrize(("text", "found"), [
    ("nameserver 8.8.8.8\nnameserver fe80::1%eth0\n", (b"\x08\x08\x08\x08", b"\xfe\x80" + b"\0" * 13 + b"\1")),
    ("search example.org\nnameserver nonsense\n", (b"\x7f\0\0\1",)), (None, (b"\x7f\0\0\1",))])
def test_the_hosts_name_servers_are_those_a_program_would_ask(tmp_path: Path, text: str | None,
                                                              found: tuple[bytes, ...]) -> None:
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)
    assert resolver.host_servers(str(path)) == found


def test_a_pod_that_asks_others_is_not_redirected() -> None:
    assert resolver.redirection({"servers": ["8.8.8.8"]}) == ()
    assert resolver.redirection({}) == ()
    assert resolver.redirection({"servers": ["8.8.8.8", "127.64.0.10"]})[0] == "127.64.0.10"


_SENDER = """
import ctypes, socket, struct
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 80))
server.settimeout(5)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.sendmsg([b"one ", b"message"], [], 0, ("127.0.0.1", 80))
data, peer = server.recvfrom(100)
print(data.decode(), peer[0], flush=True)

libc = ctypes.CDLL(None, use_errno=True)
name = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack("!H", 80)
                                   + socket.inet_aton("127.0.0.1") + bytes(8), 16)
texts = [ctypes.create_string_buffer(text, len(text)) for text in (b"first", b"second")]
vectors = [ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(text), len(text)), 16) for text in texts]
headers = b"".join(struct.pack("=QI4xQQQQI4xI4x", ctypes.addressof(name), 16, ctypes.addressof(vector), 1, 0, 0, 0, 0)
                   for vector in vectors)
batch = ctypes.create_string_buffer(headers, len(headers))
print("sent", libc.sendmmsg(client.fileno(), batch, 2, 0), flush=True)
for _ in texts:
    data, peer = server.recvfrom(100)
    print(data.decode(), peer[0], flush=True)

left, right = socket.socketpair()
left.sendmsg([b"no address"])
print(right.recv(100).decode(), flush=True)
try:
    client.sendmsg([b"x"], [], 0, ("192.0.2.1", 9))
    print("outside", flush=True)
except OSError as error:
    print("outside" if error.errno == 101 else error, flush=True)
"""


@pytest.mark.parametrize("low_ports", ["auto", "map"])
def test_messages_of_sendmsg_and_sendmmsg_find_the_pod_and_carry_its_address(low_ports: str) -> None:
    async def scenario(pods: Pods) -> None:
        container, ip = await pods.start("client", "python", "python3", "-c", _SENDER)
        await pods.ended(container)
        assert pods.log("client") == [
            f"one message {ip}", "sent 2", f"first {ip}", f"second {ip}", "no address", "outside"]

    run(scenario, low_ports=low_ports)


@pytest.mark.needs("busybox")  # nc: a static program
def test_three_static_programs_on_port_80_coexist_in_two_clusters() -> None:
    async def scenario(*clusters: Pods) -> None:
        expected = {}
        for number, pods in enumerate(clusters):
            for name in ("a", "b", "c"):
                _, ip = await pods.sh(name, f"while true; do echo {name}{number} | nc -l -p 80; done")
                expected[ip] = (pods, f"{name}{number}\n")
        assert len(expected) == 6
        assert b"ld-linux" not in Path(str(shutil.which("busybox"))).read_bytes()[:4096]  # nothing can be preloaded
        for ip, (pods, answer) in expected.items():
            assert await ask(ip, pods.reachable(80)) == answer

    run(scenario, runtimes=2)
