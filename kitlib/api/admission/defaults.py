"""Small plugins that fill in one field: tolerations, taints, classes, finalizers.

DefaultTolerationSeconds gives every Pod five minutes on a node that is gone; TaintNodesByCondition keeps
Pods off a node until it has proved to be ready; DefaultStorageClass and DefaultIngressClass choose the
class that an annotation marks as default; StorageObjectInUseProtection adds the finalizers that keep
a volume in use from vanishing.

Source: k8s.io/kubernetes/plugin/pkg/admission/{defaulttolerationseconds,nodetaint,network/defaultingressclass,
storage/storageclass/setdefault,storage/storageobjectinuseprotection,storage/persistentvolume/resize}.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.call import Call
from kitlib.objects import quantity

Obj = dict[str, Any]

SECONDS = 300
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
# Shared by all Pods: stored objects are never changed.
TOLERATIONS = {key: {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}
               for key in (NOT_READY, UNREACHABLE)}
DEFAULT_STORAGE = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
DEFAULT_INGRESS = "ingressclass.kubernetes.io/is-default-class"
OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
OLD_INGRESS_CLASS = "kubernetes.io/ingress.class"


def tolerations(call: Call, obj: Obj, old: Obj | None) -> None:
    spec = obj.get("spec", {})
    listed = spec.get("tolerations") or []
    missing = [key for key in (NOT_READY, UNREACHABLE) if not any(_tolerates(t, key) for t in listed)]
    if missing:
        spec["tolerations"] = [*listed, *(TOLERATIONS[key] for key in missing)]


def _tolerates(toleration: Obj, key: str) -> bool:
    return toleration.get("key", "") in ("", key) and toleration.get("effect", "") in ("", "NoExecute")


def taint_new_node(call: Call, obj: Obj, old: Obj | None) -> None:
    taints = obj.setdefault("spec", {}).setdefault("taints", [])
    if not any(taint.get("key") == NOT_READY and taint.get("effect") == "NoSchedule" for taint in taints):
        taints.append({"key": NOT_READY, "effect": "NoSchedule"})


def storage_class(call: Call, obj: Obj, old: Obj | None) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("storageClassName") is not None or OLD_CLASS in (obj["metadata"].get("annotations") or {}):
        return
    classes = [entry.obj["metadata"] for entry in call.api.store.list("storageclasses.storage.k8s.io")]
    marked = [meta for meta in classes if any((meta.get("annotations") or {}).get(key) == "true"
                                              for key in DEFAULT_STORAGE)]
    if marked:
        # The newest of several; the name decides between those of one second.
        newest = max(meta["creationTimestamp"] for meta in marked)
        spec["storageClassName"] = min(meta["name"] for meta in marked if meta["creationTimestamp"] == newest)


def protect_storage(call: Call, obj: Obj, old: Obj | None) -> None:
    finalizer = "kubernetes.io/pvc-protection" if call.kind.namespaced else "kubernetes.io/pv-protection"
    finalizers = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in finalizers:
        finalizers.append(finalizer)


def check_claim_resize(call: Call, obj: Obj, old: Obj | None) -> None:
    """A claim may grow only if its class allows that."""
    assert old is not None
    wanted, had = _storage(obj), _storage(old)
    if wanted is None or had is None or quantity.parse(wanted) <= quantity.parse(had):
        return
    name = (old.get("spec") or {}).get("storageClassName") or ""
    found = call.api.store.get("storageclasses.storage.k8s.io", "", name)
    if found is None or not found.obj.get("allowVolumeExpansion"):
        raise call.forbidden("only dynamically provisioned pvc can be resized and the storageclass that provisions "
                             "the pvc must support resize")


def _storage(obj: Obj) -> str | None:
    found: str | None = ((obj.get("spec") or {}).get("resources") or {}).get("requests", {}).get("storage")
    return found


def ingress_class(call: Call, obj: Obj, old: Obj | None) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("ingressClassName") is not None or OLD_INGRESS_CLASS in (obj["metadata"].get("annotations") or {}):
        return
    marked = [entry.obj["metadata"] for entry in call.api.store.list("ingressclasses.networking.k8s.io")
              if (entry.obj["metadata"].get("annotations") or {}).get(DEFAULT_INGRESS) == "true"]
    if marked:
        newest = max(meta["creationTimestamp"] for meta in marked)
        spec["ingressClassName"] = min(meta["name"] for meta in marked if meta["creationTimestamp"] == newest)
