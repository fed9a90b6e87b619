"""CronJobs: a schedule that can be read and a template for Jobs.

Source: k8s.io/kubernetes/pkg/apis/batch/validation (ValidateCronJobCreate, validateScheduleFormat).
"""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kitlib.api.validation.batch import job_spec
from kitlib.api.validation.common import Errors, Obj, not_negative_fields, one_of
from kitlib.objects import cron, field


def create_cronjob(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    _schedule(errs, spec.get("schedule", ""), spec.get("timeZone"))
    not_negative_fields(errs, "spec", spec, "startingDeadlineSeconds", "successfulJobsHistoryLimit",
                        "failedJobsHistoryLimit")
    one_of(errs, "spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"))
    template = spec.get("jobTemplate") or {}
    job = template.get("spec") or {}
    if job.get("selector") is not None:
        errs.append(field.invalid("spec.jobTemplate.spec.selector", job["selector"],
                                  "`selector` will be auto-generated"))
    if job.get("manualSelector"):
        errs.append(field.not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    job_spec(errs, "spec.jobTemplate.spec", job, needs_selector=False)


def _schedule(errs: Errors, text: str, zone: str | None) -> None:
    if not text:
        errs.append(field.required("spec.schedule"))
    elif "TZ" in text:
        errs.append(field.invalid("spec.schedule", text,
                                  "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
    else:
        try:
            cron.parse(text)
        except cron.CronError as error:
            errs.append(field.invalid("spec.schedule", text, str(error)))
    if zone is not None:
        _time_zone(errs, zone)


def _time_zone(errs: Errors, zone: str) -> None:
    if not zone:
        errs.append(field.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string"))
    elif zone.lower() == "local":
        errs.append(field.invalid("spec.timeZone", zone, "timeZone must be an explicit time zone as defined in "
                                  "https://www.iana.org/time-zones"))
    else:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            errs.append(field.invalid("spec.timeZone", zone, f"unknown time zone {zone}"))
