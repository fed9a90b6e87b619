"""CronJob: a Job at every time of a schedule.

The Job's name is the CronJob's and the minute it was meant for (`report-29431560`): so the same run can never be
started twice, whoever tries and however often.  Only the latest missed time is made up for, and only within
`startingDeadlineSeconds`.  What happens when the previous Job still runs is `concurrencyPolicy`'s affair:

    Allow     start the next one beside it        Forbid    leave this time out        Replace   stop it first

Finished Jobs are kept as history: three successful ones and one failed, unless told otherwise.

Source: k8s.io/kubernetes/pkg/controller/cronjob (cronjob_controllerv2.go, utils.go).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timezone, tzinfo
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Emit, RequeueAfter, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.controllers.job_verdict import is_finished
from kitlib.controllers.pods import condition
from kitlib.objects import cron
from kitlib.objects.clock import parse_time, rfc3339
from kitlib.objects.meta import owner_reference

Object = dict[str, Any]

JOBS = "jobs.batch"
TIMESTAMP = "batch.kubernetes.io/cronjob-scheduled-timestamp"
TOO_MANY = 100


@dataclass(frozen=True)
class Observed:
    cronjob: Object
    jobs: list[Object]
    now: float


class CronJob(Controller):
    name = "cronjob"
    resource = "cronjobs.batch"
    owns = (JOBS,)

    def observe(self, key: str) -> Observed | None:
        cronjob = self.get(key)
        if cronjob is None or "deletionTimestamp" in cronjob["metadata"]:
            return None
        return Observed(cronjob, self.owned(JOBS, cronjob), self.clock.now())

    def diff(self, observed: Observed) -> list[Action]:
        return Turn(observed).actions()


@dataclass(frozen=True)
class Times:
    """A schedule in its time zone."""

    schedule: cron.Schedule
    zone: tzinfo

    def after(self, moment: float) -> float | None:
        return self.schedule.next(moment, self.zone)


class Turn:
    """One turn of diff."""

    def __init__(self, observed: Observed) -> None:
        self.cronjob, self.jobs, self.now = observed.cronjob, observed.jobs, observed.now
        self.spec, self.meta = self.cronjob["spec"], self.cronjob["metadata"]
        self.status: Object = dict(self.cronjob.get("status") or {})
        self.running = [job for job in self.jobs if not is_finished(job)]

    def actions(self) -> list[Action]:
        events = self._see_finished()
        changes = [] if self.spec.get("suspend") else self._start()
        if self.status != (self.cronjob.get("status") or {}):
            changes.append(UpdateStatus(CronJob.resource, self.cronjob | {"status": self.status}))
        return [*events, *changes, *self._forget_old()]

    def _see_finished(self) -> list[Action]:
        """Take finished Jobs off the list of active ones, and say so."""
        events: list[Action] = []
        by_uid = {job["metadata"]["uid"]: job for job in self.jobs}
        for reference in self.status.get("active") or ():
            job = by_uid.get(reference["uid"])
            if job is None:
                events.append(Emit(self.cronjob, "MissingJob",
                                   f"Active job went missing: {reference['name']}"))
            elif is_finished(job):
                outcome = "Complete" if condition(job, "Complete") else "Failed"
                events.append(Emit(self.cronjob, "SawCompletedJob",
                                   f"Saw completed job: {reference['name']}, condition: {outcome}"))
                ended = (job.get("status") or {}).get("completionTime")
                if ended and ended > self.status.get("lastSuccessfulTime", ""):
                    self.status["lastSuccessfulTime"] = ended
        self._set_active(self.running)
        return events

    def _set_active(self, jobs: Sequence[Object]) -> None:
        active = [{"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"],
                   "namespace": self.meta["namespace"], "uid": job["metadata"]["uid"],
                   "resourceVersion": job["metadata"]["resourceVersion"]} for job in jobs]
        known = {a["uid"] for a in self.status.get("active") or ()}
        if {a["uid"] for a in active} == known:
            return   # only who is active matters, not at which revision
        self.status.pop("active", None)
        if active:
            self.status["active"] = active

    def _start(self) -> list[Action]:
        try:
            schedule = Times(cron.parse(self.spec["schedule"]), zone_of(self.spec))
        except (ValueError, KeyError) as error:
            return [Emit(self.cronjob, "UnparseableSchedule", f"unparseable schedule: {error}", "Warning")]
        due, missed = self._due(schedule)
        following = schedule.after(self.now)
        later: list[Action] = [RequeueAfter(following - self.now)] if following is not None else []
        warning: list[Action] = [Emit(self.cronjob, "TooManyMissedTimes",
                                      "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or "
                                      "check clock skew", "Warning")] if missed > TOO_MANY else []
        if due is None:
            return [*warning, *later]
        name = f"{self.meta['name']}-{int(due) // 60}"
        deadline = self.spec.get("startingDeadlineSeconds")
        if deadline is not None and due + deadline < self.now:
            told = f"Missed scheduled time to start a job: {rfc3339(due)}"
            return [*warning, Emit(self.cronjob, "MissSchedule", told, "Warning"), *later]
        if any(job["metadata"]["name"] == name for job in self.jobs):
            return later
        policy = self.spec.get("concurrencyPolicy") or "Allow"
        if policy == "Forbid" and self.running:
            told = "Not starting job because prior execution is running and concurrency policy is Forbid"
            return [*warning, Emit(self.cronjob, "JobAlreadyActive", told), *later]
        stop = [self._delete(job) for job in self.running] if policy == "Replace" else []
        self.status["lastScheduleTime"] = rfc3339(due)
        return [*warning, *stop, self._create(name, due), *later]

    def _due(self, schedule: Times) -> tuple[float | None, int]:
        """(the latest time that has come since the last start, how many have)."""
        last = self.status.get("lastScheduleTime")
        since = parse_time(last or self.meta["creationTimestamp"])
        deadline = self.spec.get("startingDeadlineSeconds")
        if deadline is not None:
            since = max(since, self.now - deadline)
        due, missed = None, 0
        following = schedule.after(since)
        while following is not None and following <= self.now:
            due, missed = following, missed + 1
            if missed > TOO_MANY:   # the latest of very many: go there directly
                due = _latest(schedule, following, self.now)
                break
            following = schedule.after(following)
        return due, missed

    def _create(self, name: str, due: float) -> Create:
        template = self.spec["jobTemplate"]
        given = template.get("metadata") or {}
        meta = {key: given[key] for key in ("labels",) if given.get(key)} | {
            "name": name, "namespace": self.meta["namespace"], "ownerReferences": [owner_reference(self.cronjob)],
            "annotations": (given.get("annotations") or {}) | {TIMESTAMP: rfc3339(due)}}
        made = {"kind": "Job", "apiVersion": "batch/v1", "metadata": meta, "spec": template["spec"]}
        return Create(JOBS, made, Emit(self.cronjob, "SuccessfulCreate", f"Created job {name}"),
                      Emit(self.cronjob, "FailedCreate", "Error creating job: {error}", "Warning"))

    def _delete(self, job: Object) -> Delete:
        meta = job["metadata"]
        return Delete(JOBS, meta["namespace"], meta["name"], uid=meta["uid"], propagation="Background",
                      then=Emit(self.cronjob, "SuccessfulDelete", f"Deleted job {meta['name']}"))

    def _forget_old(self) -> list[Action]:
        """Delete finished Jobs beyond the history limits, oldest first."""
        actions: list[Action] = []
        for outcome, field, default in (("Complete", "successfulJobsHistoryLimit", 3),
                                        ("Failed", "failedJobsHistoryLimit", 1)):
            limit = self.spec[field] if self.spec.get(field) is not None else default
            done = sorted((job for job in self.jobs if (condition(job, outcome) or {}).get("status") == "True"),
                          key=lambda job: ((job.get("status") or {}).get("startTime", ""), job["metadata"]["name"]))
            actions += [self._delete(job) for job in done[:max(0, len(done) - limit)]]
        return actions


def zone_of(spec: Object) -> tzinfo:
    """The schedule's time zone.  Raises ValueError for a name that is not known here."""
    if not spec.get("timeZone"):
        return timezone.utc
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(spec["timeZone"])
    except ZoneInfoNotFoundError as error:
        raise ValueError(f"unknown time zone {spec['timeZone']}") from error


def _latest(schedule: Times, known: float, now: float) -> float:
    """The last time of the schedule that is not after now, found by halving the distance."""
    low, high = known, now
    while high - low > 60:
        middle = (low + high) / 2
        following = schedule.after(middle)
        if following is not None and following <= now:
            low = following
        else:
            high = middle
    return low
