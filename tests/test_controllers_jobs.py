"""Job, CronJob and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from controller_world import World, job, template

from kitlib.controllers import job_index, job_verdict
from kitlib.controllers.cronjob import CronJob
from kitlib.controllers.garbagecollector import GarbageCollector
from kitlib.controllers.job import FINALIZER, Job
from kitlib.controllers.ttl import TTLAfterFinished

Outcome = Callable[[dict[str, Any]], "str | None"]


def world() -> World:
    made = World(CronJob(), Job(), TTLAfterFinished(), GarbageCollector(), nodes=1)
    made.settle(1)
    return made


def run(w: World, seconds: float, outcome: Outcome = lambda pod: "Succeeded", exit_code: int = 1) -> None:
    """Let time pass; a Pod that has run for two seconds ends as `outcome` says (None: it goes on)."""
    for _ in range(int(seconds * 2)):
        w.settle(0.5)
        for pod in w.list("pods"):
            old = w.clock.now() - w.kubelet.since.get(pod["metadata"]["uid"], w.clock.now())
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"] and old > 2:
                end = outcome(pod)
                if end:
                    state = {"terminated": {"exitCode": 0 if end == "Succeeded" else exit_code}}
                    w.kubelet.report(pod, end, ready=False, containerStatuses=[
                        {"name": "c", "state": state, "ready": False, "restartCount": 0, "image": "", "imageID": ""}])
        w.calm()


def status(w: World, name: str = "job") -> dict[str, Any]:
    return w.get("jobs.batch", name)["status"]


def conditions(w: World) -> list[tuple[str, str]]:
    return [(c["type"], c["reason"]) for c in status(w).get("conditions") or () if c["status"] == "True"]


def reasons(w: World, name: str = "job") -> list[str]:
    return [reason for _, reason, _ in w.events(name)]


def test_a_job_runs_as_many_as_it_may_until_enough_have_succeeded():
    w = world()
    w.create("jobs.batch", job(completions=4, parallelism=2))
    w.settle(1.5)
    assert (status(w)["active"], status(w)["ready"]) == (2, 2)
    run(w, 10)
    assert conditions(w) == [("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")]
    assert {k: v for k, v in status(w).items() if k in ("succeeded", "ready", "terminating", "active")} == {
        "succeeded": 4, "ready": 0, "terminating": 0}
    assert status(w)["completionTime"] > status(w)["startTime"]
    assert reasons(w) == ["SuccessfulCreate"] * 4 + ["Completed"]
    before = w.store.revision
    w.settle(600)
    assert w.store.revision == before


def test_every_pod_is_counted_once_in_three_steps():
    w = world()
    watch = w.store.watch("jobs.batch", "default", after=w.store.revision)
    w.create("jobs.batch", job())
    w.settle(1)
    assert w.list("pods")[0]["metadata"]["finalizers"] == [FINALIZER]
    run(w, 5)
    assert "finalizers" not in w.list("pods")[0]["metadata"]
    steps = [(len((s.get("uncountedTerminatedPods") or {}).get("succeeded") or ()), s.get("succeeded", 0))
             for s in (event.entry.obj.get("status") or {} for event in watch.poll())]
    assert steps[-2:] == [(1, 0), (0, 1)], "first it is written down, then the finalizer goes, then it is counted"


def test_a_pod_that_is_deleted_after_it_succeeded_still_counts():
    w = world()
    w.create("jobs.batch", job(completions=2))
    run(w, 3.5)
    w.user.delete("pods", "default", w.names("pods")[0])
    run(w, 8)
    assert status(w)["succeeded"] == 2


def test_failures_are_repeated_with_a_pause_until_the_limit():
    w = world()
    w.create("jobs.batch", job(backoffLimit=2))
    run(w, 5, lambda pod: "Failed")
    assert (len(w.names("pods")), status(w)["failed"]) == (1, 1)
    run(w, 10, lambda pod: "Failed")
    assert len(w.names("pods")) == 2, "10 s after the first failure"
    run(w, 15, lambda pod: "Failed")
    assert len(w.names("pods")) == 2, "20 s after the second"
    run(w, 15, lambda pod: "Failed")
    assert conditions(w) == [("FailureTarget", "BackoffLimitExceeded"), ("Failed", "BackoffLimitExceeded")]
    assert status(w)["failed"] == 3
    assert reasons(w)[-1] == "BackoffLimitExceeded"


def test_the_pause_doubles_up_to_ten_minutes():
    def failed(count: int) -> list[dict[str, Any]]:
        stamp = "2026-01-01T00:00:00Z"
        state = {"terminated": {"exitCode": 1, "finishedAt": stamp}}
        return [{"status": {"phase": "Failed", "containerStatuses": [{"name": "c", "state": state}]}}] * count

    end = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
    assert [job_verdict.backoff(failed(n), end) for n in (0, 1, 2, 3, 7, 20)] == [0, 10, 20, 40, 600, 600]


def test_a_deadline_ends_a_job_whatever_it_does():
    w = world()
    w.create("jobs.batch", job(activeDeadlineSeconds=4))
    run(w, 8, lambda pod: None)
    assert conditions(w) == [("FailureTarget", "DeadlineExceeded"), ("Failed", "DeadlineExceeded")]
    assert (status(w)["failed"], w.names("pods")) == (1, [])
    assert reasons(w) == ["SuccessfulCreate", "SuccessfulDelete", "DeadlineExceeded"]


def test_indexes_are_given_out_once_each():
    w = world()
    w.create("jobs.batch", job(completionMode="Indexed", completions=3, parallelism=2))
    w.settle(1.5)
    pods = sorted(w.list("pods"), key=lambda p: p["metadata"]["name"])
    assert [p["metadata"]["annotations"][job_index.ANNOTATION] for p in pods] == ["0", "1"]
    assert pods[0]["metadata"]["name"].startswith("job-0-")
    assert pods[0]["spec"]["hostname"] == "job-0"
    assert pods[0]["spec"]["containers"][0]["env"][-1]["name"] == "JOB_COMPLETION_INDEX"
    run(w, 10, lambda pod: "Failed" if pod["metadata"]["name"].startswith("job-1") else "Succeeded")
    assert status(w)["completedIndexes"] in ("0", "0,2")
    run(w, 60)
    assert (status(w)["completedIndexes"], status(w)["succeeded"]) == ("0-2", 3)


def test_a_success_policy_is_content_with_less():
    w = world()
    w.create("jobs.batch", job(completionMode="Indexed", completions=3, parallelism=3,
                               successPolicy={"rules": [{"succeededIndexes": "0"}]}))
    run(w, 8, lambda pod: "Succeeded" if pod["metadata"]["name"].startswith("job-0") else None)
    assert conditions(w) == [("SuccessCriteriaMet", "SuccessPolicy"), ("Complete", "SuccessPolicy")]
    assert (status(w)["succeeded"], status(w).get("failed", 0)) == (1, 0)
    assert reasons(w).count("SuccessfulDelete") == 2


@pytest.mark.parametrize(("action", "expected"), [("FailJob", "PodFailurePolicy"), ("Ignore", "")])
def test_a_failure_policy_looks_at_the_exit_code(action, expected):
    w = world()
    rule = {"action": action, "onExitCodes": {"operator": "In", "values": [42]}}
    w.create("jobs.batch", job(backoffLimit=0, podFailurePolicy={"rules": [rule]}))
    run(w, 5, lambda pod: "Failed", exit_code=42)
    assert [reason for _, reason in conditions(w)] == ([expected] * 2 if expected else [])
    assert status(w).get("failed", 0) == (1 if expected else 0)


def test_a_suspended_job_has_no_pods_and_no_start_time():
    w = world()
    w.create("jobs.batch", job(suspend=True))
    w.settle(2)
    assert (w.names("pods"), "startTime" in status(w)) == ([], False)
    w.patch("jobs.batch", "job", {"spec": {"suspend": False}})
    w.settle(1.5)
    assert (len(w.names("pods")), "startTime" in status(w)) == (1, True)
    w.patch("jobs.batch", "job", {"spec": {"suspend": True}})
    w.settle(3)
    assert (w.names("pods"), status(w).get("failed", 0)) == ([], 0)
    assert set(reasons(w)) == {"Suspended", "SuccessfulCreate", "Resumed", "SuccessfulDelete"}


def test_parallelism_can_be_changed_while_it_runs():
    w = world()
    w.create("jobs.batch", job(completions=5, parallelism=1))
    for parallelism in (3, 0):
        w.patch("jobs.batch", "job", {"spec": {"parallelism": parallelism}})
        w.settle(3)
        assert len(w.names("pods")) == parallelism
    assert status(w).get("failed", 0) == 0


def test_a_job_that_is_gone_does_not_hold_its_pods():
    w = world()
    w.create("jobs.batch", job())
    w.settle(2)
    w.user.delete("jobs.batch", "default", "job", propagation="Background")
    w.settle(5)
    assert (w.names("jobs.batch"), w.names("pods")) == ([], [])


def test_a_finished_job_is_removed_after_its_time_to_live():
    w = world()
    w.create("jobs.batch", job(ttlSecondsAfterFinished=10))
    run(w, 6)
    assert conditions(w)[-1][0] == "Complete"
    w.settle(12)
    assert (w.names("jobs.batch"), w.names("pods")) == ([], [])


def test_numbers_are_written_as_ranges():
    assert job_index.text({0, 1, 2, 5, 7, 8}) == "0-2,5,7-8"
    assert job_index.parse("0-2,5,7-8") == {0, 1, 2, 5, 7, 8}
    assert (job_index.text([]), job_index.parse("")) == ("", set())


# -- CronJob --------------------------------------------------------------------------------------------------


def cron_job(schedule: str = "* * * * *", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cj"}, "spec": {
        "schedule": schedule, "jobTemplate": {"spec": {"template": template("cj", restartPolicy="Never")}}, **spec}}


def test_a_cron_job_makes_a_job_at_every_time_and_remembers_the_last_three():
    w = world()
    w.create("cronjobs.batch", cron_job())
    w.settle(0.5)
    assert w.names("jobs.batch") == []
    run(w, 60)
    (only,) = w.names("jobs.batch")
    assert only == f"cj-{int(w.clock.now()) // 60}"
    assert w.get("jobs.batch", only)["metadata"]["ownerReferences"][0]["name"] == "cj"
    run(w, 5 * 60)
    assert len(w.names("jobs.batch")) == 3
    found = w.get("cronjobs.batch", "cj")["status"]
    assert set(found) >= {"lastScheduleTime", "lastSuccessfulTime"}
    assert reasons(w, "cj")[:2] == ["SuccessfulCreate", "SawCompletedJob"]


def test_a_suspended_cron_job_makes_none_and_does_not_catch_up_on_all():
    w = world()
    w.create("cronjobs.batch", cron_job(suspend=True))
    w.settle(300)
    assert w.names("jobs.batch") == []
    w.patch("cronjobs.batch", "cj", {"spec": {"suspend": False}})
    w.settle(1)
    assert len(w.names("jobs.batch")) == 1, "only the latest missed one"


@pytest.mark.parametrize(("policy", "active", "reason"), [("Allow", 3, ""), ("Forbid", 1, "JobAlreadyActive"),
                                                          ("Replace", 1, "SuccessfulDelete")])
def test_what_happens_while_the_last_job_still_runs(policy, active, reason):
    w = world()
    w.create("cronjobs.batch", cron_job(concurrencyPolicy=policy))
    run(w, 190, lambda pod: None)
    assert len(w.names("jobs.batch")) == active
    assert reason in ["", *reasons(w, "cj")]


def test_a_deadline_leaves_out_what_is_too_late():
    w = world()
    w.create("cronjobs.batch", cron_job("0 * * * *", startingDeadlineSeconds=60, suspend=True))
    w.settle(2 * 3600 + 600)
    w.patch("cronjobs.batch", "cj", {"spec": {"suspend": False}})
    w.settle(1)
    assert w.names("jobs.batch") == []
