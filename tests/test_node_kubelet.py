"""Whole lives of Pods on a kubelet, in virtual time: every state it reports, every event, every call to the runtime.

States are written as `node_scenario.brief` prints them.  They are what a real kubelet (1.36) reports.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from node_lives import BEGUN, FOREVER, HEALTH, NEW, UP, deleted_after, helper, live, pod, reasons, running_for, story
from node_scenario import Cluster


def test_does_nothing_when_nothing_happens(tmp_path: Path) -> None:
    calls: list[int] = []

    async def life(cluster: Cluster) -> None:
        cluster.apply(pod())
        await asyncio.sleep(5)
        calls.append(cluster.api.store.revision)
        await asyncio.sleep(600)
        calls.append(cluster.api.store.revision)

    cluster = live(tmp_path, life)
    assert calls[0] == calls[1]
    assert cluster.runtime.calls == ["run_pod_sandbox p 10.0.0.2", "create c/0", "start c/0"]


def test_a_pod_is_running_within_150_milliseconds(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(pod())
        await asyncio.sleep(0.15)

    assert story(live(tmp_path, life)) == UP


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_a_container_that_exits_zero_ends_the_pod_before_its_phase_says_so(tmp_path: Path, policy: str) -> None:
    cluster = live(tmp_path, running_for(5, pod("sleep 1; exit 0", restartPolicy=policy)))
    assert story(cluster) == [*UP, "Running + PodCompleted c=Completed/0", "Succeeded - PodCompleted c=Completed/0"]
    assert reasons(cluster) == BEGUN


def test_a_crashing_container_is_restarted_at_once_and_then_ever_later(tmp_path: Path) -> None:
    cluster = live(tmp_path, running_for(40, pod("sleep 1; exit 1")))
    assert story(cluster) == [
        *UP, "Running + ContainersNotReady c=Error/1",
        "Running + Ready c=running#1<Error/1", "Running + ContainersNotReady c=Error/1#1<Error/1",
        "Running + ContainersNotReady c=CrashLoopBackOff#1<Error/1",
        "Running + Ready c=running#2<Error/1", "Running + ContainersNotReady c=Error/1#2<Error/1",
        "Running + ContainersNotReady c=CrashLoopBackOff#2<Error/1",
        "Running + Ready c=running#3<Error/1", "Running + ContainersNotReady c=Error/1#3<Error/1",
        "Running + ContainersNotReady c=CrashLoopBackOff#3<Error/1"]
    assert reasons(cluster) == [*BEGUN, "BackOff!"]


def test_only_the_last_two_runs_of_a_container_are_kept(tmp_path: Path) -> None:
    cluster = live(tmp_path, running_for(40, pod("sleep 1; exit 1")))
    assert sorted(s.config.attempt for s in cluster.runtime.containers.values()) == [2, 3]


def test_a_missing_image_turns_from_error_to_back_off_and_is_tried_again(tmp_path: Path) -> None:
    cluster = live(tmp_path, running_for(10.5, pod(container={"image": "registry.invalid/none:1"})))
    assert story(cluster) == [
        *NEW, "Pending + ContainersNotReady c=ErrImagePull", "Pending + ContainersNotReady c=ImagePullBackOff",
        "Pending + ContainersNotReady c=ErrImagePull"]
    assert reasons(cluster) == ["Pulling", "Failed!", "BackOff"]


def test_a_patched_image_is_tried_at_once(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(pod(container={"image": "registry.invalid/none:1"}))
        await asyncio.sleep(5)
        patch = {"spec": {"containers": [{"name": "c", "image": "busybox:1.36"}]}}
        cluster.person.patch("pods", "default", "p", patch, kind="strategic")
        await asyncio.sleep(0.2)

    assert story(live(tmp_path, life))[-1] == "Running + Ready c=running"


@pytest.mark.parametrize(("container", "reason", "events"), [
    ({"image": "registry.invalid/none:1", "imagePullPolicy": "Never"}, "ErrImageNeverPull",
     ["ErrImageNeverPull!", "Failed!"]),
    ({"image": "Not//A:Valid:Image"}, "InvalidImageName", ["InspectFailed!", "Failed!"]),
    ({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "X"}}}]},
     "CreateContainerConfigError", ["Pulled", "Failed!"])])
def test_a_container_that_cannot_be_made_waits_and_says_why(tmp_path: Path, container: dict[str, Any], reason: str,
                                                            events: list[str]) -> None:
    cluster = live(tmp_path, running_for(5, pod(container=container)))
    assert story(cluster) == [*NEW, f"Pending + ContainersNotReady c={reason}"]
    assert reasons(cluster) == events


def test_a_pod_waiting_for_a_config_map_starts_as_soon_as_it_is_there(tmp_path: Path) -> None:
    async def life(cluster: Cluster) -> None:
        cluster.apply(pod(container={"envFrom": [{"configMapRef": {"name": "cm"}}]}))
        await asyncio.sleep(3)
        cluster.apply({"kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"X": "1"}})
        await asyncio.sleep(0.2)

    cluster = live(tmp_path, life)
    assert story(cluster)[-1] == "Running + Ready c=running"
    assert dict(next(iter(cluster.runtime.containers.values())).config.envs)["X"] == "1"


def test_a_missing_volume_source_holds_the_pod_back_with_an_event(tmp_path: Path) -> None:
    volumes = [{"name": "v", "secret": {"secretName": "none"}}]
    cluster = live(tmp_path, running_for(3, pod(volumes=volumes)))
    assert story(cluster) == NEW[:2]
    assert reasons(cluster) == ["FailedMount!"]


def test_init_containers_run_in_order_before_the_main_container(tmp_path: Path) -> None:
    inits = [helper("i1", "sleep 1"), helper("i2", "sleep 1")]
    cluster = live(tmp_path, running_for(5, pod(initContainers=inits)))
    assert story(cluster) == [
        "Pending -",
        "Pending - ContainersNotReady i1=PodInitializing i2=PodInitializing c=PodInitializing",
        "Pending + ContainersNotReady i1=PodInitializing i2=PodInitializing c=PodInitializing",
        "Pending + ContainersNotReady i1=running(unready) i2=PodInitializing c=PodInitializing",
        "Pending + ContainersNotReady i1=Completed/0 i2=PodInitializing c=PodInitializing",
        "Pending + ContainersNotReady i1=Completed/0 i2=running(unready) c=PodInitializing",
        "Pending + ContainersNotReady i1=Completed/0 i2=Completed/0 c=PodInitializing",
        "Running + Ready i1=Completed/0 i2=Completed/0 c=running"]
    assert reasons(cluster) == BEGUN * 3


def test_a_failed_init_container_under_never_fails_the_pod_and_starts_nothing_else(tmp_path: Path) -> None:
    cluster = live(tmp_path, running_for(5, pod(restartPolicy="Never", initContainers=[helper("i", "exit 2")])))
    assert story(cluster)[-1] == "Failed - PodFailed i=Error/2 c=PodInitializing"
    assert "create c/0" not in cluster.runtime.calls


def test_the_sidecar_starts_first_and_is_stopped_after_the_main_container(tmp_path: Path) -> None:
    side = helper("side", FOREVER, restartPolicy="Always")
    cluster = live(tmp_path, running_for(6, pod("sleep 2", restartPolicy="Never", initContainers=[side])))
    assert story(cluster)[3:] == [
        "Pending + ContainersNotReady side=running c=PodInitializing",
        "Running + Ready side=running c=running",
        "Running + ContainersNotReady side=running c=Completed/0",
        "Running - PodCompleted side=Completed/0 c=Completed/0",
        "Succeeded - PodCompleted side=Completed/0 c=Completed/0"]
    assert reasons(cluster) == [*BEGUN, *BEGUN, "Killing"]


def test_a_deleted_pod_stops_its_main_containers_before_its_sidecars(tmp_path: Path) -> None:
    sides = [helper(name, FOREVER, restartPolicy="Always") for name in ("s1", "s2")]
    cluster = live(tmp_path, deleted_after(2, pod(initContainers=sides)))
    assert [call.split()[1] for call in cluster.runtime.calls if call.startswith("stop ")] == ["c/0", "s2/0", "s1/0"]


def test_a_deleted_pod_is_terminal_before_its_object_goes(tmp_path: Path) -> None:
    cluster = live(tmp_path, deleted_after(2, pod()))
    assert story(cluster) == [*UP, "Running + Ready c=running grace 30 unseen", "Running + Ready c=running grace 30",
                              "Succeeded - PodCompleted c=Completed/0 grace 30", "gone"]
    assert reasons(cluster) == [*BEGUN, "Killing"]
    assert cluster.runtime.calls[-4:] == ["stop c/0 30", "stop_pod_sandbox", "remove c/0", "remove_pod_sandbox"]
    assert not any(tmp_path.rglob("*.log"))


def test_who_ignores_sigterm_is_killed_when_the_grace_period_is_over(tmp_path: Path) -> None:
    stubborn = pod("trap '' TERM; while :; do sleep 1; done", terminationGracePeriodSeconds=3)
    assert story(live(tmp_path, deleted_after(2, stubborn)))[-2:] == ["Failed - PodFailed c=Error/137 grace 3", "gone"]


def test_the_pre_stop_hook_runs_before_sigterm_and_within_the_grace_period(tmp_path: Path) -> None:
    hook = {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "3"]}}}}
    cluster = live(tmp_path, deleted_after(2, pod(container=hook, terminationGracePeriodSeconds=10)))
    assert "stop c/0 7" in cluster.runtime.calls


def test_a_forced_deletion_removes_the_object_and_still_stops_the_container(tmp_path: Path) -> None:
    cluster = live(tmp_path, deleted_after(2, pod(), grace=0))
    assert story(cluster) == [*UP, "gone"]
    assert cluster.runtime.calls[-4:] == ["stop c/0 1", "stop_pod_sandbox", "remove c/0", "remove_pod_sandbox"]


def test_a_shorter_grace_period_takes_effect_while_the_pod_is_being_stopped(tmp_path: Path) -> None:
    ended: list[float] = []

    async def life(cluster: Cluster) -> None:
        cluster.apply(pod("trap '' TERM; while :; do sleep 1; done", terminationGracePeriodSeconds=300))
        await asyncio.sleep(2)
        cluster.delete()
        await asyncio.sleep(2)
        began = cluster.clock.now()
        cluster.delete(grace=1)
        await cluster.until(lambda: story(cluster)[-1] == "gone")
        ended.append(cluster.clock.now() - began)

    live(tmp_path, life)
    assert ended[0] < 3


def test_a_pod_with_a_finalizer_stays_readable_in_its_last_state(tmp_path: Path) -> None:
    held = pod("trap 'exit 7' TERM; sleep 3600 & wait", terminationGracePeriodSeconds=5)
    held["metadata"]["finalizers"] = ["example.com/hold"]
    assert story(live(tmp_path, deleted_after(2, held)))[-1] == "Failed - PodFailed c=Error/7 grace 0"


def test_a_pod_deleted_while_its_image_is_missing_ends_without_a_trace_in_the_runtime(tmp_path: Path) -> None:
    cluster = live(tmp_path, deleted_after(3, pod(container={"image": "registry.invalid/none:1"})))
    assert story(cluster)[-2:] == ["Failed - PodFailed c=ContainerStatusUnknown/137 grace 30", "gone"]
    assert cluster.runtime.sandboxes == {}


def test_an_unknown_command_shows_run_container_error_and_backs_off(tmp_path: Path) -> None:
    cluster = live(tmp_path, running_for(0.6, pod(container={"command": ["/no/such/binary"]})))
    assert story(cluster) == [*NEW, "Running + ContainersNotReady c=RunContainerError<StartError/128",
                              "Running + ContainersNotReady c=RunContainerError#1<StartError/128"]
    assert reasons(cluster) == ["Pulled", "Created", "Failed!", "BackOff!"]


def test_the_deadline_fails_the_pod_with_a_reason(tmp_path: Path) -> None:
    cluster = live(tmp_path, running_for(8, pod(activeDeadlineSeconds=4)))
    assert story(cluster)[3:] == ["Running + Ready c=running", "Running + PodFailed c=running",
                                  "Failed - PodFailed c=Completed/0"]
    assert reasons(cluster) == [*BEGUN, "DeadlineExceeded", "Killing"]
    assert cluster.pod()["status"]["reason"] == "DeadlineExceeded"


def test_a_container_is_not_running_until_its_post_start_hook_is_done(tmp_path: Path) -> None:
    hook = {"lifecycle": {"postStart": {"exec": {"command": ["sleep", "3"]}}}}
    at: list[str] = []

    async def life(cluster: Cluster) -> None:
        cluster.apply(pod(container=hook))
        await asyncio.sleep(2.5)
        at.append(story(cluster)[-1])
        await asyncio.sleep(1)
        at.append(story(cluster)[-1])

    live(tmp_path, life)
    assert at == [NEW[-1], "Running + Ready c=running"]


def test_a_failing_post_start_hook_kills_the_container(tmp_path: Path) -> None:
    hook = {"lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "exit 3"]}}}}
    cluster = live(tmp_path, running_for(0.8, pod(container=hook)))
    assert story(cluster)[3:] == ["Running + ContainersNotReady c=PostStartHookError<Completed/0",
                                  "Running + ContainersNotReady c=PostStartHookError#1<Completed/0"]
    assert reasons(cluster) == [*BEGUN, "FailedPostStartHook!", "Killing", "BackOff!"]


def test_readiness_follows_the_probe_and_never_restarts(tmp_path: Path) -> None:
    script = ("trap 'exit 0' TERM; mkdir /tmp/w; httpd -p 8080 -h /tmp/w; sleep 4; echo ok > /tmp/w/health; sleep 5; "
              "rm /tmp/w/health; sleep 3600 & wait")
    probe = {"readinessProbe": HEALTH}
    cluster = live(tmp_path, running_for(15, pod(script, container=probe)))
    assert story(cluster)[3:] == ["Running + ContainersNotReady c=running(unready)", "Running + Ready c=running",
                                  "Running + ContainersNotReady c=running(unready)"]
    assert reasons(cluster) == [*BEGUN, "Unhealthy!"]


def test_a_pod_that_ends_is_still_asked_whether_it_is_ready(tmp_path: Path) -> None:
    script = "touch /tmp/ok; trap 'rm /tmp/ok; sleep 5; exit 0' TERM; sleep 3600 & wait"
    probe = {"readinessProbe": {"exec": {"command": ["test", "-f", "/tmp/ok"]}, "periodSeconds": 1,
                                "failureThreshold": 1}}
    cluster = live(tmp_path, deleted_after(2, pod(script, container=probe)))
    assert story(cluster)[-4:] == [
        "Running + Ready c=running grace 30", "Running + ContainersNotReady c=running(unready) grace 30",
        "Succeeded - PodCompleted c=Completed/0 grace 30", "gone"]


def test_a_failing_liveness_probe_restarts_without_turning_ready_false(tmp_path: Path) -> None:
    script = ("trap '' TERM; mkdir -p /tmp/w; echo ok > /tmp/w/health; httpd -p 8080 -h /tmp/w; sleep 4; "
              "rm /tmp/w/health; sleep 3600")
    probe = {"livenessProbe": HEALTH}
    cluster = live(tmp_path, running_for(9, pod(script, container=probe, terminationGracePeriodSeconds=2)))
    assert story(cluster)[3:] == ["Running + Ready c=running", "Running + Ready c=running#1<Error/137"]
    assert reasons(cluster) == [*BEGUN, "Unhealthy!", "Killing"]


def test_the_other_probes_wait_for_the_startup_probe(tmp_path: Path) -> None:
    up = {"exec": {"command": ["test", "-f", "/tmp/up"]}, "periodSeconds": 1}
    probes = {"startupProbe": {**up, "failureThreshold": 20}, "livenessProbe": {**up, "failureThreshold": 1},
              "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}}
    script = "trap 'exit 0' TERM; sleep 5; touch /tmp/up; sleep 3600 & wait"
    cluster = live(tmp_path, running_for(10, pod(script, container=probes)))
    assert story(cluster)[3:] == ["Running + ContainersNotReady c=running(starting)",
                                  "Running + ContainersNotReady c=running(unready)", "Running + Ready c=running"]


def test_a_container_tells_its_last_words_in_its_status(tmp_path: Path) -> None:
    spec = pod("echo goodbye > /dev/termination-log; exit 4", restartPolicy="Never")
    spec["spec"]["containers"].append(helper("b", "echo from the log; exit 5",
                                             terminationMessagePolicy="FallbackToLogsOnError"))
    cluster = live(tmp_path, running_for(3, spec))
    ends = [c["state"]["terminated"] for c in cluster.pod()["status"]["containerStatuses"]]
    assert [(e["exitCode"], e["message"]) for e in ends] == [(4, "goodbye\n"), (5, "from the log\n")]
