"""LimitRanger: a namespace's LimitRanges give containers their defaults and bound what they may ask for.

    type Container    default → limits, defaultRequest → requests; min, max, maxLimitRequestRatio for each
    type Pod          min, max and ratio for the sum over a Pod
    type PersistentVolumeClaim    min and max of the storage that is requested

Source: k8s.io/kubernetes/plugin/pkg/admission/limitranger/admission.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from kitlib.api.call import Call
from kitlib.objects import quantity

Obj = dict[str, Any]
ANNOTATION = "kubernetes.io/limit-ranger"
CLAIM = "PersistentVolumeClaim"


def _ranges(call: Call) -> Iterator[Obj]:
    for entry in call.api.store.list("limitranges", call.namespace):
        yield from (entry.obj.get("spec") or {}).get("limits") or ()


def set_defaults(call: Call, obj: Obj, old: Obj | None) -> None:
    notes = []
    for limit in _ranges(call):
        if limit.get("type") == "Container":
            for part, word in (("containers", "container"), ("initContainers", "init container")):
                for container in obj.get("spec", {}).get(part) or ():
                    notes += _merge(container, limit, word)
    if notes:
        text = "LimitRanger plugin set: " + "; ".join(notes)
        obj["metadata"].setdefault("annotations", {})[ANNOTATION] = text


def _merge(container: Obj, limit: Obj, word: str) -> list[str]:
    """Fill in one container's requests and limits; returns what was set, in words."""
    resources, notes = container.setdefault("resources", {}), []
    for field, source in (("requests", "defaultRequest"), ("limits", "default")):
        values, had = limit.get(source) or {}, resources.get(field) or {}
        added = {}
        for name, value in values.items():
            if name in had:
                continue
            # A container's own limit is a better request than the namespace's default one.
            own = (resources.get("limits") or {}).get(name) if field == "requests" else None
            added[name] = own if own is not None else value
        if added:
            resources[field] = {**had, **added}
            notes.append(f"{', '.join(sorted(added))} {field[:-1]} for {word} {container.get('name', '')}")
    return notes


def check(call: Call, obj: Obj, old: Obj | None) -> None:
    if old is not None and call.kind.storage == "pods" and call.subresource != "resize":
        return
    problems: list[str] = []
    for limit in _ranges(call):
        kind = limit.get("type")
        if call.kind.storage == "persistentvolumeclaims":
            if kind == CLAIM:
                requests = ((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
                problems += _violations(limit, requests, {}, claim=True)
            continue
        containers = obj.get("spec", {}).get("containers") or []
        if kind == "Container":
            for container in [*containers, *(obj["spec"].get("initContainers") or ())]:
                resources = container.get("resources") or {}
                problems += _violations(limit, resources.get("requests") or {}, resources.get("limits") or {})
        elif kind == "Pod":
            problems += _violations(limit, _total(obj["spec"], "requests"), _total(obj["spec"], "limits"))
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise call.forbidden(text, obj["metadata"].get("name", ""))


def _violations(limit: Obj, requests: Obj, limits: Obj, claim: bool = False) -> list[str]:
    kind, found = limit.get("type"), []
    for name, least in (limit.get("min") or {}).items():
        request, top = _amount(requests.get(name)), _amount(limits.get(name))
        if request is None and (claim or top is None):
            found.append(f"minimum {name} usage per {kind} is {least}.  No request is specified")
        elif request is not None and request < quantity.parse(least):
            found.append(f"minimum {name} usage per {kind} is {least}, but request is {requests[name]}")
        if top is not None and top < quantity.parse(least):
            found.append(f"minimum {name} usage per {kind} is {least}, but limit is {limits[name]}")
    for name, most in (limit.get("max") or {}).items():
        request, top = _amount(requests.get(name)), _amount(limits.get(name))
        if claim:
            if request is not None and request > quantity.parse(most):
                found.append(f"maximum {name} usage per {kind} is {most}, but request is {requests[name]}")
            continue
        if top is None:
            found.append(f"maximum {name} usage per {kind} is {most}.  No limit is specified")
        elif top > quantity.parse(most):
            found.append(f"maximum {name} usage per {kind} is {most}, but limit is {limits[name]}")
        if request is not None and request > quantity.parse(most):
            found.append(f"maximum {name} usage per {kind} is {most}, but request is {requests[name]}")
    for name, ratio in (limit.get("maxLimitRequestRatio") or {}).items():
        request, top = _amount(requests.get(name)), _amount(limits.get(name))
        if not request or not top:
            found.append(f"{name} max limit to request ratio per {kind} is {ratio}, but no request or limit is "
                         "specified")
        elif top / request > quantity.parse(ratio):
            found.append(f"{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is "
                         f"{top / request:f}")
    return found


def _amount(text: Any) -> Decimal | None:
    return quantity.parse(str(text)) if text is not None else None


def _total(spec: Obj, field: str) -> dict[str, str]:
    """The sum over containers, or the largest init container if that is more."""
    total: dict[str, Decimal] = {}
    for container in spec.get("containers") or ():
        for name, value in ((container.get("resources") or {}).get(field) or {}).items():
            total[name] = total.get(name, Decimal(0)) + quantity.parse(str(value))
    for container in spec.get("initContainers") or ():
        for name, value in ((container.get("resources") or {}).get(field) or {}).items():
            total[name] = max(total.get(name, Decimal(0)), quantity.parse(str(value)))
    return {name: f"{value:f}" for name, value in total.items()}
