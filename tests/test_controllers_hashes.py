"""Names are the same as on a real cluster: hashes recorded there (Kubernetes 1.36) come out here.

The templates are what the API makes of them, with all defaults, so this proves the defaults as well.
"""

from __future__ import annotations

from typing import Any

import pytest
from controller_world import World

from kitlib.controllers.daemonset import DaemonSet
from kitlib.controllers.deployment import Deployment
from kitlib.controllers.go_dump import dump
from kitlib.controllers.history import REVISIONS
from kitlib.controllers.statefulset import StatefulSet

SLEEP = "trap 'exit 0' TERM; sleep 3600 & wait"


def template(app: str, *, version: str = "", command: str = SLEEP, grace: int = 2, **container: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", command], **container}
    if version:
        made["env"] = [{"name": "VERSION", "value": version}]
    spec = {"terminationGracePeriodSeconds": grace, "containers": [made]}
    return {"metadata": {"labels": {"app": app}}, "spec": spec}


def owner(kind: str, name: str, pod: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": pod, **spec}}


@pytest.mark.parametrize(("pod", "recorded"), [
    (template("web", version="1"), "8678d8d58b"),
    (template("web", version="2"), "5cb5f4ff5"),
    (template("web", version="1", command="exit 1"), "68d57d6694"),
    (template("web", version="1", resources={"requests": {"cpu": "10m"}}), "787896965f"),
    (template("web", version="1", command="trap 'sleep 2; exit 0' TERM; sleep 3600 & wait", grace=6), "64dcd98c6"),
    (template("web", version="1", readinessProbe={"exec": {"command": ["true"]}, "initialDelaySeconds": 1,
                                                  "periodSeconds": 1}), "dd6c5bd79"),
])
def test_a_replica_set_is_called_what_a_real_one_was(pod, recorded):
    w = World(Deployment(), nodes=0)
    w.create("deployments.apps", owner("Deployment", "web", pod))
    w.settle(0.1)
    assert w.names("replicasets.apps") == [f"web-{recorded}"]


def test_a_stateful_sets_revision_is_called_what_a_real_one_was():
    w = World(StatefulSet(), nodes=0)
    w.create("statefulsets.apps", owner("StatefulSet", "db", template("db", version="1"), serviceName="db"))
    w.settle(0.1)
    assert w.names(REVISIONS) == ["db-55d65b9bf5"]


def test_a_daemon_sets_revision_is_called_what_a_real_one_was():
    w = World(DaemonSet(), nodes=0)
    w.create("daemonsets.apps", owner("DaemonSet", "agent", template("agent", version="1")))
    w.settle(0.1)
    assert w.names(REVISIONS) == ["agent-7754cf7dfc"]


def test_the_dump_has_every_field_with_its_go_type():
    text = dump({"metadata": {"labels": {"b": "2", "a": "1"}}, "spec": {"containers": [
        {"name": "c", "resources": {"limits": {"memory": "64Mi", "cpu": "1.5"}}}], "hostNetwork": True}})
    assert text.startswith("(v1.PodTemplateSpec){ObjectMeta:(v1.ObjectMeta){Name:(string) GenerateName:(string) ")
    assert "Labels:(map[string]string)map[a:1 b:2] Annotations:(map[string]string)<nil>" in text
    assert "HostNetwork:(bool)true" in text
    assert "TerminationGracePeriodSeconds:(*int64)<nil>" in text
    assert ("cpu:{i:(resource.int64Amount){value:(int64)15 scale:(resource.Scale)-1} d:(resource.infDecAmount)"
            "{Dec:(*inf.Dec)<nil>} s:(string) Format:(resource.Format)DecimalSI}") in text
