"""What the kubelet does next: tables of a Pod, its containers, and the actions expected."""

from __future__ import annotations

from typing import Any

import pytest

from kitlib.node.backoff import Backoff
from kitlib.node.containers import ANNOTATION_HASH, EPHEMERAL, INIT, MAIN, SIDECAR, ContainerView, spec_hash
from kitlib.node.lifecycle import Finish, Kill, Plan, Start, WaitForBackOff, backoff_key, plan
from kitlib.runtime.cri import ContainerConfig, ContainerState, ContainerStatus

NOW = 1_700_000_000.0


def pod(policy: str = "Always", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "d", "uid": "u"},
            "spec": {"restartPolicy": policy, "containers": [], **spec}, "status": {}}


def view(name: str = "c", role: str = MAIN, state: str = "", code: int = 0, attempt: int = 0, ended: float = NOW,
         **more: Any) -> ContainerView:
    spec = {"name": name, "image": "busybox", **({"restartPolicy": "Always"} if role == SIDECAR else {})}
    latest = None
    if state:
        config = ContainerConfig(name, "busybox", attempt, annotations={ANNOTATION_HASH: spec_hash(spec)})
        latest = ContainerStatus(f"{name}{attempt}", "s", config, ContainerState[state], NOW, started_at=NOW - 100,
                                 finished_at=ended if state == "EXITED" else 0.0, exit_code=code)
    return ContainerView(spec, role, latest, **{"started": True, "ready": True, **more})


def actions(pod_: dict[str, Any], *views: ContainerView, backoff: Backoff | None = None) -> tuple:
    return plan(pod_, views, backoff or Backoff(), NOW).actions


def test_does_nothing_while_everything_runs() -> None:
    assert plan(pod(), [view(state="RUNNING"), view("side", SIDECAR, "RUNNING")], Backoff(), NOW) == Plan()


def test_all_main_containers_start_together() -> None:
    assert actions(pod(), view("a"), view("b")) == (Start("a", 0), Start("b", 0))


def test_init_containers_run_one_after_another_before_the_main_ones() -> None:
    waiting = (view("i1", INIT), view("i2", INIT), view())
    assert actions(pod(), *waiting) == (Start("i1", 0),)
    assert actions(pod(), view("i1", INIT, "RUNNING"), *waiting[1:]) == ()
    assert actions(pod(), view("i1", INIT, "EXITED"), *waiting[1:]) == (Start("i2", 0),)
    assert actions(pod(), view("i1", INIT, "EXITED"), view("i2", INIT, "EXITED"), view()) == (Start("c", 0),)


def test_an_init_container_that_has_succeeded_is_not_run_again_under_always() -> None:
    assert actions(pod("Always"), view("i", INIT, "EXITED"), view(state="RUNNING")) == ()


@pytest.mark.parametrize(("policy", "expected"), [
    ("Never", (Finish(),)), ("OnFailure", (Start("i", 1),)), ("Always", (Start("i", 1),))])
def test_a_failed_init_container_ends_the_pod_only_under_never(policy: str, expected: tuple) -> None:
    assert actions(pod(policy), view("i", INIT, "EXITED", code=1), view()) == expected


def test_the_main_container_waits_until_the_sidecar_has_started() -> None:
    side = view("side", SIDECAR, "RUNNING", started=False)
    assert actions(pod(), side, view()) == ()
    assert actions(pod(), view("side", SIDECAR, "RUNNING"), view()) == (Start("c", 0),)


def test_a_sidecar_is_restarted_even_under_never() -> None:
    side = view("side", SIDECAR, "EXITED", code=1)
    assert actions(pod("Never"), side, view(state="RUNNING")) == (Start("side", 1),)


def test_a_finished_main_container_finishes_the_pod_and_with_it_the_sidecar() -> None:
    assert actions(pod("Never"), view("side", SIDECAR, "RUNNING"), view(state="EXITED")) == (Finish(),)


def test_an_ephemeral_container_is_started_once_and_waits_for_nobody() -> None:
    assert actions(pod(), view("i", INIT, "RUNNING"), view(), view("look", EPHEMERAL)) == (Start("look", 0),)
    assert actions(pod(), view(state="RUNNING"), view("look", EPHEMERAL, "EXITED", code=1)) == ()
    assert actions(pod("Never"), view(state="EXITED"), view("look", EPHEMERAL, "RUNNING")) == (Finish(),)


@pytest.mark.parametrize(("policy", "code", "expected"), [
    ("Always", 0, (Start("c", 1),)), ("Always", 1, (Start("c", 1),)), ("OnFailure", 0, (Finish(),)),
    ("OnFailure", 1, (Start("c", 1),)), ("Never", 0, (Finish(),)), ("Never", 1, (Finish(),))])
def test_the_restart_policy_decides_after_an_exit(policy: str, code: int, expected: tuple) -> None:
    assert actions(pod(policy), view(state="EXITED", code=code)) == expected


def test_one_finished_container_does_not_finish_the_pod_while_another_runs() -> None:
    assert actions(pod("Never"), view("a", state="EXITED"), view("b", state="RUNNING")) == ()


def test_a_second_death_waits_ten_seconds_and_says_until_when() -> None:
    backoff = Backoff()
    dead = view(state="EXITED", code=1, attempt=1, ended=NOW - 1)
    backoff.next(backoff_key(pod(), dead.spec), NOW - 3, NOW - 2)
    done = plan(pod(), [dead], backoff, NOW)
    assert done == Plan((WaitForBackOff("c", NOW + 9, 10.0),), NOW + 9)


def test_a_container_that_a_probe_gave_up_on_is_killed_and_started_again() -> None:
    sick = view(state="RUNNING", unhealthy="liveness")
    assert actions(pod(), sick) == (
        Kill("c", "Container c failed liveness probe, will be restarted", "liveness"), Start("c", 1))
    assert actions(pod("Never"), sick) == (Kill("c", "Container c failed liveness probe", "liveness"),)


def test_another_image_replaces_the_running_container() -> None:
    running = view(state="RUNNING")
    edited = ContainerView({**running.spec, "image": "nginx"}, MAIN, running.latest, started=True, ready=True)
    assert actions(pod(), edited) == (Kill("c", "Container c definition changed, will be restarted"), Start("c", 1))


def test_a_created_container_that_was_never_started_is_started_anew() -> None:
    assert actions(pod(), view(state="CREATED", attempt=2)) == (Start("c", 2),)


def test_the_deadline_ends_the_pod_and_before_it_the_plan_says_when_to_look_again() -> None:
    limited = pod(activeDeadlineSeconds=5)
    limited["status"]["startTime"] = "2023-11-14T22:13:18Z"   # NOW - 2
    assert plan(limited, [view(state="RUNNING")], Backoff(), NOW).wake == NOW + 3
    late = plan(limited, [view(state="RUNNING")], Backoff(), NOW + 3)
    assert [a.reason for a in late.actions if isinstance(a, Finish)] == ["DeadlineExceeded"]


def test_restart_rules_of_a_container_override_the_policy() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    for code, expected in ((42, (Start("c", 1),)), (1, (Finish(),))):
        dead = view(state="EXITED", code=code)
        ruled = ContainerView({**dead.spec, "restartPolicy": "Never", "restartPolicyRules": rules}, MAIN, dead.latest)
        assert actions(pod("Never"), ruled) == expected


def test_back_off_doubles_from_ten_seconds_to_five_minutes_and_starts_again_after_a_long_life() -> None:
    backoff, seen, now = Backoff(), [], NOW
    for _ in range(7):
        seen.append(backoff.remaining("k", now, now))
        now += seen[-1]
        backoff.next("k", now, now)
    assert seen == [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0]
    assert backoff.remaining("k", now + 601, now + 601) == 0.0
