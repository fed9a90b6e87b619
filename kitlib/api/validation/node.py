"""Nodes: taints, Pod CIDRs, and what a Node may change about itself.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateNode, ValidateNodeUpdate).
"""

from __future__ import annotations

from typing import Any

from kitlib.api.validation.common import Errors, Obj, cidr, each, label_name, one_of
from kitlib.api.validation.placement import EFFECTS
from kitlib.api.validation.resources import amount
from kitlib.objects import field, names

OWN_UPDATE = ("node",)
_TAINTS = "metadata.taints"  # not spec.taints: so the real server writes it


def create_node(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    _taints(errs, _TAINTS, spec.get("taints") or ())
    networks = spec.get("podCIDRs") or ()
    for index, network in enumerate(networks):
        cidr(errs, f"spec.podCIDRs[{index}]", network)
    if len(networks) > 2:
        errs.append(field.invalid("spec.podCIDRs", list(networks),
                                  "may specify no more than one CIDR for each IP family"))
    _resources(errs, obj)


def _taints(errs: Errors, path: str, taints: Any) -> None:
    seen = set()
    for index, taint in enumerate(taints):
        at = f"{path}[{index}]"
        label_name(errs, f"{at}.key", taint.get("key", ""))
        each(errs, f"{at}.value", taint.get("value", ""), names.label_value(taint.get("value", "")))
        one_of(errs, f"{at}.effect", taint.get("effect"), EFFECTS)
        identity = (taint.get("effect"), taint.get("key"))
        if identity in seen:
            errs.append({**field.duplicate(at, taint), "message": f"Duplicate value: {taint}: taints must be unique by "
                         "key and effect pair"})
        seen.add(identity)


def _resources(errs: Errors, obj: Obj) -> None:
    status = obj.get("status") or {}
    for name in ("capacity", "allocatable"):
        for resource, value in (status.get(name) or {}).items():
            amount(errs, f"status.{name}.{resource}", resource, value)


def update_node(errs: Errors, new: Obj, old: Obj) -> None:
    _taints(errs, _TAINTS, (new.get("spec") or {}).get("taints") or ())
    _resources(errs, new)
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if before.get("podCIDRs") and spec.get("podCIDRs") != before["podCIDRs"]:
        errs.append(field.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'))
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        errs.append(field.forbidden("spec.providerID",
                                    'node updates may not change providerID except from "" to valid'))


def status_node(errs: Errors, new: Obj, old: Obj) -> None:
    addresses = [(a.get("type"), a.get("address")) for a in (new.get("status") or {}).get("addresses") or ()]
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            errs.append(field.duplicate(f"status.addresses[{index}]", list(address)))
    update_node(errs, new, old)
