"""The load's process: sends each request when it is due, and says what came.

    stdin    the job, one line of JSON; when it ends, the load ends
    stdout   {"start": monotonic seconds}, then four times a second {"samples": […], "outcomes": […], "who": […]},
             at last {"end": …}

A sample is [due, latency, service, outcome, who, connection]: seconds since the start, milliseconds from when it was
due, milliseconds from when it was sent, numbers of the outcome, of who answered, and of the connection.

A process of its own, so that whatever the caller does meanwhile (a notebook's kernel, a busy test) delays no request.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections import deque
from functools import partial
from typing import Any

from kitlib.traffic.failure import Unreachable, kind_of
from kitlib.traffic.load.wire import Wire
from kitlib.traffic.netns import enter
from kitlib.traffic.reach import places

TELL_SECONDS = 0.25
REFRESH_SECONDS = 1.0  # a name that leads to Pods (a headless Service) is looked up again
TIMER = 0.002  # the event loop's own lateness is not the server's
LINGER = 0.05


class Request:
    """due and sent: monotonic seconds."""

    __slots__ = ("due", "sent", "since", "timer")

    def __init__(self, due: float, now: float) -> None:
        self.due, self.sent = due, now
        self.since = now if now - due < TIMER else due
        self.timer: asyncio.TimerHandle | None = None


class Load:
    """The job's state.  At most `connections` at once; what finds none free waits, and its latency shows it."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job, self.limit, self.keep = job, job["connections"], job["keepalive"]
        self.request = job["request"].encode("latin-1")
        self.loop = asyncio.get_running_loop()
        self.idle: deque[Wire] = deque()
        self.open = 0
        self.waiting: deque[Request] = deque()
        self.pending: set[Request] = set()  # due, and nothing known yet
        self.samples: list[list[float]] = []
        self.outcomes: dict[str, int] = {}
        self.who: dict[tuple[str, str], int] = {}
        self.addresses: list[str] = job["addresses"]
        self.turn = 0
        self.place = 0
        self.numbers: dict[Wire, int] = {}
        self.counter = 0
        self.start = 0.0
        self.stopped = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.context = _context(job) if job["scheme"] == "https" else None
        self.dialled = _forwarder(job) if not job["direct"] else None

    # -- the clock ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        telling = [self.loop.create_task(self._tell_often())]
        if self.job["refresh"]:
            telling.append(self.loop.create_task(self._refresh()))
        self.start = time.monotonic()
        say({"start": self.start})
        await self._send_all()
        last = time.monotonic() + self.job["timeout"] + LINGER
        while self.pending and time.monotonic() < last:
            await asyncio.sleep(LINGER)
        for request in list(self.pending):
            self._note(request, "timeout", ("", ""), 0)
        for task in telling:
            task.cancel()
        self._tell()
        say({"end": time.monotonic() - self.start})

    async def _send_all(self) -> None:
        number, step = 0, 1 / self.job["rps"]
        end = self.start + self.job["seconds"]
        while not self.stopped.is_set():
            now = time.monotonic()
            due = self.start + number * step
            while due <= now and due < end:
                self._send(Request(due, now))
                number += 1
                due = self.start + number * step
            if due >= end:
                wait = end - now
                if wait > 0:
                    await self._sleep(wait)
                return
            await self._sleep(due - now)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.stopped.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    # -- requests and connections -------------------------------------------------------------------------------------

    def _send(self, request: Request) -> None:
        """All connections are opened, then used in turn: so a load reaches all Pods even if it is a light one."""
        self.pending.add(request)
        if self.open < self.limit:
            self._connect(request)
            return
        while self.idle:
            wire = self.idle.popleft()
            if wire.usable:
                self._ask(wire, request)
                return
        self.waiting.append(request)

    def _ask(self, wire: Wire, request: Request) -> None:
        request.sent = time.monotonic()
        request.timer = self.loop.call_later(self.job["timeout"], self._too_late, wire)
        wire.ask(self.request, request)

    def _connect(self, request: Request) -> None:
        self.open += 1
        task = self.loop.create_task(self._connect_and_ask(request))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connect_and_ask(self, request: Request) -> None:
        self.counter += 1
        number = self.counter
        try:
            wire = await asyncio.wait_for(self._dial(), self.job["timeout"])
        except Unreachable as error:
            self._failed(request, error.failure.kind, number)
        except (OSError, asyncio.TimeoutError) as error:
            kind = kind_of(error) if isinstance(error, OSError) else "timeout"
            self._failed(request, kind, number)
        else:
            if wire.lost:  # accepted and reset at once, before we could say a word
                self._note(request, "reset", ("", ""), number)
                return
            self.numbers[wire] = number
            self._ask(wire, request)

    def _failed(self, request: Request, kind: str, number: int) -> None:
        self.open -= 1
        self._note(request, kind, ("", ""), number)
        self._next()

    async def _dial(self) -> Wire:
        factory = partial(Wire, self._done, self._gone)
        name = self.job["host"] if self.context else None
        if self.dialled is not None:
            sock = await self.loop.run_in_executor(None, self.dialled, self.job["timeout"])
            sock.setblocking(False)
            return (await self.loop.create_connection(factory, sock=sock, ssl=self.context, server_hostname=name))[1]
        self.turn += 1
        address = self.addresses[self.turn % len(self.addresses)]
        ports = places(address, self.job["port"])
        try:
            made = await self.loop.create_connection(factory, address, ports[self.place % len(ports)],
                                                     ssl=self.context, server_hostname=name)
        except ConnectionRefusedError:
            if len(ports) == 1:
                raise
            made = await self.loop.create_connection(factory, address, ports[(self.place + 1) % len(ports)],
                                                     ssl=self.context, server_hostname=name)
            self.place += 1  # low ports are in the other place here
        return made[1]

    def _done(self, wire: Wire, outcome: str, who: tuple[str, str]) -> None:
        ended: Request = wire.token
        if ended.timer is not None:
            ended.timer.cancel()
        self._note(ended, outcome, who, self.numbers.get(wire, 0))
        if not wire.usable or outcome in ("closed", "reset", "timeout"):
            return  # it says goodbye itself
        if not self.keep:
            wire.close()
        elif request := self._longest_waiting():
            self._ask(wire, request)
        else:
            self.idle.append(wire)

    def _gone(self, wire: Wire) -> None:
        self.open -= 1
        self.numbers.pop(wire, None)
        if wire in self.idle:
            self.idle.remove(wire)
        self._next()

    def _next(self) -> None:
        while self.open < self.limit and (request := self._longest_waiting()):
            self._connect(request)

    def _longest_waiting(self) -> Request | None:
        """Who has waited too long for a connection has given up."""
        while self.waiting:
            request = self.waiting.popleft()
            if time.monotonic() - request.due < self.job["timeout"]:
                return request
            self._note(request, "timeout", ("", ""), 0)
        return None

    def _too_late(self, wire: Wire) -> None:
        if wire.asking:
            self._done(wire, "timeout", ("", ""))
            wire.close()

    # -- what is told -------------------------------------------------------------------------------------------------

    def _note(self, request: Request, outcome: str, who: tuple[str, str], connection: int) -> None:
        if request not in self.pending:
            return  # its end is known already
        self.pending.remove(request)
        now = time.monotonic()
        self.samples.append([round(request.due - self.start, 5), round((now - request.since) * 1000, 3),
                             round((now - request.sent) * 1000, 3),
                             self.outcomes.setdefault(outcome, len(self.outcomes)),
                             self.who.setdefault(who, len(self.who)), connection])

    async def _tell_often(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            self._tell()

    def _tell(self) -> None:
        samples, self.samples = self.samples, []
        say({"samples": samples, "outcomes": list(self.outcomes), "who": list(self.who)})

    async def _refresh(self) -> None:
        from kitlib.traffic.resolve import ResolvConf, look_up

        conf = ResolvConf(self.job["refresh"]["server"], tuple(self.job["refresh"]["searches"]))
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                found = await self.loop.run_in_executor(None, look_up, conf, self.job["host"])
            except Unreachable:
                continue
            self.addresses = found.addresses or self.addresses


def _context(job: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=job["cacert"] or None)
    if job["insecure"]:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _forwarder(job: dict[str, Any]) -> Any:
    """Connections through the API, for a cluster whose network is not this machine's."""
    from kitlib.client import Client
    from kitlib.client.http import HttpTransport
    from kitlib.client.kubeconfig import Access
    from kitlib.traffic.network import Network

    network = Network(Client(HttpTransport(Access(**job["access"])), "kit-load"), job["namespace"], through_api=True)
    return network.route(job["host"], job["port"]).connect


def say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words, separators=(",", ":")) + "\n")
    sys.stdout.flush()


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    job = json.loads(await reader.readline())
    if job["netns"]:
        enter(job["netns"])
    load = Load(job)

    async def until_told() -> None:
        await reader.read()  # nothing comes any more: this ends when the caller does
        load.stopped.set()

    ending = loop.create_task(until_told())
    await load.run()
    ending.cancel()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:  # slower, but the same
        asyncio.run(main())
    else:
        uvloop.run(main())
