"""Which names a cluster has: a pure function of its Services and EndpointSlices.

    web.default.svc.cluster.local                 A      the ClusterIP; headless: every ready endpoint
    _http._tcp.web.default.svc.cluster.local      SRV    port and name; headless: one per endpoint
    db-0.db.default.svc.cluster.local             A      an endpoint of a headless Service, by its hostname
    ext.default.svc.cluster.local                 CNAME  the externalName
    127-64-16-2.default.pod.cluster.local         A      the Pod with that address
    2.16.64.127.in-addr.arpa                      PTR    back to the name

A name that exists without a record of the wanted type is an empty answer; one that does not exist is NXDOMAIN, and so
is a headless Service without ready endpoints.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..service_ports import SERVICE_NAME_LABEL
from .message import AAAA, ANY, CNAME, NOERROR, NXDOMAIN, PTR, SOA, SRV, TXT, A, Record

Object = Mapping[str, Any]
DOMAIN = "cluster.local"
MOST_ALIASES = 8


@dataclass(frozen=True, slots=True)
class Result:
    """foreign: the name is not the cluster's; somebody else has to be asked."""

    code: int = NOERROR
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    foreign: bool = False


@dataclass(slots=True)
class Zone:
    """All names of a cluster."""

    domain: str = DOMAIN
    names: dict[str, list[Record]] = field(default_factory=dict)

    def add(self, name: str, kind: int, value: Any) -> None:
        record = Record(name, kind, value)
        known = self.names.setdefault(name, [])
        if record not in known:
            known.append(record)
        parent = name.partition(".")[2]
        while parent and parent not in self.names:   # every name above a name exists, too
            self.names[parent] = []
            parent = parent.partition(".")[2]

    def look_up(self, name: str, kind: int) -> Result:
        name = name.rstrip(".")
        if not self.owns(name):
            found = self.names.get(name)   # PTR of our own addresses
            return Result(answers=tuple(found)) if found and kind in (PTR, ANY) else Result(foreign=True)
        records = self.names.get(name)
        if records is None:
            pod = self._pod_address(name)
            if pod is None:
                return Result(NXDOMAIN, authority=self._soa())
            records = [Record(name, A, pod)]
        if any(r.type == CNAME for r in records):
            return self._alias(records, kind)
        answers = tuple(r for r in records if kind in (r.type, ANY))
        if not answers:
            return Result(authority=self._soa())
        targets = [r.value[3] for r in answers if r.type == SRV and isinstance(r.value, tuple)]
        extra = [r for target in dict.fromkeys(targets) for r in self.names.get(target, ()) if r.type == A]
        return Result(answers=answers, additional=tuple(extra))

    def owns(self, name: str) -> bool:
        return name == self.domain or name.endswith(f".{self.domain}")

    def _alias(self, records: list[Record], kind: int) -> Result:
        """A CNAME, and what it leads to as long as that is ours."""
        answers = list(records)
        for _ in range(MOST_ALIASES):
            target = str(answers[-1].value)
            following = [r for r in self.names.get(target, ()) if r.type in (kind, CNAME)]
            if kind == CNAME or not self.owns(target) or not following:
                break
            answers += following
            if following[0].type != CNAME:
                break
        return Result(answers=tuple(answers))

    def _pod_address(self, name: str) -> str | None:
        """10-0-0-2.default.pod.cluster.local needs no record: the address is in the name."""
        parts = name.removesuffix(f".{self.domain}").split(".")
        if len(parts) != 3 or parts[2] != "pod":
            return None
        try:
            return str(ipaddress.IPv4Address(parts[0].replace("-", ".")))
        except ValueError:
            return None

    def _soa(self) -> tuple[Record, ...]:
        return (Record(self.domain, SOA, f"ns.dns.{self.domain}"),)


def build(services: Iterable[Object], slices: Iterable[Object], domain: str = DOMAIN) -> Zone:
    """The zone as it should be now."""
    zone = Zone(domain)
    zone.add(f"dns-version.{domain}", TXT, "1.1.0")
    zone.names.setdefault(f"pod.{domain}", [])
    by_service: dict[tuple[str, str], list[Object]] = {}
    for slice_ in slices:
        name = (slice_["metadata"].get("labels") or {}).get(SERVICE_NAME_LABEL)
        if name:
            by_service.setdefault((slice_["metadata"].get("namespace", ""), name), []).append(slice_)
    for service in services:
        meta, spec = service["metadata"], service["spec"]
        name = f"{meta['name']}.{meta['namespace']}.svc.{domain}"
        if spec.get("type") == "ExternalName":
            zone.add(name, CNAME, spec.get("externalName", "").rstrip("."))
        elif spec.get("clusterIP") == "None":
            for slice_ in by_service.get((meta["namespace"], meta["name"]), ()):
                _headless(zone, name, slice_)
        elif spec.get("clusterIP"):
            _with_address(zone, name, spec)
    return zone


def _with_address(zone: Zone, name: str, spec: Object) -> None:
    for address in spec.get("clusterIPs") or (spec["clusterIP"],):
        zone.add(name, AAAA if ":" in address else A, address)
        zone.add(ipaddress.ip_address(address).reverse_pointer, PTR, name)
    for port in spec.get("ports") or ():
        if port.get("name"):
            zone.add(_service_name(port, name), SRV, (0, 100, port["port"], name))


def _headless(zone: Zone, name: str, slice_: Object) -> None:
    kind = AAAA if slice_.get("addressType") == "IPv6" else A
    ready = [e for e in slice_.get("endpoints") or () if (e.get("conditions") or {}).get("ready") is not False]
    for endpoint in ready:
        for address in endpoint["addresses"]:
            host = endpoint.get("hostname") or address.replace(".", "-").replace(":", "-")
            own = f"{host}.{name}"
            zone.add(name, kind, address)
            zone.add(own, kind, address)
            zone.add(ipaddress.ip_address(address).reverse_pointer, PTR, own)
            for port in slice_.get("ports") or ():
                if port.get("name"):
                    weight = 100 // len(ready) if ready else 100
                    zone.add(_service_name(port, name), SRV, (0, weight, port["port"], own))


def _service_name(port: Object, name: str) -> str:
    return f"_{port['name']}._{port.get('protocol', 'TCP').lower()}.{name}"
