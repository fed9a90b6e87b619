"""When a Job is over, and why.

    SuccessCriteriaMet → Complete    CompletionsReached    enough Pods have succeeded
                                     SuccessPolicy         a rule of spec.successPolicy says that it is enough
    FailureTarget → Failed           BackoffLimitExceeded  more failures than backoffLimit
                                     DeadlineExceeded      active for longer than activeDeadlineSeconds
                                     PodFailurePolicy      a Pod failed in a way that no retry can help
                                     FailedIndexes, MaxFailedIndexesExceeded   (Indexed Jobs with backoffLimitPerIndex)

A verdict, once written as a condition, stands: whatever the remaining Pods still do.

Source: k8s.io/kubernetes/pkg/controller/job (job_controller.go, pod_failure_policy.go, success_policy.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kitlib.controllers import job_index
from kitlib.controllers.pods import condition, phase
from kitlib.objects.clock import parse_time, rfc3339

Object = dict[str, Any]

BACKOFF_FIRST, BACKOFF_MOST = 10.0, 600.0
SUCCESS, FAILURE = ("SuccessCriteriaMet", "Complete"), ("FailureTarget", "Failed")


@dataclass(frozen=True)
class Verdict:
    interim: str
    final: str
    reason: str
    message: str


def is_finished(job: Mapping[str, Any]) -> bool:
    return any(_is_true(condition(job, final)) for _, final in (SUCCESS, FAILURE))


def reached(job: Object, pods: Sequence[Object], now: float, *, succeeded: int, failed: int,
            completed: set[int]) -> Verdict | None:
    """The verdict: the one that stands already, else the first that applies."""
    for interim, final in (SUCCESS, FAILURE):
        standing = condition(job, interim)
        if _is_true(standing) and standing is not None:
            return Verdict(interim, final, standing["reason"], standing.get("message", ""))
    spec = job["spec"]
    if spec.get("suspend"):
        return None
    fatal = fatal_failure(spec, pods)
    if fatal:
        return Verdict(*FAILURE, "PodFailurePolicy", fatal)
    if failed > _limit(spec) or _restarts_exceeded(spec, pods):
        return Verdict(*FAILURE, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if spec.get("activeDeadlineSeconds") is not None and deadline_in(job, now) <= 0:
        return Verdict(*FAILURE, "DeadlineExceeded", "Job was active longer than specified deadline")
    policy = _success_policy(spec, completed)
    if policy is not None:
        return Verdict(*SUCCESS, "SuccessPolicy", f"Matched rules at index {policy}")
    return _completions(spec, pods, succeeded)


def _completions(spec: Object, pods: Sequence[Object], succeeded: int) -> Verdict | None:
    wanted = spec.get("completions")
    if wanted is None:   # a work queue is done when one has succeeded and all have ended
        running = [pod for pod in pods if phase(pod) not in ("Succeeded", "Failed")]
        enough = succeeded > 0 and not running
    else:
        enough = succeeded >= wanted
    return Verdict(*SUCCESS, "CompletionsReached", "Reached expected number of succeeded pods") if enough else None


def deadline_in(job: Mapping[str, Any], now: float) -> float:
    started = (job.get("status") or {}).get("startTime")
    return (parse_time(started) if started else now) + job["spec"]["activeDeadlineSeconds"] - now


def _limit(spec: Mapping[str, Any]) -> int:
    if spec.get("backoffLimit") is not None:
        return spec["backoffLimit"]
    return 2**31 - 1 if spec.get("backoffLimitPerIndex") is not None else 6


def _restarts_exceeded(spec: Mapping[str, Any], pods: Sequence[Object]) -> bool:
    """With restartPolicy OnFailure the kubelet restarts; then restarts are what counts."""
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(status.get("restartCount", 0) for pod in pods if phase(pod) in ("Running", "Pending")
                   for field in ("initContainerStatuses", "containerStatuses")
                   for status in (pod.get("status") or {}).get(field) or ())
    limit = _limit(spec)
    return restarts > 0 if limit == 0 else restarts >= limit


def _success_policy(spec: Mapping[str, Any], completed: set[int]) -> int | None:
    """The index of the first rule that is met."""
    for number, rule in enumerate((spec.get("successPolicy") or {}).get("rules") or ()):
        of_interest = job_index.parse(rule["succeededIndexes"]) if rule.get("succeededIndexes") else None
        have = completed if of_interest is None else completed & of_interest
        needed = rule.get("succeededCount")
        if needed is None and of_interest is not None:
            needed = len(of_interest)
        if needed is not None and len(have) >= needed:
            return number
    return None


# -- pod failure policy ---------------------------------------------------------------------------------------


def fatal_failure(spec: Mapping[str, Any], pods: Sequence[Object]) -> str:
    """The message of the first Pod failure that a FailJob rule matches; "" if there is none."""
    for pod in pods:
        if phase(pod) == "Failed":
            action, message = _matching_rule(spec, pod)
            if action == "FailJob":
                return message
    return ""


def is_ignored(spec: Mapping[str, Any], pod: Object) -> bool:
    return phase(pod) == "Failed" and _matching_rule(spec, pod)[0] == "Ignore"


def _matching_rule(spec: Mapping[str, Any], pod: Object) -> tuple[str, str]:
    """(action, message) of the first rule that matches; ("Count", "") if none does."""
    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    for number, rule in enumerate((spec.get("podFailurePolicy") or {}).get("rules") or ()):
        action = rule["action"]
        if rule.get("onExitCodes"):
            found = _exit_code(rule["onExitCodes"], pod)
            if found:
                container, code = found
                return action, (f"Container {container} for pod {name} failed with exit code {code} matching {action} "
                                f"rule at index {number}")
        for pattern in rule.get("onPodConditions") or ():
            known = condition(pod, pattern["type"])
            if known and known["status"] == (pattern.get("status") or "True"):
                return action, (f"Pod {name} has condition {pattern['type']} matching {action} rule at index {number}")
    return "Count", ""


def _exit_code(requirement: Mapping[str, Any], pod: Object) -> tuple[str, int] | None:
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        ended = (container.get("state") or {}).get("terminated")
        if not ended or requirement.get("containerName") not in (None, container["name"]):
            continue
        listed = ended["exitCode"] in requirement["values"]
        if ended["exitCode"] != 0 and listed == (requirement["operator"] == "In"):
            return container["name"], ended["exitCode"]
    return None


# -- back-off and conditions ----------------------------------------------------------------------------------


def backoff(pods: Sequence[Object], now: float) -> float:
    """Seconds left of the pause after the failures since the last success."""
    last_success = max((_ended_at(pod, now) for pod in pods if phase(pod) == "Succeeded"), default=0.0)
    failures = [ended for pod in pods if phase(pod) == "Failed" and (ended := _ended_at(pod, now)) > last_success]
    if not failures:
        return 0.0
    pause = min(BACKOFF_FIRST * 2 ** min(len(failures) - 1, 10), BACKOFF_MOST)
    return max(0.0, max(failures) + pause - now)


def _ended_at(pod: Object, now: float) -> float:
    status = pod.get("status") or {}
    ends = [ended["finishedAt"] for c in status.get("containerStatuses") or ()
            if (ended := (c.get("state") or {}).get("terminated")) and ended.get("finishedAt")]
    ready = condition(pod, "Ready")
    if not ends and ready and ready.get("lastTransitionTime"):
        ends = [ready["lastTransitionTime"]]
    return max((parse_time(text) for text in ends), default=now)


def with_condition(status: Object, type: str, verdict: Verdict, now: float) -> Object:
    known = status.get("conditions") or []
    if any(c["type"] == type for c in known):
        return status
    return status | {"conditions": [*known, _condition(type, True, verdict.reason, verdict.message, now)]}


def with_suspended(status: Object, suspended: bool, now: float) -> Object:
    reason, message = ("JobSuspended", "Job suspended") if suspended else ("JobResumed", "Job resumed")
    others = [c for c in status.get("conditions") or () if c["type"] != "Suspended"]
    return status | {"conditions": [*others, _condition("Suspended", suspended, reason, message, now)]}


def _condition(type: str, status: bool, reason: str, message: str, now: float) -> Object:
    return {"type": type, "status": "True" if status else "False", "lastProbeTime": rfc3339(now),
            "lastTransitionTime": rfc3339(now), "reason": reason, "message": message}


def _is_true(found: Mapping[str, Any] | None) -> bool:
    return found is not None and found["status"] == "True"
