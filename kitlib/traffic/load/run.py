"""A load from its caller's side: start, look, stop, report."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kitlib.client import Client
from kitlib.traffic import exchange
from kitlib.traffic.failure import Unreachable
from kitlib.traffic.load.pods import PodWatch
from kitlib.traffic.load.report import Report, Sample
from kitlib.traffic.network import Network, Route

MOST_RPS, MOST_SECONDS, MOST_CONNECTIONS = 20_000, 600.0, 1000


class Refused(ValueError):
    """A load that will not be started; the message is one sentence without its full stop."""


class Load:
    """Requests in the background.  `start`, then `stop` or `wait`; `report` at any time.

    seconds None: until `stop` (ten minutes at most).  timeout: seconds in which an answer must come.
    tell: called about four times a second, in a thread, with the report so far.
    """

    def __init__(self, client: Client, url: str, *, rps: float, seconds: float | None = None, connections: int = 10,
                 keepalive: bool = True, namespace: str = "default", headers: Sequence[tuple[str, str]] = (),
                 method: str = "", data: str | bytes | None = None, insecure: bool = False, cacert: str = "",
                 timeout: float = 5.0, network: Network | None = None,
                 tell: Callable[[Report], None] | None = None) -> None:
        _within("rps", rps, MOST_RPS)
        _within("seconds", MOST_SECONDS if seconds is None else seconds, MOST_SECONDS)
        _within("connections", connections, MOST_CONNECTIONS)
        _within("timeout", timeout, MOST_SECONDS)
        self.target = exchange.parse_url(url)
        self.network = network or Network(client, namespace)
        self.rps, self.seconds, self.connections, self.keepalive = rps, seconds, connections, keepalive
        self.timeout, self.insecure, self.cacert = timeout, insecure, _pem(cacert)
        body = data.encode() if isinstance(data, str) else data
        self.request = _encode(self.target, method, headers, body, keepalive)
        self.route = self._route()
        self._tell = tell
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._samples: list[Sample] = []
        self._began = self._ended = 0.0
        self._ready = threading.Event()
        self._trouble = ""
        self.pods = PodWatch(client, self.route.owner) if self.route.owner else None

    def _route(self) -> Route:
        """Raises Refused for what is not the cluster's: a load is for what one owns."""
        try:
            route = self.network.route(self.target.host, self.target.port)
        except Unreachable as error:
            raise Refused(error.failure.message) from error
        if route.owner is None:
            which = "" if route.address == self.target.host else f" ({route.address})"
            raise Refused(f"{self.target.host}{which} is no address of a Service, Pod or node of this cluster, and a "
                          f"load is sent to nobody else")
        return route

    # -- its life -----------------------------------------------------------------------------------------------------

    def start(self) -> Load:
        """Returns when the first request is due."""
        if self.pods:
            self.pods.start()
        self._process = subprocess.Popen([sys.executable, "-m", "kitlib.traffic.load.worker"], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._job()) + "\n")
        self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, name="kit-load", daemon=True)
        self._reader.start()
        self._ready.wait(30)
        if not self._began:
            self.stop()
            raise Refused(f"the load could not be started: {self._trouble or 'its process ended'}")
        return self

    def _job(self) -> dict[str, Any]:
        route, network = self.route, self.network
        named = route.direct and route.address != self.target.host
        refresh = None
        if named and route.owner is not None and route.owner.kind == "Pod":
            conf = network.conf()
            refresh = {"server": conf.server, "searches": conf.searches}
        access = None if route.direct else getattr(network.client.transport, "access", None)
        return {"direct": route.direct, "netns": route.netns,
                "addresses": list(route.addresses or (route.address,)), "port": route.port,
                "host": self.target.host, "scheme": self.target.scheme, "insecure": self.insecure,
                "cacert": self.cacert, "request": self.request, "rps": self.rps, "keepalive": self.keepalive,
                "seconds": self.seconds or MOST_SECONDS, "connections": self.connections, "timeout": self.timeout,
                "refresh": refresh, "namespace": network.namespace,
                "access": asdict(access) if access is not None else None}

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "start" in said:
                self._began = said["start"]
                self._ready.set()
            elif "samples" in said:
                self._samples += [_sample(said, numbers) for numbers in said["samples"]]
                if self._tell:
                    self._tell(self.report())
        self._trouble = (self._process.stderr.read().strip().splitlines() or [""])[-1]
        self._ended = time.monotonic()
        self._ready.set()

    @property
    def running(self) -> bool:
        return self._reader is not None and self._reader.is_alive()

    def wait(self) -> Load:
        """Until the seconds are over and every answer has come or is overdue."""
        if self._reader is not None:
            self._reader.join()
        self._finish()
        return self

    def stop(self) -> Load:
        """Send no more; wait for the answers that are still to come.  May be called twice."""
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        return self.wait()

    def _finish(self) -> None:
        if self._process is not None:
            if self._process.stdin is not None and not self._process.stdin.closed:
                self._process.stdin.close()
            self._process.wait()
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None and not (self._reader and self._reader.is_alive()):
                    pipe.close()
        if self.pods:
            self.pods.stop()

    def __enter__(self) -> Load:
        return self if self._process is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- what it has shown --------------------------------------------------------------------------------------------

    def report(self) -> Report:
        """Of all requests whose end is known so far."""
        samples = sorted(self._samples, key=lambda sample: sample.due)
        route = self.route
        target = f"{route.owner}, {route.address}:{route.port}"
        return Report(self.target.url, self.rps, self._lasted(samples), self.connections, self.keepalive, target,
                      samples, self._lifelines(), route.notes)

    def _lasted(self, samples: list[Sample]) -> float:
        if self.seconds is not None and not self.running:
            return min(self.seconds, self._ended - self._began) if self._began else 0.0
        return samples[-1].due + 1 / self.rps if samples else 0.0

    def _lifelines(self) -> list[dict[str, Any]]:
        """Moments before the start are at 0."""
        if self.pods is None:
            return []
        lines = sorted(self.pods.lifelines.copy().values(), key=lambda line: (
            min((at for at, _ in line.moments), default=math.inf), line.pod))
        return [{"pod": line.pod, "template": line.template,
                 "moments": [{"at": round(max(0.0, at - self._began), 4), "what": what}
                             for at, what in line.moments]} for line in lines]


def _pem(cacert: str) -> str:
    """The text of a certificate that may be given as a file's name."""
    if not cacert or "BEGIN" in cacert:
        return cacert
    try:
        return Path(cacert).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{cacert} cannot be read as a certificate: {getattr(error, 'strerror', error)}") from error


def _sample(said: dict[str, Any], numbers: list[float]) -> Sample:
    due, latency, service, outcome, who, connection = numbers
    pod, version = said["who"][int(who)]
    return Sample(due, latency, service, said["outcomes"][int(outcome)], pod, version, int(connection))


def _within(name: str, value: float, most: float) -> None:
    if not 0 < value <= most:
        raise Refused(f"{name} must be more than 0 and at most {most:g}, not {value:g}")


def _encode(target: exchange.Target, method: str, headers: Sequence[tuple[str, str]], body: bytes | None,
            keepalive: bool) -> str:
    fields = [("User-Agent", "kit-load"), ("Connection", "keep-alive" if keepalive else "close")]
    given = {name.lower() for name, _ in headers}
    pairs = exchange.head(target, [*(pair for pair in fields if pair[0].lower() not in given), *headers], body)
    lines = [f"{method or ('GET' if body is None else 'POST')} {target.path} HTTP/1.1",
             *(f"{name}: {value}" for name, value in pairs), "", ""]
    return "\r\n".join(lines) + (body or b"").decode("latin-1")
