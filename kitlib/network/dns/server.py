"""The DNS server: questions in by UDP and TCP, answers out of the zone; other names go to the machine's own resolver.

    Pod ──▶ 127.X.0.10:53 ──▶ Zone.look_up ──▶ answer
                              ├─ foreign ─▶ /etc/resolv.conf's nameserver ─▶ its answer, as it is
                              └─ an alias to a foreign name ─▶ the alias, and what the nameserver says to its target

The zone is made anew a moment after a Service or EndpointSlice changes; between two changes an answer costs one look
into a dict.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...objects import lowports
from .. import sockets
from . import message
from .message import CNAME, SERVFAIL, A, Malformed, Query, Record
from .zone import DOMAIN, Result, Zone, build

if TYPE_CHECKING:
    from ...client.informer import Informer

PORT = 53
REBUILD_DELAY = 0.005
UPSTREAM_TIMEOUT = 2.0
Address = tuple[str, int]
Listen = Callable[[str, int, int], Awaitable[socket.socket]]


class Responder:
    """One question, one answer; `zone` may be exchanged at any time."""

    def __init__(self, zone: Zone | None = None, upstream: Sequence[Address] = ()) -> None:
        self.zone = zone or Zone()
        self.upstream = upstream

    def of(self, client: str) -> Responder:
        """Who answers this client: everybody gets the same answers, unless somebody knows better."""
        return self

    def local(self, data: bytes, udp: bool = True) -> bytes | None:
        """The answer, or None if the machine's resolver has to be asked."""
        try:
            query = message.parse_query(data)
        except Malformed:
            return message.refusal(data, message.FORMERR)
        result = self.zone.look_up(query.name, query.type)
        if self.upstream and (result.foreign or _leads_outside(self.zone, query, result)):
            return None
        return self._no_upstream(query) if result.foreign else self._own(query, result, udp)

    @staticmethod
    def _own(query: Query, result: Result, udp: bool, more: Sequence[Record] = ()) -> bytes:
        answers = list(result.answers)
        if len(answers) > 1 and answers[0].type == A:
            random.shuffle(answers)   # as CoreDNS' loadbalance plugin: clients take the first
        return message.answer(query, result.code, [*answers, *more], result.authority, result.additional, udp=udp)

    async def respond(self, data: bytes, udp: bool = True) -> bytes:
        known = self.local(data, udp)
        if known is not None:
            return known
        query = message.parse_query(data)
        result = self.zone.look_up(query.name, query.type)
        if result.foreign:
            return await self._ask(data, udp) or self._no_upstream(query)
        return self._own(query, result, udp, await self._follow(str(result.answers[-1].value), query.type))

    async def _follow(self, target: str, kind: int) -> list[Record]:
        """Where an alias to a name outside leads; nothing if nobody knows: then the alias is all the client gets."""
        asked = message.build_query(target, kind, random.randrange(1 << 16), message.OUR_SIZE)
        for udp in (True, False):   # what does not fit is asked for once more
            try:
                answer = message.parse_answer(await self._ask(asked, udp) or b"")
            except (Malformed, struct.error, ValueError):   # nobody answered, or not in DNS
                return []
            if not answer.truncated:
                return [record for record in answer.records if record.type in (CNAME, kind)]
        return []

    async def _ask(self, data: bytes, udp: bool) -> bytes | None:
        """The machine's resolvers, one after the other; by UDP or TCP, as we were asked ourselves."""
        for server in self.upstream:
            with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                asking = _forward(data, server) if udp else _forward_tcp(data, server)
                return await asyncio.wait_for(asking, UPSTREAM_TIMEOUT)
        return None

    @staticmethod
    def _no_upstream(query: Query) -> bytes:
        return message.answer(query, SERVFAIL)


def _leads_outside(zone: Zone, query: Query, result: Result) -> bool:
    """Does the answer end with an alias whose target is somebody else's?"""
    if not result.answers or result.answers[-1].type != CNAME or query.type == CNAME:
        return False
    return not zone.owns(str(result.answers[-1].value))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, client: Any) -> None:
        answer = self._responder.of(client[0]).local(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, client)
            return
        task = asyncio.ensure_future(self._ask_upstream(data, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_upstream(self, data: bytes, client: Any) -> None:
        answer = await self._responder.of(client[0]).respond(data)
        if self._transport is not None:
            self._transport.sendto(answer, client)


class _Question(asyncio.DatagramProtocol):
    """One question to another server."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.sendto(self._data)  # type: ignore[attr-defined]

    def datagram_received(self, data: bytes, server: Any) -> None:
        if not self.answer.done() and data[:2] == self._data[:2]:
            self.answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def _forward(data: bytes, server: Address) -> bytes:
    loop = asyncio.get_running_loop()
    transport, question = await loop.create_datagram_endpoint(lambda: _Question(data), remote_addr=server)
    try:
        return await question.answer
    finally:
        transport.close()


async def _forward_tcp(data: bytes, server: Address) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack(">H", len(data)) + data)
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


async def _listen_here(address: str, port: int, kind: int) -> socket.socket:
    """A bound socket of this machine's network."""
    return sockets.bound(socket.socket(socket.AF_INET, kind), address, port)


class DnsServer:
    """Listens on one address, UDP and TCP.  `follow` keeps its zone up to date.

    listen: makes a bound socket from (address, port, kind), wherever the address is.
    """

    def __init__(self, address: str, upstream: Sequence[Address] = (), *, domain: str = DOMAIN,
                 port: int = PORT, listen: Listen = _listen_here) -> None:
        self._listen = listen
        self.address, self.domain = address, domain
        self.port = lowports.reachable(port, lowports.unprivileged_port_start())
        self.responder = Responder(Zone(domain), upstream)
        self._udp: asyncio.BaseTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sources: tuple[Informer, Informer] | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        tcp = await self._listen(self.address, self.port, socket.SOCK_STREAM)
        self._tcp = await asyncio.start_server(self._serve, sock=tcp)
        self.port = tcp.getsockname()[1]
        udp = await self._listen(self.address, self.port, socket.SOCK_DGRAM)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self.responder), sock=udp)

    async def restart(self) -> None:
        """Listen again: the network of its sockets has gone."""
        await self.close()
        await self.start()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()

    def follow(self, services: Informer, slices: Informer) -> None:
        self._sources = (services, slices)
        loop = asyncio.get_running_loop()
        for informer in self._sources:
            informer.add_handler(self._changed(loop))
        self.rebuild()

    def rebuild(self) -> None:
        self._timer = None
        if self._sources is not None:
            self.use(self._sources[0].list(), self._sources[1].list())

    def use(self, services: Iterable[Mapping[str, Any]], slices: Iterable[Mapping[str, Any]]) -> None:
        self.responder.zone = build(services, slices, self.domain)

    def _changed(self, loop: asyncio.AbstractEventLoop) -> Callable[..., None]:
        def changed(kind: str, old: Any, new: Any) -> None:
            if self._timer is None:
                self._timer = loop.call_later(REBUILD_DELAY, self.rebuild)
        return changed

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """TCP: each message with its length in front; as many as the client likes."""
        try:
            while True:
                (length,) = struct.unpack(">H", await reader.readexactly(2))
                responder = self.responder.of(writer.get_extra_info("peername")[0])
                answer = await responder.respond(await reader.readexactly(length), udp=False)
                writer.write(struct.pack(">H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def host_resolvers(path: str = "/etc/resolv.conf") -> tuple[list[str], list[str]]:
    """(nameservers, search domains) of this machine."""
    servers: list[str] = []
    searches: list[str] = []
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["nameserver"] and len(words) > 1 and ":" not in words[1]:
                servers.append(words[1])
            elif words[:1] in (["search"], ["domain"]):
                searches = words[1:]
    return servers, searches


def dns_slice(endpoint: str) -> dict[str, Any]:
    """Its endpoint, where the server listens on an address of its own and rules lead from the Service to it."""
    ports = [{"name": "dns", "port": PORT, "protocol": "UDP"}, {"name": "dns-tcp", "port": PORT, "protocol": "TCP"}]
    return {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
            "metadata": {"name": "kube-dns", "namespace": "kube-system",
                         "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "endpoints": [{"addresses": [endpoint], "conditions": {"ready": True}}], "ports": ports}


def dns_service(address: str) -> dict[str, Any]:
    """The Service kube-dns, for those who look for it.  No endpoints: the server itself listens on the address."""
    ports = [{"name": "dns", "port": PORT, "protocol": "UDP"}, {"name": "dns-tcp", "port": PORT, "protocol": "TCP"}]
    return {"kind": "Service", "apiVersion": "v1",
            "metadata": {"name": "kube-dns", "namespace": "kube-system",
                         "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}},
            "spec": {"clusterIP": address, "clusterIPs": [address], "ports": ports}}
