"""Who may talk to whom, in any cluster, worked out from its API: what `kit policy` and `kit.policy` show.

    NetworkPolicies, Namespaces, Pods, Services ──▶ Reachability ──▶ .matrix()              every pair of Pods
                                                                └─▶ .explain("client", "web", 8080)   one connection

It says what the policies mean.  Whether the cluster keeps to them is another question: measure it (`kit.policy` does).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from kitlib.client import Client
from kitlib.cluster.errors import UsageError
from kitlib.network.policy import Verdict, World, verdict
from kitlib.network.policy.agent import POLICIES
from kitlib.network.policy.model import EGRESS, INGRESS, Place, Policy, PolicyPod
from kitlib.network.service_ports import service_ports

SLICES = "endpointslices.discovery.k8s.io"
ANY_PORT = 80  # asked for where a Pod names no port of its own
Object = dict[str, Any]


class Reachability:
    """One look at a cluster.  namespace: where a short name is looked for."""

    def __init__(self, client: Client, namespace: str = "default") -> None:
        self.namespace = namespace
        policies, namespaces, pods, services, slices = (
            client.list(resource)["items"] for resource in (POLICIES, "namespaces", "pods", "services", SLICES))
        self.world = World.of(policies, namespaces, pods, services)
        self._ports = service_ports(services, slices)

    # -- everybody and everybody ----------------------------------------------------------------------

    def matrix(self, namespaces: Sequence[str] = (), port: int = 0, protocol: str = "TCP") -> Object:
        """Plain data for `views/policy_figure.py`.  namespaces: by default the one looked for.

        port: ask for this one; by default for each that a Pod names, of any protocol.
        """
        chosen = list(namespaces) or [self.namespace]
        pods = [pod for name in chosen for pod in self.world.pods.values() if pod.namespace == name]
        cells = [_cell(verdict(self.world, Place(source.ip, source), Place(target.ip, target), number, kind))
                 for source in pods for target in pods if source is not target
                 for number, kind in ([(port, protocol)] if port else _ports_of(target))]
        return {"namespaces": {name: dict(self.world.namespaces.get(name, {})) for name in chosen},
                "pods": [_pod(pod) for pod in pods], "cells": cells,
                "policies": [self._policy(policy, pods) for policy in self.world.policies
                             if policy.namespace in chosen]}  # fmt: skip

    def _policy(self, policy: Policy, pods: Sequence[PolicyPod]) -> Object:
        sides: Object = {side: None if (rules := policy.rules(side)) is None else [rule.shown(side) for rule in rules]
                         for side in (INGRESS, EGRESS)}
        return {"name": policy.key, "selects": [pod.key for pod in pods if policy.selects(pod)], **sides}

    # -- one connection -------------------------------------------------------------------------------

    def explain(self, source: str, destination: str, port: int = 0, protocol: str = "TCP") -> list[Verdict]:
        """The verdict; one for each endpoint if the destination is a Service ("svc/web", or its address).

        source, destination: "client", "team/client", "pod/client", an address.  port: by default the destination's
        first.  Raises UsageError in one sentence.
        """
        origin = self._place(source)
        service = self._service(destination, port)
        if service is not None:
            return [verdict(self.world, origin, self._at(ip), number, kind) for ip, number, kind in service]
        target = self._place(destination)
        if not port:
            port, protocol = (_ports_of(target.pod) if target.pod else [(ANY_PORT, protocol)])[0]
        return [verdict(self.world, origin, target, port, protocol)]

    def _at(self, ip: str) -> Place:
        return Place(ip, self.world.by_ip.get(ip))

    def _place(self, text: str) -> Place:
        name = text.removeprefix("pod/")
        try:
            return self._at(str(ipaddress.ip_address(name)))
        except ValueError:
            key = name if "/" in name else f"{self.namespace}/{name}"
        pod = self.world.pods.get(key)
        if pod is None:
            namespace = key.partition("/")[0]
            there = [pod.name for pod in self.world.pods.values() if pod.namespace == namespace]
            raise UsageError(f'"{text}" is no address, and no running Pod of namespace {namespace}; '
                             f"there is: {', '.join(there) or 'none'}.")
        return Place(pod.ip, pod)

    def _service(self, text: str, port: int) -> list[tuple[str, int, str]] | None:
        """The endpoints behind "svc/web" or a Service's address; None if it is none."""
        kind, slash, name = text.partition("/")
        named = bool(slash) and kind in ("svc", "service", "services")
        namespace, _, short = name.rpartition("/")
        if named:
            found = [p for p in self._ports if (p.namespace, p.service) == (namespace or self.namespace, short)]
        else:
            found = [p for p in self._ports if text in (*p.cluster_ips, *p.external_ips, *p.load_balancer_ips)
                     and text not in self.world.by_ip]
        if not found and not named:
            return None
        found = [p for p in found if port in (0, p.port)]
        endpoints = [(e.ip, e.port, p.protocol) for p in found for e in p.endpoints]
        if not endpoints:
            raise UsageError(f"{text}{f' port {port}' if port else ''} has no endpoints, so a connection is refused, "
                             "whatever the policies say.")
        return endpoints


def _ports_of(pod: PolicyPod) -> list[tuple[int, str]]:
    return [(number, protocol) for _, number, protocol in pod.ports] or [(ANY_PORT, "TCP")]


def _pod(pod: PolicyPod) -> Object:
    return {"key": pod.key, "namespace": pod.namespace, "name": pod.name, "ip": pod.ip, "labels": dict(pod.labels)}


def _cell(found: Verdict) -> Object:
    assert found.source.pod is not None
    assert found.destination.pod is not None
    return {"from": found.source.pod.key, "to": found.destination.pod.key, "ip": found.destination.ip,
            "port": found.port, "protocol": found.protocol, "allowed": found.allowed,
            "egress": found.egress.allowed, "ingress": found.ingress.allowed}  # fmt: skip
