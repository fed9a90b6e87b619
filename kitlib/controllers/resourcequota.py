"""ResourceQuota: say how much of a namespace's allowance is used.

Admission is what refuses; it counts at the moment of the request.  This controller keeps `status.used` true for
everything that happens without a request being refused: Pods that end, objects that are deleted, quotas that change.

    pods, requests.cpu, limits.memory…        over Pods that have not ended
    services, services.nodeports…             over Services
    persistentvolumeclaims, requests.storage  over claims
    count/RESOURCE.GROUP, configmaps, secrets  one each

Source: k8s.io/kubernetes/pkg/controller/resourcequota, pkg/quota/v1/evaluator/core.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kitlib.client.actions import Action, RequeueAfter, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.controllers.pods import is_finished
from kitlib.objects import quantity
from kitlib.objects.meta import object_key

Object = dict[str, Any]
Amounts = dict[str, Decimal]

RESYNC = 300.0
PLAIN = ("configmaps", "secrets", "replicationcontrollers", "resourcequotas")
WATCHED = ("pods", "services", "persistentvolumeclaims", *PLAIN[:3])
BYTES = ("memory", "storage", "ephemeral-storage")


@dataclass(frozen=True)
class Observed:
    """objects: what the quota counts, by resource."""

    quota: Object
    objects: Mapping[str, list[Object]]


class ResourceQuota(Controller):
    name = "resourcequota"
    resource = "resourcequotas"
    reads = WATCHED

    def setup(self) -> None:
        for resource in WATCHED:
            self.watch(resource, self._quotas_of)

    def _quotas_of(self, obj: Object) -> list[str]:
        return [object_key(q) for q in self.cache(self.resource).by_index("namespace", obj["metadata"]["namespace"])]

    def observe(self, key: str) -> Observed | None:
        quota = self.get(key)
        if quota is None:
            return None
        resources = {_resource_of(name) for name in quota["spec"].get("hard") or {}}
        namespace = quota["metadata"]["namespace"]
        return Observed(quota, {r: self.cache(r).by_index("namespace", namespace) for r in sorted(resources)})

    def diff(self, observed: Observed) -> list[Action]:
        quota, hard = observed.quota, observed.quota["spec"].get("hard") or {}
        total: Amounts = {name: Decimal(0) for name in hard}
        for resource, objects in observed.objects.items():
            for obj in objects:
                if in_scope(quota["spec"], resource, obj):
                    for name, amount in usage(resource, obj):
                        if name in total:
                            total[name] += amount
        status = {"hard": hard, "used": {name: _show(name, total[name]) for name in hard}}
        later = [RequeueAfter(RESYNC)] if any(name.startswith("count/") for name in hard) else []
        if status == quota.get("status"):
            return [*later]
        return [UpdateStatus(self.resource, quota | {"status": status}), *later]


def _resource_of(name: str) -> str:
    """The resource whose objects a quota's line is about."""
    if name.startswith("count/"):
        return name.removeprefix("count/")
    if name.startswith("services"):
        return "services"
    if "persistentvolumeclaims" in name or name.endswith("requests.storage"):
        return "persistentvolumeclaims"
    return name if name in PLAIN else "pods"


def usage(resource: str, obj: Object) -> Iterable[tuple[str, Decimal]]:
    """Everything one object counts as."""
    yield f"count/{resource}", Decimal(1)
    if resource in PLAIN:
        yield resource, Decimal(1)
    elif resource == "pods" and not is_finished(obj):
        yield from _pod(obj["spec"])
    elif resource == "services":
        yield from _service(obj["spec"])
    elif resource == "persistentvolumeclaims":
        yield from _claim(obj["spec"])


def _pod(spec: Object) -> Iterable[tuple[str, Decimal]]:
    yield "pods", Decimal(1)
    for kind in ("requests", "limits"):
        for name, amount in _demand(spec, kind).items():
            yield f"{kind}.{name}", amount
            if kind == "requests":
                yield name, amount


def _demand(spec: Object, kind: str) -> Amounts:
    """Containers and sidecars run together; init containers one after the other."""
    together: Amounts = {}
    alone: Amounts = {}
    init = spec.get("initContainers") or ()
    for container in [*spec["containers"], *(c for c in init if c.get("restartPolicy") == "Always")]:
        for name, amount in _amounts(container, kind):
            together[name] = together.get(name, Decimal(0)) + amount
    for container in init:
        if container.get("restartPolicy") != "Always":
            for name, amount in _amounts(container, kind):
                alone[name] = max(alone.get(name, Decimal(0)), amount)
    total = {name: max(together.get(name, Decimal(0)), alone.get(name, Decimal(0))) for name in {**together, **alone}}
    total |= dict(_amounts(spec, kind))   # of the Pod as a whole
    for name, text in (spec.get("overhead") or {}).items():
        if name in total:
            total[name] += quantity.parse(text)
    return total


def _amounts(owner: Object, kind: str) -> Iterable[tuple[str, Decimal]]:
    return ((name, quantity.parse(text)) for name, text in ((owner.get("resources") or {}).get(kind) or {}).items())


def _service(spec: Object) -> Iterable[tuple[str, Decimal]]:
    yield "services", Decimal(1)
    kind, ports = spec.get("type"), Decimal(len(spec.get("ports") or ()))
    if kind == "LoadBalancer":
        yield "services.loadbalancers", Decimal(1)
    if kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False):
        yield "services.nodeports", ports


def _claim(spec: Object) -> Iterable[tuple[str, Decimal]]:
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    of_class = f"{spec['storageClassName']}.storageclass.storage.k8s.io/" if spec.get("storageClassName") else ""
    for prefix in ("", of_class) if of_class else ("",):
        yield f"{prefix}persistentvolumeclaims", Decimal(1)
        if size is not None:
            yield f"{prefix}requests.storage", quantity.parse(size)


def in_scope(spec: Object, resource: str, obj: Object) -> bool:
    """Whether the quota's scopes include the object.  Scopes are about Pods."""
    scopes = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    scopes += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return not scopes or (resource == "pods" and all(_meets(scope, obj) for scope in scopes))


def _meets(scope: Mapping[str, Any], pod: Object) -> bool:
    name, spec = scope["scopeName"], pod["spec"]
    if name in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) == (name == "Terminating")
    if name in ("BestEffort", "NotBestEffort"):
        return ((pod.get("status") or {}).get("qosClass") == "BestEffort") == (name == "BestEffort")
    if name != "PriorityClass":
        return False
    value, values = spec.get("priorityClassName") or "", scope.get("values") or ()
    answers = {"In": value in values, "NotIn": value not in values, "Exists": bool(value), "DoesNotExist": not value}
    return answers[scope["operator"]]


def _show(name: str, value: Decimal) -> str:
    if name.rpartition(".")[2] in BYTES and value == value.to_integral_value():
        return quantity.format_binary(int(value))
    return quantity.format_decimal(value)
