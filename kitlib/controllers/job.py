"""Job: run Pods until enough of them have succeeded.

Unlike a ReplicaSet, a Job must *count*: a Pod that has succeeded and is then deleted still counts, and none may count
twice.  So every Pod of a Job carries a finalizer (`batch.kubernetes.io/job-tracking`) and is counted in three steps,
each of which can be repeated after a crash without harm:

    1. the Pod has ended         → its uid goes into status.uncountedTerminatedPods
    2. its uid is written there  → the finalizer is taken off the Pod
    3. the finalizer is off      → the uid is taken out of the list and the number goes up

Each turn takes the next of these steps, whatever has happened before.  A Job ends in two steps as well: first the
verdict (SuccessCriteriaMet or FailureTarget), then, when its last Pod is counted and gone, Complete or Failed.

After a failure the next Pod waits 10 s, then 20 s, 40 s… up to 10 minutes.  `job_verdict.py` decides when it is over,
`job_index.py` knows about Indexed Jobs.

Source: k8s.io/kubernetes/pkg/controller/job (job_controller.go, backoff_utils.go, tracking_utils.go).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Emit, Patch, RequeueAfter, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.controllers import job_index as index_
from kitlib.controllers import job_verdict as verdict_
from kitlib.controllers import pods as pods_
from kitlib.objects.clock import rfc3339
from kitlib.objects.meta import controller_of, object_key, split_key

Object = dict[str, Any]

FINALIZER = "batch.kubernetes.io/job-tracking"
BY_JOB = "job"
BURST = 500


@dataclass(frozen=True)
class Observed:
    """job None: it is gone, but Pods with our finalizer are not."""

    job: Object | None
    pods: list[Object]
    now: float = field(default=0.0)


class Job(Controller):
    name = "job"
    resource = "jobs.batch"
    owns = ("pods",)

    def setup(self) -> None:
        self.cache("pods").add_index(BY_JOB, _job_keys)
        self.cache("pods").add_handler(self._tracked_pod)

    def _tracked_pod(self, kind: str, old: Object | None, new: Object | None) -> None:
        """A Pod of a Job that is gone: nobody else would take the finalizer off."""
        if new is not None and FINALIZER in (new["metadata"].get("finalizers") or ()):
            for key in _job_keys(new):
                if self.get(key) is None:
                    self._wake(key, kind, "pods", new)

    def observe(self, key: str) -> Observed | None:
        job = self.get(key)
        if job is not None:
            return Observed(job, self.owned("pods", job), self.clock.now())
        left = [pod for pod in self.cache("pods").by_index(BY_JOB, key) if _is_tracked(pod)]
        return Observed(None, left) if left else None

    def diff(self, observed: Observed) -> list[Action]:
        if observed.job is None:
            return [untrack(pod) for pod in observed.pods]
        if verdict_.is_finished(observed.job):
            return [untrack(pod) for pod in observed.pods if _is_tracked(pod)]
        return Turn(observed.job, observed.pods, observed.now).actions()


class Turn:
    """One turn for a Job that is not finished."""

    def __init__(self, job: Object, pods: Sequence[Object], now: float) -> None:
        self.job, self.spec, self.now = job, job["spec"], now
        self.known: Object = job.get("status") or {}
        self.indexed = self.spec.get("completionMode") == "Indexed"
        self.parallelism = self.spec["parallelism"] if self.spec.get("parallelism") is not None else 1
        self.replace_terminating = self.spec.get("podReplacementPolicy") != "Failed"
        self.pods = list(pods)
        self.active = [pod for pod in pods if pods_.is_active(pod)]
        self.terminating = [pod for pod in pods if pods_.is_terminating(pod)]
        uncounted = self.known.get("uncountedTerminatedPods") or {}
        self.listed = {kind: list(uncounted.get(kind) or ()) for kind in ("succeeded", "failed")}
        tracked = [pod for pod in pods if _is_tracked(pod)]
        listed = {*self.listed["succeeded"], *self.listed["failed"]}
        fresh = [pod for pod in tracked if pod["metadata"]["uid"] not in listed]
        self.new_succeeded = [pod for pod in fresh if pods_.phase(pod) == "Succeeded"]
        self.new_failed = [pod for pod in fresh if self._has_failed(pod)]
        self.completed = index_.completed(job, pods) if self.indexed else set()
        self.succeeded = len(self.completed) if self.indexed else (
            self.known.get("succeeded", 0) + len(self.listed["succeeded"]) + len(self.new_succeeded))
        ignored = [pod for pod in self.new_failed if verdict_.is_ignored(self.spec, pod)]
        self.failed = (self.known.get("failed", 0) + len(self.listed["failed"]) + len(self.new_failed) - len(ignored))
        self.ignored = {pod["metadata"]["uid"] for pod in ignored}

    def _has_failed(self, pod: Object) -> bool:
        """A Pod that was told to go counts as failed at once, unless replacements wait for the real end."""
        if pods_.phase(pod) == "Failed":
            return True
        return self.replace_terminating and "deletionTimestamp" in pod["metadata"] and pods_.phase(pod) != "Succeeded"

    def actions(self) -> list[Action]:
        suspended = bool(self.spec.get("suspend"))
        verdict = verdict_.reached(self.job, self.pods, self.now, succeeded=self.succeeded, failed=self.failed,
                                   completed=self.completed)
        if "deletionTimestamp" in self.job["metadata"]:
            changes: list[Action] = []
        elif verdict is not None and verdict.final == "Complete":
            changes = self._let_go(self.active)
        elif verdict is not None:
            changes = [self._remove(pod) for pod in self.active]   # these count as failed
        else:
            changes = self._suspend() if suspended else self._resize()
        created = sum(isinstance(action, Create) for action in changes)
        removed = sum(isinstance(action, Delete) for action in changes)
        status = self._status(len(self.active) + created - removed, len(self.terminating) + removed, verdict)
        events, status = self._conditions(status, verdict, suspended)
        if status != self.known:
            changes.append(UpdateStatus(Job.resource, self.job | {"status": status}))
        return [*changes, *self._take_off_finalizers(), *events, *self._later(suspended, created)]

    # -- Pods -------------------------------------------------------------------------------------------------

    def _wanted(self) -> int:
        completions = self.spec.get("completions")
        if completions is None:   # a work queue: when one has found it empty, no more are started
            return len(self.active) if self.succeeded else self.parallelism
        return min(completions - self.succeeded, self.parallelism)

    def _resize(self) -> list[Action]:
        wanted = max(0, self._wanted())
        surplus = len(self.active) - wanted
        if surplus > 0:
            going = pods_.deletion_order(self.active, {}, self.now)[:surplus]
            return self._let_go(going)
        if self._backoff() > 0:
            return []
        standing = 0 if self.replace_terminating else len(self.terminating)
        missing = min(wanted - len(self.active) - standing, BURST)
        if self.indexed:
            free = index_.free(self.job, self.active if self.replace_terminating else self.active + self.terminating,
                               self.completed, missing)
            return [self._create(number) for number in free]
        return [self._create(None) for _ in range(missing)]

    def _suspend(self) -> list[Action]:
        return self._let_go(self.active)

    def _let_go(self, pods: Sequence[Object]) -> list[Action]:
        """Pods that are not needed: they do not count, so their finalizer goes first."""
        actions: list[Action] = []
        for pod in pods:
            actions += [untrack(pod), self._remove(pod)]
        return actions

    def _create(self, number: int | None) -> Create:
        extra: Object = {"finalizers": [*(self._template_meta().get("finalizers") or ()), FINALIZER]}
        made = pods_.from_template(self.spec["template"], self.job, **extra)
        if number is not None:
            made = index_.with_index(made, self.job, number)
        return Create("pods", made, Emit(self.job, "SuccessfulCreate", "Created pod: {name}"),
                      Emit(self.job, "FailedCreate", "Error creating: {error}", "Warning"))

    def _template_meta(self) -> Object:
        return self.spec["template"].get("metadata") or {}

    def _remove(self, pod: Object) -> Delete:
        meta = pod["metadata"]
        return Delete("pods", meta["namespace"], meta["name"], uid=meta["uid"],
                      then=Emit(self.job, "SuccessfulDelete", f"Deleted pod: {meta['name']}"))

    def _backoff(self) -> float:
        """Seconds until the next Pod may be made: 10 s after the last failure, doubled for each one before it."""
        return verdict_.backoff(self.pods, self.now)

    # -- counting ---------------------------------------------------------------------------------------------

    def _status(self, active: int, terminating: int, verdict: verdict_.Verdict | None) -> Object:
        """Step 1 (list what has ended) and step 3 (count what is no longer tracked)."""
        tracked = {pod["metadata"]["uid"] for pod in self.pods if _is_tracked(pod)}
        listed: dict[str, list[str]] = {}
        counts = {"succeeded": self.known.get("succeeded", 0), "failed": self.known.get("failed", 0)}
        new = {"succeeded": [] if self.indexed else self.new_succeeded, "failed": self.new_failed}
        if verdict is not None and verdict.final == "Failed" and self.replace_terminating:
            new["failed"] = [*self.new_failed, *(pod for pod in self.active if _is_tracked(pod))]   # going now
        for kind in ("succeeded", "failed"):
            counts[kind] += sum(uid not in tracked for uid in self.listed[kind])
            uids = [uid for uid in self.listed[kind] if uid in tracked]
            uids += [pod["metadata"]["uid"] for pod in new[kind] if pod["metadata"]["uid"] not in self.ignored]
            if uids:
                listed[kind] = uids
        if self.indexed:
            counts["succeeded"] = len(self.completed)
        status: Object = {"conditions": list(self.known["conditions"])} if self.known.get("conditions") else {}
        for name in ("startTime", "completionTime"):
            if self.known.get(name):
                status[name] = self.known[name]
        if not self.spec.get("suspend"):
            status.setdefault("startTime", rfc3339(self.now))
        status |= {name: count for name, count in (("active", active), *counts.items()) if count}
        ready = sum(pods_.is_ready(pod) for pod in self.active) if active else 0
        status |= {"terminating": terminating, "ready": ready, "uncountedTerminatedPods": listed}
        if self.completed:
            status["completedIndexes"] = index_.text(self.completed)
        return status

    def _take_off_finalizers(self) -> list[Action]:
        """Step 2: what is listed in the status that the API has, not in the one just written."""
        listed = {*self.listed["succeeded"], *self.listed["failed"], *self.ignored}
        done = [pod for pod in self.pods if _is_tracked(pod) and (
            pod["metadata"]["uid"] in listed or (self.indexed and pods_.phase(pod) == "Succeeded"))]
        return [untrack(pod) for pod in done]

    def _conditions(self, status: Object, verdict: verdict_.Verdict | None,
                    suspended: bool) -> tuple[list[Action], Object]:
        """The status with its conditions, and the Events that go with new ones."""
        events: list[Action] = []
        if verdict is not None:
            status = verdict_.with_condition(status, verdict.interim, verdict, self.now)
            settled = not status["uncountedTerminatedPods"] and not status.get("active")
            uncounted_pods = any(_is_tracked(pod) for pod in self.pods)
            if settled and not uncounted_pods and not status["terminating"]:
                status = verdict_.with_condition(status, verdict.final, verdict, self.now)
                if verdict.final == "Complete":
                    status["completionTime"] = rfc3339(self.now)
                    events.append(Emit(self.job, "Completed", "Job completed"))
                else:
                    events.append(Emit(self.job, verdict.reason, verdict.message, "Warning"))
            return events, status
        known = next((c for c in status.get("conditions") or () if c["type"] == "Suspended"), None)
        was = bool(known and known["status"] == "True")
        if suspended and not was:
            status.pop("startTime", None)
            status = verdict_.with_suspended(status, True, self.now)
            events.append(Emit(self.job, "Suspended", "Job suspended"))
        elif not suspended and was:
            status["startTime"] = rfc3339(self.now)
            status = verdict_.with_suspended(status, False, self.now)
            events.append(Emit(self.job, "Resumed", "Job resumed"))
        return events, status

    def _later(self, suspended: bool, created: int) -> list[Action]:
        waits = [self._backoff()] if not created else []
        deadline = self.spec.get("activeDeadlineSeconds")
        if deadline is not None and not suspended:
            waits.append(verdict_.deadline_in(self.job, self.now))
        waits = [seconds for seconds in waits if seconds > 0]
        return [RequeueAfter(min(waits))] if waits else []


def untrack(pod: Object) -> Patch:
    """Take our finalizer off the Pod."""
    namespace, name = split_key(object_key(pod))
    removal = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
    return Patch("pods", namespace, name, removal, "strategic")


def _is_tracked(pod: Object) -> bool:
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def _job_keys(pod: Object) -> list[str]:
    owner = controller_of(pod)
    if owner is None or owner["kind"] != "Job":
        return []
    return [f"{pod['metadata']['namespace']}/{owner['name']}"]
