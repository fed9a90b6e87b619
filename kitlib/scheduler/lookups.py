"""What plugins look up beside Pods and nodes, answered from the scheduler's caches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kitlib.client.informer import Informer
from kitlib.objects.meta import controller_of
from kitlib.objects.selectors import LabelSelector
from kitlib.scheduler.plugins.listers import Listers
from kitlib.scheduler.podinfo import PodInfo


class CacheListers(Listers):
    def __init__(self, cache: Callable[[str], Informer]) -> None:
        self._cache = cache

    def namespaces(self, selector: LabelSelector) -> frozenset[str]:
        return frozenset(ns["metadata"]["name"] for ns in self._cache("namespaces").list()
                         if selector.matches(ns["metadata"].get("labels")))

    def claim(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self._cache("persistentvolumeclaims").get(f"{namespace}/{name}")

    def volume(self, name: str) -> Mapping[str, Any] | None:
        return self._cache("persistentvolumes").get(name)

    def storage_class(self, name: str) -> Mapping[str, Any] | None:
        return self._cache("storageclasses.storage.k8s.io").get(name)

    def siblings(self, pod: PodInfo) -> LabelSelector | None:
        """The selectors of its Services and of its ReplicaSet, all of which its siblings meet."""
        requirements = [requirement for service in self._cache("services").by_index("namespace", pod.namespace)
                        if service["spec"].get("selector")
                        for selector in [LabelSelector.of_labels(service["spec"]["selector"])]
                        if selector.matches(pod.labels) for requirement in selector.requirements]
        owner = controller_of(pod.pod)
        if owner is not None and owner["kind"] == "ReplicaSet":
            rs = self._cache("replicasets.apps").get(f"{pod.namespace}/{owner['name']}")
            if rs is not None:
                requirements += LabelSelector.of(rs["spec"]["selector"]).requirements
        return LabelSelector(requirements) if requirements else None
