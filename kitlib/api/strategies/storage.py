"""Volumes and claims: both start as Pending, and both are protected while something uses them.

Source: k8s.io/kubernetes/pkg/registry/core/persistentvolume{,claim}/strategy.go,
plugin/pkg/admission/storage/storageobjectinuseprotection.
"""

from __future__ import annotations

from kitlib.api.call import Call
from kitlib.api.strategies.base import Obj, Strategy


class ClaimStrategy(Strategy):
    """The strategy of PersistentVolumeClaims."""

    returns_deleted = True

    def initial_status(self, call: Call, obj: Obj) -> None:
        obj["status"] = {"phase": "Pending"}


class VolumeStrategy(Strategy):
    """The strategy of PersistentVolumes."""

    returns_deleted = True

    def initial_status(self, call: Call, obj: Obj) -> None:
        obj["status"] = {"phase": "Pending"}
