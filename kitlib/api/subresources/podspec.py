"""Parts of a running Pod that may still change: ephemeral containers (kubectl debug) and resources.

Everything else in a Pod's spec is fixed once it exists, so each of these has a door of its own that
ignores the rest of what it is sent.

Source: k8s.io/kubernetes/pkg/registry/core/pod/strategy.go (podEphemeralContainersStrategy, podResizeStrategy).
"""

from __future__ import annotations

from typing import Any

from kitlib.api import decode, patching, respond, writing
from kitlib.api.apply import apply
from kitlib.api.call import Call
from kitlib.api.request import Answer
from kitlib.api.verbs.get import find, get
from kitlib.api.verbs.update import check_name, check_uid
from kitlib.objects.meta import clone


def ephemeral_containers(call: Call) -> Answer:
    return _change(call, _take_ephemeral)


def resize(call: Call) -> Answer:
    return _change(call, _take_resources)


def _change(call: Call, take: Any) -> Answer:
    if call.verb == "get":
        return get(call)
    old = find(call)
    if call.verb == "update":
        sent = decode.body(call)
        check_name(call, sent)
        check_uid(call, sent, old.obj)
    else:
        media = patching.media_type(call)
        if media == patching.APPLY:
            return apply(call)
        patching.check_force(call)
        sent = patching.patched_object(call, old.obj, media, decode.plain(call))
    pod = clone(old.obj)
    pod["metadata"]["resourceVersion"] = sent["metadata"].get("resourceVersion", "")
    take(pod["spec"], sent.get("spec", {}))
    entry, written = writing.update(call, old, pod)
    return respond.entry(call, entry, written=written)


def _take_ephemeral(spec: dict[str, Any], sent: dict[str, Any]) -> None:
    if sent.get("ephemeralContainers"):
        spec["ephemeralContainers"] = sent["ephemeralContainers"]
    else:
        spec.pop("ephemeralContainers", None)


def _take_resources(spec: dict[str, Any], sent: dict[str, Any]) -> None:
    """Resources and resize policies, container by container; whatever else was sent is dropped."""
    for part in ("containers", "initContainers"):
        wanted = {container.get("name"): container for container in sent.get(part) or ()}
        for container in spec.get(part) or ():
            new = wanted.get(container["name"])
            if new is None:
                continue
            for field in ("resources", "resizePolicy"):
                if field in new:
                    container[field] = new[field]
                else:
                    container.pop(field, None)
    if "resources" in sent:
        spec["resources"] = sent["resources"]
