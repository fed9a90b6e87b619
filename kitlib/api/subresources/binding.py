"""`/pods/NAME/binding`: how the scheduler gives a Pod to a node.

It is a write of its own, so that a scheduler needs no right to change Pods, and can happen only once.

Source: k8s.io/kubernetes/pkg/registry/core/pod/storage (BindingREST.assignPod).
"""

from __future__ import annotations

from typing import Any

from kitlib.api import decode, respond, writing
from kitlib.api.call import Call
from kitlib.api.kind import Kind
from kitlib.api.request import Response
from kitlib.objects import field as problems
from kitlib.objects.clock import rfc3339
from kitlib.objects.errors import StatusError, conflict, invalid
from kitlib.objects.meta import clone

BINDING = Kind("", "v1", "Binding", "bindings", virtual=True)


def binding(call: Call) -> Response:
    wanted = decode.body(call, BINDING)
    return bind(call, call.name or wanted["metadata"].get("name", ""), wanted)


def bind(call: Call, name: str, wanted: dict[str, Any]) -> Response:
    """Assign Pod `name` to the Binding's target."""
    target = wanted.get("target") or {}
    if not target.get("name"):
        # The real server makes an error of a kind that no handler knows: a bare 500.
        raise StatusError(500, None, "target.name: Required value")
    if target.get("kind", "Node") not in ("", "Node"):
        raise invalid("", "Binding", name, [problems.not_supported("target.kind", target["kind"], ["Node", "<empty>"])])
    store = call.api.store
    found = store.get("pods", call.info.namespace, name)
    if found is None:
        from kitlib.objects.errors import not_found

        raise not_found("", "pods", name)
    pod, meta = clone(found.obj), wanted["metadata"]
    spec = pod["spec"]
    if meta.get("uid") and meta["uid"] != pod["metadata"]["uid"]:
        raise conflict("", "pods/binding", name, f"Precondition failed: UID in precondition: {meta['uid']}, UID in "
                       f"object meta: {pod['metadata']['uid']}")
    if pod["metadata"].get("deletionTimestamp"):
        raise conflict("", "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise conflict("", "pods/binding", name, f"pod {name} is already assigned to node {spec['nodeName']!r}")
    if spec.get("schedulingGates"):
        raise conflict("", "pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
    spec["nodeName"] = target["name"]
    if meta.get("annotations"):
        pod["metadata"].setdefault("annotations", {}).update(meta["annotations"])
    _scheduled(pod, rfc3339(call.api.clock.now()))
    if call.dry_run:
        return respond.json(respond.success(201), 201)
    entry = store.update(*found.key, writing.as_stored(pod))
    call.api.writes.record(call, entry)
    return respond.json(respond.success(201), 201, entry.revision)


def _scheduled(pod: dict[str, Any], now: str) -> None:
    """Set the condition PodScheduled."""
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    for condition in conditions:
        if condition["type"] == "PodScheduled":
            if condition["status"] != "True":
                condition["lastTransitionTime"] = now
            condition.update(status="True")
            condition.pop("reason", None)
            condition.pop("message", None)
            return
    conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now})
