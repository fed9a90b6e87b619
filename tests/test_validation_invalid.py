"""What is refused, with the reasons and the paths of a real API server."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from test_validation_valid import Obj, whole

from kitlib.api.validation import validate_create, validate_update

V, R, D, F, N, M = "Invalid", "Required", "Duplicate", "Forbidden", "NotSupported", "NotFound"


def changed(obj: Obj, changes: dict[str, Any]) -> Obj:
    """A copy with values set at dotted paths; numbers are list indices, None removes."""
    made = copy.deepcopy(obj)
    for path, value in changes.items():
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        node: Any = made
        for step in steps:
            node = node[step] if isinstance(node, list) else node.setdefault(step, {})
        if value is None:
            node.pop(last, None)
        elif isinstance(node, list) and last == len(node):
            node.append(value)
        else:
            node[last] = value
    return made


def found(causes: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(cause["reason"].removeprefix("FieldValue"), cause["field"]) for cause in causes}


C = "spec.containers[0]"
CREATES: list[tuple[str, str, dict[str, Any], set[tuple[str, str]]]] = [
    # metadata
    ("", "ConfigMap", {"metadata.name": "-a"}, {(V, "metadata.name")}),
    ("", "ConfigMap", {"metadata.name": "a" * 254}, {(V, "metadata.name")}),
    ("", "ConfigMap", {"metadata.generateName": "A-"}, {(V, "metadata.generateName")}),
    ("", "ConfigMap", {"metadata.namespace": "A"}, {(V, "metadata.namespace")}),
    ("", "Node", {"metadata.namespace": "d"}, {(F, "metadata.namespace")}),
    ("", "ConfigMap", {"metadata.annotations": {"a b": "c"}}, {(V, "metadata.annotations")}),
    ("", "ConfigMap", {"metadata.annotations": {"a": "b" * 262145}}, {("TooLong", "metadata.annotations")}),
    ("", "ConfigMap", {"metadata.finalizers": ["x"]}, {(V, "metadata.finalizers[0]")}),
    ("", "ConfigMap", {"metadata.finalizers": ["orphan", "foregroundDeletion"]}, {(V, "metadata.finalizers")}),
    ("", "ConfigMap", {"metadata.ownerReferences": [{"apiVersion": "v1", "name": "x"}]},
     {(V, "metadata.ownerReferences.kind"), (V, "metadata.ownerReferences.uid")}),
    ("", "ConfigMap", {"metadata.ownerReferences": [
        {"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True} for n in ("1", "2")]},
     {(V, "metadata.ownerReferences")}),
    # Pods
    ("", "Pod", {"spec.containers": []}, {(R, "spec.containers")}),
    ("", "Pod", {"spec.containers.0.name": "A_b", "spec.containers.0.image": ""},
     {(V, f"{C}.name"), (R, f"{C}.image")}),
    ("", "Pod", {"spec.containers.0.image": " x "}, {(V, f"{C}.image")}),
    ("", "Pod", {"spec.containers.0.ports": [{"protocol": "TCP"}, {"containerPort": 70000, "protocol": "TCP"},
                                             {"containerPort": 1, "protocol": "ODD"}],
                 "spec.containers.0.livenessProbe": None},
     {(R, f"{C}.ports[0].containerPort"), (V, f"{C}.ports[1].containerPort"), (N, f"{C}.ports[2].protocol")}),
    ("", "Pod", {"spec.containers.0.env": [{"value": "x"}, {"name": "B", "value": "x", "valueFrom": {
        "secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "C", "valueFrom": {}}]},
     {(R, f"{C}.env[0].name"), (V, f"{C}.env[1].valueFrom"), (V, f"{C}.env[2].valueFrom")}),
    ("", "Pod", {"spec.containers.0.envFrom": [{}]}, {(V, f"{C}.envFrom")}),
    ("", "Pod", {"metadata.annotations": {"controller.kubernetes.io/pod-deletion-cost": "x"}},
     {(V, "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]")}),
    ("", "Pod", {"spec.hostNetwork": True, "spec.containers.0.ports.0.hostPort": 81},
     {(V, f"{C}.ports[0].hostPort"), (V, "spec.securityContext.sysctls[0].name")}),
    ("", "Pod", {"spec.schedulingGates": [{"name": "a"}], "spec.nodeName": "n"}, {(F, "spec.nodeName")}),
    ("", "Pod", {"spec.serviceAccountName": None}, {(F, "spec.volumes[1].projected.sources[0].serviceAccountToken")}),
    ("", "Pod", {"spec.topologySpreadConstraints.1": {
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a"]}},
     {(D, "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}"),
      (F, "spec.topologySpreadConstraints[1].matchLabelKeys")}),
    ("", "Node", {"spec.taints": [{"key": "a"}], "status.capacity": {"cpu": "-1"}},
     {(R, "metadata.taints[0].effect"), (V, "status.capacity.cpu")}),
    ("", "Service", {"spec.loadBalancerSourceRanges": ["10.0.0.0/8"]}, {(F, "spec.LoadBalancerSourceRanges")}),
    ("", "Pod", {"spec.containers.0.env": [{"name": "A", "valueFrom": {"fieldRef": {
        "apiVersion": "v1", "fieldPath": "spec.restartPolicy"}}}]},
     {(N, f"{C}.env[0].valueFrom.fieldRef.fieldPath")}),
    ("", "Pod", {"spec.containers.0.volumeMounts": [{"name": "none", "mountPath": "/a"}, {"name": "v"}]},
     {(M, f"{C}.volumeMounts[0].name"), (R, f"{C}.volumeMounts[1].mountPath")}),
    ("", "Pod", {"spec.containers.0.livenessProbe": {"periodSeconds": -1, "successThreshold": 2}},
     {(R, f"{C}.livenessProbe"), (V, f"{C}.livenessProbe.periodSeconds"), (V, f"{C}.livenessProbe.successThreshold")}),
    ("", "Pod", {"spec.containers.0.livenessProbe": {"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}}},
     {(F, f"{C}.livenessProbe.tcpSocket")}),
    ("", "Pod", {"spec.containers.0.lifecycle": {"preStop": {}}}, {(R, f"{C}.lifecycle.preStop")}),
    ("", "Pod", {"spec.containers.0.resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
     {(V, f"{C}.resources.requests")}),
    ("", "Pod", {"spec.containers.0.resources": {"requests": {"example.com/x": "1"}}}, {(R, f"{C}.resources.limits")}),
    ("", "Pod", {"spec.containers.0.resources": {"limits": {"odd": "1", "memory": "-1"}}},
     {(V, f"{C}.resources.limits[odd]"), (V, f"{C}.resources.limits[memory]")}),
    ("", "Pod", {"spec.containers.0.securityContext": {"privileged": True, "allowPrivilegeEscalation": False}},
     {(V, f"{C}.securityContext")}),
    ("", "Pod", {"spec.initContainers.0.name": "c"}, {(D, "spec.initContainers[0].name")}),
    ("", "Pod", {"spec.initContainers.0.livenessProbe": {"exec": {"command": ["x"]}}},
     {(F, "spec.initContainers[0].livenessProbe")}),
    ("", "Pod", {"spec.ephemeralContainers": [{"name": "e", "image": "i", "imagePullPolicy": "Always",
                                               "terminationMessagePolicy": "File"}]},
     {(F, "spec.ephemeralContainers")}),
    ("", "Pod", {"spec.volumes.0.hostPath": {"path": "/x"}},
     {(F, "spec.volumes[0].hostPath"), (M, f"{C}.volumeMounts[0].name")}),
    ("", "Pod", {"spec.volumes.2": {"name": "h", "hostPath": {"path": "/a/../b", "type": "Odd"}}},
     {(V, "spec.volumes[2].hostPath.path"), (N, "spec.volumes[2].hostPath.type")}),
    ("", "Pod", {"spec.volumes.4": {"name": "s", "secret": {"defaultMode": 4096}}},
     {(R, "spec.volumes[4].secret.secretName"), (V, "spec.volumes[4].secret.defaultMode")}),
    ("", "Pod", {"spec.volumes.4.name": "v"}, {(D, "spec.volumes[4].name")}),
    ("", "Pod", {"spec.restartPolicy": "Odd", "spec.dnsPolicy": "Odd"},
     {(N, "spec.restartPolicy"), (N, "spec.dnsPolicy")}),
    ("", "Pod", {"spec.dnsPolicy": "None", "spec.dnsConfig": None}, {(R, "spec.dnsConfig")}),
    ("", "Pod", {"spec.hostname": "a.b", "spec.nodeName": "A", "spec.activeDeadlineSeconds": 0},
     {(V, "spec.hostname"), (V, "spec.nodeName"), (V, "spec.activeDeadlineSeconds")}),
    ("", "Pod", {"spec.tolerations": [{"key": "a", "operator": "Exists", "value": "b"}, {"operator": "Equal"}]},
     {(V, "spec.tolerations[0].operator"), (V, "spec.tolerations[1].operator")}),
    ("", "Pod", {"spec.topologySpreadConstraints.0.maxSkew": 0, "spec.topologySpreadConstraints.0.topologyKey": ""},
     {(V, "spec.topologySpreadConstraints[0].maxSkew"), (R, "spec.topologySpreadConstraints[0].topologyKey")}),
    ("", "Pod", {"spec.securityContext": {"fsGroup": -1, "sysctls": [{"name": "A b"}]}},
     {(V, "spec.securityContext.fsGroup"), (V, "spec.securityContext.sysctls[0].name")}),
    # workloads
    ("apps", "Deployment", {"spec.replicas": -1, "spec.strategy.type": "Recreate"},
     {(V, "spec.replicas"), (F, "spec.strategy.rollingUpdate")}),
    ("apps", "Deployment", {"spec.strategy.type": "Odd"}, {(N, "spec.strategy")}),
    ("apps", "Deployment", {"spec.template.metadata.labels": {"app": "x", "a b": "c"}}, {(V, "spec.template.labels")}),
    ("apps", "Deployment", {"spec.template.spec.containers.0.image": " x "}, set()),
    ("apps", "Deployment", {"spec.strategy.rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}},
     {(V, "spec.strategy.rollingUpdate.maxUnavailable")}),
    ("apps", "Deployment", {"spec.selector": {}}, {(V, "spec.selector")}),
    ("apps", "Deployment", {"spec.selector": {"matchLabels": {"app": "y"}}}, {(V, "spec.template.metadata.labels")}),
    ("apps", "Deployment", {"spec.template.spec.restartPolicy": "Never"}, {(N, "spec.template.spec.restartPolicy")}),
    ("apps", "Deployment", {"spec.selector": {"matchExpressions": [{"key": "a", "operator": "Odd"}]}},
     {(V, "spec.selector.matchExpressions[0].operator"), (V, "spec.selector")}),
    ("apps", "ReplicaSet", {"spec.selector": None}, {(R, "spec.selector"), (V, "spec.template.metadata.labels")}),
    ("apps", "DaemonSet", {"spec.selector": None}, {(V, "spec.template.metadata.labels")}),
    ("apps", "DaemonSet", {"spec.updateStrategy.type": "Odd"}, {(N, "spec.updateStrategy")}),
    ("apps", "StatefulSet", {"spec.template.spec.containers.0.volumeMounts": [
        {"name": "data", "mountPath": "/d"}, {"name": "none", "mountPath": "/n"}],
        "spec.volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
     {(M, "spec.template.spec.containers[0].volumeMounts[1].name")}),
    ("apps", "DaemonSet", {"spec.updateStrategy.rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}},
     {(R, "spec.updateStrategy.rollingUpdate.maxUnavailable")}),
    ("apps", "DaemonSet", {"spec.updateStrategy.rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}},
     {(V, "spec.updateStrategy.rollingUpdate.maxSurge")}),
    ("apps", "StatefulSet", {"spec.podManagementPolicy": "Odd", "spec.ordinals": {"start": -1}},
     {(V, "spec.podManagementPolicy"), (V, "spec.ordinals.start")}),
    ("apps", "ControllerRevision", {"revision": -1, "data": None}, {(V, "revision"), (R, "data")}),
    ("", "ReplicationController", {"spec.selector": None, "spec.template": None},
     {(R, "spec.selector"), (R, "spec.template")}),
    ("batch", "Job", {"spec.completions": None}, {(R, "spec.completions")}),
    ("batch", "Job", {"spec.template.spec.restartPolicy": "Always", "spec.podFailurePolicy": None},
     {(R, "spec.template.spec.restartPolicy")}),
    ("batch", "Job", {"spec.manualSelector": None},
     {(V, "spec.selector"), *((R, f"spec.template.metadata.labels[{key}]") for key in (
         "controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"))}),
    ("batch", "Job", {"spec.selector": None}, {(R, "spec.selector"), (V, "spec.template.metadata.labels")}),
    ("batch", "Job", {"spec.podFailurePolicy.rules": [{"action": "Odd"}, {"action": "FailJob", "onExitCodes": {
        "operator": "In", "values": [2, 0]}, "onPodConditions": [{"type": "a", "status": "True"}]}]},
     {(N, "spec.podFailurePolicy.rules[0].action"), (V, "spec.podFailurePolicy.rules[0]"),
      (V, "spec.podFailurePolicy.rules[1]"), (V, "spec.podFailurePolicy.rules[1].onExitCodes.values"),
      (V, "spec.podFailurePolicy.rules[1].onExitCodes.values[1]")}),
    ("batch", "Job", {"metadata.name": "a.b"}, {(V, "metadata.name")}),
    ("autoscaling", "HorizontalPodAutoscaler", {"spec.metrics.0": {"type": "Pods", "resource": {
        "name": "cpu", "target": {"type": "Odd"}}}},
     {(R, "spec.metrics[0].pods"), (V, "spec.metrics[0].resource.target.type"),
      (R, "spec.metrics[0].resource.target.averageUtilization")}),
    ("batch", "CronJob", {"spec.schedule": "61 * * *", "spec.timeZone": "Mars/Olympus"},
     {(V, "spec.schedule"), (V, "spec.timeZone")}),
    ("batch", "CronJob", {"metadata.name": "a" * 53}, {(V, "metadata.name")}),
    # the rest
    ("", "Service", {"spec.ports": []}, {(R, "spec.ports")}),
    ("", "Service", {"spec.ports.0.name": "", "spec.ports.1.port": 0},
     {(R, "spec.ports[0].name"), (V, "spec.ports[1].port")}),
    ("", "Service", {"spec.type": "NodePort", "spec.clusterIP": "None"}, {(V, "spec.clusterIPs[0]")}),
    ("", "Service", {"spec.ports.0.nodePort": 30000}, {(F, "spec.ports[0].nodePort")}),
    ("", "Service", {"spec.type": "ExternalName"}, {(R, "spec.externalName")}),
    ("", "Service", {"spec.clusterIP": "odd", "spec.sessionAffinity": "Odd"},
     {(V, "spec.clusterIPs[0]"), (N, "spec.sessionAffinity")}),
    ("", "Endpoints", {"subsets.0.addresses": [{"ip": "127.0.0.1"}, {"ip": "odd"}]},
     {(V, "subsets[0].addresses[0].ip"), (V, "subsets[0].addresses[1].ip")}),
    ("discovery.k8s.io", "EndpointSlice", {"addressType": "Odd", "endpoints": [{"addresses": []}]},
     {(N, "addressType"), (R, "endpoints[0].addresses")}),
    ("", "ConfigMap", {"data": {"a b": "", "k": ""}, "binaryData": {"k": ""}}, {(V, "data[a b]"), (V, "data[k]")}),
    ("", "ConfigMap", {"data": {"k": "x" * (2**20 + 1)}}, {("TooLong", "[]")}),
    ("", "Secret", {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "eA=="}},
     {(V, "data[.dockerconfigjson]")}),
    ("", "Secret", {"type": "kubernetes.io/tls", "data": {}}, {(R, "data[tls.crt]"), (R, "data[tls.key]")}),
    ("", "Secret", {"type": "kubernetes.io/service-account-token"},
     {(R, "metadata.annotations[kubernetes.io/service-account.name]")}),
    ("", "Event", {"involvedObject.namespace": "default"}, {(V, "involvedObject.namespace")}),
    ("", "LimitRange", {"spec.limits.0.min": {"cpu": "3"}},
     {(V, "spec.limits[0].min[cpu]"), (V, "spec.limits[0].default[cpu]"), (V, "spec.limits[0].defaultRequest[cpu]")}),
    ("", "ResourceQuota", {"spec.hard": {"pods": "1.5", "odd": "1"}, "spec.scopes": ["Odd"]},
     {(V, "spec.hard[pods]"), (V, "spec.hard[odd]"), (V, "spec.scopes")}),
    ("", "PersistentVolume", {"spec": {}},
     {(R, "spec"), (R, "spec.accessModes"), (R, "spec.capacity"), (N, "spec.capacity")}),
    ("", "PersistentVolumeClaim", {"spec.accessModes": ["Odd"], "spec.resources": {"requests": {"storage": "-1"}}},
     {(N, "spec.accessModes"), (V, "spec.resources[storage]")}),
    ("autoscaling", "HorizontalPodAutoscaler", {"spec.minReplicas": 5, "spec.scaleTargetRef.name": ""},
     {(V, "spec.maxReplicas"), (R, "spec.scaleTargetRef.name")}),
    ("policy", "PodDisruptionBudget", {"spec.maxUnavailable": 1}, {(V, "spec")}),
    ("policy", "PodDisruptionBudget", {"spec.minAvailable": "101%"}, {(V, "spec.minAvailable")}),
    ("networking.k8s.io", "NetworkPolicy", {"spec.ingress.0.from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}, {}],
                                            "spec.policyTypes": ["Odd"]},
     {(V, "spec.ingress[0].from[0].ipBlock.cidr"), (R, "spec.ingress[0].from[1]"), (N, "spec.policyTypes[0]")}),
    ("networking.k8s.io", "Ingress", {"spec.rules.0.host": "10.0.0.1", "spec.rules.0.http.paths.0.path": "x"},
     {(V, "spec.rules[0].host"), (V, "spec.rules[0].http.paths[0].path")}),
    ("networking.k8s.io", "IngressClass", {"spec.controller": "x"}, {(V, "spec.controller")}),
    ("rbac.authorization.k8s.io", "Role", {"rules.0.verbs": [], "rules.0.apiGroups": []},
     {(R, "rules[0].verbs"), (R, "rules[0].apiGroups")}),
    ("rbac.authorization.k8s.io", "RoleBinding", {"roleRef": {"apiGroup": "rbac.authorization.k8s.io"}},
     {(N, "roleRef.kind"), (R, "roleRef.name")}),
    ("storage.k8s.io", "StorageClass", {"provisioner": "", "reclaimPolicy": "Odd"},
     {(R, "provisioner"), (N, "reclaimPolicy")}),
    ("scheduling.k8s.io", "PriorityClass", {"metadata.name": "system-x"}, {(F, "metadata.name")}),
    ("scheduling.k8s.io", "PriorityClass", {"value": 2**30}, {(F, "value")}),
    ("node.k8s.io", "RuntimeClass", {"handler": "A_"}, {(V, "handler")}),
    ("coordination.k8s.io", "Lease", {"spec.leaseDurationSeconds": 0, "spec.leaseTransitions": -1},
     {(V, "spec.leaseDurationSeconds"), (V, "spec.leaseTransitions")}),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", {"webhooks": [{"name": "h"}]},
     {(V, "webhooks[0].name"), (R, "webhooks[0].admissionReviewVersions"), (R, "webhooks[0].clientConfig"),
      (R, "webhooks[0].sideEffects")}),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", {
        "spec.validations": [{"expression": "object.spec.replicas <"}, {"expression": " "}],
        "spec.matchConditions": [{"name": "a", "expression": "1 +"}]},
     {(V, "spec.validations[0].expression"), (R, "spec.validations[1].expression"),
      (V, "spec.matchConditions[0].expression")}),
    ("apiextensions.k8s.io", "CustomResourceDefinition", {
        "spec.versions.0.schema.openAPIV3Schema.properties.spec.x-kubernetes-validations": [
            {"rule": "self.n > 0"}, {"rule": "self.n >"}, {"message": "m"}]},
     {(V, "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[1].rule"),
      (R, "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[2].rule")}),
    ("apiextensions.k8s.io", "CustomResourceDefinition", {"metadata.name": "x.a.b"}, {(V, "metadata.name")}),
    ("apiextensions.k8s.io", "CustomResourceDefinition", {
        "spec.versions.0.schema.openAPIV3Schema.properties.spec": {"properties": {"a": {}}}},
     {(R, "spec.validation.openAPIV3Schema.properties[spec].type"),
      (R, "spec.validation.openAPIV3Schema.properties[spec].properties[a].type")}),
    ("apiextensions.k8s.io", "CustomResourceDefinition",
     {"spec.versions.0.storage": False, "status.storedVersions": []},
     {(V, "spec.versions"), (V, "status.storedVersions")}),
]


@pytest.mark.parametrize(("group", "kind", "changes", "expected"), CREATES)
def test_a_new_object_is_refused_for_exactly_these_causes(group: str, kind: str, changes: dict[str, Any],
                                                          expected: set[tuple[str, str]]) -> None:
    assert found(validate_create(kind, group, changed(whole(group, kind), changes))) == expected


UPDATES: list[tuple[str, str, str, dict[str, Any], set[tuple[str, str]]]] = [
    ("", "ConfigMap", "", {"metadata.uid": "other"}, {(V, "metadata.uid")}),
    ("", "ConfigMap", "", {"metadata.deletionTimestamp": "2026-01-01T00:00:00Z"}, {(V, "metadata.deletionTimestamp")}),
    ("", "Secret", "", {"type": "example.com/x"}, {(V, "type")}),
    ("", "Pod", "", {"spec.containers.0.image": "other:1"}, set()),
    ("", "Pod", "", {"metadata.labels": {"a": "b"}, "spec.activeDeadlineSeconds": 5}, set()),
    ("", "Pod", "", {"spec.tolerations.2": {"operator": "Exists", "key": "new"}}, set()),
    ("", "Pod", "", {"spec.containers.0.command": ["x"]}, {(F, "spec")}),
    ("", "Pod", "", {"spec.schedulerName": "other"}, {(F, "spec")}),
    ("", "Pod", "", {"spec.containers.0.resources.requests.cpu": "200m"}, {(F, "spec")}),
    ("", "Pod", "", {"spec.containers.0.resources": None}, {(F, "spec"), (V, "metadata")}),
    ("", "Pod", "", {"spec.schedulingGates": [{"name": "late"}]}, {(F, "spec.schedulingGates[0].name")}),
    ("", "Pod", "", {"spec.restartPolicy": "Odd"}, {(F, "spec"), (N, "spec.restartPolicy")}),
    ("", "Pod", "", {"spec.initContainers": []}, {(F, "spec.initContainers")}),
    ("", "Pod", "", {"spec.tolerations": [{"operator": "Exists", "key": "new"}]}, {(F, "spec.tolerations")}),
    ("", "Pod", "status", {"status.phase": "Running"}, set()),
    ("", "Pod", "status", {"spec.nodeName": "n"}, {(F, "status.nodeName")}),
    ("", "Pod", "resize", {"spec.containers.0.resources.limits.cpu": None},
     {(F, f"{C}.resources.limits")}),
    ("", "Pod", "resize", {"spec.containers.0.resources.requests.cpu": "200m"}, set()),
    ("", "Pod", "resize", {"spec.containers.0.image": "other"}, {(F, "spec")}),
    ("", "Pod", "ephemeralcontainers", {"spec.ephemeralContainers": [
        {"name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File",
         "ports": [{"containerPort": 1, "protocol": "TCP"}]}]},
     {(D, "spec.ephemeralContainers[0].name"), (F, "spec.ephemeralContainers[0].ports")}),
    ("", "Service", "status", {"status.loadBalancer.ingress": [{"ip": "192.0.2.1"}]},
     {(F, "status.loadBalancer.ingress")}),
    ("", "Node", "", {"spec.podCIDRs": ["10.1.0.0/24"]}, {(F, "spec.podCIDRs")}),
    ("", "PersistentVolume", "", {"spec.hostPath.path": "/y"}, {(F, "spec.persistentvolumesource")}),
    ("", "PersistentVolumeClaim", "", {"spec.accessModes": ["ReadOnlyMany"]}, {(F, "spec")}),
    ("", "PersistentVolumeClaim", "", {"spec.volumeName": "p", "spec.storageClassName": "s"}, set()),
    ("", "ResourceQuota", "", {"spec.scopes": ["BestEffort"]}, {(V, "spec.scopes")}),
    ("apps", "Deployment", "", {"spec.replicas": 5, "spec.template.spec.containers.0.image": "new"}, set()),
    ("apps", "Deployment", "", {"spec.selector": {"matchLabels": {"app": "y"}},
                                "spec.template.metadata.labels": {"app": "y"}}, {(V, "spec.selector")}),
    ("apps", "StatefulSet", "", {"spec.serviceName": "other"}, {(F, "spec")}),
    ("apps", "StatefulSet", "", {"spec.replicas": 5, "spec.minReadySeconds": 1}, set()),
    ("batch", "Job", "", {"spec.completions": 4}, {(V, "spec.completions")}),
    ("batch", "Job", "", {"spec.completions": 2, "spec.parallelism": 2}, set()),
    ("batch", "Job", "", {"spec.template.spec.schedulerName": "other"}, {(V, "spec.template.spec")}),
    ("rbac.authorization.k8s.io", "RoleBinding", "", {"roleRef.name": "edit"}, {(V, "roleRef")}),
    ("storage.k8s.io", "StorageClass", "", {"provisioner": "a.example/q", "parameters": {"a": "b"}},
     {(V, "provisioner"), (F, "parameters")}),
    ("scheduling.k8s.io", "PriorityClass", "", {"value": 2}, {(F, "value")}),
    ("node.k8s.io", "RuntimeClass", "", {"handler": "other"}, {(V, "handler")}),
    ("discovery.k8s.io", "EndpointSlice", "", {"addressType": "FQDN", "endpoints": []}, {(V, "addressType")}),
    ("networking.k8s.io", "IngressClass", "", {"spec.controller": "a.example/d"}, {(V, "spec.controller")}),
]


@pytest.mark.parametrize(("group", "kind", "subresource", "changes", "expected"), UPDATES)
def test_a_change_is_refused_for_exactly_these_causes(group: str, kind: str, subresource: str, changes: dict[str, Any],
                                                      expected: set[tuple[str, str]]) -> None:
    old = whole(group, kind)
    assert found(validate_update(kind, group, changed(old, changes), old, subresource)) == expected


def test_an_address_once_given_stays() -> None:
    old = changed(whole("", "Service"), {"spec.clusterIP": "10.0.0.1", "spec.clusterIPs": ["10.0.0.1"]})
    new = changed(old, {"spec.clusterIP": "None", "spec.clusterIPs": ["None"]})
    assert found(validate_update("Service", "", new, old)) == {(V, "spec.clusterIPs[0]")}
    both = changed(old, {"spec.clusterIPs": ["10.0.0.1", "fd00::1"], "spec.ipFamilies": ["IPv4", "IPv6"],
                         "spec.ipFamilyPolicy": "PreferDualStack"})
    assert found(validate_update("Service", "", both, old)) == set()
    back = changed(both, {"spec.clusterIPs": ["10.0.0.1"], "spec.ipFamilies": ["IPv4"]})
    assert found(validate_update("Service", "", back, both)) == {(V, "spec.ipFamilyPolicy")}
    assert found(validate_update("Service", "", changed(back, {"spec.ipFamilyPolicy": "SingleStack"}), both)) == set()


def test_what_is_marked_immutable_keeps_its_data() -> None:
    old = changed(whole("", "ConfigMap"), {"immutable": True})
    assert validate_update("ConfigMap", "", changed(old, {"metadata.labels": {"a": "b"}}), old) == []
    new = changed(old, {"immutable": None, "data": {"k": "w"}})
    assert found(validate_update("ConfigMap", "", new, old)) == {(F, "immutable"), (F, "data")}


def test_a_dying_object_gets_no_new_finalizers() -> None:
    old = changed(whole("", "ConfigMap"), {"metadata.deletionTimestamp": "2026-01-01T00:00:00Z",
                                           "metadata.finalizers": ["a.b/c", "a.b/d"]})
    assert validate_update("ConfigMap", "", changed(old, {"metadata.finalizers": ["a.b/d"]}), old) == []
    new = changed(old, {"metadata.finalizers": ["a.b/c", "a.b/e"]})
    assert found(validate_update("ConfigMap", "", new, old)) == {(F, "metadata.finalizers")}


def test_a_suspended_job_that_never_ran_may_be_sent_elsewhere() -> None:
    old = changed(whole("batch", "Job"), {"spec.suspend": True})
    new = changed(old, {"spec.template.spec.nodeSelector": {"a": "b"}})
    assert validate_update("Job", "batch", new, old) == []
    started = changed(old, {"status.startTime": "2026-01-01T00:00:00Z"})
    assert found(validate_update("Job", "batch", new, started)) == {(V, "spec.template.spec")}


def test_a_resize_must_keep_the_qos_class() -> None:
    old = changed(whole("", "Pod"), {"spec.initContainers": None, "spec.containers.0.resources": {
        "requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}})
    new = changed(old, {"spec.containers.0.resources.requests.cpu": "2"})
    assert found(validate_update("Pod", "", new, old, "resize")) == {(V, "spec")}


def test_a_growing_claim_must_be_bound_and_never_shrinks() -> None:
    claim = whole("", "PersistentVolumeClaim")
    larger = changed(claim, {"spec.resources.requests.storage": "2Gi"})
    assert found(validate_update("PersistentVolumeClaim", "", larger, claim)) == {(F, "spec")}
    bound = {"status.phase": "Bound", "spec.volumeName": "p", "status.capacity": {"storage": "1Gi"}}
    assert validate_update("PersistentVolumeClaim", "", changed(larger, bound), changed(claim, bound)) == []
    assert found(validate_update("PersistentVolumeClaim", "", changed(claim, bound), changed(larger, bound))) == {
        (F, "spec.resources.requests.storage")}


def test_messages_read_like_the_real_ones() -> None:
    obj = changed(whole("apps", "Deployment"), {"spec.replicas": -1})
    assert [cause["message"] for cause in validate_create("Deployment", "apps", obj)] == [
        "Invalid value: -1: must be greater than or equal to 0"]
    obj = changed(whole("", "Pod"), {"spec.restartPolicy": "Odd"})
    assert [cause["message"] for cause in validate_create("Pod", "", obj)] == [
        'Unsupported value: "Odd": supported values: "Always", "Never", "OnFailure"']
    obj = changed(whole("", "ConfigMap"), {"metadata.name": "A"})
    assert [cause["message"] for cause in validate_create("ConfigMap", "", obj)] == [
        'Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '
        "'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
        "validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
