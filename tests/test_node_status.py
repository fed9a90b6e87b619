"""Container states in, `status` of the Pod out."""

from __future__ import annotations

from typing import Any

import pytest

from kitlib.node.containers import EPHEMERAL, INIT, MAIN, SIDECAR, ContainerView, Waiting
from kitlib.node.images import normalize, pull_policy
from kitlib.node.pod_status import Surroundings, phase, pod_status, qos_class
from kitlib.runtime.cri import ContainerConfig, ContainerState, ContainerStatus

NOW = 1_700_000_000.0


def pod(policy: str = "Always", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "d", "uid": "u", "generation": 3},
            "spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "busybox:1.36"}]}, "status": status}


def view(name: str = "c", role: str = MAIN, code: int | None = None, running: bool = False,
         **more: Any) -> ContainerView:
    latest = None
    if running or code is not None:
        state = ContainerState.RUNNING if running else ContainerState.EXITED
        latest = ContainerStatus(f"id-{name}", "s", ContainerConfig(name, "busybox:1.36"), state, NOW - 10,
                                 started_at=NOW - 9, finished_at=0.0 if running else NOW - 1, exit_code=code or 0,
                                 image_ref="sha256:abc")
    return ContainerView({"name": name, "image": "busybox:1.36"}, role, latest,
                         **{"started": running, "ready": running, **more})


@pytest.mark.parametrize(("policy", "views", "finished", "expected"), [
    ("Always", [view()], False, "Pending"),
    ("Always", [view(running=True)], False, "Running"),
    ("Always", [view(code=0)], False, "Running"),
    ("OnFailure", [view(code=1)], False, "Running"),
    ("OnFailure", [view(code=0)], False, "Succeeded"),
    ("Never", [view(code=1)], False, "Failed"),
    ("Never", [view("a", code=0), view("b", code=3)], False, "Failed"),
    ("Never", [view("a", code=0), view("b", running=True)], False, "Running"),
    ("Never", [view("i", INIT, code=1), view()], False, "Failed"),
    ("Always", [view("i", INIT, code=1), view()], False, "Pending"),
    ("Always", [view("i", INIT, code=0), view(running=True)], False, "Running"),
    ("Never", [view("s", SIDECAR, running=True), view(code=0)], False, "Running"),
    ("Never", [view("s", SIDECAR, code=143), view(code=0)], True, "Succeeded"),
    ("Always", [view(code=0)], True, "Succeeded"),
    ("Never", [view(code=0), view("look", EPHEMERAL, running=True)], False, "Succeeded"),
    ("Always", [view(running=True), view("look", EPHEMERAL)], False, "Running"),
    ("Always", [view(code=137)], True, "Failed"),
    ("Always", [view()], True, "Failed"),
    ("Always", [view(code=1, waiting=Waiting("CrashLoopBackOff"))], False, "Running")])
def test_the_phase_follows_from_the_containers(policy: str, views: list[ContainerView], finished: bool,
                                               expected: str) -> None:
    assert phase(pod(policy), views, finished) == expected


def test_an_ephemeral_container_has_a_list_of_its_own_and_no_say_in_readiness() -> None:
    seen = [view(running=True), view("look", EPHEMERAL, code=0)]
    status = pod_status(pod(), seen, Surroundings("192.0.2.1", "10.0.0.2", sandbox_ready=True), NOW)
    assert [entry["name"] for entry in status["containerStatuses"]] == ["c"]
    [guest] = status["ephemeralContainerStatuses"]
    assert (guest["name"], guest["ready"], guest["state"]["terminated"]["reason"]) == ("look", False, "Completed")
    assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"


def test_the_status_of_a_running_pod_in_full() -> None:
    around = Surroundings("192.0.2.1", "10.0.0.2", sandbox_ready=True)
    status = pod_status(pod(), [view(running=True)], around, NOW)
    stamp = "2023-11-14T22:13:20Z"
    condition = {"observedGeneration": 3, "status": "True", "lastProbeTime": None, "lastTransitionTime": stamp}
    assert status == {
        "observedGeneration": 3, "phase": "Running",
        "conditions": [{"type": t, **condition} for t in (
            "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")],
        "hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}], "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}],
        "startTime": stamp, "qosClass": "BestEffort",
        "containerStatuses": [{
            "name": "c", "state": {"running": {"startedAt": "2023-11-14T22:13:11Z"}}, "lastState": {}, "ready": True,
            "restartCount": 0, "image": "docker.io/library/busybox:1.36", "imageID": "sha256:abc",
            "containerID": "kit://id-c", "started": True, "resources": {},
            "user": {"linux": {"uid": 0, "gid": 0, "supplementalGroups": [0]}}}]}


def test_conditions_of_others_are_kept_and_times_move_only_with_the_status() -> None:
    before = [{"type": "example.com/ok", "status": "True"},
              {"type": "Ready", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"},
              {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]
    conditions = pod_status(pod(conditions=before), [view(running=True)], Surroundings(), NOW)["conditions"]
    by_type = {c["type"]: c for c in conditions}
    assert conditions[0] == before[0]
    assert by_type["Ready"]["lastTransitionTime"] == "2023-11-14T22:13:20Z"
    assert by_type["PodScheduled"]["lastTransitionTime"] == "2020-01-01T00:00:00Z"


def test_an_unready_container_is_named_in_the_message() -> None:
    status = pod_status(pod(), [view(running=True, ready=False)], Surroundings(), NOW)
    by_type = {c["type"]: c for c in status["conditions"]}
    assert (by_type["Ready"]["reason"], by_type["Ready"]["message"]) == (
        "ContainersNotReady", "containers with unready status: [c]")


@pytest.mark.parametrize(("known", "expected"), [
    ([], ("False", "ReadinessGatesNotReady")),
    ([{"type": "x/ok", "status": "False"}], ("False", "ReadinessGatesNotReady")),
    ([{"type": "x/ok", "status": "True"}], ("True", None))])
def test_a_readiness_gate_holds_the_pod_back(known: list[dict[str, str]], expected: tuple[str, str | None]) -> None:
    gated = pod(conditions=known)
    gated["spec"]["readinessGates"] = [{"conditionType": "x/ok"}]
    by_type = {c["type"]: c for c in pod_status(gated, [view(running=True)], Surroundings(), NOW)["conditions"]}
    assert (by_type["Ready"]["status"], by_type["Ready"].get("reason")) == expected
    assert by_type["ContainersReady"]["status"] == "True"


def test_a_terminal_phase_is_shown_only_when_nothing_runs_any_more_and_then_for_ever() -> None:
    ended = [view(code=0)]
    assert pod_status(pod("Never", phase="Running"), ended, Surroundings(), NOW)["phase"] == "Running"
    assert pod_status(pod("Never", phase="Running"), ended, Surroundings(finished=True), NOW)["phase"] == "Succeeded"
    assert pod_status(pod("Always", phase="Failed"), [view(running=True)], Surroundings(), NOW)["phase"] == "Failed"


def test_the_same_containers_give_the_same_status() -> None:
    first = pod_status(pod(), [view(running=True)], Surroundings("h", "p", True), NOW)
    again = pod_status({**pod(), "status": first}, [view(running=True)], Surroundings("h", "p", True), NOW + 100)
    assert again == first


@pytest.mark.parametrize(("resources", "expected"), [
    ({}, "BestEffort"), ({"requests": {"cpu": "1"}}, "Burstable"),
    ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
    ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}, "Guaranteed"),
    ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable")])
def test_the_quality_of_service_follows_from_requests_and_limits(resources: dict[str, Any], expected: str) -> None:
    given = pod()
    given["spec"]["containers"][0]["resources"] = resources
    assert qos_class(given) == expected


@pytest.mark.parametrize(("image", "full"), [
    ("busybox", "docker.io/library/busybox:latest"), ("busybox:1.36", "docker.io/library/busybox:1.36"),
    ("kit/echo", "docker.io/kit/echo:latest"), ("localhost:5000/a/b:x", "localhost:5000/a/b:x"),
    ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
    ("busybox@sha256:" + "a" * 64, "docker.io/library/busybox@sha256:" + "a" * 64),
    ("Not//A:Valid:Image", None), ("UPPER", None), ("", None), ("a:", None), ("-a", None)])
def test_image_references_are_read_as_docker_reads_them(image: str, full: str | None) -> None:
    assert normalize(image) == full


def test_an_image_without_a_tag_is_always_pulled() -> None:
    policies = [pull_policy(c) for c in (
        {"image": "busybox"}, {"image": "busybox:1"}, {"image": "busybox", "imagePullPolicy": "Never"})]
    assert policies == ["Always", "IfNotPresent", "Never"]
