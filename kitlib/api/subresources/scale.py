"""`/scale`: the one number that kubectl scale and the HorizontalPodAutoscaler share for all workloads.

A `Scale` is not stored; it is read out of the workload (spec.replicas, status.replicas, the selector as
text) and written back into it, along paths that the kind declares.

Source: k8s.io/kubernetes/pkg/registry/apps/deployment/storage (ScaleREST), k8s.io/api/autoscaling/v1.
"""

from __future__ import annotations

from typing import Any

from kitlib.api import decode, patching, respond, writing
from kitlib.api.apply import apply_scale
from kitlib.api.call import Call
from kitlib.api.kind import Kind
from kitlib.api.request import Answer, Response
from kitlib.api.shapes import shape_of
from kitlib.api.verbs.get import find
from kitlib.objects import field as problems
from kitlib.objects.errors import STALE, bad_request, internal, invalid
from kitlib.objects.meta import clone
from kitlib.objects.selectors import LabelSelector
from kitlib.store import Entry

SCALE = Kind("autoscaling", "v1", "Scale", "scales", virtual=True)


def scale(call: Call) -> Answer:
    found = find(call)
    obj = respond.view(call.kind, found)
    if call.verb == "get":
        return respond.obj(call, scale_of(call, obj))
    if call.verb == "update":
        wanted = decode.body(call, SCALE)
    else:
        wanted = _patched(call, obj)
    return _write(call, found, obj, wanted)


def scale_of(call: Call, obj: dict[str, Any]) -> dict[str, Any]:
    """The Scale of a workload.  Zero replicas are left out of the spec, as Go's omitempty does."""
    assert call.sub is not None
    sub, meta = call.sub, obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = at(obj, sub.spec_path)
    if replicas is None:
        if call.kind.custom:
            raise internal(f"the spec replicas field {sub.spec_path!r} does not exist")
        replicas = 0
    status: dict[str, Any] = {"replicas": at(obj, sub.status_path) or 0}
    selector = at(obj, sub.selector_path) if sub.selector_path else None
    if isinstance(selector, str):
        text = selector
    elif isinstance(selector, dict):
        plain = not ("matchLabels" in selector or "matchExpressions" in selector)
        text = str(LabelSelector.of_labels(selector) if plain else LabelSelector.of(selector))
    else:
        text = ""
    if text:
        status["selector"] = text
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {k: meta[k] for k in kept if k in meta},
            "spec": {"replicas": replicas} if replicas else {}, "status": status}


def _patched(call: Call, obj: dict[str, Any]) -> dict[str, Any]:
    media = decode.media_type(call)
    if media == patching.APPLY:
        return apply_scale(call, scale_of(call, obj))
    shape = shape_of(SCALE)
    result = patching.raw(scale_of(call, obj), media, decode.plain(call), shape.node)
    if not isinstance(result, dict):
        raise bad_request("a patch must leave an object")
    decode.check_kind(result, SCALE)
    made, wrong, unknown = shape.decode(result)
    if wrong:
        raise patching.rejected(wrong)
    decode.complain(call, unknown, [], shape)
    return made


def _write(call: Call, found: Entry, obj: dict[str, Any], wanted: dict[str, Any]) -> Response:
    meta, name = wanted["metadata"], wanted["metadata"].get("name")
    if name and name != call.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")
    if meta.get("namespace") and meta["namespace"] != call.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    replicas = wanted.get("spec", {}).get("replicas", 0)
    if replicas < 0:
        raise invalid("autoscaling", "Scale", call.name, [problems.invalid(
            "spec.replicas", replicas, "must be greater than or equal to 0")])
    version = meta.get("resourceVersion") or "0"
    if version not in ("0", obj["metadata"]["resourceVersion"]):
        raise call.conflict(STALE)
    uid = meta.get("uid")
    if uid and uid != obj["metadata"]["uid"]:
        raise call.conflict(f"Precondition failed: UID in precondition: {uid}, "
                            f"UID in object meta: {obj['metadata']['uid']}")
    assert call.sub is not None
    changed = clone(obj)
    put(changed, call.sub.spec_path, replicas)
    entry, written = writing.update(call, found, changed)
    return respond.obj(call, scale_of(call, respond.view(call.kind, entry)), revision=entry.revision if written else 0)


def at(obj: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for part in path.lstrip(".").split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def put(obj: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path."""
    *parents, last = path.lstrip(".").split(".")
    for part in parents:
        obj = obj.setdefault(part, {})
    obj[last] = value
