"""StatefulSets and the ControllerRevisions that they (and DaemonSets) keep.

Source: k8s.io/kubernetes/pkg/apis/apps/validation (ValidateStatefulSet, ValidateControllerRevision).
"""

from __future__ import annotations

from kitlib.api.validation.common import (
    Errors,
    Obj,
    amount_of,
    at_most_100_percent,
    each,
    immutable,
    int_or_percent,
    not_negative,
    not_negative_fields,
)
from kitlib.api.validation.workloads import always_running, pod_template, selector_matches
from kitlib.objects import field, names

_MAY_CHANGE = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
               "persistentVolumeClaimRetentionPolicy", "minReadySeconds")
_FIXED = ("updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
          "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")


def create_statefulset(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    policy = spec.get("podManagementPolicy")
    if not policy:
        errs.append(field.required("spec.podManagementPolicy"))
    elif policy not in ("OrderedReady", "Parallel"):
        errs.append(field.invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    _strategy(errs, spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    if retention is not None:
        for name in ("whenDeleted", "whenScaled"):
            value = retention.get(name)
            if value not in ("Delete", "Retain"):
                errs.append(field.not_supported(f"spec.persistentVolumeClaimRetentionPolicy.{name}", value or "",
                                                ("Delete", "Retain")))
    not_negative_fields(errs, "spec", spec, "replicas", "minReadySeconds", "revisionHistoryLimit")
    not_negative(errs, "spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
    service = spec.get("serviceName")
    if service:
        each(errs, "spec.serviceName", service, names.dns_label(service))
    if not selector_matches(errs, spec, "statefulset"):
        errs.append(field.invalid("spec.selector", spec.get("selector"), ""))
        return
    template = _with_claims(spec)
    pod_template(errs, "spec.template", template)
    always_running(errs, "spec.template", template, "StatefulSet")


def _with_claims(spec: Obj) -> Obj:
    """The template as its Pods will be: each claim template is a volume, in place of one of the same name."""
    template = spec.get("template") or {}
    claims = [(claim.get("metadata") or {}).get("name", "") for claim in spec.get("volumeClaimTemplates") or ()]
    if not claims:
        return template
    pod = template.get("spec") or {}
    volumes = [{"name": volume["name"], "emptyDir": {}} if volume.get("name") in claims else volume
               for volume in pod.get("volumes") or ()]
    known = {volume.get("name") for volume in volumes}
    volumes += [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims if name not in known]
    return {**template, "spec": {**pod, "volumes": volumes}}


def _strategy(errs: Errors, strategy: Obj) -> None:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    at = "spec.updateStrategy"
    if not kind:
        errs.append(field.required(at))
    elif kind not in ("OnDelete", "RollingUpdate"):
        errs.append(field.invalid(at, dict(strategy), "must be 'RollingUpdate' or 'OnDelete'"))
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
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        errs.append(field.invalid("status.availableReplicas", status["availableReplicas"],
                                  "cannot be greater than status.readyReplicas"))


def create_controllerrevision(errs: Errors, obj: Obj) -> None:
    if obj.get("data") is None:
        errs.append(field.required("data", "data is mandatory"))
    not_negative(errs, "revision", obj.get("revision"))


def update_controllerrevision(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "data", new.get("data"), old.get("data"))
