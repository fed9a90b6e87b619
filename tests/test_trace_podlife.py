"""A Pod's life and its anatomy: from the cluster's own records, from a status alone, and drawn from real Pods."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from kitlib.objects.errors import StatusError
from kitlib.trace import podlife
from kitlib.trace.flow import BadTarget
from kitlib.trace.podlife import POD, PodLife, Span
from kitlib.trace.record import Record, containers
from kitlib.views import life_svg, pod_figures, pod_svg
from kitlib.views.deck_figures import FIGURES
from kitlib.views.pod_stories import LIVES, PODS

TWO = """
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: site, emptyDir: {}}]
  initContainers:
  - {name: prepare, image: busybox, command: [sh, -c, "echo hi > /out/index.html"],
     volumeMounts: [{name: site, mountPath: /out}]}
  - {name: side, image: busybox, restartPolicy: Always, command: [sh, -c, "trap 'exit 0' TERM; sleep 60 & wait"]}
  containers:
  - {name: web, image: nginx, volumeMounts: [{name: site, mountPath: /usr/share/nginx/html, readOnly: true}]}
"""


def record(revision, at, uid="u1", **changes):
    return Record(revision, 100.0 + at, "kubelet", "update", "pods", "lab", "p", uid, changes=changes)


def test_a_life_is_told_by_what_each_record_changed():
    records = [record(1, 0, phase=[None, "Pending"]), record(2, 0.1, containers=[None, {"a": "waiting X"}]),
               record(3, 0.2, phase=["Pending", "Running"], containers=[{}, {"a": "running"}]),
               record(4, 1, ready=[None, True], containers=[{}, {"a": "ready"}]), record(5, 2, deleting=[None, True]),
               record(6, 3, exists=[True, False])]
    life = podlife.from_records(records, "p", "lab", now=999)
    assert life.lanes == (POD, "a")
    assert [(s.state, round(s.start, 3), round(s.end, 3)) for s in life.of(POD)] == [
        ("Pending", 0, 0.2), ("Running", 0.2, 1), ("Ready", 1, 2), ("Terminating", 2, 3)]
    assert [(s.state, round(s.start, 3), round(s.end, 3)) for s in life.of("a")] == [
        ("waiting X", 0.1, 0.2), ("running", 0.2, 1), ("ready", 1, 3)]


def test_of_two_pods_of_one_name_the_younger_is_told():
    records = [record(1, 0, phase=[None, "Pending"]), record(2, 1, exists=[True, False]),
               record(3, 5, uid="u2", phase=[None, "Pending"])]
    assert podlife.from_records(records, "p", "lab", now=107).spans == (Span(POD, "Pending", 0),)
    assert podlife.from_records(records, "q", "lab", now=107) == PodLife("q")


def test_a_status_alone_tells_what_it_remembers():
    at = "2026-01-01T00:00:{:02d}Z".format
    pod = {"metadata": {"name": "p", "creationTimestamp": at(0)}, "status": {
        "phase": "Running", "startTime": at(0), "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": at(9)}],
        "containerStatuses": [{"name": "a", "restartCount": 1, "ready": True,
                               "state": {"running": {"startedAt": at(8)}}, "lastState": {
                                   "terminated": {"exitCode": 1, "startedAt": at(1), "finishedAt": at(4)}}}]}}
    life = podlife.from_status(pod, podlife.parse_time(at(20)))
    assert [(s.state, s.start, s.end) for s in life.of(POD)] == [
        ("Pending", 0, 0), ("Running", 0, 9), ("Ready", 9, None)]
    assert [(s.state, s.start, s.end) for s in life.of("a")] == [("running", 1, 4), ("ready 2", 8, None)]
    assert not life.exact


def test_how_containers_are_is_one_word_and_a_number():
    status = {"initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 3}}}],
              "containerStatuses": [{"name": "w", "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
                                    {"name": "r", "restartCount": 2, "state": {"running": {}}}]}
    assert containers({"status": status}) == {"i": "exited 3", "w": "waiting CrashLoopBackOff", "r": "running 3"}


def test_a_real_pod_is_drawn_alive_and_its_life_when_it_is_gone(kubectl, cluster):
    kubectl("apply", "-f", "-", stdin=TWO)
    kubectl("wait", "--for=condition=Ready", "pod/two", "--timeout=30s")
    client = cluster.client("test")
    drawn = pod_figures.anatomy("pod/two", namespace=kubectl.namespace, cluster=cluster)
    for part in ("init container prepare (exited 0)", "sidecar side (ready)", "container web (ready): nginx",
                 "/usr/share/nginx/html is volume site (read-only)", "volume site: emptyDir",
                 f"one address: {drawn.data['status']['podIP']}"):
        assert part in str(drawn)
    kubectl("delete", "pod", "two")
    life = pod_figures.life(client, "two", kubectl.namespace)
    assert life.lanes == (POD, "prepare", "side", "web")
    assert [s.state for s in life.of(POD)] == ["Pending", "Ready", "Terminating"] or \
        [s.state for s in life.of(POD)] == ["Pending", "Running", "Ready", "Terminating"]
    assert all(s.end is not None for s in life.spans)
    prepared = next(s for s in life.of("prepare") if s.state == "exited 0")
    started = next(s for s in life.of("web") if s.state in ("running", "ready"))
    assert prepared.start <= started.start
    assert {"Scheduled", "Started", "Killing"} <= {t.reason for t in life.told}
    assert "→" in str(pod_figures.timeline("two", namespace=kubectl.namespace, cluster=cluster))


def test_what_is_no_pod_or_not_there_is_said(kubectl, cluster):
    with pytest.raises(BadTarget, match="is not a Pod"):
        pod_figures.anatomy("svc/web", namespace="default", cluster=cluster)
    with pytest.raises(StatusError, match='pods "nobody" not found'):
        pod_figures.life(cluster.client("test"), "nobody", "default")
    for draw in (pod_figures.timeline, pod_figures.anatomy):  # a notebook goes on
        drawn = draw("nobody", namespace="default", cluster=cluster)
        assert "Nothing is known of a Pod nobody" in str(drawn)
        assert str(drawn) in drawn.svg


@pytest.mark.parametrize("svg", [*(FIGURES["pod"](name) for name in PODS), *(FIGURES["life"](name) for name in LIVES)])
def test_figures_are_whole_svg_with_their_words_beside_them(svg):
    root = ElementTree.fromstring(svg)
    title, description = root[0].text, root[1].text
    assert "Pod" in title
    assert len(description) > 80
    for y, height in re.findall(r'<text x="[^"]*" y="([\d.]+)"|viewBox="0 0 980 ([\d.]+)"', svg):
        assert float(y or 0) <= float(root.attrib["viewBox"].split()[3]), height


def test_bars_never_run_backwards_and_fit_the_picture():
    axis = life_svg.Axis([0.001, 0.0015, 0.5, 3, 4000], 5000)
    places = [axis.x(t) for t in (0, 0.5, 1, 3, 100, 4000, 5000)]
    assert places == sorted(places)
    assert places[0] == life_svg.LEFT
    assert round(places[-1]) == life_svg.WIDTH - life_svg.RIGHT
    crowded = life_svg.Axis([i / 10 for i in range(200)], 20)
    assert round(crowded.x(20)) <= life_svg.WIDTH - life_svg.RIGHT


def test_kit_timeline_prints_draws_and_gives_json(kubectl, cluster, tmp_path, monkeypatch, capsys):
    from kitlib.cli.main import main

    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.setenv("KIT_HOME", str(cluster.directory.path.parents[1]))
    kubectl("run", "brief", "--image=busybox", "--restart=Never", "--", "true")
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/brief", "--timeout=30s")
    assert main(["timeline", "brief", "-n", kubectl.namespace, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lanes"] == [POD, "brief"]
    assert main(["timeline", "pod/brief", "-n", kubectl.namespace, "--svg", str(tmp_path / "life.svg")]) == 0
    assert "exited 0" in (tmp_path / "life.svg").read_text()
    assert main(["timeline", "svc/brief"]) == 2
    assert pod_svg.WIDTH == life_svg.WIDTH
