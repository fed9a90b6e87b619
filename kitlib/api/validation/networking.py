"""NetworkPolicies, and the two kinds that record which Service addresses there are.

Source: k8s.io/kubernetes/pkg/apis/networking/validation (ValidateNetworkPolicySpec...).
"""

from __future__ import annotations

from typing import Any

from kitlib.api.validation.common import (
    PROTOCOLS,
    Errors,
    Obj,
    cidr,
    immutable,
    ip,
    label_selector,
    one_of,
    port_number,
    port_or_name,
)
from kitlib.objects import field


def create_networkpolicy(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    label_selector(errs, "spec.podSelector", spec.get("podSelector"))
    for part, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(part) or ()):
            at = f"spec.{part}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                _port(errs, f"{at}.ports[{number}]", port)
            for number, peer in enumerate(rule.get(peers) or ()):
                _peer(errs, f"{at}.{peers}[{number}]", peer)
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        errs.append(field.invalid("spec.policyTypes", types, "may not specify more than two policyTypes"))
        return
    for index, kind in enumerate(types):
        if kind not in ("Egress", "Ingress"):
            errs.append(field.not_supported(f"spec.policyTypes[{index}]", kind, ("Egress", "Ingress")))


def _port(errs: Errors, path: str, port: Obj) -> None:
    number, end = port.get("port"), port.get("endPort")
    if port.get("protocol") is not None:
        one_of(errs, f"{path}.protocol", port["protocol"], PROTOCOLS)
    if number is not None:
        port_or_name(errs, f"{path}.port", number)
        if isinstance(number, int) and end is not None:
            if end < number:
                errs.append(field.invalid(f"{path}.endPort", end, "must be greater than or equal to `port`"))
            port_number(errs, f"{path}.endPort", end)
    if end is not None and number is None:
        errs.append(field.required(f"{path}.port", "must be specified when `endPort` is used"))
    if end is not None and isinstance(number, str):
        errs.append(field.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))


def _peer(errs: Errors, path: str, peer: Obj) -> None:
    selectors = [name for name in ("podSelector", "namespaceSelector") if peer.get(name) is not None]
    for name in selectors:
        label_selector(errs, f"{path}.{name}", peer[name])
    block = peer.get("ipBlock")
    if block is not None:
        _block(errs, f"{path}.ipBlock", block)
    if not selectors and block is None:
        errs.append(field.required(path, "must specify a peer"))
    elif selectors and block is not None:
        errs.append(field.forbidden(path, "may not specify both ipBlock and another peer"))


def _block(errs: Errors, path: str, block: Obj) -> None:
    text = block.get("cidr", "")
    if not text:
        errs.append(field.required(f"{path}.cidr"))
        return
    whole: Any = cidr(errs, f"{path}.cidr", text)
    if whole is None:
        return
    for index, text_of_part in enumerate(block.get("except") or ()):
        part: Any = cidr(errs, f"{path}.except[{index}]", text_of_part)
        if part is None:
            continue
        if part.version != whole.version or not part.subnet_of(whole) or part == whole:
            errs.append(field.invalid(f"{path}.except[{index}]", text_of_part, f"must be a strict subset of `cidr`: "
                                      f"{text}"))


def create_ipaddress(errs: Errors, obj: Obj) -> None:
    ip(errs, "metadata.name", obj["metadata"].get("name", ""))
    parent = (obj.get("spec") or {}).get("parentRef")
    if parent is None:
        errs.append(field.required("spec.parentRef"))
        return
    for name in ("resource", "name"):
        if not parent.get(name):
            errs.append(field.required(f"spec.parentRef.{name}"))


def update_ipaddress(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "spec.parentRef", (new.get("spec") or {}).get("parentRef"),
              (old.get("spec") or {}).get("parentRef"))


def create_servicecidr(errs: Errors, obj: Obj) -> None:
    networks = (obj.get("spec") or {}).get("cidrs") or []
    if not networks:
        errs.append(field.required("spec.cidrs", "at least one CIDR required"))
    elif len(networks) > 2:
        errs.append(field.invalid("spec.cidrs", networks, "may only hold up to 2 values"))
    for index, network in enumerate(networks):
        cidr(errs, f"spec.cidrs[{index}]", network)


def update_servicecidr(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "spec.cidrs", (new.get("spec") or {}).get("cidrs"), (old.get("spec") or {}).get("cidrs"))
