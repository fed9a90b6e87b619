"""Tables show what `kubectl get` shows."""

from __future__ import annotations

import pytest

from kitlib.api.columns import jsonpath, printer_of
from kitlib.api.columns.text import cut, human_duration, selector
from kitlib.api.kind import Kind, Registry
from kitlib.api.kinds import BUILTIN
from kitlib.api.table import table
from kitlib.objects.clock import parse_time, rfc3339

NOW = parse_time("2024-01-01T01:00:00Z")
REGISTRY = Registry(BUILTIN)


def ago(seconds: float) -> str:
    return rfc3339(NOW - seconds)


def show(kind: str, obj: dict, group: str = "", version: str = "v1", *, all_columns: bool = False) -> dict:
    """Column name → cell, of one object."""
    declared = REGISTRY.by_kind(group, version, kind)
    assert declared is not None
    obj = {"metadata": {"name": "a", "creationTimestamp": ago(90)}, **obj}
    made = table(declared, [obj], {"now": NOW, "includeObject": "None"})
    columns, cells = made["columnDefinitions"], made["rows"][0]["cells"]
    assert len(columns) == len(cells)
    return {c["name"]: cell for c, cell in zip(columns, cells, strict=True) if all_columns or not c["priority"]}


@pytest.mark.parametrize(("seconds", "text"), [
    (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (185, "3m5s"), (660, "11m"), (10_799, "179m"),
    (10_800, "3h"), (18_300, "5h5m"), (90_000, "25h"), (172_800, "2d"), (180_000, "2d2h"), (8 * 86_400, "8d"),
    (800 * 86_400, "2y70d"), (730 * 86_400, "2y"), (4000 * 86_400, "10y")])
def test_ages_are_the_rougher_the_longer(seconds, text):
    assert human_duration(seconds) == text


def running(name="c", restarts=0, ready=True, last=None, state=None):
    status = {"name": name, "restartCount": restarts, "ready": ready,
              "state": state or {"running": {"startedAt": ago(50)}}}
    if last:
        status["lastState"] = {"terminated": {"finishedAt": last, "exitCode": 1}}
    return status


def pod(phase="Running", containers=("c",), **status):
    return {"spec": {"containers": [{"name": name, "image": "i"} for name in containers], "nodeName": "n1"},
            "status": {"phase": phase, "podIP": "127.64.16.2", **status}}


def test_a_running_pod():
    cells = show("Pod", pod(containerStatuses=[running()]), all_columns=True)
    assert cells == {"Name": "a", "Ready": "1/1", "Status": "Running", "Restarts": "0", "Age": "90s",
                     "IP": "127.64.16.2", "Node": "n1", "Nominated Node": "<none>", "Readiness Gates": "<none>"}


def test_a_pod_that_was_never_scheduled_has_no_node_and_no_address():
    cells = show("Pod", {"spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Pending"}}, all_columns=True)
    assert (cells["Status"], cells["Ready"], cells["IP"], cells["Node"]) == ("Pending", "0/1", "<none>", "<none>")


def test_restarts_say_when_the_last_one_was():
    cells = show("Pod", pod(containerStatuses=[running(restarts=3, last=ago(5))]))
    assert cells["Restarts"] == "3 (5s ago)"


@pytest.mark.parametrize(("state", "status"), [
    ({"waiting": {"reason": "CrashLoopBackOff"}}, "CrashLoopBackOff"),
    ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff"),
    ({"terminated": {"exitCode": 1, "reason": "Error"}}, "Error"),
    ({"terminated": {"exitCode": 0, "reason": "Completed"}}, "Completed"),
    ({"terminated": {"exitCode": 3}}, "ExitCode:3"),
    ({"terminated": {"exitCode": 137, "signal": 9}}, "Signal:9")])
def test_the_status_is_what_its_container_waits_for_or_ended_with(state, status):
    cells = show("Pod", pod(containerStatuses=[running(ready=False, state=state)]))
    assert (cells["Status"], cells["Ready"]) == (status, "0/1")


def test_one_completed_container_beside_a_running_one_is_not_ready():
    statuses = [running(ready=False, state={"terminated": {"exitCode": 0, "reason": "Completed"}}), running("d")]
    assert show("Pod", pod(containers=("c", "d"), containerStatuses=statuses))["Status"] == "NotReady"
    ready = [{"type": "Ready", "status": "True"}]
    cells = show("Pod", pod(containers=("c", "d"), containerStatuses=statuses, conditions=ready))
    assert (cells["Status"], cells["Ready"]) == ("Running", "1/2")


def test_a_deleted_pod_is_terminating_unless_it_has_ended():
    deleted = {"metadata": {"name": "a", "creationTimestamp": ago(5), "deletionTimestamp": ago(1)}}
    assert show("Pod", {**pod(containerStatuses=[running()]), **deleted})["Status"] == "Terminating"
    assert show("Pod", {**pod(phase="Failed"), **deleted})["Status"] == "Failed"
    assert show("Pod", {**pod(reason="NodeLost"), **deleted})["Status"] == "Unknown"


def test_init_containers_are_counted_and_their_failures_shown():
    done = {"name": "i1", "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}
    waiting = {"name": "i2", "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}
    obj = pod("Pending", initContainerStatuses=[done, waiting])
    obj["spec"]["initContainers"] = [{"name": "i1"}, {"name": "i2"}]
    assert show("Pod", obj)["Status"] == "Init:1/2"
    waiting["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert show("Pod", obj)["Status"] == "Init:CrashLoopBackOff"
    waiting["state"] = {"terminated": {"exitCode": 2, "reason": "Error"}}
    assert show("Pod", obj)["Status"] == "Init:Error"


def test_a_sidecar_counts_among_the_containers():
    sidecar = {"name": "s", "restartCount": 2, "started": True, "ready": True, "state": {"running": {}}}
    obj = pod(initContainerStatuses=[sidecar], containerStatuses=[running()])
    obj["spec"]["initContainers"] = [{"name": "s", "restartPolicy": "Always"}]
    cells = show("Pod", obj)
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == ("2/2", "Running", "2")


def test_a_gated_pod_says_so():
    gated = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
    assert show("Pod", pod("Pending", conditions=gated))["Status"] == "SchedulingGated"


def test_ended_pods_are_marked_as_completed():
    kind = REGISTRY.by_kind("", "v1", "Pod")
    made = table(kind, [{"metadata": {"name": "a"}, **pod("Succeeded")}, {"metadata": {"name": "b"}, **pod()}])
    assert made["rows"][0]["conditions"][0]["type"] == "Completed"
    assert "conditions" not in made["rows"][1]


TEMPLATE = {"spec": {"containers": [{"name": "c", "image": "nginx"}, {"name": "d", "image": "busybox"}]}}
SPEC = {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}


def test_workloads():
    status = {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2}
    cells = show("Deployment", {"spec": SPEC, "status": status}, "apps", all_columns=True)
    assert cells == {"Name": "a", "Ready": "2/3", "Up-to-date": 1, "Available": 2, "Age": "90s", "Containers": "c,d",
                     "Images": "nginx,busybox", "Selector": "app=x"}
    cells = show("ReplicaSet", {"spec": SPEC, "status": status}, "apps")
    assert cells == {"Name": "a", "Desired": 3, "Current": 3, "Ready": 2, "Age": "90s"}
    assert show("StatefulSet", {"spec": SPEC}, "apps")["Ready"] == "0/3"
    daemon = {"spec": {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}, "status": {"numberReady": 2}}
    assert show("DaemonSet", daemon, "apps")["Node Selector"] == "gpu=yes"


def test_jobs():
    job = {"spec": {"completions": 3, "parallelism": 1}, "status": {"succeeded": 1, "startTime": ago(70)}}
    cells = show("Job", job, "batch")
    assert (cells["Status"], cells["Completions"], cells["Duration"]) == ("Running", "1/3", "70s")
    done = {"succeeded": 3, "startTime": ago(70), "completionTime": ago(60),
            "conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]}
    cells = show("Job", {**job, "status": done}, "batch")
    assert (cells["Status"], cells["Duration"]) == ("Complete", "10s")
    assert show("Job", {"spec": {"parallelism": 4}}, "batch")["Completions"] == "0/1 of 4"
    cron = {"spec": {"schedule": "@daily", "suspend": False}, "status": {"lastScheduleTime": ago(30)}}
    cells = show("CronJob", cron, "batch")
    assert (cells["Timezone"], cells["Suspend"], cells["Last Schedule"]) == ("<none>", "False", "30s")


def test_services():
    spec = {"type": "NodePort", "clusterIP": "127.64.0.9", "selector": {"b": "2", "a": "1"},
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]}
    cells = show("Service", {"spec": spec}, all_columns=True)
    assert (cells["Port(s)"], cells["External-IP"], cells["Selector"]) == ("80:30080/TCP,53/UDP", "<none>", "a=1,b=2")
    balanced = {"spec": {**spec, "type": "LoadBalancer"}}
    assert show("Service", balanced)["External-IP"] == "<pending>"
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}, {"hostname": "h"}]}}
    assert show("Service", balanced)["External-IP"] == "1.2.3.4,h"


def test_endpoint_slices_are_cut_after_three():
    obj = {"addressType": "IPv4", "ports": [{"port": 80}],
           "endpoints": [{"addresses": [f"10.0.0.{i}"]} for i in range(5)]}
    assert show("EndpointSlice", obj, "discovery.k8s.io")["Endpoints"] == "10.0.0.0,10.0.0.1,10.0.0.2 + 2 more..."
    assert cut([], 3, "<unset>") == "<unset>"


def test_nodes():
    obj = {"metadata": {"name": "n1", "creationTimestamp": ago(1), "labels": {
               "node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "boss"}},
           "spec": {"unschedulable": True},
           "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.2"},
                      "addresses": [{"type": "InternalIP", "address": "127.64.15.1"}]}}
    cells = show("Node", obj, all_columns=True)
    assert (cells["Status"], cells["Roles"]) == ("Ready,SchedulingDisabled", "boss,control-plane")
    assert (cells["Internal-IP"], cells["External-IP"], cells["OS-Image"]) == ("127.64.15.1", "<none>", "<unknown>")
    obj["status"]["conditions"][0]["status"] = "Unknown"
    assert show("Node", obj)["Status"] == "NotReady,SchedulingDisabled"


def test_events_count_and_say_who_reports():
    obj = {"involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"}, "reason": "Pulled",
           "type": "Normal", "message": " done \n", "firstTimestamp": ago(300), "lastTimestamp": ago(10), "count": 4,
           "source": {"component": "kubelet", "host": "n1"}}
    cells = show("Event", obj, all_columns=True)
    assert (cells["Last Seen"], cells["First Seen"], cells["Count"]) == ("10s", "5m", 4)
    assert (cells["Object"], cells["Source"], cells["Message"]) == ("pod/p", "kubelet, n1", "done")
    new = {"regarding": {"kind": "Pod", "name": "p"}, "note": "done", "eventTime": ago(20), "reportingController": "x"}
    cells = show("Event", new, "events.k8s.io")
    assert (cells["Object"], cells["Message"], cells["Last Seen"]) == ("pod/p", "done", "20s")


def test_claims_and_volumes():
    claim = {"spec": {"volumeName": "v", "accessModes": ["ReadWriteOnce"], "storageClassName": "fast"},
             "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}
    cells = show("PersistentVolumeClaim", claim)
    assert (cells["Status"], cells["Capacity"], cells["Access Modes"]) == ("Bound", "1Gi", "RWO")
    volume = {"spec": {"claimRef": {"namespace": "ns", "name": "c"}, "capacity": {"storage": "2Gi"}}}
    assert show("PersistentVolume", volume)["Claim"] == "ns/c"


def test_autoscalers_show_metrics_now_and_wanted_in_both_versions():
    spec = {"maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}
    cells = show("HorizontalPodAutoscaler", {"apiVersion": "autoscaling/v1", "spec": {
        **spec, "targetCPUUtilizationPercentage": 50}}, "autoscaling")
    assert (cells["Targets"], cells["Reference"], cells["MinPods"]) == ("cpu: <unknown>/50%", "Deployment/d", "<unset>")
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}},
               {"type": "Pods", "pods": {"target": {"averageValue": "10"}}}, {"type": "Pods", "pods": {}}]
    now = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 20}}}]
    cells = show("HorizontalPodAutoscaler", {"spec": {**spec, "metrics": metrics}, "status": {"currentMetrics": now}},
                 "autoscaling", "v2")
    assert cells["Targets"] == "cpu: 20%/50%, <unknown>/10 + 1 more..."


def test_bindings_list_their_subjects_wide():
    obj = {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
        {"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "namespace": "ns", "name": "s"}]}
    cells = show("RoleBinding", obj, "rbac.authorization.k8s.io", all_columns=True)
    assert (cells["Role"], cells["Users"], cells["ServiceAccounts"]) == ("Role/r", "u", "ns/s")


def test_quotas_keep_requests_and_limits_apart():
    obj = {"status": {"hard": {"pods": "4", "limits.cpu": "2"}, "used": {"pods": "1"}}}
    cells = show("ResourceQuota", obj)
    assert (cells["Request"], cells["Limit"]) == ("pods: 1/4", "limits.cpu: 0/2")


def test_kinds_without_columns_show_their_name_and_when_they_were_made():
    assert show("ClusterRole", {}, "rbac.authorization.k8s.io") == {"Name": "a", "Created At": ago(90)}


def test_every_builtin_kind_prints_an_object_that_has_nothing_but_a_name():
    for kind in BUILTIN:
        made = table(kind, [{"metadata": {"name": "a"}}], {"now": NOW})
        assert len(made["rows"][0]["cells"]) == len(made["columnDefinitions"]), kind.kind


def test_rows_carry_as_much_of_the_object_as_was_asked_for():
    kind = REGISTRY.by_kind("", "v1", "ConfigMap")
    obj = {"metadata": {"name": "a", "uid": "1"}, "data": {"k": "v"}}
    by_include = {include: table(kind, [obj], {"includeObject": include})["rows"][0]["object"]
                  for include in ("None", "Metadata", "Object")}
    assert by_include == {"None": None, "Metadata": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                                                     "metadata": obj["metadata"]},
                          "Object": {"kind": "ConfigMap", "apiVersion": "v1", **obj}}


COLUMNS = ({"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
           {"name": "Made", "type": "date", "jsonPath": ".spec.made"},
           {"name": "Text", "type": "string", "jsonPath": ".spec.size", "priority": 1},
           {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'})


def test_custom_columns_read_their_paths():
    kind = Kind("example.com", "v1", "Widget", "widgets", custom=object(), columns=COLUMNS)
    obj = {"metadata": {"name": "a"}, "spec": {"size": 3, "made": ago(60)}, "status": {"conditions": [
        {"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}}
    made = table(kind, [obj, {"metadata": {"name": "b"}, "spec": {"size": "big"}}], {"now": NOW})
    assert [column["name"] for column in made["columnDefinitions"]] == ["Name", "Size", "Made", "Text", "Ready"]
    assert [row["cells"] for row in made["rows"]] == [["a", 3, "60s", "3", "True"], ["b", None, None, "big", None]]


def test_custom_resources_without_columns_show_their_age():
    kind = Kind("example.com", "v1", "Widget", "widgets", custom=object())
    assert [column.name for column in printer_of(kind).columns] == ["Name", "Age"]


@pytest.mark.parametrize(("path", "found"), [
    (".a.b", [1]), ("{.a.b}", [1]), (".list[0].n", ["x"]), (".list[-1].n", ["y"]), (".list[*].n", ["x", "y"]),
    (".list[?(@.k==2)].n", ["y"]), (r".labels.x\.y", ["z"]), (".labels['x.y']", ["z"]), (".none.b", []),
    (".list[7]", [])])
def test_json_paths(path, found):
    obj = {"a": {"b": 1}, "list": [{"k": 1, "n": "x"}, {"k": 2, "n": "y"}], "labels": {"x.y": "z"}}
    assert jsonpath.find(path, obj) == found


@pytest.mark.parametrize("path", [".a[", "..", ".a[?(@.b)", ".a]"])
def test_what_is_no_simple_path_is_refused(path):
    with pytest.raises(ValueError, match="not a simple JSON path"):
        jsonpath.parse(path)


def test_selectors_read_like_the_command_line():
    value = {"matchLabels": {"a": "1"}, "matchExpressions": [
        {"key": "b", "operator": "In", "values": ["y", "x"]}, {"key": "c", "operator": "DoesNotExist"}]}
    assert selector(value) == "a=1,b in (x,y),!c"
