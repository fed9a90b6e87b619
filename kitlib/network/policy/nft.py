"""NetworkPolicies as nftables rules of one node, a pure function of the same world that `verdict` looks at.

    forward ─ replies, and what is established: accept
       │    ─ ip saddr vmap @egress-pods    a local Pod that is isolated: goto egress/NS/POD
       └───── goto ingress                  any other
    egress/NS/POD   jump policy/NS/NAME/egress (one for each policy that selects it);  drop
    policy/…/egress ip daddr @SET tcp dport 80 goto ingress            (what is allowed goes on to the second side)
    ingress ─ ip daddr vmap @ingress-pods   a local Pod that is isolated: goto ingress/NS/POD
       └───── accept
    ingress/NS/POD  jump policy/NS/NAME/ingress …;  drop
    policy/…/ingress  ip saddr @SET tcp dport 80 accept

How to call it (all of it is one transaction; nothing but this table is touched):

    world = World.of(policies, namespaces, pods, services)
    text = ruleset(world, local={ip of the Pods on this node})
    subprocess.run(["nft", "-f", "-"], input=text)      in the node's network namespace

Call it again whenever `text` is another than before; `ruleset(world, ())` lets everything through.  It hooks into
`forward` (family inet): traffic that is *routed* between Pods and from other nodes, after a Service's address was
translated.  Traffic between the node itself and its Pods takes the hooks input and output, so probes always arrive.
Pods on one Linux bridge reach each other without being routed: there the node's network namespace needs
net.bridge.bridge-nf-call-iptables=1 (it has a value of its own in each), and the same rules see that traffic, too.

Connections that are established when a policy changes go on, as with Calico: the first rule accepts them.

Source: nft(8); nftables' limits on names (256 bytes) and comments (128 bytes).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from kitlib.network.policy.model import EGRESS, INGRESS, Peer, Policy, PolicyPod, Port, Rule, World

TABLE = "inet kit-network-policy"
_COMMENT, _NAME = 127, 200
_PEER = {EGRESS: "ip daddr", INGRESS: "ip saddr"}
_ALLOW = {EGRESS: "goto ingress", INGRESS: "accept"}
_PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


class _Rules:
    def __init__(self, world: World, local: Collection[str]) -> None:
        self._world = world
        self._local = [pod for pod in world.by_ip.values() if pod.ip in local and ":" not in pod.ip]
        self._sets: dict[str, list[str]] = {}
        self._chains: dict[str, list[str]] = {}

    def text(self) -> str:
        maps = {direction: self._direction(direction) for direction in (EGRESS, INGRESS)}
        blocks = [*(_map(direction, entries) for direction, entries in maps.items()),
                  *(_block(f"set {name}", lines) for name, lines in self._sets.items()),
                  _block("chain forward", [
                      "type filter hook forward priority filter; policy accept;",
                      'ct state established,related accept comment "replies, and what was allowed when it began"',
                      "ip saddr vmap @egress-pods", "goto ingress"]),
                  *(_block(f"chain {name}", lines) for name, lines in self._chains.items() if "/ingress" in name),
                  _block("chain ingress", ["ip daddr vmap @ingress-pods", "accept"]),
                  *(_block(f"chain {name}", lines) for name, lines in self._chains.items() if "/ingress" not in name)]
        return f"table {TABLE}\ndelete table {TABLE}\n\ntable {TABLE} {{\n" + "\n".join(blocks) + "}\n"

    def _direction(self, direction: str) -> dict[str, str]:
        entries: dict[str, str] = {}
        for pod in self._local:
            selecting = self._world.selecting(pod, direction)
            if selecting:
                chain = _name(f"{direction}/{pod.key}")
                names = ", ".join(policy.key for policy in selecting)
                itself = f"ip saddr {pod.ip} ip daddr {pod.ip} accept"  # by way of a Service
                self._chains[chain] = [itself, *(f"jump {self._policy(policy, direction)}" for policy in selecting)]
                self._chains[chain].append(f"counter drop {_comment(f'{pod.key}: no rule of {names} allows it')}")
                entries[pod.ip] = f"goto {chain}"
        return entries

    def _policy(self, policy: Policy, direction: str) -> str:
        name = _name(f"policy/{policy.key}/{direction}")
        if name not in self._chains:
            lines = self._chains[name] = list[str]()
            for number, rule in enumerate(policy.rules(direction) or (), start=1):
                lines += self._rule(policy, direction, number, rule)
        return name

    def _rule(self, policy: Policy, direction: str, number: int, rule: Rule) -> Iterable[str]:
        """Every peer with every port; nftables has no "or" but the members of a set."""
        comment = _comment(f"{policy.key}: {direction} rule {number}: {rule.shown(direction)}")
        for peer in rule.peers or (None,):
            if peer is not None and peer.block is not None and peer.block.version != 4:
                continue
            who = "" if peer is None else self._who(policy, peer, direction)
            for port in rule.ports or (None,):
                matched = self._port(policy, peer, port, direction)
                if matched is not None:
                    words = [word for word in (who, matched, "counter", _ALLOW[direction], comment) if word]
                    yield " ".join(words)

    def _who(self, policy: Policy, peer: Peer, direction: str) -> str:
        if peer.block is None:
            pods = (pod.ip for pod in self._chosen(policy, peer))
            return f"{_PEER[direction]} @{self._set('ipv4_addr', sorted(pods), f'{policy.namespace}: {peer}')}"
        holes = [f" {_PEER[direction]} != {hole}" for hole in peer.excepted if hole.version == 4]
        return f"{_PEER[direction]} {peer.block}{''.join(holes)}"

    def _port(self, policy: Policy, peer: Peer | None, port: Port | None, direction: str) -> str | None:
        """The port's condition; None if there is nobody it could fit."""
        if port is None:
            return ""
        protocol = _PROTOCOLS[port.protocol]
        if port.port is None:
            return f"meta l4proto {protocol}"
        if isinstance(port.port, int):
            return f"{protocol} dport {port.port}" + (f"-{port.end}" if port.end else "")
        # A name is another number at each destination: (address, number) pairs.
        at = self._selected(policy) if direction == INGRESS else self._chosen(policy, peer)
        pairs = [f"{pod.ip} . {number}" for pod in at if (number := pod.port_named(port.port, port.protocol))]
        if not pairs:
            return None
        chosen = self._set("ipv4_addr . inet_service", pairs, f"{policy.namespace}: port {port} of {len(pairs)} Pods")
        return f"ip daddr . {protocol} dport @{chosen}"

    def _selected(self, policy: Policy) -> list[PolicyPod]:
        return [pod for pod in self._local if policy.selects(pod)]

    def _chosen(self, policy: Policy, peer: Peer | None) -> list[PolicyPod]:
        pods = [pod for pod in self._world.by_ip.values() if ":" not in pod.ip]
        return pods if peer is None else [p for p in pods if peer.covers(p.ip, p, self._world, policy.namespace)]

    def _set(self, kind: str, elements: list[str], what: str) -> str:
        lines = [f"type {kind}", _comment(what)]
        if elements:
            lines.append(f"elements = {{ {', '.join(elements)} }}")
        name = f"set-{hashlib.sha256(repr((kind, elements, what)).encode()).hexdigest()[:12]}"
        self._sets[name] = lines
        return name


def _map(direction: str, entries: dict[str, str]) -> str:
    lines = ["type ipv4_addr : verdict", _comment(f"Pods of this node that are isolated for {direction}")]
    if entries:
        lines.append(f"elements = {{ {', '.join(f'{ip} : {target}' for ip, target in entries.items())} }}")
    return _block(f"map {direction}-pods", lines)


def _block(head: str, lines: list[str]) -> str:
    return f"\t{head} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"


def _name(text: str) -> str:
    """A chain's name, cut where it is too long but still unique."""
    if len(text) <= _NAME:
        return text
    return f"{text[:_NAME - 13]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _comment(text: str) -> str:
    clean = text.replace('"', "'")
    return f'comment "{clean if len(clean) <= _COMMENT else clean[:_COMMENT - 3] + "..."}"'


def ruleset(world: World, local: Collection[str]) -> str:
    """What `nft -f` makes of this world on a node.  local: the addresses of the Pods that run there."""
    return _Rules(world, local).text()
