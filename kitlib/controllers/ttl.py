"""TTL after finished: a Job says how long it wants to be remembered.

`ttlSecondsAfterFinished` after its end it is deleted, in the foreground: its Pods go with it.

Source: k8s.io/kubernetes/pkg/controller/ttlafterfinished.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kitlib.client.actions import Action, Delete, RequeueAfter
from kitlib.client.controller import Controller
from kitlib.controllers.job_verdict import is_finished
from kitlib.controllers.pods import condition
from kitlib.objects.clock import parse_time

Object = dict[str, Any]


@dataclass(frozen=True)
class Observed:
    job: Object
    now: float


class TTLAfterFinished(Controller):
    name = "ttl-after-finished"
    resource = "jobs.batch"

    def observe(self, key: str) -> Observed | None:
        job = self.get(key)
        if job is None or job["spec"].get("ttlSecondsAfterFinished") is None or not is_finished(job):
            return None
        return None if "deletionTimestamp" in job["metadata"] else Observed(job, self.clock.now())

    def diff(self, observed: Observed) -> list[Action]:
        job, meta = observed.job, observed.job["metadata"]
        end = condition(job, "Complete") or condition(job, "Failed") or {}
        left = parse_time(end["lastTransitionTime"]) + job["spec"]["ttlSecondsAfterFinished"] - observed.now
        if left > 0:
            return [RequeueAfter(left)]
        return [Delete(self.resource, meta["namespace"], meta["name"], uid=meta["uid"], propagation="Foreground")]
