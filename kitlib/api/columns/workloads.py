"""Workloads: what keeps Pods running, or running to their end, and how many.

Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.columns.printer import AGE, NAME, SELECTOR, TEMPLATE, Column, Obj, number, prints
from kitlib.api.columns.text import (
    NONE,
    UNSET,
    age,
    containers,
    human_duration,
    is_true,
    labels,
    name,
    part,
    selector,
    since,
    template,
)
from kitlib.objects.clock import parse_time


def _count(obj: Obj, field: str) -> int:
    return part(obj, "status", field) or 0


def _replicas(obj: Obj, now: float) -> list[Any]:
    return [name(obj), part(obj, "spec", "replicas") or 0, _count(obj, "replicas"), _count(obj, "readyReplicas"),
            age(obj, now), *template(obj)]


_REPLICAS = (NAME, number("Desired", "Pods wanted."), number("Current", "Pods there."),
             number("Ready", "Pods ready."), AGE, *TEMPLATE, SELECTOR)


@prints("apps", "ReplicaSet", *_REPLICAS)
def replica_set(obj: Obj, now: float) -> list[Any]:
    return [*_replicas(obj, now), selector(part(obj, "spec", "selector"))]


@prints("", "ReplicationController", *_REPLICAS)
def replication_controller(obj: Obj, now: float) -> list[Any]:
    return [*_replicas(obj, now), labels(part(obj, "spec", "selector"))]


@prints("apps", "Deployment", NAME, Column("Ready", description="Ready Pods of those wanted."),
        Column("Up-to-date", description="Pods of the newest template."),
        Column("Available", description="Pods ready for long enough."), AGE, *TEMPLATE, SELECTOR)
def deployment(obj: Obj, now: float) -> list[Any]:
    return [name(obj), f"{_count(obj, 'readyReplicas')}/{part(obj, 'spec', 'replicas') or 0}",
            _count(obj, "updatedReplicas"), _count(obj, "availableReplicas"), age(obj, now), *template(obj),
            selector(part(obj, "spec", "selector"))]


@prints("apps", "StatefulSet", NAME, Column("Ready", description="Ready Pods of those wanted."), AGE, *TEMPLATE)
def stateful_set(obj: Obj, now: float) -> list[Any]:
    return [name(obj), f"{_count(obj, 'readyReplicas')}/{part(obj, 'spec', 'replicas') or 0}", age(obj, now),
            *template(obj)]


@prints("apps", "DaemonSet", NAME, number("Desired", "Nodes that should run it."), number("Current", "Nodes that do."),
        number("Ready", "Pods ready."), number("Up-to-date", "Pods of the newest template."),
        number("Available", "Pods ready for long enough."), Column("Node Selector", description="Which nodes."), AGE,
        *TEMPLATE, SELECTOR)
def daemon_set(obj: Obj, now: float) -> list[Any]:
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled",
              "numberAvailable")
    return [name(obj), *(_count(obj, field) for field in counts),
            labels(part(obj, "spec", "template", "spec", "nodeSelector")), age(obj, now), *template(obj),
            selector(part(obj, "spec", "selector"))]


@prints("apps", "ControllerRevision", NAME, Column("Controller", description="Whose template it keeps."),
        Column("Revision", description="Its number."), AGE)
def controller_revision(obj: Obj, now: float) -> list[Any]:
    owner = next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    controller = NONE
    if owner:
        group = owner.get("apiVersion", "").rpartition("/")[0]
        controller = f"{owner.get('kind', '').lower()}{'.' + group if group else ''}/{owner.get('name', '')}"
    return [name(obj), controller, obj.get("revision", 0), age(obj, now)]


_JOB_STATES = (("Complete", "Complete"), ("Failed", "Failed"), ("", "Terminating"), ("Suspended", "Suspended"),
               ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet"))


def _job_status(obj: Obj) -> str:
    for kind, shown in _JOB_STATES:
        if is_true(obj, kind) if kind else obj["metadata"].get("deletionTimestamp"):
            return shown
    return "Running"


@prints("batch", "Job", NAME, Column("Status", description="How far it is."),
        Column("Completions", description="Pods that succeeded, of those wanted."),
        Column("Duration", description="How long it took, or takes."), AGE, *TEMPLATE, SELECTOR)
def job(obj: Obj, now: float) -> list[Any]:
    wanted, parallel = part(obj, "spec", "completions"), part(obj, "spec", "parallelism") or 0
    of = wanted if wanted is not None else f"1 of {parallel}" if parallel > 1 else 1
    start, end = part(obj, "status", "startTime"), part(obj, "status", "completionTime")
    duration = human_duration((parse_time(end) if end else now) - parse_time(start)) if start else ""
    return [name(obj), _job_status(obj), f"{_count(obj, 'succeeded')}/{of}", duration, age(obj, now), *template(obj),
            selector(part(obj, "spec", "selector"))]


@prints("batch", "CronJob", NAME, Column("Schedule", description="When, as in crontab(5)."),
        Column("Timezone", description="In whose time."), Column("Suspend", "boolean", description="No new Jobs."),
        number("Active", "Jobs running."), Column("Last Schedule", description="Since the last start."), AGE, *TEMPLATE,
        SELECTOR)
def cron_job(obj: Obj, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    suspend = spec.get("suspend")
    job_spec = part(spec, "jobTemplate", "spec")
    return [name(obj), spec.get("schedule", ""), spec.get("timeZone") or NONE,
            UNSET if suspend is None else str(suspend), len(part(obj, "status", "active") or ()),
            since(part(obj, "status", "lastScheduleTime"), now, NONE), age(obj, now),
            *containers(part(job_spec, "template", "spec")), selector(part(job_spec, "selector"))]


def _metric(spec: Obj, current: Obj | None) -> str:
    """One metric of an autoscaler as current/target."""
    kind = spec.get("type", "")
    field = kind[:1].lower() + kind[1:]
    source, now = spec.get(field) or {}, (current or {}).get(field) or {}
    target, value = source.get("target") or {}, now.get("current") or {}
    if kind in ("Resource", "ContainerResource"):
        if target.get("averageValue") is not None:
            text = f"{value.get('averageValue', '<unknown>')}/{target['averageValue']}"
        else:
            used, wanted = value.get("averageUtilization"), target.get("averageUtilization")
            text = f"{'<unknown>' if used is None else f'{used}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"
        return f"{source.get('name', '')}: {text}"
    if target.get("averageValue") is not None:
        suffix = "" if kind == "Pods" else " (avg)"
        return f"{value.get('averageValue', '<unknown>')}/{target['averageValue']}{suffix}"
    return f"{value.get('value', '<unknown>')}/{target.get('value', '')}"


@prints("autoscaling", "HorizontalPodAutoscaler", NAME, Column("Reference", description="What is scaled."),
        Column("Targets", description="Each metric, now and wanted."), Column("MinPods"), Column("MaxPods"),
        Column("Replicas"), AGE)
def autoscaler(obj: Obj, now: float) -> list[Any]:
    if obj.get("apiVersion") == "autoscaling/v1":
        from kitlib.api.kinds.autoscaling import to_v2

        obj = to_v2(dict(obj))
    spec = obj.get("spec") or {}
    metrics, current = spec.get("metrics") or [], part(obj, "status", "currentMetrics") or []
    shown = [_metric(metric, current[i] if i < len(current) else None) for i, metric in enumerate(metrics)]
    targets = ", ".join(shown[:2]) + (f" + {len(shown) - 2} more..." if len(shown) > 2 else "")
    reference = spec.get("scaleTargetRef") or {}
    minimum = spec.get("minReplicas")
    return [name(obj), f"{reference.get('kind', '')}/{reference.get('name', '')}", targets or NONE,
            UNSET if minimum is None else str(minimum), spec.get("maxReplicas", 0), _count(obj, "currentReplicas"),
            age(obj, now)]


@prints("autoscaling", "Scale", NAME, number("Desired"), number("Available"), AGE)
def scale(obj: Obj, now: float) -> list[Any]:
    return [name(obj), part(obj, "spec", "replicas") or 0, _count(obj, "replicas"), age(obj, now)]


@prints("policy", "PodDisruptionBudget", NAME, Column("Min Available", description="Pods that must stay."),
        Column("Max Unavailable", description="Pods that may be missing."),
        number("Allowed Disruptions", "Pods that may be evicted now."), AGE)
def disruption_budget(obj: Obj, now: float) -> list[Any]:
    bounds = [part(obj, "spec", field) for field in ("minAvailable", "maxUnavailable")]
    return [name(obj), *("N/A" if bound is None else str(bound) for bound in bounds),
            _count(obj, "disruptionsAllowed"), age(obj, now)]
