"""Endpoints and EndpointSlices: addresses that something outside this node can reach.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateEndpoints), pkg/apis/discovery/validation.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.validation.common import (
    PROTOCOLS,
    Errors,
    Obj,
    each,
    immutable,
    ip_address,
    label_name,
    non_special_ip,
    one_of,
    port_number,
)
from kitlib.objects import field, names

_TYPES = ("FQDN", "IPv4", "IPv6")
_MAX_ADDRESSES, _MAX_ENDPOINTS, _MAX_PORTS = 100, 1000, 20000


def create_endpoints(errs: Errors, obj: Obj) -> None:
    for index, subset in enumerate(obj.get("subsets") or ()):
        at = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errs.append(field.required(at, "must specify `addresses` or `notReadyAddresses`"))
        for part in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(subset.get(part) or ()):
                _address(errs, f"{at}.{part}[{number}]", address)
        ports = subset.get("ports") or ()
        for number, port in enumerate(ports):
            _old_port(errs, f"{at}.ports[{number}]", port, len(ports) > 1)


def _address(errs: Errors, path: str, address: Obj) -> None:
    non_special_ip(errs, f"{path}.ip", address.get("ip", ""))
    if address.get("hostname"):
        each(errs, f"{path}.hostname", address["hostname"], names.dns_label(address["hostname"]))
    if address.get("nodeName"):
        each(errs, f"{path}.nodeName", address["nodeName"], names.dns_subdomain(address["nodeName"]))


def _old_port(errs: Errors, path: str, port: Obj, needs_name: bool) -> None:
    name = port.get("name")
    if name:
        each(errs, f"{path}.name", name, names.dns_label(name))
    elif needs_name:
        errs.append(field.required(f"{path}.name"))
    port_number(errs, f"{path}.port", port.get("port"))
    one_of(errs, f"{path}.protocol", port.get("protocol"), PROTOCOLS)
    if port.get("appProtocol"):
        label_name(errs, f"{path}.appProtocol", port["appProtocol"])


def create_endpointslice(errs: Errors, obj: Obj) -> None:
    kind = obj.get("addressType")
    one_of(errs, "addressType", kind, _TYPES)
    endpoints = obj.get("endpoints") or []
    if len(endpoints) > _MAX_ENDPOINTS:
        errs.append(field.too_many("endpoints", len(endpoints), _MAX_ENDPOINTS))
        return
    for index, endpoint in enumerate(endpoints):
        _endpoint(errs, f"endpoints[{index}]", endpoint, kind)
    ports = obj.get("ports") or []
    if len(ports) > _MAX_PORTS:
        errs.append(field.too_many("ports", len(ports), _MAX_PORTS))
        return
    seen: set[str] = set()
    for index, port in enumerate(ports):
        _port(errs, f"ports[{index}]", port, seen)


def _endpoint(errs: Errors, path: str, endpoint: Obj, kind: str | None) -> None:
    addresses = endpoint.get("addresses") or []
    if not addresses:
        errs.append(field.required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(addresses) > _MAX_ADDRESSES:
        errs.append(field.too_many(f"{path}.addresses", len(addresses), _MAX_ADDRESSES))
    for index, address in enumerate(addresses):
        at = f"{path}.addresses[{index}]"
        if kind == "FQDN":
            each(errs, at, address, names.dns_subdomain(address))
            continue
        parsed = ip_address(address)
        if kind in _TYPES and (parsed is None or f"IPv{parsed.version}" != kind):
            errs.append(field.invalid(at, address, f"must be a valid {kind} address"))
        elif kind in _TYPES:
            non_special_ip(errs, at, address)
    if endpoint.get("nodeName"):
        each(errs, f"{path}.nodeName", endpoint["nodeName"], names.dns_subdomain(endpoint["nodeName"]))
    if endpoint.get("hostname"):
        each(errs, f"{path}.hostname", endpoint["hostname"], names.dns_label(endpoint["hostname"]))


def _port(errs: Errors, path: str, port: Obj, seen: set[Any]) -> None:
    name = port.get("name") or ""
    if name:
        each(errs, f"{path}.name", name, names.dns_label(name))
    if name in seen:
        errs.append(field.duplicate(f"{path}.name", name))
    seen.add(name)
    if port.get("port") is not None:
        port_number(errs, f"{path}.port", port["port"])
    one_of(errs, f"{path}.protocol", port.get("protocol"), PROTOCOLS)
    if port.get("appProtocol"):
        label_name(errs, f"{path}.appProtocol", port["appProtocol"])


def update_endpointslice(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "addressType", new.get("addressType"), old.get("addressType"))
