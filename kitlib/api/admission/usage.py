"""What an object costs in the currencies of a ResourceQuota, and which objects a quota counts.

Source: k8s.io/kubernetes/pkg/quota/v1/evaluator/core/{pods,services,persistent_volume_claims}.go.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from kitlib.api.kind import Kind
from kitlib.objects import quantity

Obj = dict[str, Any]
Amounts = dict[str, Decimal]
ONE = Decimal(1)
BYTES = ("memory", "storage", "ephemeral-storage")
FINISHED = ("Succeeded", "Failed")


def show(name: str, value: Decimal) -> str:
    """An amount as people write it: bytes in Mi and Gi, the rest in thousands."""
    if name.rpartition(".")[2] in BYTES and value == value.to_integral_value():
        return quantity.format_binary(int(value))
    return quantity.format_decimal(value)


def usage_of(kind: Kind, obj: Obj) -> Amounts:
    """Everything that one object counts as."""
    usage = {f"count/{kind.storage}": ONE}
    special = _SPECIAL.get(kind.storage)
    if special:
        usage.update(special(obj))
    return usage


def _pod(obj: Obj) -> Amounts:
    if obj.get("status", {}).get("phase") in FINISHED:
        return {}
    usage = {"pods": ONE}
    for field in ("requests", "limits"):
        for name, amount in _pod_total(obj.get("spec", {}), field).items():
            usage[f"{field}.{name}"] = amount
            if field == "requests":
                usage[name] = amount
    return usage


def _pod_total(spec: Obj, field: str) -> Amounts:
    """Containers run together, init containers one after the other, sidecars all along."""
    total: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, container, field)
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            _add(total, container, field)
        else:
            for name, value in ((container.get("resources") or {}).get(field) or {}).items():
                peak[name] = max(peak.get(name, Decimal(0)), quantity.parse(str(value)))
    whole = (spec.get("resources") or {}).get(field) or {}
    result = {name: max(total.get(name, Decimal(0)), peak.get(name, Decimal(0))) for name in {*total, *peak}}
    result.update({name: quantity.parse(str(value)) for name, value in whole.items()})
    for name, value in (spec.get("overhead") or {}).items():
        if name in result:
            result[name] += quantity.parse(str(value))
    return result


def _add(total: Amounts, container: Obj, field: str) -> None:
    for name, value in ((container.get("resources") or {}).get(field) or {}).items():
        total[name] = total.get(name, Decimal(0)) + quantity.parse(str(value))


def _service(obj: Obj) -> Amounts:
    spec = obj.get("spec", {})
    usage = {"services": ONE}
    ports = Decimal(len(spec.get("ports") or ()))
    if spec.get("type") == "NodePort":
        usage["services.nodeports"] = ports
    elif spec.get("type") == "LoadBalancer":
        usage["services.loadbalancers"] = ONE
        if spec.get("allocateLoadBalancerNodePorts") is not False:
            usage["services.nodeports"] = ports
    return usage


def _claim(obj: Obj) -> Amounts:
    spec = obj.get("spec", {})
    usage = {"persistentvolumeclaims": ONE}
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    name = spec.get("storageClassName")
    prefix = f"{name}.storageclass.storage.k8s.io/" if name else ""
    if prefix:
        usage[prefix + "persistentvolumeclaims"] = ONE
    if size is not None:
        usage["requests.storage"] = quantity.parse(str(size))
        if prefix:
            usage[prefix + "requests.storage"] = usage["requests.storage"]
    return usage


_SPECIAL: dict[str, Callable[[Obj], Amounts]] = {
    "pods": _pod, "services": _service, "persistentvolumeclaims": _claim,
    "configmaps": lambda obj: {"configmaps": ONE}, "secrets": lambda obj: {"secrets": ONE},
    "replicationcontrollers": lambda obj: {"replicationcontrollers": ONE},
}


def matches_scopes(spec: Obj, storage: str, obj: Obj) -> bool:
    """Whether a quota's scopes include this object.  Scopes are about Pods only."""
    scopes = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    scopes += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if not scopes:
        return True
    return storage == "pods" and all(_in_scope(scope, obj.get("spec", {})) for scope in scopes)


def _in_scope(scope: Obj, spec: Obj) -> bool:
    name = scope["scopeName"]
    if name in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) == (name == "Terminating")
    if name in ("BestEffort", "NotBestEffort"):
        from kitlib.api.strategies.pods import qos_class

        return (qos_class(spec) == "BestEffort") == (name == "BestEffort")
    if name == "PriorityClass":
        return _operator(scope, spec.get("priorityClassName") or "")
    if name == "CrossNamespacePodAffinity":
        return _crosses(spec)
    return False


def _operator(scope: Obj, value: str) -> bool:
    operator, values = scope.get("operator"), scope.get("values") or ()
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    return bool(value) == (operator == "Exists")


def _crosses(spec: Obj) -> bool:
    affinity = spec.get("affinity") or {}
    for part in ("podAffinity", "podAntiAffinity"):
        found = affinity.get(part) or {}
        terms = list(found.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [t.get("podAffinityTerm") or {} for t in
                  found.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False
