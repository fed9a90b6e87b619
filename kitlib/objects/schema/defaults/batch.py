"""Jobs and CronJobs.

Source: pkg/apis/batch/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
UNLIMITED = 2**31 - 1  # with a back-off limit per index, the whole Job has none


def job(obj: Obj) -> None:
    """Only for a Job itself, not for a CronJob's template."""
    spec = obj["spec"]
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", UNLIMITED if "backoffLimitPerIndex" in spec else 6)
    labels = spec["template"]["metadata"].get("labels")
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)


def pod_condition_pattern(obj: Obj) -> None:
    if not obj.get("status"):
        obj["status"] = "True"


def cron_job_spec(obj: Obj) -> None:
    obj.setdefault("concurrencyPolicy", "Allow")
    obj.setdefault("suspend", False)
    obj.setdefault("successfulJobsHistoryLimit", 3)
    obj.setdefault("failedJobsHistoryLimit", 1)


HOOKS = {
    "batch/v1.Job": job, "batch/v1.PodFailurePolicyOnPodConditionsPattern": pod_condition_pattern,
    "batch/v1.CronJobSpec": cron_job_spec,
}
