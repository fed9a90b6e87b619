"""Names of Services and Pods: the zone as a pure function, the wire format, and the server over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitlib.network.dns import message
from kitlib.network.dns.message import CNAME, NOERROR, NXDOMAIN, PTR, SRV, TXT, A, Record
from kitlib.network.dns.server import DnsServer, Responder, host_resolvers
from kitlib.network.dns.zone import Result, build

DOMAIN = "cluster.local"


def service(name: str, address: str = "127.64.0.7", *ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"clusterIP": address, "ports": ports, **spec}}


def slice_of(service_name: str, *endpoints: dict[str, Any], **port: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": service_name}
    return {"metadata": {"name": f"{service_name}-1", "namespace": "default", "labels": labels},
            "addressType": "IPv4", "endpoints": endpoints, "ports": [port] if port else []}


def endpoint(address: str, hostname: str = "", ready: bool = True) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": ready}, **({"hostname": hostname} if hostname else {})}


WEB = service("web", "127.64.0.7", {"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"})
DB = [service("db", "None"), slice_of("db", endpoint("127.64.16.2", "db-0"), endpoint("127.64.16.3", "db-1"),
                                      endpoint("127.64.16.4", "db-2", ready=False), name="sql", port=5432)]
EXT = service("ext", "", type="ExternalName", externalName="example.org.")


def look_up(name: str, kind: int, *objects: dict[str, Any]) -> Result:
    services = [o for o in objects if "spec" in o]
    return build(services, [o for o in objects if "spec" not in o]).look_up(name, kind)


def values(name: str, kind: int, *objects: dict[str, Any]) -> list[Any]:
    return [r.value for r in look_up(name, kind, *objects).answers]


def test_a_service_is_found_by_its_name_and_its_name_by_its_address() -> None:
    assert values("web.default.svc.cluster.local", A, WEB) == ["127.64.0.7"]
    assert values("7.0.64.127.in-addr.arpa", PTR, WEB) == ["web.default.svc.cluster.local"]


def test_a_named_port_has_a_service_record_that_brings_the_address_along() -> None:
    found = look_up("_http._tcp.web.default.svc.cluster.local", SRV, WEB)
    assert [r.value for r in found.answers] == [(0, 100, 80, "web.default.svc.cluster.local")]
    assert [r.value for r in found.additional] == ["127.64.0.7"]
    assert values("_dns._udp.web.default.svc.cluster.local", SRV, WEB)[0][2] == 53


def test_a_headless_service_is_all_its_ready_pods_each_with_a_name() -> None:
    assert values("db.default.svc.cluster.local", A, *DB) == ["127.64.16.2", "127.64.16.3"]
    assert values("db-1.db.default.svc.cluster.local", A, *DB) == ["127.64.16.3"]
    assert look_up("db-2.db.default.svc.cluster.local", A, *DB).code == NXDOMAIN
    assert values("3.16.64.127.in-addr.arpa", PTR, *DB) == ["db-1.db.default.svc.cluster.local"]
    assert values("_sql._tcp.db.default.svc.cluster.local", SRV, *DB) == [
        (0, 50, 5432, "db-0.db.default.svc.cluster.local"), (0, 50, 5432, "db-1.db.default.svc.cluster.local")]


def test_a_headless_service_without_ready_pods_does_not_exist() -> None:
    """By the specification, 2.4.1; but its namespace does."""
    assert look_up("db.default.svc.cluster.local", A, service("db", "None")).code == NXDOMAIN
    assert look_up("default.svc.cluster.local", A, *DB).code == NOERROR


def test_a_headless_pod_without_a_hostname_is_named_by_its_address() -> None:
    objects = [service("db", "None"), slice_of("db", endpoint("127.64.16.2"))]
    assert values("127-64-16-2.db.default.svc.cluster.local", A, *objects) == ["127.64.16.2"]


def test_an_external_name_is_an_alias() -> None:
    assert values("ext.default.svc.cluster.local", A, EXT) == ["example.org"]
    inside = service("alias", "", type="ExternalName", externalName="web.default.svc.cluster.local")
    found = look_up("alias.default.svc.cluster.local", A, inside, WEB).answers
    assert [(r.type, r.value) for r in found] == [(CNAME, "web.default.svc.cluster.local"), (A, "127.64.0.7")]


def test_aliases_that_go_in_circles_come_to_an_end() -> None:
    a = service("a", "", type="ExternalName", externalName="b.default.svc.cluster.local")
    b = service("b", "", type="ExternalName", externalName="a.default.svc.cluster.local")
    assert len(look_up("a.default.svc.cluster.local", A, a, b).answers) < 12


def test_a_pods_address_is_in_its_name() -> None:
    assert values("127-64-16-2.default.pod.cluster.local", A) == ["127.64.16.2"]
    assert look_up("nonsense.default.pod.cluster.local", A).code == NXDOMAIN


def test_a_name_that_exists_without_such_a_record_is_not_a_missing_name() -> None:
    for name in ("web.default.svc.cluster.local", "default.svc.cluster.local", "svc.cluster.local", DOMAIN):
        found = look_up(name, TXT, WEB)
        assert (found.code, found.answers, len(found.authority)) == (NOERROR, (), 1)
    assert look_up("none.default.svc.cluster.local", A, WEB).code == NXDOMAIN
    assert look_up("web.other.svc.cluster.local", A, WEB).code == NXDOMAIN
    assert values(f"dns-version.{DOMAIN}", TXT) == ["1.1.0"]


def test_other_names_are_somebody_elses() -> None:
    assert look_up("example.org", A, WEB).foreign
    assert look_up("notcluster.local", A, WEB).foreign


LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=63)


@given(st.lists(LABEL, min_size=1, max_size=3), st.sampled_from(sorted(message.NAMES)))
def test_a_question_is_read_as_it_was_written(labels: list[str], kind: int) -> None:
    query = message.parse_query(message.build_query(".".join(labels), kind, 77, 1400))
    assert (query.id, query.name, query.type, query.size, query.recursion) == (77, ".".join(labels), kind, 1400, True)


@given(st.binary(max_size=80))
def test_no_bytes_bring_the_server_down(data: bytes) -> None:
    answer = Responder(build([WEB], [])).local(data)
    assert answer is not None
    assert answer[2] & 0x80


def test_records_survive_the_wire() -> None:
    records = (Record("a.b", A, "1.2.3.4"), Record("x.y", SRV, (0, 50, 80, "a.b")), Record("p.q", PTR, "a.b"),
               Record("t.u", TXT, "hello"))
    query = message.parse_query(message.build_query("a.b", A))
    assert message.parse_answer(message.answer(query, NOERROR, records)).records == records


def test_an_answer_too_long_for_udp_is_cut_and_says_so() -> None:
    many = [service("db", "None"), slice_of("db", *(endpoint(f"127.64.16.{i}") for i in range(2, 120)))]
    responder = Responder(build(many[:1], many[1:]))
    name = "db.default.svc.cluster.local"
    cut = message.parse_answer(responder.local(message.build_query(name, A)) or b"")
    assert (cut.truncated, cut.records) == (True, ())
    for whole in (responder.local(message.build_query(name, A, size=4096)),
                  responder.local(message.build_query(name, A), udp=False)):
        assert len(message.parse_answer(whole or b"").records) == 118


def test_who_speaks_edns_is_answered_with_it() -> None:
    responder = Responder(build([WEB], []))
    for size, records in ((0, 0), (4096, 1)):
        answer = responder.local(message.build_query("web.default.svc.cluster.local", A, size=size)) or b""
        assert struct.unpack_from(">6H", answer)[5] == records
        assert answer.endswith(b"\0\0\x29" + struct.pack(">HIH", 1232, 0, 0)) == bool(records)


def test_an_alias_to_a_name_outside_is_followed_there() -> None:
    async def scenario() -> None:
        other = DnsServer("127.0.0.1", domain="example.org", port=0)
        alias = service("www", "", type="ExternalName", externalName="real.default.svc.example.org")
        other.use([alias, service("real", "9.9.9.9")], [])
        await other.start()
        outside = service("ext", "", type="ExternalName", externalName="www.default.svc.example.org")
        lost = service("lost", "", type="ExternalName", externalName="nobody.example.org")
        responder = Responder(build([outside, lost], []), [("127.0.0.1", other.port)])

        async def answers(name: str, kind: int) -> list[tuple[int, Any]]:
            found = message.parse_answer(await responder.respond(message.build_query(name, kind)))
            return [(r.type, r.value) for r in found.records]

        first = (CNAME, "www.default.svc.example.org")
        assert await answers("ext.default.svc.cluster.local", A) == [
            first, (CNAME, "real.default.svc.example.org"), (A, "9.9.9.9")]
        assert await answers("ext.default.svc.cluster.local", CNAME) == [first]
        assert await answers("lost.default.svc.cluster.local", A) == [(CNAME, "nobody.example.org")]
        await other.close()
        assert await answers("ext.default.svc.cluster.local", A) == [first]

    asyncio.run(scenario())


def test_an_upstream_that_talks_nonsense_leaves_the_alias() -> None:
    class Nonsense(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, client: Any) -> None:
            self.transport.sendto(data[:2] + b"\xff" * 20, client)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Nonsense, local_addr=("127.0.0.1", 0))
        responder = Responder(build([EXT], []), [transport.get_extra_info("sockname")])
        answer = await responder.respond(message.build_query("ext.default.svc.cluster.local", A))
        assert [(r.type, r.value) for r in message.parse_answer(answer).records] == [(CNAME, "example.org")]
        transport.close()

    asyncio.run(scenario())


def test_a_long_answer_from_outside_is_fetched_by_tcp() -> None:
    async def scenario() -> None:
        other = DnsServer("127.0.0.1", domain="example.org", port=0)
        other.use([service("db", "None")], [slice_of("db", *(endpoint(f"127.64.16.{i}") for i in range(2, 250)))])
        await other.start()
        outside = service("ext", "", type="ExternalName", externalName="db.default.svc.example.org")
        responder = Responder(build([outside], []), [("127.0.0.1", other.port)])
        answer = await responder.respond(message.build_query("ext.default.svc.cluster.local", A), udp=False)
        assert len(message.parse_answer(answer).records) == 249
        await other.close()

    asyncio.run(scenario())


def test_what_is_asked_by_tcp_is_forwarded_by_tcp() -> None:
    async def scenario() -> None:
        other = DnsServer("127.0.0.1", domain="example.org", port=0)
        many = [endpoint(f"127.64.16.{i}") for i in range(2, 120)]
        other.use([service("db", "None")], [slice_of("db", *many)])
        await other.start()
        responder = Responder(upstream=[("127.0.0.1", other.port)])
        query = message.build_query("db.default.svc.example.org", A)
        assert message.parse_answer(await responder.respond(query)).truncated
        assert len(message.parse_answer(await responder.respond(query, udp=False)).records) == 118
        await other.close()

    asyncio.run(scenario())


def ask_udp(address: tuple[str, int], name: str, kind: int = A) -> message.Answer:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.sendto(message.build_query(name, kind), address)
        return message.parse_answer(client.recv(4096))


def ask_tcp(address: tuple[str, int], *names: str) -> list[message.Answer]:
    with socket.create_connection(address, 3) as client, client.makefile("rb") as stream:
        answers = []
        for name in names:
            query = message.build_query(name, A)
            client.sendall(struct.pack(">H", len(query)) + query)
            answers.append(message.parse_answer(stream.read(struct.unpack(">H", stream.read(2))[0])))
        return answers


def test_the_server_answers_on_udp_and_tcp_and_asks_others_for_other_names() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        other = DnsServer("127.0.0.1", domain="example.org", port=0)
        other.use([{"metadata": {"name": "www", "namespace": "x"}, "spec": {"clusterIP": "9.9.9.9"}}], [])
        await other.start()
        server = DnsServer("127.0.0.1", [("127.0.0.1", other.port)], port=0)
        server.use([WEB], [])
        await server.start()
        place = ("127.0.0.1", server.port)
        ours = await loop.run_in_executor(None, ask_udp, place, "web.default.svc.cluster.local")
        assert [r.value for r in ours.records] == ["127.64.0.7"]
        both = await loop.run_in_executor(
            None, ask_tcp, place, "web.default.svc.cluster.local", "none.default.svc.cluster.local")
        assert [(a.code, len(a.records)) for a in both] == [(NOERROR, 1), (NXDOMAIN, 0)]
        theirs = await loop.run_in_executor(None, ask_udp, place, "www.x.svc.example.org")
        assert [r.value for r in theirs.records] == ["9.9.9.9"]
        server.use([service("web", "127.64.0.99")], [])
        moved = await loop.run_in_executor(None, ask_udp, place, "WEB.default.svc.cluster.local")
        assert [r.value for r in moved.records] == ["127.64.0.99"]
        await server.close()
        await other.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("text", "expected"), [
    ("nameserver 192.0.2.53\nsearch a.b c.d\noptions x\n", (["192.0.2.53"], ["a.b", "c.d"])),
    ("# nothing\nnameserver fe80::1\n", ([], []))])
def test_the_machines_resolvers_are_read(tmp_path: Any, text: str, expected: tuple[list[str], list[str]]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert host_resolvers(str(path)) == expected
    assert host_resolvers(str(tmp_path / "none")) == ([], [])
