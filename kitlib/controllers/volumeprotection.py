"""Volume protection: a claim is not deleted under the Pods that use it, a volume not under its claim.

Admission puts a finalizer on every claim and volume.  `kubectl delete pvc` marks the claim, it shows as Terminating,
and nothing else happens until the last Pod that uses it has ended; then the finalizer is taken off and the claim goes.

Source: k8s.io/kubernetes/pkg/controller/volume/pvcprotection, pvprotection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kitlib.client.actions import Action, Patch
from kitlib.client.controller import Controller
from kitlib.controllers.pods import is_finished
from kitlib.controllers.volumebinder import CLAIMS, VOLUMES

Object = dict[str, Any]

CLAIM_FINALIZER, VOLUME_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"
BY_CLAIM = "claim"


class ClaimProtection(Controller):
    name = "pvc-protection"
    resource = CLAIMS
    reads = ("pods",)

    def setup(self) -> None:
        self.cache("pods").add_index(BY_CLAIM, claims_of)
        self.watch("pods", claims_of)

    def observe(self, key: str) -> tuple[Object, list[Object]] | None:
        """(a claim that is to go, the Pods that still use it)."""
        claim = self.get(key)
        if claim is None or "deletionTimestamp" not in claim["metadata"]:
            return None
        users = [pod for pod in self.cache("pods").by_index(BY_CLAIM, key)
                 if not is_finished(pod) and pod["spec"].get("nodeName")]
        return claim, users

    def diff(self, observed: tuple[Object, list[Object]]) -> list[Action]:
        claim, users = observed
        return [] if users else without(CLAIMS, claim, CLAIM_FINALIZER)


class VolumeProtection(Controller):
    name = "pv-protection"
    resource = VOLUMES

    def observe(self, key: str) -> Object | None:
        volume = self.get(key)
        return volume if volume is not None and "deletionTimestamp" in volume["metadata"] else None

    def diff(self, observed: Object) -> list[Action]:
        bound = (observed.get("status") or {}).get("phase") == "Bound"
        return [] if bound else without(VOLUMES, observed, VOLUME_FINALIZER)


def claims_of(pod: Object) -> Iterable[str]:
    """The keys of the claims a Pod uses; an ephemeral volume's claim is called POD-VOLUME."""
    meta = pod["metadata"]
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield f"{meta['namespace']}/{volume['persistentVolumeClaim']['claimName']}"
        elif volume.get("ephemeral"):
            yield f"{meta['namespace']}/{meta['name']}-{volume['name']}"


def without(resource: str, obj: Object, finalizer: str) -> list[Action]:
    """Take one finalizer off; nothing if it is not there."""
    meta = obj["metadata"]
    if finalizer not in (meta.get("finalizers") or ()):
        return []
    left = [name for name in meta["finalizers"] if name != finalizer]
    return [Patch(resource, meta.get("namespace", ""), meta["name"], {"metadata": {
        "finalizers": left or None, "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}})]
