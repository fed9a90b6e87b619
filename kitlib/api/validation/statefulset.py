"""StatefulSets and the ControllerRevisions that they (and DaemonSets) keep.

Source: k8s.io/kubernetes/pkg/apis/apps/validation (ValidateStatefulSet, ValidateControllerRevision).
"""

from __future__ import annotations

from kitlib.api.validation.common import (
    Errors,
    Obj,
    amount_of,
    at_most_100_percent,
    immutable,
    int_or_percent,
    not_negative,
    not_negative_fields,
    one_of,
)
from kitlib.api.validation.workloads import selector_and_template
from kitlib.objects import field

_MAY_CHANGE = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
               "persistentVolumeClaimRetentionPolicy", "minReadySeconds")
_FIXED = ("updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
          "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")


def create_statefulset(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    one_of(errs, "spec.podManagementPolicy", spec.get("podManagementPolicy"), ("OrderedReady", "Parallel"))
    _strategy(errs, spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    if retention is not None:
        for name in ("whenDeleted", "whenScaled"):
            one_of(errs, f"spec.persistentVolumeClaimRetentionPolicy.{name}", retention.get(name), ("Delete", "Retain"))
    not_negative_fields(errs, "spec", spec, "replicas", "minReadySeconds", "revisionHistoryLimit")
    not_negative(errs, "spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
    selector_and_template(errs, spec, "statefulset", "StatefulSet")


def _strategy(errs: Errors, strategy: Obj) -> None:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    at = "spec.updateStrategy"
    one_of(errs, f"{at}.type", kind, ("OnDelete", "RollingUpdate"))
    if kind == "OnDelete" and rolling is not None:
        errs.append(field.invalid(f"{at}.rollingUpdate", rolling, "only allowed for updateStrategy 'RollingUpdate'"))
    elif kind == "RollingUpdate" and rolling is not None:
        not_negative(errs, f"{at}.rollingUpdate.partition", rolling.get("partition"))
        down = rolling.get("maxUnavailable")
        if down is not None:
            int_or_percent(errs, f"{at}.rollingUpdate.maxUnavailable", down)
            at_most_100_percent(errs, f"{at}.rollingUpdate.maxUnavailable", down)
            if amount_of(down) == 0:
                errs.append(field.invalid(f"{at}.rollingUpdate.maxUnavailable", down, "cannot be 0"))


def update_statefulset(errs: Errors, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if any(spec.get(name) != before.get(name) for name in {*spec, *before} if name not in _MAY_CHANGE):
        errs.append(field.forbidden("spec", _FIXED))


def status_statefulset(errs: Errors, new: Obj, old: Obj) -> None:
    status = new.get("status") or {}
    counters = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    not_negative_fields(errs, "status", status, *counters, "observedGeneration", "collisionCount")
    for name in counters[1:]:
        if status.get(name, 0) > status.get("replicas", 0):
            errs.append(field.invalid(f"status.{name}", status[name], "cannot be greater than status.replicas"))


def create_controllerrevision(errs: Errors, obj: Obj) -> None:
    if obj.get("data") is None:
        errs.append(field.required("data", "data is mandatory"))
    not_negative(errs, "revision", obj.get("revision"))


def update_controllerrevision(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "data", new.get("data"), old.get("data"))
