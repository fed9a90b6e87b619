"""Deployments, ReplicaSets, DaemonSets, ReplicationControllers and PodTemplates.

All hold a template that is a Pod in all but name, and a selector that must find what the template makes:

    spec.selector  ──must match──▶  spec.template.metadata.labels

Source: k8s.io/kubernetes/pkg/apis/apps/validation, pkg/apis/core/validation.
"""

from __future__ import annotations

from collections.abc import Mapping

from kitlib.api.validation.common import (
    Errors,
    Obj,
    amount_of,
    at_most_100_percent,
    immutable,
    int_or_percent,
    label_selector,
    labels,
    not_negative_fields,
    selects,
)
from kitlib.api.validation.meta import annotation_map
from kitlib.api.validation.pod import pod_annotations, pod_spec
from kitlib.objects import field

MISMATCH = "`selector` does not match template `labels`"


def pod_template(errs: Errors, path: str, template: Obj) -> None:
    """A template's labels, annotations and spec."""
    meta = template.get("metadata") or {}
    labels(errs, f"{path}.labels", meta.get("labels"))  # so the real server writes it: without "metadata"
    annotation_map(errs, f"{path}.annotations", meta.get("annotations") or {})
    pod_annotations(errs, f"{path}.annotations", meta.get("annotations") or {})
    pod_spec(errs, f"{path}.spec", template.get("spec") or {})
    if (template.get("spec") or {}).get("ephemeralContainers"):
        errs.append(field.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod "
                                    "template"))


def always_running(errs: Errors, path: str, template: Obj, owner: str) -> None:
    """Pods that are kept running restart always and have no deadline."""
    spec = template.get("spec") or {}
    policy = spec.get("restartPolicy")
    if policy not in ("Always", "", None):
        errs.append(field.not_supported(f"{path}.spec.restartPolicy", policy, ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        errs.append(field.forbidden(f"{path}.spec.activeDeadlineSeconds",
                                    f"activeDeadlineSeconds in {owner} is not Supported"))


def selector_matches(errs: Errors, spec: Obj, kind: str, *, needed: bool = True) -> bool:
    """Check the selector, and that it finds what the template makes.  False if it cannot be used at all."""
    selector = spec.get("selector")
    found = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    matched: bool | None = False  # a selector that is not there finds nothing
    if selector is None:
        if needed:
            errs.append(field.required("spec.selector"))
    else:
        label_selector(errs, "spec.selector", selector)
        empty = not selector.get("matchLabels") and not selector.get("matchExpressions")
        if empty:
            errs.append(field.invalid("spec.selector", selector, f"empty selector is invalid for {kind}"))
        matched = True if empty else selects(selector, found)
    if matched is False:
        errs.append(field.invalid("spec.template.metadata.labels", found, MISMATCH))
    return matched is not None


def selector_and_template(errs: Errors, spec: Obj, kind: str, owner: str) -> None:
    """The pair that Deployments and ReplicaSets have."""
    if not selector_matches(errs, spec, kind):
        errs.append(field.invalid("spec.selector", spec.get("selector"), "invalid label selector"))
        return
    template = spec.get("template") or {}
    pod_template(errs, "spec.template", template)
    always_running(errs, "spec.template", template, owner)


def create_deployment(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    not_negative_fields(errs, "spec", spec, "replicas", "minReadySeconds", "revisionHistoryLimit",
                        "progressDeadlineSeconds")
    selector_and_template(errs, spec, "deployment", "ReplicaSet")
    _strategy(errs, spec.get("strategy") or {})
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        errs.append(field.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))


def _strategy(errs: Errors, strategy: Obj) -> None:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    at = "spec.strategy.rollingUpdate"
    if kind == "Recreate":
        if rolling is not None:
            errs.append(field.forbidden(at, "may not be specified when strategy `type` is 'Recreate'"))
    elif kind != "RollingUpdate":
        errs.append(field.not_supported("spec.strategy", dict(strategy), ("Recreate", "RollingUpdate")))
    elif rolling is None:
        errs.append(field.required(at, "this should be defaulted and never be nil"))
    else:
        down, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
        int_or_percent(errs, f"{at}.maxUnavailable", down)
        int_or_percent(errs, f"{at}.maxSurge", surge)
        if amount_of(down) == 0 and amount_of(surge) == 0:
            errs.append(field.invalid(f"{at}.maxUnavailable", down, "may not be 0 when `maxSurge` is 0"))
        at_most_100_percent(errs, f"{at}.maxUnavailable", down)


def _same_selector(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "spec.selector", (new.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector"))


def update_deployment(errs: Errors, new: Obj, old: Obj) -> None:
    _same_selector(errs, new, old)


def create_replicaset(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    not_negative_fields(errs, "spec", spec, "replicas", "minReadySeconds")
    selector_and_template(errs, spec, "deployment", "ReplicaSet")


def update_replicaset(errs: Errors, new: Obj, old: Obj) -> None:
    _same_selector(errs, new, old)


def create_daemonset(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    not_negative_fields(errs, "spec", spec, "minReadySeconds", "revisionHistoryLimit")
    selector_matches(errs, spec, "daemonset", needed=False)
    pod_template(errs, "spec.template", spec.get("template") or {})
    always_running(errs, "spec.template", spec.get("template") or {}, "DaemonSet")
    strategy = spec.get("updateStrategy") or {}
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    at = "spec.updateStrategy"
    if kind == "RollingUpdate":
        if rolling is None:
            errs.append(field.required(f"{at}.rollingUpdate"))
        else:
            _rolling_daemons(errs, f"{at}.rollingUpdate", rolling)
    elif kind != "OnDelete":
        errs.append(field.not_supported(at, dict(strategy), ("OnDelete", "RollingUpdate")))


def _rolling_daemons(errs: Errors, path: str, rolling: Mapping[str, int | str]) -> None:
    """A node has either the old daemon a little longer or none for a little while, never both."""
    down, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    for name, value in (("maxUnavailable", down), ("maxSurge", surge)):
        int_or_percent(errs, f"{path}.{name}", value)
        at_most_100_percent(errs, f"{path}.{name}", value)
    if amount_of(down) and amount_of(surge):
        errs.append(field.invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    elif not amount_of(down) and not amount_of(surge):
        errs.append(field.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))


def update_daemonset(errs: Errors, new: Obj, old: Obj) -> None:
    _same_selector(errs, new, old)


def create_replicationcontroller(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    not_negative_fields(errs, "spec", spec, "replicas", "minReadySeconds")
    selector, template = spec.get("selector"), spec.get("template")
    if not selector:
        errs.append(field.required("spec.selector"))
    if template is None:
        errs.append(field.required("spec.template"))
        return
    found = (template.get("metadata") or {}).get("labels") or {}
    if any(found.get(key) != value for key, value in (selector or {}).items()):
        errs.append(field.invalid("spec.template.metadata.labels", found, MISMATCH))
    pod_template(errs, "spec.template", template)
    always_running(errs, "spec.template", template, "ReplicationController")


def create_podtemplate(errs: Errors, obj: Obj) -> None:
    pod_template(errs, "template", obj.get("template") or {})


def _counters(errs: Errors, new: Obj) -> None:
    status = new.get("status") or {}
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas",
             "fullyLabeledReplicas", "observedGeneration")
    not_negative_fields(errs, "status", status, *names)
    total = status.get("replicas", 0)
    for name in ("updatedReplicas", "readyReplicas", "availableReplicas", "fullyLabeledReplicas"):
        if status.get(name, 0) > total:
            errs.append(field.invalid(f"status.{name}", status[name], "cannot be greater than status.replicas"))
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        errs.append(field.invalid("status.availableReplicas", status["availableReplicas"],
                                  "cannot be greater than readyReplicas"))


def status_deployment(errs: Errors, new: Obj, old: Obj) -> None:
    _counters(errs, new)


def status_replicaset(errs: Errors, new: Obj, old: Obj) -> None:
    _counters(errs, new)


def status_replicationcontroller(errs: Errors, new: Obj, old: Obj) -> None:
    _counters(errs, new)
