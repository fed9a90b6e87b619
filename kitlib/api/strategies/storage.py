"""Volumes and claims: both start as Pending, and both are protected while something uses them.

Source: k8s.io/kubernetes/pkg/registry/core/persistentvolume{,claim}/strategy.go,
plugin/pkg/admission/storage/storageobjectinuseprotection.
"""

from __future__ import annotations

from kitlib.api.call import Call
from kitlib.api.strategies.base import Obj, Strategy
from kitlib.objects.clock import rfc3339


class ClaimStrategy(Strategy):
    """The strategy of PersistentVolumeClaims."""

    returns_deleted = True

    def initial_status(self, call: Call, obj: Obj) -> None:
        obj["status"] = {"phase": "Pending"}

    def prepare_create(self, call: Call, obj: Obj) -> None:
        """dataSource and dataSourceRef are two spellings of one thing; a namespace is possible only in the newer."""
        spec = obj.setdefault("spec", {})
        old, new = spec.get("dataSource"), spec.get("dataSourceRef")
        if old and not new:
            spec["dataSourceRef"] = dict(old)
        elif new and not old and not new.get("namespace"):
            spec["dataSource"] = dict(new)


class VolumeStrategy(Strategy):
    """The strategy of PersistentVolumes."""

    returns_deleted = True

    def initial_status(self, call: Call, obj: Obj) -> None:
        obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": rfc3339(call.api.clock.now())}

    def prepare_status(self, call: Call, obj: Obj, old: Obj) -> None:
        status, before = obj.setdefault("status", {}), old.get("status") or {}
        if status.get("phase") != before.get("phase"):
            status["lastPhaseTransitionTime"] = rfc3339(call.api.clock.now())
