"""RuntimeClass: what a Pod's runtime costs (overhead) and where it can run (node selector, tolerations).

Source: k8s.io/kubernetes/plugin/pkg/admission/runtimeclass/admission.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.call import Call
from kitlib.objects.meta import clone

CLASSES = "runtimeclasses.node.k8s.io"


def apply(call: Call, obj: dict[str, Any], old: dict[str, Any] | None) -> None:
    spec, name = obj.setdefault("spec", {}), obj["metadata"].get("name", "")
    wanted = spec.get("runtimeClassName")
    if not wanted:
        if spec.get("overhead"):
            raise call.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
                                 name)
        return
    found = call.api.store.get(CLASSES, "", wanted)
    if found is None:
        raise call.forbidden(f'pod rejected: RuntimeClass "{wanted}" not found', name)
    overhead = (found.obj.get("overhead") or {}).get("podFixed")
    if spec.get("overhead") and spec["overhead"] != overhead:
        raise call.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead", name)
    if overhead:
        spec["overhead"] = dict(overhead)
    scheduling = found.obj.get("scheduling") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if spec.setdefault("nodeSelector", {}).setdefault(key, value) != value:
            raise call.forbidden(f"pod rejected: conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}", name)
    listed = spec.get("tolerations") or []
    extra = [clone(t) for t in scheduling.get("tolerations") or () if t not in listed]
    if extra:
        spec["tolerations"] = [*listed, *extra]
