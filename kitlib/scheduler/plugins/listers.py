"""Listers: what plugins look up beside Pods and nodes.  The base knows nothing; the scheduler's reads its caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.objects.selectors import LabelSelector
from kitlib.scheduler.podinfo import PodInfo


class Listers:
    def namespaces(self, selector: LabelSelector) -> frozenset[str]:
        """The names of the namespaces with matching labels."""
        return frozenset()

    def siblings(self, pod: PodInfo) -> LabelSelector | None:
        """What Services and the owner select this Pod by: its siblings; None if nothing does."""
        return None

    def claim(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """A PersistentVolumeClaim."""
        return None

    def volume(self, name: str) -> Mapping[str, Any] | None:
        """A PersistentVolume."""
        return None

    def storage_class(self, name: str) -> Mapping[str, Any] | None:
        return None


def with_label_keys(selector: Mapping[str, Any] | None, keys: list[str] | None, labels: Mapping[str, str],
                    mismatch: list[str] | None = None) -> Mapping[str, Any] | None:
    """A label selector narrowed by matchLabelKeys: the Pod's own values of these labels (or any but them)."""
    if selector is None or not (keys or mismatch):
        return selector
    extra = [{"key": key, "operator": operator, "values": [labels[key]]}
             for names, operator in ((keys, "In"), (mismatch, "NotIn")) for key in names or () if key in labels]
    return {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *extra]}
