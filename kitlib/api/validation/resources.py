"""Requests and limits: names of resources, their amounts, and the QoS class that follows from them.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateResourceRequirements), pkg/apis/core/helper.
"""

from __future__ import annotations

from collections.abc import Collection

from kitlib.api.validation.common import Errors, Obj, each, not_negative_quantity
from kitlib.objects import field, names, quantity

_CONTAINER = frozenset(("cpu", "memory", "ephemeral-storage"))
STANDARD = _CONTAINER | frozenset((
    "storage", "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
    "persistentvolumeclaims", "services.nodeports", "services.loadbalancers", "requests.cpu", "requests.memory",
    "requests.storage", "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage"))
QUOTA = STANDARD - {"storage"}
INTEGERS = frozenset(("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
                      "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"))
NOT_INTEGER = "must be an integer"


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """A device: example.com/gpu."""
    return not is_native(name) and not name.startswith("requests.") and names.is_qualified_name(f"requests.{name}")


def resource_name(errs: Errors, path: str, name: str) -> None:
    if not names.is_qualified_name(name):
        each(errs, path, name, names.qualified_name(name))
    elif "/" not in name and name not in STANDARD and not name.startswith("hugepages-"):
        errs.append(field.invalid(path, name, "must be a standard resource type or fully qualified"))


def amount(errs: Errors, path: str, name: str, value: str) -> None:
    number = quantity.parse(value)
    if number < 0:
        not_negative_quantity(errs, path, value)
    if number != int(number) and (name in INTEGERS or is_extended(name)):
        errs.append(field.invalid(path, value, NOT_INTEGER))


def container_resources(errs: Errors, path: str, found: Obj, claims: Collection[str]) -> None:
    limits, requests = found.get("limits") or {}, found.get("requests") or {}
    for name, value in limits.items():
        _container_entry(errs, f"{path}.limits[{name}]", name, value)
    for name, value in requests.items():
        _container_entry(errs, f"{path}.requests[{name}]", name, value)
        limit = limits.get(name)
        exact = not is_native(name) or name.startswith("hugepages-")
        if limit is None:
            if exact:
                errs.append(field.required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
        elif limit != value:
            wanted, most = quantity.parse(value), quantity.parse(limit)
            if exact and wanted != most:
                errs.append(field.invalid(f"{path}.requests", value, f"must be equal to {name} limit of {limit}"))
            elif wanted > most:
                errs.append(field.invalid(f"{path}.requests", value,
                                          f"must be less than or equal to {name} limit of {limit}"))
    every = {*limits, *requests}
    if any(name.startswith("hugepages-") for name in every) and not every & {"cpu", "memory"}:
        errs.append(field.forbidden(path, "HugePages require cpu or memory"))
    for index, claim in enumerate(found.get("claims") or ()):
        if not claim.get("name"):
            errs.append(field.required(f"{path}.claims[{index}]"))
        elif claim["name"] not in claims:
            errs.append(field.not_found(f"{path}.claims[{index}]", claim["name"]))


def container_resource_name(errs: Errors, path: str, name: str) -> None:
    if name in _CONTAINER:
        return
    resource_name(errs, path, name)
    if "/" not in name and not name.startswith("hugepages-"):
        errs.append(field.invalid(path, name, "must be a standard resource for containers"))
    elif "/" in name and not is_native(name) and not is_extended(name):
        errs.append(field.invalid(path, name, "doesn't follow extended resource name standard"))


def _container_entry(errs: Errors, path: str, name: str, value: str) -> None:
    container_resource_name(errs, path, name)
    amount(errs, path, name, value)


def qos_class(spec: Obj) -> str:
    """Guaranteed, Burstable or BestEffort: who is evicted first when a node runs out of memory."""
    requests: dict[str, list[str]] = {}
    limits: dict[str, list[str]] = {}
    guaranteed = True
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        resources = container.get("resources") or {}
        bounded = 0
        for kind, into in (("requests", requests), ("limits", limits)):
            for name, value in (resources.get(kind) or {}).items():
                if name in ("cpu", "memory") and quantity.parse(value) > 0:
                    into.setdefault(name, []).append(value)
                    bounded += kind == "limits"
        guaranteed = guaranteed and bounded == 2
    if not requests and not limits:
        return "BestEffort"

    def total(values: list[str]) -> object:
        return sum(quantity.parse(value) for value in values)

    same = all(total(values) == total(limits.get(name, [])) for name, values in requests.items())
    return "Guaranteed" if guaranteed and same and len(requests) == len(limits) else "Burstable"
