"""PodInfo: what the scheduler wants to know of a Pod, worked out once.

A Pod's request is not simply a sum.  Init containers run one after another before the others, so only the largest of
them counts; sidecars (init containers with restartPolicy Always) stay, so they count with everything that follows:

    max( containers + all sidecars,  each init container + the sidecars started before it )  + overhead

Amounts are integers: `cpu` in thousandths of a core, everything else in its own unit (bytes, pieces).

Source: k8s.io/kubernetes/pkg/scheduler/framework/types.go, component-helpers/resource/helpers.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from kitlib.objects.meta import object_key
from kitlib.objects.quantity import cpu_millis, memory_bytes

Object = dict[str, Any]
Amounts = dict[str, int]

DEFAULT_CPU, DEFAULT_MEMORY = 100, 200 * 1024 * 1024   # what a container without requests counts as in scores


def amounts(quantities: Mapping[str, Any] | None) -> Amounts:
    """{"cpu": "500m", "memory": "1Gi"} → {"cpu": 500, "memory": 1073741824}."""
    return {name: cpu_millis(value) if name == "cpu" else memory_bytes(value)
            for name, value in (quantities or {}).items()}


class PodInfo:
    __slots__ = ("__dict__", "key", "pod", "spec")

    def __init__(self, pod: Object) -> None:
        self.pod, self.spec, self.key = pod, pod["spec"], object_key(pod)

    @property
    def namespace(self) -> str:
        return self.pod["metadata"]["namespace"]

    @property
    def labels(self) -> Mapping[str, str]:
        return self.pod["metadata"].get("labels") or {}

    @property
    def priority(self) -> int:
        return self.spec.get("priority") or 0

    @property
    def terminating(self) -> bool:
        return "deletionTimestamp" in self.pod["metadata"]

    @cached_property
    def requests(self) -> Amounts:
        """What must be free on a node."""
        total = _total(self.spec, lambda c: amounts((c.get("resources") or {}).get("requests")))
        total |= amounts((self.spec.get("resources") or {}).get("requests"))   # of the Pod as a whole: these win
        return _plus(total, amounts(self.spec.get("overhead")))

    @cached_property
    def usual(self) -> tuple[int, int]:
        """(cpu, memory) for scores: a container that asks for nothing is taken to use a little all the same."""
        total = _total(self.spec, lambda c: {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY}
                       | amounts((c.get("resources") or {}).get("requests")))
        total = _plus(total, amounts(self.spec.get("overhead")))
        return total.get("cpu", 0), total.get("memory", 0)

    @cached_property
    def host_ports(self) -> tuple[tuple[str, str, int], ...]:
        """(address, protocol, port) of every hostPort."""
        return tuple((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
                     for container in [*self.spec["containers"], *(self.spec.get("initContainers") or ())]
                     for port in container.get("ports") or () if port.get("hostPort"))

    @property
    def tolerations(self) -> list[Mapping[str, Any]]:
        return self.spec.get("tolerations") or []

    def affinity(self, kind: str) -> Mapping[str, Any]:
        """nodeAffinity, podAffinity or podAntiAffinity; {} if there is none."""
        return (self.spec.get("affinity") or {}).get(kind) or {}


def _total(spec: Object, of: Callable[[Object], Amounts]) -> Amounts:
    total: Amounts = {}
    for container in spec["containers"]:
        total = _plus(total, of(container))
    sidecars: Amounts = {}
    largest_init: Amounts = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            sidecars = _plus(sidecars, of(container))
            largest_init = _most(largest_init, sidecars)
        else:
            largest_init = _most(largest_init, _plus(sidecars, of(container)))
    return _most(_plus(total, sidecars), largest_init)


def _plus(one: Amounts, other: Amounts) -> Amounts:
    if not other:
        return one
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _most(one: Amounts, other: Amounts) -> Amounts:
    if not other:
        return one
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}
