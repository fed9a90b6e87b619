"""From a world to the table that is looked into at every connect (objects/policytable.py).

Selectors become sets of addresses and port names become numbers, so that nothing is left to work out.  Pods with equal
rules (the replicas of one Deployment) share a profile, equal selectors share a set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kitlib.network.policy.model import EGRESS, INGRESS, Peer, Policy, PolicyPod, Port, Rule, World

Data = dict[str, Any]


class _Compiler:
    def __init__(self, world: World) -> None:
        self._world = world
        self._sets: dict[tuple[str, ...], int] = {}
        self._profiles: dict[str, int] = {}
        self._compiled: list[list[Data]] = []
        self._chosen: dict[tuple[int, str], list[PolicyPod]] = {}

    def table(self) -> Data:
        sides: dict[str, dict[str, int]] = {EGRESS: {}, INGRESS: {}}
        for pod in self._world.by_ip.values():
            for direction, side in sides.items():
                selecting = self._world.selecting(pod, direction)
                if selecting:
                    side[pod.ip] = self._profile(selecting, direction, pod)
        isolated = sides[EGRESS].keys() | sides[INGRESS].keys()
        nodes = {ip: self._world.by_ip[ip].node_ip for ip in sorted(isolated) if self._world.by_ip[ip].node_ip}
        return {"egress": sides[EGRESS], "ingress": sides[INGRESS], "profiles": self._compiled,
                "sets": [list(addresses) for addresses in self._sets], "nodes": nodes} if isolated else {}

    def _profile(self, policies: list[Policy], direction: str, pod: PolicyPod) -> int:
        rules = [compiled for policy in policies for rule in policy.rules(direction) or ()
                 for compiled in self._rules(policy, rule, direction, pod)]
        key = repr(rules)
        if key not in self._profiles:
            self._profiles[key] = len(self._compiled)
            self._compiled.append(rules)
        return self._profiles[key]

    def _rules(self, policy: Policy, rule: Rule, direction: str, pod: PolicyPod) -> list[Data]:
        """One rule; on the way out, a port's name has its own number at each destination and so needs one more each."""
        who = self._who(policy, rule)
        if not rule.ports:
            return [who]
        named = [port for port in rule.ports if isinstance(port.port, str)]
        ports = [_range(port) for port in rule.ports if not isinstance(port.port, str)]
        if direction == INGRESS:  # the destination is this Pod
            ports += [[port.protocol, number, number] for port in named
                      if (number := pod.port_named(str(port.port), port.protocol))]
            named = []
        result = [who | {"ports": ports}] if ports else []
        for port in named:
            result += self._named(policy, rule, port)
        return result

    def _named(self, policy: Policy, rule: Rule, port: Port) -> list[Data]:
        by_number: dict[int, list[str]] = {}
        for other in self._world.by_ip.values():
            number = other.port_named(str(port.port), port.protocol)
            if number and (not rule.peers or any(peer.covers(other.ip, other, self._world, policy.namespace)
                                                 for peer in rule.peers)):
                by_number.setdefault(number, []).append(other.ip)
        return [{"sets": [self._set(addresses)], "ports": [[port.protocol, number, number]]}
                for number, addresses in sorted(by_number.items())]

    def _who(self, policy: Policy, rule: Rule) -> Data:
        if not rule.peers:
            return {}
        result: Data = {}
        for peer in rule.peers:
            if peer.block is not None:
                result.setdefault("blocks", []).append([str(peer.block), [str(hole) for hole in peer.excepted]])
            else:
                result.setdefault("sets", []).append(self._set(pod.ip for pod in self._pods(policy, peer)))
        return result

    def _pods(self, policy: Policy, peer: Peer) -> list[PolicyPod]:
        key = id(peer), policy.namespace
        if key not in self._chosen:
            self._chosen[key] = [pod for pod in self._world.by_ip.values()
                                 if peer.covers(pod.ip, pod, self._world, policy.namespace)]
        return self._chosen[key]

    def _set(self, addresses: Iterable[str]) -> int:
        key = tuple(sorted(addresses))
        return self._sets.setdefault(key, len(self._sets))


def _range(port: Port) -> list[Any]:
    if port.port is None:
        return [port.protocol, 0, 65535]
    return [port.protocol, port.port, port.end or port.port]


def compile_table(world: World, services: Iterable[Mapping[str, Any]] = ()) -> Data:
    """The table of a world; {} if nobody is isolated.  services: the proxy's desired state (network/userspace.py)."""
    table = _Compiler(world).table()
    if table:
        table["services"] = {f"{entry['ip']}:{entry['port']}/{entry['protocol']}": _endpoints(entry)
                             for entry in services if "endpoints" in entry and entry["ip"] not in world.by_ip}
    return table


def _endpoints(entry: Mapping[str, Any]) -> list[str]:
    """All that any caller may be led to."""
    lists = (entry["endpoints"], *(route["endpoints"] for route in entry.get("routes") or ()))
    return list(dict.fromkeys(text for each in lists for text in each))
