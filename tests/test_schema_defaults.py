"""What an API server fills in, type by type.  (The recorded answers of a real server are replayed against the API.)"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from kitlib.objects.schema import schema_for
from kitlib.objects.schema.defaults import MODULES, hook_for
from kitlib.objects.schema.defaults.core_pod import image_tag
from kitlib.objects.schema.tables import table

Obj = dict[str, Any]
CONTAINER_DEFAULTS = {"resources": {}, "terminationMessagePath": "/dev/termination-log",
                      "terminationMessagePolicy": "File"}
TEMPLATE_DEFAULTS = {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {},
                     "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler"}


def defaulted(group: str, version: str, kind: str, obj: Obj) -> Obj:
    decoded = schema_for(group, version, kind).decode(obj)
    assert (decoded.problems, decoded.unknown) == ([], [])
    return decoded.obj


def pod_spec(**spec: Any) -> Obj:
    return defaulted("", "v1", "Pod", {"spec": spec})["spec"]


def container(**fields: Any) -> Obj:
    return pod_spec(containers=[{"name": "c", "image": "i", **fields}])["containers"][0]


def volume(**fields: Any) -> Obj:
    return pod_spec(containers=[], volumes=[{"name": "v", **fields}])["volumes"][0]


def test_a_minimal_pod() -> None:
    assert pod_spec(containers=[{"name": "c", "image": "nginx"}]) == {
        "containers": [{"name": "c", "image": "nginx", "imagePullPolicy": "Always", **CONTAINER_DEFAULTS}],
        "enableServiceLinks": True, **TEMPLATE_DEFAULTS}


def test_what_was_said_is_not_overwritten() -> None:
    said = {"dnsPolicy": "None", "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "schedulerName": "x",
            "enableServiceLinks": False, "securityContext": {"runAsUser": 0}}
    made = pod_spec(containers=[{"name": "c", "image": "i", "imagePullPolicy": "Never"}], **said)
    assert {key: made[key] for key in said} == said
    assert made["containers"][0]["imagePullPolicy"] == "Never"


@pytest.mark.parametrize(("image", "tag"), [
    ("nginx", "latest"), ("nginx:latest", "latest"), ("nginx:1.27", "1.27"), ("host:5000/nginx", "latest"),
    ("host:5000/nginx:1", "1"), ("nginx@sha256:abc", ""), ("nginx:latest@sha256:abc", "latest"), ("", ""),
])
def test_the_tag_decides_the_pull_policy(image: str, tag: str) -> None:
    assert image_tag(image) == tag
    assert container(image=image)["imagePullPolicy"] == ("Always" if tag == "latest" else "IfNotPresent")


def test_init_and_ephemeral_containers_are_containers() -> None:
    made = pod_spec(containers=[], initContainers=[{"name": "i"}], ephemeralContainers=[{"name": "e"}])
    assert made["initContainers"][0]["terminationMessagePolicy"] == "File"
    assert made["ephemeralContainers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_probes() -> None:
    made = container(livenessProbe={"httpGet": {"port": 80}}, readinessProbe={"tcpSocket": {"port": "p"}},
                     startupProbe={"grpc": {"port": 1}, "periodSeconds": 3}, ports=[{"containerPort": 80}])
    common = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    assert made["livenessProbe"] == {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, **common}
    assert made["readinessProbe"] == {"tcpSocket": {"port": "p"}, **common}
    assert made["startupProbe"] == {"grpc": {"port": 1, "service": ""}, **common, "periodSeconds": 3}
    assert made["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


def test_requests_come_from_limits_in_a_pod_but_not_in_a_template() -> None:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    assert container(resources=resources)["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    template = {"spec": {"containers": [{"name": "c", "resources": resources}]}}
    made = defaulted("apps", "v1", "ReplicaSet", {"spec": {"template": template}})["spec"]["template"]["spec"]
    assert made["containers"][0]["resources"] == resources
    assert "enableServiceLinks" not in made


def test_host_ports_follow_in_a_host_network_pod() -> None:
    made = pod_spec(hostNetwork=True, containers=[{"name": "c", "ports": [{"containerPort": 80}]}])
    assert made["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


def test_pod_level_requests_come_from_containers_then_from_limits() -> None:
    made = pod_spec(
        resources={"limits": {"cpu": "4", "memory": "1Gi"}},
        containers=[{"name": "a", "resources": {"requests": {"cpu": "500m"}}},
                    {"name": "b", "resources": {"requests": {"cpu": "1"}}}],
        initContainers=[{"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
                        {"name": "i", "resources": {"requests": {"cpu": "1"}}}])
    assert made["resources"]["requests"] == {"cpu": "2500m", "memory": "1Gi"}


def test_the_old_name_of_the_service_account_follows() -> None:
    for given in ({"serviceAccount": "a"}, {"serviceAccountName": "a"}, {"serviceAccountName": "a",
                                                                         "serviceAccount": "b"}):
        made = pod_spec(containers=[], **given)
        assert (made["serviceAccountName"], made["serviceAccount"]) == ("a", "a")


def test_environment_and_volumes() -> None:
    env = container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])["env"]
    assert env[0]["valueFrom"]["fieldRef"] == {"apiVersion": "v1", "fieldPath": "metadata.name"}
    assert volume() == {"name": "v", "emptyDir": {}}
    assert volume(secret={"secretName": "s"})["secret"] == {"secretName": "s", "defaultMode": 420}
    assert volume(configMap={"name": "c", "defaultMode": 0})["configMap"] == {"name": "c", "defaultMode": 0}
    assert volume(hostPath={"path": "/x"})["hostPath"] == {"path": "/x", "type": ""}
    assert volume(image={"reference": "a:1"})["image"] == {"reference": "a:1", "pullPolicy": "IfNotPresent"}
    projected = volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]})["projected"]
    assert projected == {"defaultMode": 420, "sources": [{"serviceAccountToken": {
        "path": "t", "expirationSeconds": 3600}}]}
    assert volume(iscsi={"targetPortal": "t", "iqn": "q", "lun": 0})["iscsi"]["iscsiInterface"] == "default"
    claim = volume(ephemeral={"volumeClaimTemplate": {"spec": {}}})["ephemeral"]["volumeClaimTemplate"]
    assert claim["spec"] == {"resources": {}, "volumeMode": "Filesystem"}


def test_services() -> None:
    def service(**spec: Any) -> Obj:
        return defaulted("", "v1", "Service", {"spec": spec})["spec"]

    assert service(ports=[{"port": 80}, {"port": 81, "name": "b", "targetPort": "http"}]) == {
        "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "ports": [
            {"port": 80, "protocol": "TCP", "targetPort": 80},
            {"port": 81, "name": "b", "protocol": "TCP", "targetPort": "http"}]}
    assert service(type="NodePort")["externalTrafficPolicy"] == "Cluster"
    assert service(type="LoadBalancer")["allocateLoadBalancerNodePorts"] is True
    assert service(externalIPs=["1.2.3.4"])["externalTrafficPolicy"] == "Cluster"
    assert service(sessionAffinity="ClientIP")["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    assert service(type="ExternalName", externalName="a") == {
        "type": "ExternalName", "externalName": "a", "sessionAffinity": "None"}
    balanced = defaulted("", "v1", "Service", {"spec": {"type": "LoadBalancer"},
                                               "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}})
    assert balanced["status"]["loadBalancer"]["ingress"] == [{"ip": "1.2.3.4", "ipMode": "VIP"}]


def test_workloads() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    deployment = defaulted("apps", "v1", "Deployment", {"spec": {"template": template}})["spec"]
    assert (deployment["replicas"], deployment["revisionHistoryLimit"], deployment["progressDeadlineSeconds"]) == (
        1, 10, 600)
    assert deployment["strategy"] == {
        "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert defaulted("apps", "v1", "Deployment", {"spec": {"strategy": {"type": "Recreate"}, "replicas": 0}})[
        "spec"]["strategy"] == {"type": "Recreate"}
    stateful = defaulted("apps", "v1", "StatefulSet", {"spec": {
        "template": template, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}})["spec"]
    assert stateful["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert stateful["podManagementPolicy"] == "OrderedReady"
    assert stateful["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert stateful["volumeClaimTemplates"] == [{
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"resources": {}, "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}]
    daemons = defaulted("apps", "v1", "DaemonSet", {"spec": {"template": template}})["spec"]
    assert daemons["updateStrategy"] == {
        "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}


def test_jobs() -> None:
    def job(**spec: Any) -> Obj:
        return defaulted("batch", "v1", "Job", {"spec": spec})["spec"]

    made = job()
    del made["template"]
    assert made == {"completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
                    "suspend": False, "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": False}
    assert "completions" not in job(parallelism=3)
    assert job(completions=3)["parallelism"] == 1
    assert job(backoffLimitPerIndex=1)["backoffLimit"] == 2**31 - 1
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "X"}]}]
    made = job(podFailurePolicy={"rules": rules})
    assert made["podReplacementPolicy"] == "Failed"
    assert made["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "X", "status": "True"}]
    cron = defaulted("batch", "v1", "CronJob", {"spec": {"schedule": "* * * * *"}})["spec"]
    assert (cron["concurrencyPolicy"], cron["suspend"], cron["successfulJobsHistoryLimit"],
            cron["failedJobsHistoryLimit"]) == ("Allow", False, 3, 1)
    assert "backoffLimit" not in cron["jobTemplate"]["spec"]
    labelled = defaulted("batch", "v1", "Job", {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}})
    assert labelled["metadata"]["labels"] == {"a": "b"}


def test_autoscalers() -> None:
    made = defaulted("autoscaling", "v2", "HorizontalPodAutoscaler", {"spec": {"behavior": {"scaleUp": {
        "stabilizationWindowSeconds": 5}}}})["spec"]
    assert made["minReplicas"] == 1
    assert made["metrics"] == [{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]
    assert made["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 5
    assert [policy["type"] for policy in made["behavior"]["scaleUp"]["policies"]] == ["Pods", "Percent"]
    assert made["behavior"]["scaleDown"] == {
        "selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def test_the_other_kinds_of_the_core_group() -> None:
    assert defaulted("", "v1", "Namespace", {"metadata": {"name": "n"}}) == {
        "metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}}, "spec": {},
        "status": {"phase": "Active"}}
    secret = defaulted("", "v1", "Secret", {"data": {"a": "eA==", "b": "eA=="}, "stringData": {"b": "y"}})
    assert secret == {"metadata": {}, "type": "Opaque",
                      "data": {"a": "eA==", "b": base64.b64encode(b"y").decode()}}
    limits = defaulted("", "v1", "LimitRange", {"spec": {"limits": [
        {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Mi"}},
        {"type": "Pod", "max": {"cpu": "2"}}]}})["spec"]["limits"]
    assert limits[0]["default"] == {"cpu": "2"}
    assert limits[0]["defaultRequest"] == {"cpu": "2", "memory": "1Mi"}
    assert limits[1] == {"type": "Pod", "max": {"cpu": "2"}}
    node = defaulted("", "v1", "Node", {"spec": {"podCIDR": "10.0.0.0/24"}, "status": {"capacity": {"cpu": "4"}}})
    assert node["spec"]["podCIDRs"] == ["10.0.0.0/24"]
    assert node["status"]["allocatable"] == {"cpu": "4"}
    volume_ = defaulted("", "v1", "PersistentVolume", {})
    assert volume_["spec"] == {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}
    controller = defaulted("", "v1", "ReplicationController", {"spec": {"template": {
        "metadata": {"labels": {"a": "b"}}}}})
    assert controller["spec"]["selector"] == controller["metadata"]["labels"] == {"a": "b"}
    assert controller["spec"]["replicas"] == 1


@pytest.mark.parametrize(("group", "version", "kind", "sent", "expected"), [
    ("networking.k8s.io", "v1", "NetworkPolicy", {"spec": {"egress": [{"ports": [{"port": 1}]}]}},
     {"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
               "egress": [{"ports": [{"port": 1, "protocol": "TCP"}]}]}}),
    ("networking.k8s.io", "v1", "IngressClass", {"spec": {"parameters": {"kind": "K", "name": "n"}}},
     {"spec": {"parameters": {"kind": "K", "name": "n", "scope": "Cluster"}}}),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding",
     {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {
         "kind": "ServiceAccount", "name": "s"}]},
     {"roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}, "subjects": [
         {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"},
         {"kind": "ServiceAccount", "name": "s"}]}),
    ("storage.k8s.io", "v1", "StorageClass", {"provisioner": "p"},
     {"provisioner": "p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
    ("scheduling.k8s.io", "v1", "PriorityClass", {"value": 5},
     {"value": 5, "preemptionPolicy": "PreemptLowerPriority"}),
    ("discovery.k8s.io", "v1", "EndpointSlice", {"addressType": "IPv4", "ports": [{"port": 80}]},
     {"addressType": "IPv4", "endpoints": None, "ports": [{"port": 80, "name": "", "protocol": "TCP"}]}),
    ("authentication.k8s.io", "v1", "TokenRequest", {"spec": {"audiences": ["a"]}},
     {"spec": {"audiences": ["a"], "expirationSeconds": 3600, "boundObjectRef": None},
      "status": {"token": "", "expirationTimestamp": None}}),
    ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration",
     {"webhooks": [{"name": "w", "rules": [{"operations": ["*"]}], "clientConfig": {"service": {
         "name": "s", "namespace": "n"}}}]},
     {"webhooks": [{"name": "w", "rules": [{"operations": ["*"], "scope": "*"}], "sideEffects": None,
                    "admissionReviewVersions": None, "failurePolicy": "Fail", "matchPolicy": "Equivalent",
                    "namespaceSelector": {}, "objectSelector": {}, "timeoutSeconds": 10,
                    "reinvocationPolicy": "Never",
                    "clientConfig": {"service": {"name": "s", "namespace": "n", "port": 443}}}]}),
    ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", {"spec": {"priorityLevelConfiguration": {"name": "p"}}},
     {"spec": {"priorityLevelConfiguration": {"name": "p"}, "matchingPrecedence": 1000}, "status": {}}),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition",
     {"spec": {"group": "g", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
               "versions": [{"name": "v1", "served": True, "storage": True}]}},
     {"spec": {"group": "g", "scope": "Namespaced", "conversion": {"strategy": "None"},
               "names": {"plural": "foos", "kind": "Foo", "singular": "foo", "listKind": "FooList"},
               "versions": [{"name": "v1", "served": True, "storage": True}]},
      "status": {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": ["v1"]}}),
])
def test_the_other_groups(group: str, version: str, kind: str, sent: Obj, expected: Obj) -> None:
    made = defaulted(group, version, kind, sent)
    del made["metadata"]
    assert made == expected


def test_every_hook_belongs_to_a_type_that_exists() -> None:
    hooks = 0
    for folder in MODULES:
        for name in table(folder).types:
            hooks += hook_for(f"{folder}.{name}") is not None
    registered: set[str] = set()
    for folder, modules in MODULES.items():
        for module in modules:
            names = __import__(f"kitlib.objects.schema.defaults.{module}", fromlist=["HOOKS"]).HOOKS
            registered |= {name for name in names if name.startswith(folder)}
    assert hooks == len(registered) > 50
