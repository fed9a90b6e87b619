"""VolumeBinding: a Pod runs where its volumes are, or can be made.

    claim missing                     nowhere: it does not exist
    unbound, class binds at once      nowhere yet: wait for the volume
    unbound, class waits for a Pod    anywhere: the choice of the node *is* the choice of the volume's place
    bound                             where the volume's node affinity allows

For the third case the scheduler writes the chosen node into the claim, waits for the volume, and binds the Pod then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.scheduler.framework import Plugin, Rejection, State
from kitlib.scheduler.nodeinfo import NodeInfo
from kitlib.scheduler.plugins.listers import Listers
from kitlib.scheduler.plugins.node_affinity import Term
from kitlib.scheduler.podinfo import PodInfo

WAIT = "WaitForFirstConsumer"
REASON = "node(s) didn't match PersistentVolume's node affinity"


class VolumeBinding(Plugin):
    name = "VolumeBinding"
    wakes = frozenset({"node-added", "node-labels", "volume-changed", "pod-changed"})

    def __init__(self, listers: Listers) -> None:
        self._listers = listers

    def pre_filter(self, state: State, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool | Rejection:
        places = []
        for name in claim_names(pod):
            claim = self._listers.claim(pod.namespace, name)
            if claim is None:
                return Rejection((f'persistentvolumeclaim "{name}" not found',), unresolvable=True)
            if "deletionTimestamp" in claim["metadata"]:
                return Rejection((f'persistentvolumeclaim "{name}" is being deleted',), unresolvable=True)
            volume = self._listers.volume(claim["spec"].get("volumeName") or "")
            if volume is not None and (claim.get("status") or {}).get("phase") == "Bound":
                required = (volume["spec"].get("nodeAffinity") or {}).get("required")
                if required:
                    places.append([Term(term) for term in required.get("nodeSelectorTerms") or ()])
            elif not waits(claim, self._listers):
                return Rejection(("pod has unbound immediate PersistentVolumeClaims",), unresolvable=True)
        state[self.name] = places
        return bool(places)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        for terms in state[self.name]:
            if not any(term.matches(node) for term in terms):
                return Rejection((REASON,), unresolvable=True)
        return None


def claim_names(pod: PodInfo) -> list[str]:
    """The claims of the Pod's volumes; an ephemeral one's is called POD-VOLUME."""
    names = []
    for volume in pod.spec.get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            names.append(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral"):
            names.append(f"{pod.pod['metadata']['name']}-{volume['name']}")
    return names


def waits(claim: Mapping[str, Any], listers: Listers) -> bool:
    """Whether the claim's volume is chosen, or made, only when a Pod needs it."""
    storage_class = listers.storage_class(claim["spec"].get("storageClassName") or "")
    return storage_class is not None and storage_class.get("volumeBindingMode") == WAIT


def unbound(pod: PodInfo, listers: Listers) -> list[Mapping[str, Any]]:
    """The claims for which a node has to be chosen before the Pod can be bound."""
    claims = [listers.claim(pod.namespace, name) for name in claim_names(pod)]
    return [claim for claim in claims if claim is not None and (claim.get("status") or {}).get("phase") != "Bound"]
