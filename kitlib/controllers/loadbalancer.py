"""Service load balancers: an address from outside for every Service of type LoadBalancer.

    Service type LoadBalancer ──▶ finalizer ──▶ a free address of the pool ──▶ status.loadBalancer.ingress
                                                                                       └──▶ kube-proxy listens there
    deleted, or another type  ──▶ the status is emptied ──▶ finalizer off: the address is free again

In a cloud this is the cloud provider's controller, which rents a real load balancer; on a laptop it is what
cloud-provider-kind, MetalLB or K3s' ServiceLB do.  Here the pool is a range of the machine's loopback network, so the
address works from every program on this machine.  A Service that names a `loadBalancerClass` belongs to the
controller of that class, and this one leaves it alone unless the class is its own.

There is no table of addresses: which are taken is read from the Services themselves.

Source: k8s.io/cloud-provider/controllers/service/controller.go.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Emit, Patch, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.controllers.volumeprotection import without
from kitlib.objects.meta import object_key

Object = dict[str, Any]

CLASS = "kit/loopback"
FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
VIP = "VIP"   # kube-proxy itself leads the address to the Pods, with the client's own source address


@dataclass(frozen=True)
class Observed:
    """taken: the addresses that other Services have."""

    service: Object
    taken: frozenset[str]


class LoadBalancer(Controller):
    """pool: a CIDR; its addresses are given in order.  Who has to wait for one is woken when one becomes free."""

    name = "loadbalancer"
    resource = "services"
    component = "service-controller"

    def __init__(self, pool: str) -> None:
        self.pool = ipaddress.IPv4Network(pool)
        self._usable = [str(address) for address in list(self.pool.hosts())[:-1]]   # the last one is the lease
        self._given: dict[str, str] = {}   # uid → address: promised, and perhaps not in the cache yet

    def setup(self) -> None:
        self.watch(self.resource, self._waiting)

    def _waiting(self, changed: Object) -> list[str]:
        if not _has(changed):
            return []
        return [object_key(s) for s in self.cache(self.resource).list() if _wanted(s) and not _addresses(s)]

    def observe(self, key: str) -> Observed | None:
        service = self.get(key)
        if service is None or not (_wanted(service) or _has(service)):
            return None
        others = [other for other in self.cache(self.resource).list() if object_key(other) != key]
        living = {other["metadata"]["uid"] for other in others}
        self._given = {uid: address for uid, address in self._given.items() if uid in living}
        return Observed(service, frozenset([*self._given.values(), *(ip for o in others for ip in _addresses(o))]))

    def diff(self, observed: Observed) -> list[Action]:
        service = observed.service
        return self._ensure(service, observed.taken) if _wanted(service) else self._release(service)

    def act(self, actions: Any) -> None:
        for action in actions:
            if isinstance(action, UpdateStatus) and _addresses(action.obj):
                self._given[action.obj["metadata"]["uid"]] = _addresses(action.obj)[0]
            self.perform(action)

    def _ensure(self, service: Object, taken: frozenset[str]) -> list[Action]:
        meta = service["metadata"]
        if FINALIZER not in (meta.get("finalizers") or ()):   # first of all: what is given out is also taken back
            finalizers = [*(meta.get("finalizers") or ()), FINALIZER]
            return [Patch(self.resource, meta["namespace"], meta["name"], {"metadata": {
                "finalizers": finalizers, "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}},
                then=Emit(service, "EnsuringLoadBalancer", "Ensuring load balancer"))]
        address, problem = self._address(service, taken)
        if problem:
            return [Emit(service, "SyncLoadBalancerFailed",
                         f"Error syncing load balancer: failed to ensure load balancer: {problem}", "Warning")]
        wanted = {"ingress": [{"ip": address, "ipMode": VIP}]}
        if (service.get("status") or {}).get("loadBalancer") == wanted:
            return []
        return [self._status(service, wanted), Emit(service, "EnsuredLoadBalancer", "Ensured load balancer")]

    def _address(self, service: Object, taken: frozenset[str]) -> tuple[str, str]:
        """(the address, "") or ("", why there is none): the one it has, the one it asks for, or the first free one."""
        asked = service["spec"].get("loadBalancerIP", "")
        usable = self._usable
        if asked and asked not in usable:
            return "", f"{asked} is not one of this cluster's load balancer addresses, {usable[0]} to {usable[-1]}"
        if asked in taken:
            return "", f"{asked} belongs to another Service"
        for candidate in [asked] if asked else [*_addresses(service), *usable]:
            if candidate in usable and candidate not in taken:
                return candidate, ""
        return "", f"all {len(usable)} load balancer addresses of this cluster are in use"

    def _release(self, service: Object) -> list[Action]:
        if _addresses(service):   # the finalizer comes off when this is seen
            return [Emit(service, "DeletingLoadBalancer", "Deleting load balancer"), self._status(service, {})]
        done = without(self.resource, service, FINALIZER)
        return [*done, Emit(service, "DeletedLoadBalancer", "Deleted load balancer")]

    def _status(self, service: Object, balancer: Object) -> Action:
        return UpdateStatus(self.resource, service | {"status": (service.get("status") or {}) | {
            "loadBalancer": balancer}})


def _wanted(service: Object) -> bool:
    spec = service["spec"]
    mine = spec.get("loadBalancerClass") in (None, "", CLASS)
    return spec.get("type") == "LoadBalancer" and mine and "deletionTimestamp" not in service["metadata"]


def _has(service: Object) -> bool:
    """Given out by us, and not yet taken back."""
    return FINALIZER in (service["metadata"].get("finalizers") or ()) \
        and service["spec"].get("loadBalancerClass") in (None, "", CLASS)


def _addresses(service: Object) -> list[str]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [entry["ip"] for entry in ingress if entry.get("ip")]
