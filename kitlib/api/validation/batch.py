"""Jobs: how many Pods, how often they may fail, and a template that ends.

Source: k8s.io/kubernetes/pkg/apis/batch/validation (ValidateJob, ValidateJobUpdate).
"""

from __future__ import annotations

import re
from typing import Any

from kitlib.api.validation.common import (
    Errors,
    Obj,
    each,
    immutable,
    label_selector,
    not_negative_fields,
    one_of,
    selects,
)
from kitlib.api.validation.workloads import MISMATCH, pod_template
from kitlib.objects import field, names

OWN_UPDATE = ("job",)

_LABELS = (("batch.kubernetes.io/controller-uid", "uid"), ("controller-uid", "uid"),
           ("batch.kubernetes.io/job-name", "name"), ("job-name", "name"))
_NUMBERS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
            "backoffLimitPerIndex", "maxFailedIndexes")
_MAX_INDEXED = 100_000
_MAX_RULES = 20
_MAX_MANAGED_BY = 63
_INDEXES = re.compile(r"(?:\d+(?:-\d+)?)?(?:,\d+(?:-\d+)?)*", re.ASCII)
_FIXED = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")

# Where a suspended Job that has not started yet may still be sent elsewhere.
_DIRECTIVES = ("nodeSelector", "tolerations", "schedulingGates", "affinity")


def create_job(errs: Errors, obj: Obj) -> None:
    spec, meta = obj.get("spec") or {}, obj["metadata"]
    if not spec.get("manualSelector") and spec.get("selector") is not None:
        _generated(errs, spec, meta)
    job_spec(errs, "spec", spec, needs_selector=True)
    if spec.get("completionMode") == "Indexed" and (spec.get("completions") or 0) > 0:
        last = f"{meta.get('name', '')}-{spec['completions'] - 1}"
        if names.dns_label(last):
            errs.append(field.invalid("metadata.name", meta.get("name"),
                                      f"will not able to create pod with invalid DNS label: {last}"))


def _generated(errs: Errors, spec: Obj, meta: Obj) -> None:
    """The selector and the labels are the ones that were made of the Job's uid and name."""
    generated = {label: meta.get(part, "") for label, part in _LABELS}
    found = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    for label, wanted in generated.items():
        at = f"spec.template.metadata.labels[{label}]"
        if label not in found:
            if len(wanted) <= 63:
                errs.append(field.required(at, f"must be '{wanted}'"))
        elif found[label] != wanted:
            errs.append(field.invalid(at, found, f"must be '{wanted}'"))
    if selects(spec["selector"], generated) is False:
        errs.append(field.invalid("spec.selector", spec["selector"], "`selector` not auto-generated"))


def job_spec(errs: Errors, path: str, spec: Obj, *, needs_selector: bool) -> None:
    """The spec of a Job, or of the Jobs that a CronJob makes (these get their selector later)."""
    not_negative_fields(errs, path, spec, *_NUMBERS)
    _indexes(errs, path, spec)
    if spec.get("managedBy") is not None:
        each(errs, f"{path}.managedBy", spec["managedBy"], names.domain_prefixed_path(spec["managedBy"]))
        if len(spec["managedBy"]) > _MAX_MANAGED_BY:
            errs.append(field.too_long(f"{path}.managedBy", _MAX_MANAGED_BY))
    replacement = ("Failed",) if spec.get("podFailurePolicy") else ("Failed", "TerminatingOrFailed")
    one_of(errs, f"{path}.podReplacementPolicy", spec.get("podReplacementPolicy"), replacement, False)
    if spec.get("successPolicy") and spec.get("completionMode") == "Indexed":
        _success_policy(errs, f"{path}.successPolicy", spec["successPolicy"], spec.get("completions") or 0)
    template = spec.get("template") or {}
    pod_template(errs, f"{path}.template", template)
    policy = (template.get("spec") or {}).get("restartPolicy")
    at = f"{path}.template.spec.restartPolicy"
    if policy in (None, "", "Always"):
        errs.append(field.required(at, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        errs.append(field.not_supported(at, policy, ("OnFailure", "Never")))
    if spec.get("podFailurePolicy"):
        _failure_policy(errs, f"{path}.podFailurePolicy", spec, template)
        if policy == "OnFailure":
            errs.append(field.invalid(at, policy, 'only "Never" is supported when podFailurePolicy is specified'))
    if needs_selector:
        labels, selector = (template.get("metadata") or {}).get("labels"), spec.get("selector")
        if selector is None:
            errs.append(field.required(f"{path}.selector"))
        else:
            label_selector(errs, f"{path}.selector", selector)
        if selector is None or selects(selector, labels) is False:
            errs.append(field.invalid(f"{path}.template.metadata.labels", labels, MISMATCH))


def _indexes(errs: Errors, path: str, spec: Obj) -> None:
    mode = spec.get("completionMode")
    one_of(errs, f"{path}.completionMode", mode, ("Indexed", "NonIndexed"), False)
    if mode == "Indexed":
        if spec.get("completions") is None:
            errs.append(field.required(f"{path}.completions", "when completion mode is Indexed"))
        if (spec.get("parallelism") or 0) > _MAX_INDEXED:
            errs.append(field.invalid(f"{path}.parallelism", spec["parallelism"], "must be less than or equal to "
                                      f"{_MAX_INDEXED} when completion mode is Indexed"))
        limit = spec.get("maxFailedIndexes")
        if limit is not None and limit > (spec.get("completions") or 0):
            errs.append(field.invalid(f"{path}.maxFailedIndexes", limit,
                                      "must be less than or equal to completions"))
    else:
        for name in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
            if spec.get(name) is not None:
                errs.append(field.invalid(f"{path}.{name}", spec[name], "requires indexed completion mode"))
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        errs.append(field.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))


def _failure_policy(errs: Errors, path: str, spec: Obj, template: Obj) -> None:
    rules = spec["podFailurePolicy"].get("rules") or []
    if len(rules) > _MAX_RULES:
        errs.append(field.too_many(f"{path}.rules", len(rules), _MAX_RULES))
    containers = {container.get("name") for part in ("containers", "initContainers")
                  for container in (template.get("spec") or {}).get(part) or ()}
    for index, rule in enumerate(rules):
        at = f"{path}.rules[{index}]"
        action, codes, conditions = rule.get("action"), rule.get("onExitCodes"), rule.get("onPodConditions") or []
        one_of(errs, f"{at}.action", action, ("Count", "FailIndex", "FailJob", "Ignore"))
        if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            errs.append(field.invalid(f"{at}.action", action, "requires the backoffLimitPerIndex to be set"))
        if codes is not None:
            _exit_codes(errs, f"{at}.onExitCodes", codes, containers)
        for number, pattern in enumerate(conditions):
            kind = pattern.get("type", "")
            each(errs, f"{at}.onPodConditions[{number}].type", kind, names.qualified_name(kind))
            one_of(errs, f"{at}.onPodConditions[{number}].status", pattern.get("status"), ("False", "True", "Unknown"))
        if (codes is not None) == bool(conditions):
            text = ("specifying both OnExitCodes and OnPodConditions is not supported" if conditions else
                    "specifying one of OnExitCodes and OnPodConditions is required")
            errs.append(field.invalid(at, "{}", text))


def _success_policy(errs: Errors, path: str, policy: Obj, completions: int) -> None:
    rules = policy.get("rules") or []
    if not rules:
        errs.append(field.required(f"{path}.rules",
                                   "at least one rules must be specified when the successPolicy is specified"))
    if len(rules) > _MAX_RULES:
        errs.append(field.too_many(f"{path}.rules", len(rules), _MAX_RULES))
    for index, rule in enumerate(rules):
        at, count, indexes = f"{path}.rules[{index}]", rule.get("succeededCount"), rule.get("succeededIndexes")
        if count is None and indexes is None:
            errs.append(field.required(at, "at least one of succeededCount or succeededIndexes must be specified"))
        if indexes is not None and not _INDEXES.fullmatch(indexes):
            errs.append(field.invalid(f"{at}.succeededIndexes", indexes, "error parsing succeededIndexes"))
        if count is not None:
            not_negative_fields(errs, at, rule, "succeededCount")
            if count > completions:
                errs.append(field.invalid(f"{at}.succeededCount", count, f"must be less than or equal to {completions} "
                                          "(the number of specified completions)"))


def _exit_codes(errs: Errors, path: str, codes: Obj, containers: set[Any]) -> None:
    one_of(errs, f"{path}.operator", codes.get("operator"), ("In", "NotIn"))
    values = codes.get("values") or []
    if not values:
        errs.append(field.invalid(f"{path}.values", values, "at least one value is required"))
    for index, value in enumerate(values):
        if codes.get("operator") == "In" and value == 0:
            errs.append(field.invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator"))
        if value in values[:index]:
            errs.append(field.duplicate(f"{path}.values[{index}]", value))
    if values != sorted(values):
        errs.append(field.invalid(f"{path}.values", values, "must be ordered"))
    name = codes.get("containerName")
    if name is not None and name not in containers:
        errs.append(field.invalid(f"{path}.containerName", name, "must be one of the container or initContainer names "
                                  "in the pod template"))


def update_job(errs: Errors, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    job_spec(errs, "spec", spec, needs_selector=True)
    if spec.get("completions") != before.get("completions") and not _elastic(spec):
        errs.append(field.invalid("spec.completions", spec.get("completions"), "field is immutable"))
    immutable(errs, "spec.selector", spec.get("selector"), before.get("selector"))
    for name in _FIXED:
        immutable(errs, f"spec.{name}", spec.get(name), before.get(name))
    template, earlier = spec.get("template") or {}, before.get("template") or {}
    free = bool(before.get("suspend")) and not (old.get("status") or {}).get("startTime")
    if _pinned(template.get("spec") or {}, free) != _pinned(earlier.get("spec") or {}, free):
        errs.append(field.invalid("spec.template.spec", template.get("spec"), "field is immutable"))
    if not free:
        immutable(errs, "spec.template.metadata", template.get("metadata"), earlier.get("metadata"))


def _pinned(spec: Obj, free: bool) -> dict[str, Any]:
    if not free:
        return dict(spec)
    pinned = {key: value for key, value in spec.items() if key not in _DIRECTIVES}
    for part in ("containers", "initContainers"):
        if spec.get(part):
            pinned[part] = [{**container, "resources": None} for container in spec[part]]
    return pinned


def _elastic(spec: Obj) -> bool:
    """An indexed Job may grow and shrink as long as completions and parallelism go together."""
    return (spec.get("completionMode") == "Indexed"
            and (spec.get("completions") is None or spec["completions"] == spec.get("parallelism")))


def status_job(errs: Errors, new: Obj, old: Obj) -> None:
    status, before = new.get("status") or {}, old.get("status") or {}
    not_negative_fields(errs, "status", status, "active", "succeeded", "failed", "ready", "terminating")
    finished = {c.get("type") for c in before.get("conditions") or () if c.get("status") == "True"}
    now = {c.get("type") for c in status.get("conditions") or () if c.get("status") == "True"}
    for kind in ("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"):
        if kind in finished and kind not in now:
            errs.append(field.invalid("status.conditions", status.get("conditions"), f"cannot disable the terminal Job "
                                      f"condition {kind}"))
    if {"Complete", "Failed"} <= now:
        errs.append(field.invalid("status.conditions", status.get("conditions"),
                                  "cannot set Complete=True and Failed=true conditions"))
