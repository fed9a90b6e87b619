"""EndpointSlice: from a Service's selector to the addresses behind it.

    Service (selector)  +  Pods (labels, IP, Ready)   ──▶   EndpointSlices (≤ 100 addresses each)   ──▶   kube-proxy

Every matching Pod that has an address is an endpoint, ready or not, until it has ended and is being removed; three
conditions say what may be done with it:

    serving      the Pod is Ready
    terminating  it is on its way out
    ready        serving and not terminating: send traffic here (or publishNotReadyAddresses: always)

A Service with a trafficDistribution adds a hint to each ready endpoint: whose traffic is it best for?  The zone's own
(PreferSameZone, once called PreferClose), or the node's own (PreferSameNode).  kube-proxy follows hints where it can.

Pods may resolve a named target port differently, so endpoints are grouped by their port numbers, one group of slices
each.  Slices change as little as possible: what is right stays where it is, free places are filled, and only then is
a new slice made.  One empty slice is kept as a sign that somebody has looked.

Source: k8s.io/endpointslice (reconciler.go, utils.go, trafficdist.go), kubernetes/pkg/controller/endpointslice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Update
from kitlib.client.controller import Controller
from kitlib.controllers.pods import is_finished, is_ready
from kitlib.objects.meta import object_key, owner_reference
from kitlib.objects.selectors import LabelSelector

Object = dict[str, Any]

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
ZONE = "topology.kubernetes.io/zone"
CLOSE = ("PreferClose", "PreferSameZone", "PreferSameNode")
FULL = 100


@dataclass(frozen=True)
class Observed:
    """zones: of the nodes the Pods are on, where they have one."""

    service: Object
    pods: list[Object]
    slices: list[Object]
    zones: Mapping[str, str]


class EndpointSlice(Controller):
    name = "endpointslice"
    resource = "services"
    owns: Sequence[str] = (SLICES,)
    reads: Sequence[str] = ("pods", "nodes")

    def setup(self) -> None:
        self.cache(SLICES).add_label_index(SERVICE_NAME)
        self.watch("pods", self._services_of)
        self.cache("nodes").add_handler(self._node_changed)

    def _node_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        """Nodes report every few seconds; only another zone matters, and then to every Service."""
        if old is not None and new is not None and _zone(old) != _zone(new):
            for service in self.cache("services").list():
                self._wake(object_key(service), kind, "nodes", new)

    def observe(self, key: str) -> Observed | None:
        service = self.get(key)
        if service is None or "deletionTimestamp" in service["metadata"]:
            return None
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return None   # somebody else looks after its endpoints, or it has none
        selector = LabelSelector.of_labels(service["spec"]["selector"])
        pods = [pod for pod in self.cache("pods").by_index("namespace", service["metadata"]["namespace"])
                if selector.matches(pod["metadata"].get("labels"))]
        slices = [s for s in self.cache(SLICES).by_index(f"label:{SERVICE_NAME}", key)
                  if s["metadata"]["labels"].get(MANAGED_BY) == MANAGER and "deletionTimestamp" not in s["metadata"]]
        return Observed(service, sorted(pods, key=object_key), sorted(slices, key=object_key), self._zones(pods))

    def _services_of(self, pod: Object) -> Iterable[str]:
        services = self.cache("services").by_index("namespace", pod["metadata"]["namespace"])
        labels = pod["metadata"].get("labels") or {}
        return [object_key(s) for s in services
                if s["spec"].get("selector") and s["spec"]["selector"].items() <= labels.items()]

    def _zones(self, pods: Iterable[Object]) -> dict[str, str]:
        nodes = {name: self.cache("nodes").get(name) for pod in pods if (name := pod["spec"].get("nodeName"))}
        return {name: zone for name, node in nodes.items() if node and (zone := _zone(node))}

    def diff(self, observed: Observed) -> list[Action]:
        service, slices = observed.service, list(observed.slices)
        groups = endpoints_by_ports(observed)
        labels = _labels(service)
        actions: list[Action] = []
        for ports, endpoints in groups:
            mine = [s for s in slices if (s.get("ports") or []) == ports and s["endpoints"]]
            slices = [s for s in slices if s not in mine]
            if not mine and endpoints:   # the empty slice, if there is one, becomes the first
                mine, slices = slices[:1], slices[1:]
            actions += self._arrange(service, ports, endpoints, mine, labels)
        if not groups and slices:
            keep, slices = slices[0], slices[1:]
            actions += self._change(keep, [], None, labels)
        elif not groups:
            actions.append(Create(SLICES, _new_slice(service, [], None, labels)))
        return actions + [Delete(SLICES, s["metadata"]["namespace"], s["metadata"]["name"], uid=s["metadata"]["uid"])
                          for s in slices]

    def _arrange(self, service: Object, ports: list[Object], endpoints: list[Object], slices: list[Object],
                 labels: dict[str, str]) -> list[Action]:
        """Put the endpoints of one port group into its slices, moving as few as possible."""
        missing = {_identity(endpoint): endpoint for endpoint in endpoints}
        kept = []
        for existing in slices:
            kept.append([missing.pop(_identity(e)) for e in existing["endpoints"] or () if _identity(e) in missing])
        for content in kept:
            while missing and len(content) < FULL:
                content.append(missing.pop(next(iter(missing))))
        rest = list(missing.values())
        fresh = [rest[start:start + FULL] for start in range(0, len(rest), FULL)]
        actions: list[Action] = []
        for existing, content in zip(slices, kept, strict=True):
            if content:
                actions += self._change(existing, content, ports, labels)
            else:
                meta = existing["metadata"]
                actions.append(Delete(SLICES, meta["namespace"], meta["name"], uid=meta["uid"]))
        return actions + [Create(SLICES, _new_slice(service, content, ports, labels)) for content in fresh]

    @staticmethod
    def _change(existing: Object, endpoints: list[Object], ports: list[Object] | None,
                labels: dict[str, str]) -> list[Action]:
        same = (existing["endpoints"] or []) == endpoints and (existing.get("ports") or []) == (ports or [])
        if same and existing["metadata"].get("labels") == labels:
            return []
        return [Update(SLICES, existing | {"endpoints": endpoints, "ports": ports,
                                           "metadata": existing["metadata"] | {"labels": labels}})]


def endpoints_by_ports(observed: Observed) -> list[tuple[list[Object], list[Object]]]:
    """[(ports, endpoints that have them)], in order of the Pods."""
    groups: dict[str, tuple[list[Object], list[Object]]] = {}
    for pod in observed.pods:
        address = (pod.get("status") or {}).get("podIP")
        if not address or (is_finished(pod) and "deletionTimestamp" in pod["metadata"]):
            continue   # a finished Pod that stays is kept as not ready, as the real controller leaves it
        ports = _ports(observed.service, pod)
        groups.setdefault(str(ports), (ports, []))[1].append(_endpoint(observed, pod, address))
    return list(groups.values())


def _endpoint(observed: Observed, pod: Object, address: str) -> Object:
    meta, spec, service = pod["metadata"], pod["spec"], observed.service
    serving, terminating = is_ready(pod), "deletionTimestamp" in meta
    ready = (serving and not terminating) or bool(service["spec"].get("publishNotReadyAddresses"))
    endpoint: Object = {"addresses": [address],
                        "conditions": {"ready": ready, "serving": serving, "terminating": terminating}}
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        endpoint["hostname"] = spec["hostname"]
    endpoint["targetRef"] = {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
    if spec.get("nodeName"):
        endpoint["nodeName"] = spec["nodeName"]
    if spec.get("nodeName") in observed.zones:
        endpoint["zone"] = observed.zones[spec["nodeName"]]
    hints = _hints(service["spec"].get("trafficDistribution"), endpoint) if ready else {}
    return endpoint | ({"hints": hints} if hints else {})


def _hints(distribution: str | None, endpoint: Object) -> Object:
    hints: Object = {}
    if distribution in CLOSE and "zone" in endpoint:
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if distribution == "PreferSameNode" and "nodeName" in endpoint:
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints


def _zone(node: Object) -> str:
    return (node["metadata"].get("labels") or {}).get(ZONE, "")


def _ports(service: Object, pod: Object) -> list[Object]:
    """The Service's ports as this Pod has them; one whose name the Pod does not know is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        target = port.get("targetPort") or port["port"]
        number = target if isinstance(target, int) else _named_port(pod, target, protocol)
        if number is not None:
            entry = {"name": port.get("name") or "", "protocol": protocol, "port": number}
            found.append(entry | ({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}))
    return found


def _named_port(pod: Object, name: str, protocol: str) -> int | None:
    sidecars = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*pod["spec"]["containers"], *sidecars]:
        for port in container.get("ports") or ():
            if port.get("name") == name and (port.get("protocol") or "TCP") == protocol:
                return port["containerPort"]
    return None


def _labels(service: Object) -> dict[str, str]:
    labels = {k: v for k, v in (service["metadata"].get("labels") or {}).items() if k not in (SERVICE_NAME, HEADLESS)}
    headless = {HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
    return labels | headless | {SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: MANAGER}


def _new_slice(service: Object, endpoints: list[Object], ports: list[Object] | None, labels: dict[str, str]) -> Object:
    meta = service["metadata"]
    family = (service["spec"].get("ipFamilies") or ["IPv4"])[0]
    return {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"generateName": f"{meta['name']}-", "namespace": meta["namespace"], "labels": labels,
                         "ownerReferences": [owner_reference(service)]},
            "addressType": family, "endpoints": endpoints, "ports": ports}


def _identity(endpoint: Mapping[str, Any]) -> tuple[str, str]:
    """Which endpoint it is, whatever its conditions: the address and the Pod."""
    return endpoint["addresses"][0], (endpoint.get("targetRef") or {}).get("uid", "")
