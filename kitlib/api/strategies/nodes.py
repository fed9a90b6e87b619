"""Nodes: the kubelet registers itself, status included; a new node is not ready until it has said so.

Source: k8s.io/kubernetes/pkg/registry/core/node/strategy.go, pkg/apis/core/v1 (SetDefaults_NodeStatus),
plugin/pkg/admission/nodetaint.
"""

from __future__ import annotations

from kitlib.api.call import Call
from kitlib.api.strategies.base import Obj, Strategy

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class NodeStrategy(Strategy):
    """The strategy of Nodes."""

    keeps_status_on_create = True

    def prepare_create(self, call: Call, obj: Obj) -> None:
        self._pod_cidrs(obj)
        status = obj.setdefault("status", {})
        if status.get("capacity") and not status.get("allocatable"):
            status["allocatable"] = dict(status["capacity"])

    def prepare_update(self, call: Call, obj: Obj, old: Obj) -> None:
        self._pod_cidrs(obj)

    def prepare_status(self, call: Call, obj: Obj, old: Obj) -> None:
        status = obj.setdefault("status", {})
        if status.get("capacity") and not status.get("allocatable"):
            status["allocatable"] = dict(status["capacity"])

    @staticmethod
    def _pod_cidrs(obj: Obj) -> None:
        """podCIDR is the first of podCIDRs."""
        spec = obj.setdefault("spec", {})
        if spec.get("podCIDR") and not spec.get("podCIDRs"):
            spec["podCIDRs"] = [spec["podCIDR"]]
        elif spec.get("podCIDRs") and not spec.get("podCIDR"):
            spec["podCIDR"] = spec["podCIDRs"][0]
