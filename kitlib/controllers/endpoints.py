"""Endpoints: the old form, kept for those who still read it; and its mirror image.

Before EndpointSlices there was one object per Service with all addresses.  `Endpoints` still writes it for every
Service with a selector (at most 1,000 addresses, ready and not ready apart); `EndpointSliceMirroring` goes the other
way: Endpoints that somebody wrote by hand, for a Service without a selector, become slices, so that kube-proxy has to
read slices only.

Source: k8s.io/kubernetes/pkg/controller/endpoint, endpointslicemirroring.
"""

from __future__ import annotations

from typing import Any

from kitlib.client.actions import Action, Create, Delete, Update
from kitlib.client.controller import Controller
from kitlib.controllers.endpointslice import (
    HEADLESS,
    MANAGED_BY,
    SERVICE_NAME,
    SLICES,
    EndpointSlice,
    Observed,
    endpoints_by_ports,
)
from kitlib.objects.meta import object_key, owner_reference

Object = dict[str, Any]

MIRROR = "endpointslicemirroring-controller.k8s.io"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
MANAGER = "endpoint-controller"
MOST = 1000


class Endpoints(EndpointSlice):
    """Observes what EndpointSlice does, and writes the one old object."""

    name = "endpoints"
    owns = ()
    reads = ("pods", "nodes", SLICES, "endpoints")
    component = "endpoint-controller"

    def setup(self) -> None:
        super().setup()
        self.watch("endpoints", lambda found: (object_key(found),) if _is_ours(found) else ())

    def diff(self, observed: Observed) -> list[Action]:
        meta = observed.service["metadata"]
        key = object_key(observed.service)
        known = self.cache("endpoints").get(key)
        subsets = [self._subset(ports, endpoints) for ports, endpoints in endpoints_by_ports(observed)]
        labels = (meta.get("labels") or {}) | {MANAGED_BY: MANAGER} | (
            {HEADLESS: ""} if observed.service["spec"].get("clusterIP") == "None" else {})
        if known is None:
            made = {"kind": "Endpoints", "apiVersion": "v1", "subsets": subsets,
                    "metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": labels}}
            return [Create("endpoints", made)]
        if (known.get("subsets") or []) == subsets and known["metadata"].get("labels") == labels:
            return []
        return [Update("endpoints", known | {"subsets": subsets, "metadata": known["metadata"] | {"labels": labels}})]

    @staticmethod
    def _subset(ports: list[Object], endpoints: list[Object]) -> Object:
        ready = [e for e in endpoints if e["conditions"]["ready"]][:MOST]
        others = [e for e in endpoints if not e["conditions"]["ready"]
                  and not e["conditions"]["terminating"]][:MOST - len(ready)]
        subset: Object = {}
        for field, group in (("addresses", ready), ("notReadyAddresses", others)):
            if group:
                subset[field] = [_address(endpoint) for endpoint in group]
        named = [{k: v for k, v in port.items() if v != ""} for port in ports]
        return subset | ({"ports": named} if named else {})


class EndpointSliceMirroring(Controller):
    name = "endpointslicemirroring"
    resource = "endpoints"
    owns = (SLICES,)
    reads = ("services",)

    def setup(self) -> None:
        self.watch("services", lambda service: (object_key(service),))

    def observe(self, key: str) -> tuple[Object, list[Object], bool] | None:
        """(the Endpoints, their slices, whether they are to be mirrored)."""
        endpoints = self.get(key)
        if endpoints is None:
            return None
        service = self.cache("services").get(key)
        labels = endpoints["metadata"].get("labels") or {}
        wanted = (service is not None and not service["spec"].get("selector") and labels.get(SKIP_MIRROR) != "true"
                  and labels.get(MANAGED_BY) != MANAGER)
        return endpoints, self.owned(SLICES, endpoints), wanted

    def diff(self, observed: tuple[Object, list[Object], bool]) -> list[Action]:
        endpoints, slices, wanted = observed
        if not wanted:
            return [_removal(found) for found in slices]
        fresh = [_mirror(endpoints, subset) for subset in endpoints.get("subsets") or ()]
        actions: list[Action] = []
        for made in fresh:
            same = next((s for s in slices if (s.get("ports") or []) == made["ports"]), None)
            if same is None:
                actions.append(Create(SLICES, made))
                continue
            slices = [s for s in slices if s is not same]
            if same["endpoints"] != made["endpoints"]:
                actions.append(Update(SLICES, same | {"endpoints": made["endpoints"]}))
        return actions + [_removal(found) for found in slices]


def _mirror(endpoints: Object, subset: Object) -> Object:
    meta = endpoints["metadata"]
    listed = [_endpoint(address, ready) for field, ready in (("addresses", True), ("notReadyAddresses", False))
              for address in subset.get(field) or ()]
    ports = [{"name": port.get("name") or "", "protocol": port.get("protocol") or "TCP", "port": port["port"]}
             | ({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {})
             for port in subset.get("ports") or ()]
    return {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
            "endpoints": listed[:MOST], "ports": ports,
            "metadata": {"generateName": f"{meta['name']}-", "namespace": meta["namespace"],
                         "labels": (meta.get("labels") or {}) | {SERVICE_NAME: meta["name"], MANAGED_BY: MIRROR},
                         "ownerReferences": [owner_reference(endpoints)]}}


def _endpoint(address: Object, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            endpoint[field] = address[field]
    return endpoint


def _address(endpoint: Object) -> Object:
    address: Object = {"ip": endpoint["addresses"][0]}
    for field in ("hostname", "nodeName", "targetRef"):
        if field in endpoint:
            address[field] = endpoint[field]
    return address


def _is_ours(endpoints: Object) -> bool:
    return (endpoints["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER


def _removal(found: Object) -> Delete:
    meta = found["metadata"]
    return Delete(SLICES, meta["namespace"], meta["name"], uid=meta["uid"])

