"""Networks as Docker has them: bridges between standalone containers.

    daemon's own network
       ├ docker0     172.18.0.1/16 ── vethN ── eth0 172.18.0.2  container
       └ br-0f3a…    172.19.0.1/16 ── vethN ── eth1 172.19.0.2  the same container, in two networks
                                  └── vethM ── eth0 172.19.0.3  another

Bridges, wires and rules are in the daemon's own namespace, so they go with it, and the host's network is not touched.
Networks do not reach each other, as with Docker's DOCKER-ISOLATION chains.  The way out has no wire: TCP connections
and questions to name servers are redirected to the engine, which carries them on from the host.

Source: moby's libnetwork/drivers/bridge; man veth(4), ip-link(8), nft(8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kitlib.runtime.oci.command import Commands, which
from kitlib.runtime.oci.network import descriptor

Ready = Callable[[str], None]  # called with "" or with why not


class Wire(NamedTuple):
    """One end of a container in a network.  gateway: "" where its default route does not lead."""

    interface: str
    bridge: str
    address: str
    prefix: int
    mac: str
    gateway: str


class Bridges:
    """fabric: the daemon's own network namespace."""

    def __init__(self, commands: Commands, fabric: int) -> None:
        self._commands, self._fabric = commands, fabric
        self._known: dict[str, dict[str, Any]] = {}
        self._count = 0
        self._outside = (0, 0)
        self._making: dict[str, list[Ready]] = {}  # who waits for a bridge that is being made

    def make(self, name: str, gateway: str, prefix: int, internal: bool, isolated: bool, done: Ready) -> None:
        """A bridge, or nothing if it is there.  isolated: its containers do not reach each other (icc=false)."""
        if name in self._making:
            self._making[name].append(done)
            return
        if name in self._known:
            done("")
            return
        self._making[name] = [done]

        def made(why: str) -> None:
            for waiting in self._making.pop(name):
                waiting(why)

        self._known[name] = {"gateway": gateway, "prefix": prefix, "internal": internal, "isolated": isolated}
        steps = [f"link add {name} type bridge", *([f"addr add {gateway}/{prefix} dev {name}"] if gateway else []),
                 f"link set {name} up"]  # fmt: skip
        self._batch(self._fabric, ["link set lo up", *steps],
                    lambda why: made(why) if why else self._guard(made))  # fmt: skip

    def remove(self, name: str, done: Ready) -> None:
        if self._known.pop(name, None) is None:
            done("")
            return
        self._batch(self._fabric, [f"link del {name}"], lambda why: done(why) if why else self._guard(done))

    def lead_outside(self, tcp: int, names: int, done: Ready) -> None:
        """Whatever leaves the networks goes to these ports of the daemon's own network (engine/networks/outside.py)."""
        self._outside = tcp, names
        self._guard(done)

    def _guard(self, done: Ready) -> None:
        """The rules are written anew as a whole, in one transaction; without nft there are none, and no way out."""
        try:
            which("nft")
        except FileNotFoundError:
            done("")
            return

        def ended(code: int, _: bytes, stderr: bytes) -> None:
            done(f"nft: {stderr.decode(errors='replace').strip()}" if code else "")

        self._commands.run(["nft", "-f", "-"], ended, stdin=rules(self._known, self._outside).encode(),
                           namespace=self._fabric)

    def attach(self, namespace: int, wire: Wire, done: Ready) -> None:
        """Put an interface into a container's namespace."""
        self._count += 1
        near = f"veth{self._count:x}"
        outside = [f"link add {near} type veth peer name {wire.interface} address {wire.mac} netns "
                   f"{descriptor(namespace)}", f"link set {near} master {wire.bridge}", f"link set {near} up"]
        inside = [f"addr add {wire.address}/{wire.prefix} broadcast + dev {wire.interface}",
                  f"link set {wire.interface} up",
                  *([f"route replace default via {wire.gateway} dev {wire.interface}"] if wire.gateway else [])]
        self._batch(self._fabric, outside,
                    lambda why: done(why) if why else self._batch(namespace, inside, done))  # fmt: skip

    def detach(self, namespace: int, interface: str, done: Ready) -> None:
        self._batch(namespace, [f"link del {interface}"], done)

    def route(self, namespace: int, gateway: str, done: Ready) -> None:
        """Another default route, or none."""
        line = f"route replace default via {gateway}" if gateway else "route del default"
        self._batch(namespace, [line], lambda why: done(why if gateway else ""))

    def loopback(self, namespace: int, done: Ready) -> None:
        self._batch(namespace, ["link set lo up"], done)

    def _batch(self, namespace: int, lines: list[str], done: Ready) -> None:
        def ended(code: int, _: bytes, stderr: bytes) -> None:
            done(f"ip: {stderr.decode(errors='replace').strip()}" if code else "")

        self._commands.run(["ip", "-batch", "-"], ended, stdin="\n".join(lines).encode() + b"\n", namespace=namespace)


def rules(bridges: Mapping[str, Mapping[str, Any]], outside: tuple[int, int]) -> str:
    """For `nft -f -`: from bridge to bridge nothing passes; what leaves is taken to where it is carried on.

    outside: the ports for TCP and for questions to name servers; 0: there is no way out.
    """
    lines = ["add table inet kit", "delete table inet kit", "table inet kit {", " chain forward {",
             "  type filter hook forward priority 0; policy drop;",
             # Neighbours need no router, but with the module br_netfilter their packets come by here, too.
             *(f'  iifname "{name}" oifname "{name}" accept' for name in bridges), " }"]
    if all(outside) and bridges:
        gateways = ", ".join(one["gateway"] for one in bridges.values())
        subnets = ", ".join(f"{one['gateway']}/{one['prefix']}" for one in bridges.values())
        lines += [" chain out {", "  type nat hook prerouting priority -100; policy accept;",
                  *(f'  iifname "{name}" return' for name, one in bridges.items() if one["internal"]),
                  f"  ip daddr {{ {gateways} }} meta l4proto tcp redirect to :{outside[0]}",
                  f"  ip daddr {{ {subnets} }} return", f"  meta l4proto tcp redirect to :{outside[0]}",
                  f"  udp dport 53 redirect to :{outside[1]}", " }"]  # fmt: skip
    lines += ["}"]
    apart = [name for name, one in bridges.items() if one["isolated"]]
    lines += ["add table bridge kit", "delete table bridge kit"]
    if apart:
        lines += ["table bridge kit {", " chain forward {", "  type filter hook forward priority 0; policy accept;",
                  *(f'  meta ibrname "{name}" drop' for name in apart), " }", "}"]
    return "\n".join(lines) + "\n"
