"""What a name means to a container: that of its neighbours, in the networks that it shares with them.

    web, its aliases, the beginning of its id, web.NETWORK   A     its address in a network they share
    3.0.18.172.in-addr.arpa                                  PTR   web.NETWORK
    anything else                                            the host's name servers

Source: moby's libnetwork/resolver.go (127.0.0.11), sandbox.go (ResolveName).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from kitlib.network.dns.message import ANY, PTR, A, Record
from kitlib.network.dns.server import Responder, host_resolvers
from kitlib.network.dns.zone import Result, Zone

if TYPE_CHECKING:
    from kitlib.engine.containers.record import Container

_PREDEFINED = ("bridge", "host", "none")


class Neighbours(Zone):
    """The names that one container knows."""

    def __init__(self, asking: Callable[[], Container | None], containers: Callable[[], Iterable[Container]]) -> None:
        super().__init__("")
        self._asking, self._containers = asking, containers

    def _known(self) -> Iterator[tuple[str, str, str]]:
        """(name, network, address) of everybody it shares a network with."""
        me = self._asking()
        for network in me.networks if me is not None else ():
            if network in _PREDEFINED:
                continue
            for one in self._containers():
                endpoint = one.networks.get(network)
                if one.running and endpoint and endpoint["IPAddress"]:
                    for name in (one.name, *(endpoint.get("Aliases") or ())):
                        yield name.lower(), network.lower(), endpoint["IPAddress"]

    def owns(self, name: str) -> bool:
        wanted = name.lower().rstrip(".")
        return any(wanted in (known, f"{known}.{network}") for known, network, _ in self._known())

    def look_up(self, name: str, kind: int) -> Result:
        wanted = name.lower().rstrip(".")
        if wanted.endswith(".in-addr.arpa") and kind in (PTR, ANY):
            address = ".".join(reversed(wanted.removesuffix(".in-addr.arpa").split(".")))
            found = [f"{known}.{network}" for known, network, ip in self._known() if ip == address]
            return Result(answers=(Record(name, PTR, found[0]),)) if found else Result(foreign=True)
        addresses = dict.fromkeys(ip for known, network, ip in self._known()
                                  if wanted in (known, f"{known}.{network}"))
        if not addresses:
            return Result(foreign=True)
        return Result(answers=tuple(Record(name, A, ip) for ip in addresses) if kind in (A, ANY) else ())


class Names:
    """containers: all there are."""

    def __init__(self, containers: Callable[[], Iterable[Container]]) -> None:
        self._containers = containers

    def responder(self, container: Container | None) -> Responder:
        """Of one container; None: of whoever asks, known by its address."""
        upstream = [(one, 53) for one in host_resolvers()[0]]
        if container is not None:
            return Responder(Neighbours(lambda: container, self._containers), upstream)
        return _ByCaller(self._containers, upstream)


class _ByCaller(Responder):
    def __init__(self, containers: Callable[[], Iterable[Container]], upstream: list[tuple[str, int]]) -> None:
        super().__init__(Zone(), upstream)
        self._containers = containers

    def of(self, client: str) -> Responder:
        def asking() -> Container | None:
            return next((one for one in self._containers() if client and one.ip == client), None)

        return Responder(Neighbours(asking, self._containers), self.upstream)
