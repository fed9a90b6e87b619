"""What a change of a Pod or node means to Pods that wait.

    node-added  node-labels  node-taints  node-cordon  node-allocatable
    pod-added   pod-labels   pod-gone     pod-changed (the waiting Pod itself)

A plugin names those that could turn its no into a yes (`Plugin.wakes`).

Source: k8s.io/kubernetes/pkg/scheduler/framework/events.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def node_changes(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[str]:
    if new is None:
        return
    if old is None:
        yield "node-added"
        return
    if old["metadata"].get("labels") != new["metadata"].get("labels"):
        yield "node-labels"
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before.get("taints") != after.get("taints"):
        yield "node-taints"
    if before.get("unschedulable") and not after.get("unschedulable"):
        yield "node-cordon"
    if (old.get("status") or {}).get("allocatable") != (new.get("status") or {}).get("allocatable"):
        yield "node-allocatable"


def pod_changes(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[str]:
    """Of a Pod that has a node; new None: it is finished or gone."""
    had, has = bool(old and old["spec"].get("nodeName")), bool(new and new["spec"].get("nodeName"))
    if new is None:
        if had:
            yield "pod-gone"
    elif has and not had:
        yield "pod-added"
    elif has and old is not None:
        if old["metadata"].get("labels") != new["metadata"].get("labels"):
            yield "pod-labels"
        if old["spec"]["containers"] != new["spec"]["containers"]:
            yield "pod-gone"   # it was resized: there may be more room
