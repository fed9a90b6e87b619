"""The figure tells what happened: grouped, in order, with its causes, and nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest

from kitlib.trace import rebuild
from kitlib.trace.flow import BadTarget, build, parse_target
from kitlib.trace.record import Record, Recorder, facts
from kitlib.views import deck_figures, flow_svg, flow_text


def write(revision, resource, name, uid, **rest):
    return SimpleNamespace(**{"revision": revision, "time": 1000.0 + revision, "actor": "kubectl", "verb": "update",
                              "resource": resource, "namespace": "default", "name": name, "uid": uid,
                              "subresource": "", "cause": 0, **rest})


def pod(uid, node=None, phase="Pending", owner=None):
    obj = {"metadata": {"name": uid, "uid": uid}, "spec": {}, "status": {"phase": phase}}
    if node:
        obj["spec"]["nodeName"] = node
    if owner:
        obj["metadata"]["ownerReferences"] = [{"uid": owner, "name": owner, "controller": True}]
    return obj


def test_a_record_keeps_what_changed_and_whose_the_object_is():
    objects = {}
    recorder = Recorder(lambda resource, namespace, name: objects.get(name))
    objects["p"] = pod("p", owner="rs")
    recorder.on_write(write(1, "pods", "p", "p", verb="create"))
    objects["p"] = pod("p", node="node-1", owner="rs")
    recorder.on_write(write(2, "pods", "p", "p", subresource="binding", actor="kube-scheduler", cause=1))
    del objects["p"]
    recorder.on_write(write(3, "pods", "p", "p", verb="delete"))
    first, second, third = recorder.since(0)
    assert first.changes == {"phase": [None, "Pending"]}
    assert (second.changes, second.cause, second.owner) == ({"node": [None, "node-1"]}, 1, "rs")
    assert (third.changes, third.owner) == ({"exists": [True, False]}, "rs")
    assert [r.revision for r in recorder.since(2)] == [3]


def test_an_object_that_was_made_anew_under_the_same_name_has_a_story_of_its_own():
    objects = {"p": pod("new")}
    recorder = Recorder(lambda resource, namespace, name: objects.get(name))
    recorder.on_write(write(7, "pods", "p", "old", verb="delete"))
    assert recorder.since()[0].changes == {"exists": [True, False]}


def test_heartbeats_and_commentary_are_left_out():
    recorder = Recorder(lambda *where: None)
    for resource in ("leases.coordination.k8s.io", "events", "nodes"):
        recorder.on_write(write(1, resource, "x", "u"))
    assert recorder.since() == []


def test_facts_leave_out_what_is_not_there():
    assert facts("pods", pod("p")) == {"phase": "Pending"}
    assert facts("services", {"metadata": {}, "spec": {"clusterIP": "10.0.0.1"}}) == {"clusterIP": "10.0.0.1"}


def test_the_talks_story_has_the_talks_steps():
    story = deck_figures.story()
    assert [(s.lane, s.act) for s in story.steps] == [
        ("client", "create"), ("kube-controller-manager", "create"), ("kube-scheduler", "bind"),
        ("runtime", "start"), ("kubelet", "running"), ("kube-controller-manager", "count")]
    creates = story.steps[1]
    assert (creates.revisions, creates.causes, creates.text) == ((42, 43, 44), (41,), "creates 3 Pods")


def test_other_objects_stay_out_of_the_story():
    records = [Record(1, 1.0, "kubectl", "create", "replicasets.apps", "default", "web", "u1"),
               Record(2, 2.0, "kubectl", "create", "replicasets.apps", "default", "other", "u2"),
               Record(3, 3.0, "kubectl", "create", "replicasets.apps", "elsewhere", "web", "u3"),
               Record(4, 4.0, "kube-controller-manager/replicaset", "create", "pods", "default", "other-1", "p", "u2")]
    assert [s.objects for s in build(records, "rs/web", "default").steps] == [("web",)]


def test_like_acts_long_after_each_other_are_two_steps():
    def create(revision, time, name):
        actor = "kube-controller-manager/replicaset"
        return Record(revision, time, actor, "create", "pods", "default", name, name, "rs")

    owner = Record(1, 0.0, "kubectl", "create", "replicasets.apps", "default", "web", "rs")
    flow = build([owner, create(2, 0.1, "a"), create(3, 0.2, "b"), create(4, 9.0, "c")], "rs/web", "default")
    assert [s.objects for s in flow.steps] == [("web",), ("a", "b"), ("c",)]


def test_a_deployments_flow_goes_down_three_generations():
    records = [Record(1, 0.0, "kubectl", "create", "deployments.apps", "default", "web", "d"),
               Record(2, 0.1, "kube-controller-manager/deployment", "create", "replicasets.apps", "default", "web-1",
                      "rs", "d"),
               Record(3, 0.2, "kube-controller-manager/replicaset", "create", "pods", "default", "web-1-a", "p", "rs")]
    assert len(build(records, "deploy/web", "default").steps) == 3


@pytest.mark.parametrize("target", ["web", "rs/", "node/x", "/web", ""])
def test_a_target_that_is_none_is_refused(target):
    with pytest.raises(BadTarget, match="KIND/NAME"):
        parse_target(target)


def test_the_picture_is_sound_xml_names_every_actor_and_tells_its_story_to_a_screen_reader():
    svg = flow_svg.render(deck_figures.story())
    root = ET.fromstring(svg)
    words = " ".join(root.itertext())
    for part in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "container runtime", "etcd",
                 "Observe", "Diff", "Act", "ReplicaSet/sample-rs", "nodeA"):
        assert part in words
    assert "creates 3 Pods" in root.find("{http://www.w3.org/2000/svg}desc").text


def test_hostile_names_do_not_become_markup():
    flow = build([Record(1, 0.0, "<script>alert(1)</script>", "create", "pods", "default", "<b>x</b>", "u")],
                 "pod/<b>x</b>", "default")
    root = ET.fromstring(flow_svg.render(flow))
    assert not [element for element in root.iter() if element.tag.endswith(("script", "}b"))]


def test_a_story_of_many_steps_shows_the_newest_and_says_how_many_are_hidden():
    records = [Record(1, 0.0, "kubectl", "create", "replicasets.apps", "default", "web", "rs")]
    records += [Record(i, float(i), "kubectl", "patch", "replicasets.apps", "default", "web", "rs",
                       changes={"wanted": [i, i + 1]}) for i in range(2, 60)]
    flow = build(records, "rs/web", "default")
    assert len(flow.steps) == 59
    assert "35 earlier steps not shown" in flow_svg.render(flow)


def test_the_text_has_one_line_a_step_and_says_so_when_there_is_none():
    story = deck_figures.story()
    lines = flow_text.render(story).splitlines()
    assert len(lines) == len(story.steps)
    assert "[rev 42–44]  [because of rev 41]" in lines[1]
    assert "Nothing was recorded about rs/x" in flow_text.render(build([], "rs/x", "default"))


def test_a_slide_shows_no_more_than_had_happened_by_then():
    early, late = deck_figures.flow("1"), deck_figures.flow()
    assert "Pod/" not in early
    assert "Pod/sample-rs-x7k2p" in late
    assert "nodeA" not in deck_figures.flow("2")


class FakeClient:
    """A foreign cluster: one ReplicaSet with one running Pod."""

    def get(self, resource, namespace, name):
        return {"metadata": {"name": "web", "uid": "rs", "namespace": "default",
                             "creationTimestamp": "2026-01-01T00:00:00Z",
                             "managedFields": [{"manager": "kubectl-create", "time": "2026-01-01T00:00:00Z"},
                                               {"manager": "kube-controller-manager", "subresource": "status",
                                                "time": "2026-01-01T00:00:03Z"}]},
                "spec": {"replicas": 1}, "status": {"replicas": 1, "readyReplicas": 1}}

    def list(self, resource, namespace):
        found = pod("web-a", node="node-1", phase="Running", owner="rs")
        found["metadata"] |= {"namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [
            {"manager": "kube-controller-manager", "time": "2026-01-01T00:00:00Z"},
            {"manager": "kubelet", "subresource": "status", "time": "2026-01-01T00:00:02Z"}]}
        found["status"]["conditions"] = [{"type": "PodScheduled", "status": "True",
                                          "lastTransitionTime": "2026-01-01T00:00:01Z"}]
        return {"items": [found]}


def test_a_foreign_clusters_flow_is_rebuilt_from_what_objects_remember():
    records = rebuild.records(FakeClient(), "replicasets.apps", "default", "web")
    flow = build(records, "rs/web", "default", rebuilt=True)
    assert [(s.lane, s.act) for s in flow.steps] == [
        ("client", "create"), ("kube-controller-manager", "create"), ("kube-scheduler", "bind"),
        ("kubelet", "report"), ("kube-controller-manager", "count")]
    assert "does not record causes" in flow_text.render(flow)
