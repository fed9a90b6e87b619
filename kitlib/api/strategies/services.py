"""Services: addresses out of one range, node ports out of another, each given once.

Which are in use is worked out from the stored Services themselves when the server starts and kept up
to date by every write, so there is no allocation map that could disagree with them.

Source: k8s.io/kubernetes/pkg/registry/core/service/storage/{alloc,storage}.go.
"""

from __future__ import annotations

import ipaddress
import random
from typing import TYPE_CHECKING, Any

from kitlib.api.call import Call
from kitlib.api.strategies.base import Causes, Obj, Strategy
from kitlib.objects import field as problems
from kitlib.objects.errors import StatusError, internal
from kitlib.store import Entry

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

HEADLESS = "None"
EXTERNAL = "ExternalName"
WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


class ServiceStrategy(Strategy):
    """The strategy of Services, and the allocators of their addresses and ports."""

    returns_deleted = True

    def __init__(self, api: ApiServer, storage: str) -> None:
        super().__init__(api, storage)
        self.network = ipaddress.ip_network(api.config.service_cidr)
        self.used_addresses: set[str] = set()
        self.used_ports: set[tuple[str, int]] = set()
        for entry in api.store.list(storage):
            self._note(entry.obj["spec"])

    def initial_status(self, call: Call, obj: Obj) -> None:
        obj["status"] = {"loadBalancer": {}}

    # -- families and policies: what the real server derives from the addresses

    def prepare_create(self, call: Call, obj: Obj) -> None:
        self._settle(obj["spec"])

    def prepare_update(self, call: Call, obj: Obj, old: Obj) -> None:
        spec, before = obj["spec"], old["spec"]
        self._patch_allocated(spec, before)
        if spec.get("clusterIP") != before.get("clusterIP") and spec.get("clusterIPs") == before.get("clusterIPs"):
            spec.pop("clusterIPs", None)  # it follows the address that the client changed
        self._drop_type_dependent(spec, before)
        self._settle(spec)

    def _settle(self, spec: Obj) -> None:
        if spec.get("type") == EXTERNAL:
            return
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        elif spec.get("clusterIPs") and not spec.get("clusterIP"):
            spec["clusterIP"] = spec["clusterIPs"][0]
        if spec.get("clusterIP") == HEADLESS and not spec.get("selector") and not spec.get("ipFamilies"):
            # Somebody else fills in its endpoints, of whatever family.
            spec["ipFamilies"] = ["IPv4", "IPv6"]
            spec.setdefault("ipFamilyPolicy", "RequireDualStack")
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("ipFamilies", ["IPv4"])

    @staticmethod
    def _patch_allocated(spec: Obj, before: Obj) -> None:
        """A PUT that leaves out the address or the node ports keeps those that it has."""
        if spec.get("type") != EXTERNAL and before.get("type") != EXTERNAL:
            if not spec.get("clusterIP") and before.get("clusterIP"):
                spec["clusterIP"] = before["clusterIP"]
            if not spec.get("clusterIPs") and spec.get("clusterIP") == before.get("clusterIP"):
                spec["clusterIPs"] = before.get("clusterIPs") or []
            if not spec.get("ipFamilies") and before.get("ipFamilies"):
                spec["ipFamilies"] = before["ipFamilies"]
            if not spec.get("ipFamilyPolicy") and before.get("ipFamilyPolicy"):
                spec["ipFamilyPolicy"] = before["ipFamilyPolicy"]
        if spec.get("type") in WITH_NODE_PORTS and before.get("type") in WITH_NODE_PORTS:
            known = {(port.get("protocol"), port.get("port")): port["nodePort"]
                     for port in before.get("ports") or () if port.get("nodePort")}
            wanted = {port.get("nodePort") for port in spec.get("ports") or ()}
            for port in spec.get("ports") or ():
                number = known.get((port.get("protocol"), port.get("port")))
                if not port.get("nodePort") and number and number not in wanted:
                    port["nodePort"] = number

    @staticmethod
    def _drop_type_dependent(spec: Obj, before: Obj) -> None:
        """Turning into another type drops what only the old type had, unless the client changed it."""
        kind, was = spec.get("type"), before.get("type")
        if kind == was:
            return
        if was != EXTERNAL and kind == EXTERNAL:
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if spec.get(name) == before.get(name):
                    spec.pop(name, None)
        if was in WITH_NODE_PORTS and kind not in WITH_NODE_PORTS:
            old_ports = [port.get("nodePort") for port in before.get("ports") or ()]
            if [port.get("nodePort") for port in spec.get("ports") or ()] == old_ports:
                for port in spec.get("ports") or ():
                    port.pop("nodePort", None)
            if not spec.get("externalIPs") and spec.get("externalTrafficPolicy") == before.get("externalTrafficPolicy"):
                spec.pop("externalTrafficPolicy", None)
        if was == "LoadBalancer":
            for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort"):
                if spec.get(name) == before.get(name):
                    spec.pop(name, None)
        if was == EXTERNAL and spec.get("externalName") == before.get("externalName"):
            spec.pop("externalName", None)

    # -- what only the allocators can see

    def validate_create(self, call: Call, obj: Obj) -> Causes:
        return self._check(obj["spec"], {})

    def validate_update(self, call: Call, obj: Obj, old: Obj) -> Causes:
        if call.subresource == "status":
            return self._check_status(obj)
        return self._check(obj["spec"], old["spec"])

    def _check(self, spec: Obj, before: Obj) -> Causes:
        causes: Causes = []
        address = spec.get("clusterIP")
        if address and _is_address(address) and address != before.get("clusterIP"):
            if ipaddress.ip_address(address) not in self.network:
                causes.append(problems.invalid("spec.clusterIPs", [address], "failed to allocate IP: the provided IP "
                                               f"({address}) is not in the valid range. The range of valid IPs is "
                                               f"{self.network}"))
            elif address in self.used_addresses:
                causes.append(problems.invalid("spec.clusterIPs", [address], f"failed to allocate IP {address}: "
                                               "provided IP is already allocated"))
        low, high = self.api.config.node_ports
        had = _node_ports(before)
        for index, port in enumerate(spec.get("ports") or ()):
            number = port.get("nodePort")
            if not number or spec.get("type") not in WITH_NODE_PORTS or (port.get("protocol"), number) in had:
                continue
            path = f"spec.ports[{index}].nodePort"
            if not low <= number <= high:
                causes.append(problems.invalid(path, number, "provided port is not in the valid range. The range of "
                                               f"valid ports is {low}-{high}"))
            elif (port.get("protocol"), number) in self.used_ports:
                causes.append(problems.invalid(path, number, "provided port is already allocated"))
        return causes

    @staticmethod
    def _check_status(obj: Obj) -> Causes:
        balancer = obj.get("status", {}).get("loadBalancer") or {}
        if balancer.get("ingress") and obj["spec"].get("type") != "LoadBalancer":
            return [problems.forbidden("status.loadBalancer.ingress", "may only be used when `spec.type` is "
                                       '"LoadBalancer"')]
        return []

    # -- giving and taking back

    def allocate(self, call: Call, obj: Obj, old: Obj | None) -> None:
        spec = obj["spec"]
        if spec.get("type") != EXTERNAL and not spec.get("clusterIP"):
            spec["clusterIP"] = self._free_address()
            spec["clusterIPs"] = [spec["clusterIP"]]
        wants_ports = spec.get("type") == "NodePort" or (
            spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)
        if wants_ports:
            for port in spec.get("ports") or ():
                if not port.get("nodePort"):
                    port["nodePort"] = self._free_port(spec, port.get("protocol", "TCP"))
            local = spec.get("externalTrafficPolicy") == "Local" and spec["type"] == "LoadBalancer"
            if local and not spec.get("healthCheckNodePort"):
                spec["healthCheckNodePort"] = self._free_port(spec, "TCP")
        if not call.dry_run:
            if old is not None:
                self._forget(old["spec"])
            self._note(spec)

    def release(self, call: Call, obj: Obj) -> None:
        if not call.dry_run:
            self._forget(obj["spec"])

    def after_delete(self, call: Call, entry: Entry) -> None:
        self._forget(entry.obj["spec"])

    def _note(self, spec: Obj) -> None:
        self.used_addresses.update(ip for ip in spec.get("clusterIPs") or () if ip != HEADLESS)
        self.used_ports |= _node_ports(spec)

    def _forget(self, spec: Obj) -> None:
        self.used_addresses.difference_update(spec.get("clusterIPs") or ())
        self.used_ports -= _node_ports(spec)

    def _free_address(self) -> str:
        """A free address.  The first ones are left for those who ask by name (the API's own, the DNS server's)."""
        size = self.network.num_addresses
        reserved = min(max(16, size // 16), 256) if size > 32 else 1
        for first, last in ((reserved + 1, size - 2), (1, reserved)):
            start = random.randint(first, max(first, last))
            for offset in range(last - first + 1):
                candidate = str(self.network[first + (start - first + offset) % (last - first + 1)])
                if candidate not in self.used_addresses:
                    return candidate
        raise internal("failed to allocate a serviceIP: range is full")

    def _free_port(self, spec: Obj, protocol: str) -> int:
        low, high = self.api.config.node_ports
        taken = self.used_ports | _node_ports(spec)
        start = random.randint(low, high)
        for offset in range(high - low + 1):
            number = low + (start - low + offset) % (high - low + 1)
            if all((other, number) not in taken for other in ("TCP", "UDP", "SCTP")):
                return number
        raise StatusError(500, "InternalError", "failed to allocate a nodePort: range is full")


def _node_ports(spec: Obj) -> set[tuple[str, int]]:
    found = {(port.get("protocol", "TCP"), port["nodePort"])
             for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        found.add(("TCP", spec["healthCheckNodePort"]))
    return found


def _is_address(text: Any) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
