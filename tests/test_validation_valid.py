"""Valid objects are valid: one ordinary object of every built-in kind, and its unchanged update."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kitlib.api.kinds import BUILTIN
from kitlib.api.validation import registry, validate_create, validate_update
from kitlib.objects.schema.schema import schema_for

Obj = dict[str, Any]

POD: Obj = {"containers": [{
    "name": "c", "image": "nginx:1", "ports": [{"containerPort": 80, "name": "http"}],
    "env": [{"name": "A", "value": "1"}, {"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            {"name": "L", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
    "envFrom": [{"prefix": "X_", "secretRef": {"name": "s"}}],
    "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Gi", "example.com/gpu": "1"}},
    "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a/b"}, {"name": "t", "mountPath": "/t"}],
    "livenessProbe": {"httpGet": {"path": "/", "port": "http"}}, "readinessProbe": {"tcpSocket": {"port": 80}},
    "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
    "securityContext": {"runAsUser": 1000, "allowPrivilegeEscalation": False}}],
    "initContainers": [{"name": "i", "image": "busybox"},
                       {"name": "side", "image": "busybox", "restartPolicy": "Always",
                        "startupProbe": {"exec": {"command": ["x"]}}}],
    "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "t", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "ca", "items": [
            {"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}},
        {"name": "h", "hostPath": {"path": "/tmp", "type": "Directory"}},
        {"name": "p", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "s", "secret": {"secretName": "s"}}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}],
         "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]}},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}}]}},
    "tolerations": [{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 1}],
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                                   "labelSelector": {"matchLabels": {"a": "b"}}}],
    "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["a.b."], "options": [{"name": "ndots", "value": "2"}]},
    "serviceAccountName": "default",
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a.b"]}], "securityContext": {"sysctls": [
        {"name": "net.ipv4.tcp_syncookies", "value": "1"}], "fsGroup": 1}, "hostname": "h", "subdomain": "s"}

LABELS = {"app": "x"}
TEMPLATE: Obj = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
ONCE: Obj = {"metadata": {"labels": LABELS}, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
SELECTS = {"matchLabels": LABELS}
RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
HOOK: Obj = {"name": "a.b.example", "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [RULE],
             "clientConfig": {"service": {"name": "s", "namespace": "n"}}}
CSR = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlJQgotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K"

ORDINARY: dict[tuple[str, str], Obj] = {
    ("", "Pod"): {"spec": POD},
    ("", "PodTemplate"): {"template": TEMPLATE},
    ("", "ReplicationController"): {"spec": {"selector": LABELS, "template": TEMPLATE}},
    ("", "Service"): {"spec": {"selector": LABELS, "ports": [{"name": "a", "port": 80, "targetPort": "http"},
                                                           {"name": "b", "port": 81}]}},
    ("", "Endpoints"): {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    ("", "ConfigMap"): {"data": {"a.b": "c"}, "binaryData": {"x": "AA=="}},
    ("", "Secret"): {"type": "kubernetes.io/basic-auth", "data": {"username": "YQ=="}},
    ("", "ServiceAccount"): {}, ("", "Namespace"): {"spec": {"finalizers": ["kubernetes"]}},
    ("", "Node"): {"spec": {"podCIDRs": ["10.0.0.0/24"], "taints": [{"key": "a", "effect": "NoSchedule"}]},
                   "status": {"capacity": {"cpu": "4", "example.com/gpu": "1"}}},
    ("", "Event"): {"involvedObject": {"kind": "Pod", "namespace": "d", "name": "x"}, "reason": "R"},
    ("events.k8s.io", "Event"): {"regarding": {"kind": "Pod", "namespace": "d", "name": "x"}, "reason": "R",
                                 "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "a.b/c",
                                 "reportingInstance": "i", "action": "A", "type": "Normal"},
    ("", "LimitRange"): {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "1"},
                                              "defaultRequest": {"cpu": "500m"}, "min": {"cpu": "100m"}}]}},
    ("", "ResourceQuota"): {"spec": {"hard": {"pods": "2", "requests.cpu": "1", "count/jobs.batch": "3",
                                              "requests.example.com/gpu": "1"}}},
    ("", "PersistentVolume"): {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                                        "hostPath": {"path": "/x"}}},
    ("", "PersistentVolumeClaim"): {"spec": {"accessModes": ["ReadWriteOnce"],
                                             "resources": {"requests": {"storage": "1Gi"}}}},
    ("apps", "Deployment"): {"spec": {"selector": SELECTS, "template": TEMPLATE}},
    ("apps", "ReplicaSet"): {"spec": {"selector": SELECTS, "template": TEMPLATE}},
    ("apps", "DaemonSet"): {"spec": {"selector": SELECTS, "template": TEMPLATE}},
    ("apps", "StatefulSet"): {"spec": {"selector": SELECTS, "template": TEMPLATE, "serviceName": "s"}},
    ("apps", "ControllerRevision"): {"data": {"a": 1}, "revision": 1},
    ("batch", "Job"): {"spec": {"manualSelector": True, "selector": SELECTS, "template": ONCE, "completions": 3,
                                "completionMode": "Indexed", "backoffLimitPerIndex": 1, "podFailurePolicy": {"rules": [
                                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 2]}}]}}},
    ("batch", "CronJob"): {"spec": {"schedule": "*/5 * * * *", "timeZone": "Europe/Berlin",
                                    "jobTemplate": {"spec": {"template": ONCE}}}},
    ("autoscaling", "HorizontalPodAutoscaler"): {"spec": {"maxReplicas": 3, "scaleTargetRef": {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "metrics": [{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}},
    ("policy", "PodDisruptionBudget"): {"spec": {"minAvailable": "50%", "selector": SELECTS}},
    ("networking.k8s.io", "NetworkPolicy"): {"spec": {"podSelector": {}, "ingress": [{"ports": [
        {"port": 80, "endPort": 90}], "from": [{"podSelector": SELECTS}, {"ipBlock": {
            "cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]}},
    ("networking.k8s.io", "Ingress"): {"spec": {"rules": [{"host": "*.a.b", "http": {"paths": [
        {"path": "/x", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}],
        "tls": [{"hosts": ["a.b"], "secretName": "t"}]}},
    ("networking.k8s.io", "IngressClass"): {"spec": {"controller": "a.example/c"}},
    ("networking.k8s.io", "IPAddress"): {"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": {
        "resource": "services", "name": "s", "namespace": "d"}}},
    ("networking.k8s.io", "ServiceCIDR"): {"spec": {"cidrs": ["10.0.0.0/24"]}},
    ("discovery.k8s.io", "EndpointSlice"): {"addressType": "IPv4", "endpoints": [{"addresses": ["127.64.16.3"]}],
                                            "ports": [{"name": "a", "port": 80}]},
    ("rbac.authorization.k8s.io", "Role"): {"metadata": {"name": "system:x"}, "rules": [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]},
    ("rbac.authorization.k8s.io", "ClusterRole"): {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]},
    ("rbac.authorization.k8s.io", "RoleBinding"): {"roleRef": {
        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "s", "namespace": "d"},
                     {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}]},
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): {"roleRef": {
        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}},
    ("storage.k8s.io", "StorageClass"): {"provisioner": "a.example/p"},
    ("storage.k8s.io", "CSIDriver"): {"metadata": {"name": "a.example"}, "spec": {}},
    ("storage.k8s.io", "CSINode"): {"spec": {"drivers": [{"name": "a.example", "nodeID": "n"}]}},
    ("storage.k8s.io", "CSIStorageCapacity"): {"storageClassName": "s", "capacity": "1Gi"},
    ("storage.k8s.io", "VolumeAttachment"): {"spec": {"attacher": "a", "nodeName": "n",
                                                      "source": {"persistentVolumeName": "p"}}},
    ("storage.k8s.io", "VolumeAttributesClass"): {"driverName": "a.example", "parameters": {"a": "b"}},
    ("scheduling.k8s.io", "PriorityClass"): {"value": 100},
    ("node.k8s.io", "RuntimeClass"): {"handler": "runc"},
    ("coordination.k8s.io", "Lease"): {"spec": {"holderIdentity": "h", "leaseDurationSeconds": 15}},
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): {"webhooks": [HOOK]},
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): {"webhooks": [HOOK]},
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): {"spec": {
        "matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}]}},
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): {"spec": {
        "policyName": "p", "validationActions": ["Deny"]}},
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): {"spec": {
        "matchConstraints": {"resourceRules": [RULE]}, "reinvocationPolicy": "Never", "mutations": [
            {"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}]}},
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): {"spec": {"policyName": "p"}},
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): {"spec": {
        "priorityLevelConfiguration": {"name": "p"}, "matchingPrecedence": 1, "rules": [{"subjects": [
            {"kind": "User", "user": {"name": "u"}}], "nonResourceRules": [
                {"verbs": ["get"], "nonResourceURLs": ["/x"]}]}]}},
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): {"spec": {
        "type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}},
    ("certificates.k8s.io", "CertificateSigningRequest"): {"spec": {
        "request": CSR, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}},
    ("apiregistration.k8s.io", "APIService"): {"metadata": {"name": "v1.a.b"}, "spec": {
        "group": "a.b", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 1}},
    ("apiextensions.k8s.io", "CustomResourceDefinition"): {"metadata": {"name": "ws.a.b"}, "spec": {
        "group": "a.b", "scope": "Namespaced",
        "names": {"plural": "ws", "singular": "w", "kind": "W", "listKind": "WL"},
        "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}, "scale": {
            "specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}}, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {
                    "n": {"type": "integer", "default": 1}, "l": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                        "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}},
                    "p": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                    "m": {"type": "object", "additionalProperties": {"type": "string"}}}}}}}}]},
        "status": {"storedVersions": ["v1"]}},
}


def whole(group: str, kind: str) -> Obj:
    """The object with its defaults, as validation gets it."""
    found = next(k for k in BUILTIN if (k.group, k.kind) == (group, kind) and (k.storage_version or kind == "Event"))
    given = copy.deepcopy(ORDINARY[group, kind])
    meta = {"name": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", **given.pop("metadata", {})}
    if found.namespaced:
        meta["namespace"] = "d"
    obj = {"apiVersion": found.api_version, "kind": kind, "metadata": meta, **given}
    return schema_for(group, found.version, kind).default(obj)


@pytest.mark.parametrize(("group", "kind"), sorted(ORDINARY))
def test_an_ordinary_object_is_valid_and_so_is_writing_it_again(group: str, kind: str) -> None:
    obj = whole(group, kind)
    before = copy.deepcopy(obj)
    assert validate_create(kind, group, obj) == []
    assert validate_update(kind, group, copy.deepcopy(obj), obj) == []
    assert validate_update(kind, group, copy.deepcopy(obj), obj, "status") == []
    assert obj == before, "validation changed the object"


def test_every_stored_kind_has_rules_and_every_kind_with_rules_has_an_ordinary_object() -> None:
    stored = {(kind.group, kind.kind) for kind in BUILTIN if not kind.virtual}
    with_rules = {key for key in registry._TABLE if key != ("autoscaling", "Scale")}
    assert with_rules == set(ORDINARY)
    assert stored <= with_rules


@pytest.mark.parametrize(("group", "kind"), sorted(ORDINARY))
def test_a_bad_label_and_a_missing_name_are_found_in_every_kind(group: str, kind: str) -> None:
    obj = whole(group, kind)
    obj["metadata"] = {**obj["metadata"], "labels": {"a b": "c"}}
    found = {(c["reason"], c["field"]) for c in validate_create(kind, group, obj)}
    assert ("FieldValueInvalid", "metadata.labels") in found
    del obj["metadata"]["name"]
    found = {(c["reason"], c["field"]) for c in validate_create(kind, group, obj)}
    assert ("FieldValueRequired", "metadata.name") in found
