"""What a cluster looks like to a NetworkPolicy: a `World` of Pods, Namespaces and parsed policies.

    Policy  selects Pods; has rules for a direction, or None if it says nothing about that direction
     └─ Rule   from these peers (none: anybody), on these ports (none: every port)
         ├─ Peer  podSelector AND namespaceSelector, or an ipBlock
         └─ Port  80/TCP, 8000-8100/UDP, "http" (each destination's own port of that name)

A policy that is there but has no rule for its direction allows nothing: that is "default deny".

Source: staging/src/k8s.io/api/networking/v1/types.go; SetDefaults_NetworkPolicy for the default of policyTypes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kitlib.objects.selectors import EVERYTHING, LabelSelector

Object = Mapping[str, Any]
EGRESS, INGRESS = "egress", "ingress"
MACHINE = ipaddress.ip_network("127.0.0.0/10")  # the node itself; from 127.64.0.0 on, the embedded cluster's Pods
DNS_LABELS = {"k8s-app": "kube-dns"}
_PEERS = {EGRESS: "to", INGRESS: "from"}


@dataclass(frozen=True, slots=True)
class PolicyPod:
    """A Pod, as far as policies care.  ports: (name, number, protocol)."""

    namespace: str
    name: str
    ip: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[tuple[str, int, str], ...] = ()
    node: str = ""
    node_ip: str = ""
    host_network: bool = False

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def port_named(self, name: str, protocol: str) -> int:
        """0 if it has none of that name."""
        return next((number for own, number, its in self.ports if own == name and its == protocol), 0)

    @classmethod
    def of(cls, pod: Object, ip: str = "", node_ip: str = "") -> PolicyPod | None:
        """None for a Pod that has no address (yet), or needs none any more.  ip, node_ip: where its status has none."""
        meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
        address = status.get("podIP") or ip
        if not address or status.get("phase") in ("Succeeded", "Failed"):
            return None
        sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
        ports = tuple((p.get("name", ""), p["containerPort"], p.get("protocol", "TCP"))
                      for c in [*(spec.get("containers") or ()), *sidecars] for p in c.get("ports") or ())
        return cls(meta.get("namespace", ""), meta["name"], address, meta.get("labels") or {}, ports,
                   spec.get("nodeName", ""), status.get("hostIP") or node_ip, bool(spec.get("hostNetwork")))


@dataclass(frozen=True, slots=True)
class Port:
    """port None: every port of the protocol; end: the last one of a range."""

    protocol: str = "TCP"
    port: int | str | None = None
    end: int = 0

    def covers(self, number: int, protocol: str, destination: PolicyPod | None) -> bool:
        if protocol != self.protocol:
            return False
        if self.port is None:
            return True
        if isinstance(self.port, str):  # a name means something only at a Pod
            return destination is not None and destination.port_named(self.port, protocol) == number
        return self.port <= number <= (self.end or self.port)

    def __str__(self) -> str:
        if self.port is None:
            return f"every {self.protocol} port"
        return f"{self.port}-{self.end}/{self.protocol}" if self.end else f"{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Either `block`, or Pods: `namespaces` None means the policy's own namespace."""

    pods: LabelSelector = EVERYTHING
    namespaces: LabelSelector | None = None
    block: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None
    excepted: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    def covers(self, ip: str, pod: PolicyPod | None, world: World, namespace: str) -> bool:
        if self.block is not None:
            address = ipaddress.ip_address(ip)
            return address in self.block and not any(address in network for network in self.excepted)
        if pod is None or pod.host_network:
            return False
        if self.namespaces is None:
            if pod.namespace != namespace:
                return False
        elif not self.namespaces.matches(world.namespaces.get(pod.namespace, {})):
            return False
        return self.pods.matches(pod.labels)

    def __str__(self) -> str:
        if self.block is not None:
            without = f" except {', '.join(map(str, self.excepted))}" if self.excepted else ""
            return f"{self.block}{without}"
        pods = "every Pod" if self.pods.empty else f"Pods with {self.pods}"
        if self.namespaces is None:
            return f"{pods} of this namespace"
        where = "every namespace" if self.namespaces.empty else f"namespaces with {self.namespaces}"
        return f"{pods} in {where}"


@dataclass(frozen=True, slots=True)
class Rule:
    """peers and ports: any of each will do; an empty tuple is no condition."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[Port, ...] = ()

    def shown(self, direction: str) -> str:
        who = ", or ".join(map(str, self.peers)) or "anybody"
        return f"{_PEERS[direction]} {who}, on {', '.join(map(str, self.ports)) or 'every port'}"


@dataclass(frozen=True, slots=True)
class Policy:
    """ingress and egress: None if the policy says nothing about the direction."""

    namespace: str
    name: str
    pods: LabelSelector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def rules(self, direction: str) -> tuple[Rule, ...] | None:
        return self.egress if direction == EGRESS else self.ingress

    def selects(self, pod: PolicyPod) -> bool:
        return pod.namespace == self.namespace and not pod.host_network and self.pods.matches(pod.labels)

    @classmethod
    def of(cls, policy: Object) -> Policy:
        """A policy out of its object; the API has validated it."""
        spec = policy.get("spec") or {}
        types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
        sides = {direction: tuple(_rule(raw, direction) for raw in spec.get(direction) or ())
                 for direction in (EGRESS, INGRESS) if direction.capitalize() in types}
        return cls(policy["metadata"]["namespace"], policy["metadata"]["name"],
                   LabelSelector.of(spec.get("podSelector") or {}), sides.get(INGRESS), sides.get(EGRESS))


def _rule(raw: Object, direction: str) -> Rule:
    ports = tuple(Port(port.get("protocol") or "TCP", port.get("port"), port.get("endPort") or 0)
                  for port in raw.get("ports") or ())
    return Rule(tuple(map(_peer, raw.get(_PEERS[direction]) or ())), ports)


def _peer(raw: Object) -> Peer:
    if raw.get("ipBlock"):
        block = raw["ipBlock"]
        return Peer(block=ipaddress.ip_network(block["cidr"], strict=False),
                    excepted=tuple(ipaddress.ip_network(cidr, strict=False) for cidr in block.get("except") or ()))
    selector = raw.get("namespaceSelector")
    return Peer(LabelSelector.of(raw.get("podSelector") or {}),
                None if selector is None else LabelSelector.of(selector))


@dataclass(frozen=True, slots=True)
class Place:
    """One end of a connection: an address, and the Pod that has it, if any."""

    ip: str
    pod: PolicyPod | None = None

    def __str__(self) -> str:
        return f"Pod {self.pod.key} ({self.ip})" if self.pod else self.ip


class World:
    """All that decides, at one moment.  namespaces: name → labels.  Immutable by convention."""

    def __init__(self, policies: Iterable[Policy], namespaces: Mapping[str, Mapping[str, str]],
                 pods: Iterable[PolicyPod]) -> None:
        self.policies = sorted(policies, key=lambda policy: policy.key)
        self.namespaces = namespaces
        self.pods = {pod.key: pod for pod in sorted(pods, key=lambda pod: pod.key)}
        self.by_ip = {pod.ip: pod for pod in self.pods.values() if not pod.host_network}
        self._by_namespace: dict[str, list[Policy]] = {}
        for policy in self.policies:
            self._by_namespace.setdefault(policy.namespace, []).append(policy)

    @classmethod
    def of(cls, policies: Iterable[Object], namespaces: Iterable[Object], pods: Iterable[Object],
           services: Iterable[Object] = (), starting: Mapping[str, tuple[str, str]] | None = None) -> World:
        """Out of API objects.  starting: uid → (address, node's address), where a status does not tell them yet."""
        known = starting or {}
        seen = [PolicyPod.of(pod, *known.get(pod["metadata"].get("uid", ""), ())) for pod in pods]
        labels = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in namespaces}
        dns = (_dns(service) for service in services)
        return cls(map(Policy.of, policies), labels, [pod for pod in (*seen, *dns) if pod is not None])

    def selecting(self, pod: PolicyPod | None, direction: str) -> list[Policy]:
        """The policies that isolate a Pod in this direction."""
        if pod is None:
            return []
        return [policy for policy in self._by_namespace.get(pod.namespace, ())
                if policy.rules(direction) is not None and policy.selects(pod)]

    def place(self, where: str) -> Place:
        """A Pod by namespace/name, or an address.  Raises KeyError, ValueError for what is neither."""
        if "/" in where:
            return Place(self.pods[where].ip, self.pods[where])
        address = str(ipaddress.ip_address(where))
        return Place(address, self.by_ip.get(address))


def _dns(service: Object) -> PolicyPod | None:
    """The embedded cluster's DNS server is no Pod; policies see it as what it is elsewhere, Pods of kube-system."""
    meta, spec = service["metadata"], service.get("spec") or {}
    if (meta.get("namespace"), meta["name"]) != ("kube-system", "kube-dns") or spec.get("selector"):
        return None
    ports = tuple((p.get("name", ""), p["port"], p.get("protocol", "TCP")) for p in spec.get("ports") or ())
    return PolicyPod("kube-system", "kube-dns", spec.get("clusterIP", ""), DNS_LABELS, ports)
