"""The cluster itself: nodes, namespaces, what happened, who leads, how much is left.

Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.columns.printer import AGE, NAME, Column, Obj, number, prints, wide
from kitlib.api.columns.text import NONE, UNKNOWN, age, condition, name, part, since
from kitlib.api.kinds.events import to_core

ROLE = "node-role.kubernetes.io/"


def _roles(obj: Obj) -> str:
    labels = obj["metadata"].get("labels") or {}
    roles = {key[len(ROLE):] for key in labels if key.startswith(ROLE) and len(key) > len(ROLE)}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    return ",".join(sorted(roles)) or NONE


def _address(obj: Obj, kind: str) -> str:
    return next((a.get("address", "") for a in part(obj, "status", "addresses") or () if a.get("type") == kind), NONE)


@prints("", "Node", NAME, Column("Status", description="Whether it can run Pods."), Column("Roles"), AGE,
        Column("Version", description="Of its kubelet."), wide("Internal-IP"), wide("External-IP"), wide("OS-Image"),
        wide("Kernel-Version"), wide("Container-Runtime"))
def node(obj: Obj, now: float) -> list[Any]:
    ready = condition(obj, "Ready")
    status = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    if part(obj, "spec", "unschedulable"):
        status += ",SchedulingDisabled"
    info = part(obj, "status", "nodeInfo") or {}
    return [name(obj), status, _roles(obj), age(obj, now), info.get("kubeletVersion", ""),
            _address(obj, "InternalIP"), _address(obj, "ExternalIP"),
            *(info.get(field) or UNKNOWN for field in ("osImage", "kernelVersion", "containerRuntimeVersion"))]


@prints("", "Namespace", NAME, Column("Status"), AGE)
def namespace(obj: Obj, now: float) -> list[Any]:
    return [name(obj), part(obj, "status", "phase") or "", age(obj, now)]


@prints("", "ComponentStatus", NAME, Column("Status"), Column("Message"), Column("Error"))
def component_status(obj: Obj, now: float) -> list[Any]:
    healthy: Obj = next((c for c in obj.get("conditions") or () if c.get("type") == "Healthy"), {})
    shown = {"True": "Healthy", "False": "Unhealthy"}.get(healthy.get("status", ""), "Unknown")
    return [name(obj), shown, healthy.get("message", ""), healthy.get("error", "")]


_EVENT = (Column("Last Seen"), Column("Type"), Column("Reason"), Column("Object", description="What it is about."),
          wide("Subobject"), wide("Source", "Who reports it."), Column("Message"), wide("First Seen"), wide("Count"),
          Column("Name", format="name", priority=1))


@prints("", "Event", *_EVENT)
def event(obj: Obj, now: float) -> list[Any]:
    first = since(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    last = since(obj.get("lastTimestamp"), now, first)
    count, series = obj.get("count") or 1, obj.get("series")
    if series:
        last, count = since(series.get("lastObservedTime"), now), series.get("count", 0)
    about, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    target = about.get("kind", "").lower() + (f"/{about['name']}" if about.get("name") else "")
    reporter = source.get("component") or obj.get("reportingComponent") or ""
    instance = source.get("host") or obj.get("reportingInstance") or ""
    return [last, obj.get("type", ""), obj.get("reason", ""), target, about.get("fieldPath", ""),
            f"{reporter}, {instance}" if instance else reporter, obj.get("message", "").strip(), first, count,
            name(obj)]


@prints("events.k8s.io", "Event", *_EVENT)
def new_event(obj: Obj, now: float) -> list[Any]:
    return event(to_core(dict(obj)), now)


@prints("coordination.k8s.io", "Lease", NAME, Column("Holder"), AGE)
def lease(obj: Obj, now: float) -> list[Any]:
    return [name(obj), part(obj, "spec", "holderIdentity") or "", age(obj, now)]


@prints("", "ResourceQuota", NAME, Column("Request", description="Used of what is allowed, requests and counts."),
        Column("Limit", description="Used of what is allowed, limits."), AGE)
def resource_quota(obj: Obj, now: float) -> list[Any]:
    hard, used = part(obj, "status", "hard") or {}, part(obj, "status", "used") or {}
    shown = {key: f"{key}: {used.get(key, '0')}/{hard[key]}" for key in sorted(hard)}
    return [name(obj), ", ".join(text for key, text in shown.items() if not key.startswith("limits.")),
            ", ".join(text for key, text in shown.items() if key.startswith("limits.")), age(obj, now)]


@prints("scheduling.k8s.io", "PriorityClass", NAME, number("Value"), Column("Global-Default", "boolean"), AGE,
        Column("PreemptionPolicy"))
def priority_class(obj: Obj, now: float) -> list[Any]:
    return [name(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age(obj, now),
            obj.get("preemptionPolicy") or "PreemptLowerPriority"]


@prints("node.k8s.io", "RuntimeClass", NAME, Column("Handler"), AGE)
def runtime_class(obj: Obj, now: float) -> list[Any]:
    return [name(obj), obj.get("handler", ""), age(obj, now)]


_USAGE = (NAME, Column("cpu"), Column("memory"), Column("Window"))


@prints("metrics.k8s.io", "NodeMetrics", *_USAGE)
def node_metrics(obj: Obj, now: float) -> list[Any]:
    return [name(obj), part(obj, "usage", "cpu"), part(obj, "usage", "memory"), obj.get("window")]


@prints("metrics.k8s.io", "PodMetrics", *_USAGE)
def pod_metrics(obj: Obj, now: float) -> list[Any]:
    from kitlib.objects.quantity import cpu_millis, memory_bytes

    containers = obj.get("containers") or ()
    cpu = sum(cpu_millis(part(c, "usage", "cpu") or "0") for c in containers)
    memory = sum(memory_bytes(part(c, "usage", "memory") or "0") for c in containers)
    return [name(obj), f"{cpu}m", f"{memory // 1024}Ki", obj.get("window")]
