"""One request, from a URL to an answer: what `kit curl`, `kit.curl` and checks share."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence

from kitlib.client import Client
from kitlib.objects.errors import StatusError
from kitlib.traffic import exchange, inside, reach
from kitlib.traffic.exchange import Answer, Target
from kitlib.traffic.failure import Failure, Unreachable, kind_of, words_of
from kitlib.traffic.network import Network

SECONDS = 10.0
Headers = Mapping[str, str] | Sequence[tuple[str, str]]


def request(client: Client, url: str, *, namespace: str = "default", method: str = "", headers: Headers = (),
            data: str | bytes | None = None, insecure: bool = False, cacert: str = "", from_pod: str = "",
            container: str = "", seconds: float = SECONDS, network: Network | None = None) -> Answer:
    """Ask once, and tell what came.

    namespace: names resolve as in a Pod of it.  from_pod: "client" or "team/client"; the connection begins in that
    Pod, so its network policies apply.  Only bad arguments raise (ValueError): that nobody answers is an answer, too
    (`answer.failure`).
    """
    target = exchange.parse_url(url)
    body = data.encode() if isinstance(data, str) else data
    answer = Answer(target.url, method or ("POST" if body is not None else "GET"))
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    network = network or Network(client, namespace)
    clock = exchange.Clock()
    try:
        if from_pod:
            _from_pod(network, target, answer, pairs, body, from_pod, container, insecure, cacert, seconds)
        else:
            _from_here(network, target, answer, pairs, body, insecure, cacert, seconds)
    except Unreachable as error:
        answer.failure = error.failure
    answer.seconds = clock.seconds
    return answer


def _from_here(network: Network, target: Target, answer: Answer, headers: list[tuple[str, str]], body: bytes | None,
               insecure: bool, cacert: str, seconds: float) -> None:
    route = network.route(target.host, target.port)
    answer.address = f"{route.address}:{route.port}"
    answer.notes += route.notes
    sock = route.connect(min(seconds, reach.CONNECT_SECONDS))
    answer.notes.append(f"Connected to {target.host} ({route.address}) port {target.port}"
                        + (f", {route.owner}" if route.owner else ""))
    sock.settimeout(seconds)
    if target.scheme == "https":
        sock = _encrypted(sock, target, insecure, cacert)
    exchange.exchange(sock, target, answer, headers=headers, body=body)


def _from_pod(network: Network, target: Target, answer: Answer, headers: list[tuple[str, str]], body: bytes | None,
              from_pod: str, container: str, insecure: bool, cacert: str, seconds: float) -> None:
    namespace, _, pod = from_pod.removeprefix("pod/").rpartition("/")
    namespace = namespace or network.namespace
    host = target.host
    entry = network.ingresses.find(host) if "." in host else None
    if entry is not None:
        answer.notes.append(f"{host} is a host of {entry}: asking its controller at {entry.target}")
        host = entry.target
    try:
        connection = inside.dial_from(network, namespace, pod, host, target.port, container=container,
                                      seconds=seconds)
    except StatusError as error:
        raise inside.refused(pod, error) from error
    answer.address = f"{host}:{target.port}"
    answer.notes.append(f"The connection begins in Pod {namespace}/{pod}")
    sock = connection.sock
    try:
        if target.scheme == "https":
            sock = _encrypted(sock, target, insecure, cacert)
        exchange.exchange(sock, target, answer, headers=headers, body=body)
    except Unreachable as error:
        answer.failure = error.failure
    if answer.failure is not None and answer.failure.kind != "certificate":
        answer.failure = connection.failure(answer.failure)


def _encrypted(sock: object, target: Target, insecure: bool, cacert: str) -> ssl.SSLSocket:
    try:
        return exchange.encrypt(sock, target.host, insecure=insecure, cacert=cacert)  # type: ignore[arg-type]
    except OSError as error:
        kind = kind_of(error)
        if kind == "certificate":
            raise Unreachable(Failure(kind, f"SSL certificate problem: {words_of(error)}")) from error
        if kind == "timeout":
            raise Unreachable(Failure(kind, "SSL connection timeout")) from error
        raise Unreachable(Failure("tls", f"TLS connect error: {words_of(error)}")) from error
